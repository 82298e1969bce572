package syncsvc_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	autheventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
	documentseventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/documents/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
)

// refused checks the code and reason of an error.
func refused(t testing.TB, err error, code codes.Code, reason fmt.Stringer) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, rpcerr.From(err).Code(), "%v", err)
	require.Equal(t, rpcerr.Normalize(reason), rpcerr.Reason(err), "%v", err)
}

// violates checks that an error names a field.
func violates(t testing.TB, err error, field string) {
	t.Helper()
	require.Error(t, err)
	require.NotEmpty(t, rpcerr.From(err).Violations(), "%v", err)
	require.Equal(t, field, rpcerr.From(err).Violations()[0].Field)
}

func TestClientList(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(25)
		s.connect(nil)
		var names []string
		token := ""
		for {
			resp, err := s.clients.ListClients(s.as(access.ReadOnlyStaff), &syncv1.ListClientsRequest{Parent: firm, PageSize: 10, PageToken: token})
			require.NoError(t, err)
			require.EqualValues(t, 25, resp.GetTotalSize())
			for _, c := range resp.GetClients() {
				names = append(names, c.GetDisplayName())
			}
			if token = resp.GetNextPageToken(); token == "" {
				break
			}
		}
		require.Len(t, names, 25)
		require.IsIncreasing(t, names)

		c := s.client("client 0007", 0)
		require.True(t, c.GetSynced())
		require.Equal(t, connection, c.GetListSource())
		require.Equal(t, syncv1.ClientState_CLIENT_STATE_LISTED, c.GetState())
		require.Equal(t, c.GetName(), s.client("C0007", 0).GetName(), "found by code")
		require.Equal(t, c.GetName(), s.client("c7@EXAMPLE", 0).GetName(), "found by e-mail")
		got, err := s.clients.GetClient(s.as(access.AddIn), &syncv1.GetClientRequest{Name: c.GetName()})
		require.NoError(t, err)
		require.True(t, proto.Equal(c, got.GetClient()))

		for _, query := range []string{"%", "_", `\`, "no such"} {
			resp, err := s.clients.ListClients(s.admin(), &syncv1.ListClientsRequest{Parent: firm, Query: query})
			require.NoError(t, err)
			require.Empty(t, resp.GetClients(), "a query is text, no pattern: %s", query)
		}
		_, err = s.clients.ListClients(s.admin(), &syncv1.ListClientsRequest{Parent: firm, PageToken: "bm9uc2Vuc2U"})
		violates(t, err, "page_token")
		_, err = s.clients.GetClient(s.admin(), &syncv1.GetClientRequest{Name: firm + "/clients/" + uuid.NewString()})
		refused(t, err, codes.NotFound, rpcerr.NotFound)
	})
}

func TestContactSeesOnlyRelatedClients(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(12)
		s.connect(nil)
		all, err := s.contacts.ListContacts(s.admin(), &syncv1.ListContactsRequest{Parent: firm, Query: "Person 0005"})
		require.NoError(t, err)
		contact := all.GetContacts()[0]
		require.Len(t, contact.GetRelations(), 2)
		p := accesstest.Of(access.Contact, accesstest.FirmA)
		p.ID = contact.GetName()[strings.LastIndex(contact.GetName(), "/")+1:]
		ctx := s.asPrincipal(p)
		resp, err := s.clients.ListClients(ctx, &syncv1.ListClientsRequest{Parent: firm})
		require.NoError(t, err)
		require.EqualValues(t, 2, resp.GetTotalSize())
		require.Equal(t, "Client 0005 Pty Ltd", resp.GetClients()[0].GetDisplayName())
		require.Empty(t, resp.GetClients()[0].GetListSource(), "how the firm keeps its list is the firm's affair")
		_, err = s.clients.GetClient(ctx, &syncv1.GetClientRequest{Name: resp.GetClients()[0].GetName()})
		require.NoError(t, err)
		_, err = s.clients.GetClient(ctx, &syncv1.GetClientRequest{Name: s.client("0001", 0).GetName()})
		refused(t, err, codes.NotFound, syncv1.ErrorReason_ERROR_REASON_NOT_FOUND)
		left, err := s.clients.ListClients(ctx, &syncv1.ListClientsRequest{Parent: firm, State: syncv1.ClientState_CLIENT_STATE_OFFBOARDED})
		require.NoError(t, err)
		require.Empty(t, left.GetClients())

		s.world.Archive("r0005")
		s.full()
		s.settled(s.offboardingOf("r0005"), syncv1.OffboardingState_OFFBOARDING_STATE_DONE)
		resp, err = s.clients.ListClients(ctx, &syncv1.ListClientsRequest{Parent: firm})
		require.NoError(t, err)
		require.EqualValues(t, 1, resp.GetTotalSize())
	})
}

// offboardingOf returns the off-boarding of the client of a record of the practice.
func (s *suite) offboardingOf(record string) string {
	s.t.Helper()
	resp, err := s.clients.ListOffboardings(s.admin(), &syncv1.ListOffboardingsRequest{Parent: firm})
	require.NoError(s.t, err)
	for _, o := range resp.GetOffboardings() {
		if strings.Contains(o.GetClientDisplayName(), strings.TrimPrefix(record, "r")) {
			return o.GetName()
		}
	}
	s.t.Fatalf("no off-boarding of %s", record)
	return ""
}

func TestCreateClient(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		req := &syncv1.CreateClientRequest{
			Parent: firm, RequestId: uuid.NewString(),
			Client: &syncv1.Client{DisplayName: "  Kōwhai Trust ", Code: "KT", EntityType: "Trust", Email: "k@example.com", Phone: "04 1"},
		}
		first, err := s.clients.CreateClient(s.as(access.Staff), req)
		require.NoError(t, err)
		again, err := s.clients.CreateClient(s.as(access.Staff), req)
		require.NoError(t, err)
		require.True(t, proto.Equal(first, again), "the same request makes one client")
		c := first.GetClient()
		require.Equal(t, "Kōwhai Trust", c.GetDisplayName())
		require.False(t, c.GetSynced())
		require.Equal(t, c.GetName(), s.client("kōwhai", 0).GetName())
		history, err := s.clients.ListClientHistory(s.admin(), &syncv1.ListClientHistoryRequest{Parent: c.GetName()})
		require.NoError(t, err)
		require.Len(t, history.GetEntries(), 1)
		require.Equal(t, "CLIENT_CREATED", history.GetEntries()[0].GetKind())
		require.Contains(t, history.GetEntries()[0].GetActor(), firm+"/staff/")

		_, err = s.clients.CreateClient(s.admin(), &syncv1.CreateClientRequest{Parent: firm, Client: &syncv1.Client{DisplayName: " \t"}})
		violates(t, err, "client.display_name")
		_, err = s.clients.CreateClient(s.admin(), &syncv1.CreateClientRequest{Parent: firm})
		violates(t, err, "client")
	})
}

// trail is an event of documents about a client.
func trail(client string, n int64, summary string) *documentseventsv1.ClientTrail {
	return &documentseventsv1.ClientTrail{
		Client: client, Sequence: n, OccurTime: timestamppb.Now(), Actor: firm + "/staff/x", Summary: summary,
	}
}

func TestHistory(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(3)
		s.connect(nil)
		c := s.client("0002", 0).GetName()
		s.tell("d1", 0, &documentseventsv1.DocumentFiled{Trail: trail(c, 1, "filed a letter"), Document: firm + "/documents/d1"})
		s.tell("d2", 0, &documentseventsv1.EmailJobSent{Trail: trail(c, 2, `=HYPERLINK("http://x")`), EmailJob: firm + "/emailJobs/e1"})
		s.tell("d3", 0, &documentseventsv1.SignatureCompleted{Trail: trail(c, 3, "signed"), EmailJob: firm + "/emailJobs/e1"})
		s.tell("d4", 0, &documentseventsv1.DocumentsArchived{Trail: trail(c, 4, "archived"), Folder: firm + "/folders/f1"})
		s.tell("d5", 0, &documentseventsv1.DocumentFiled{Trail: trail("", 1, "about no client")})
		var entries []*syncv1.HistoryEntry
		eventstest.Until(t, "history has heard it all", func() bool {
			resp, err := s.clients.ListClientHistory(s.admin(), &syncv1.ListClientHistoryRequest{Parent: c})
			require.NoError(t, err)
			entries = resp.GetEntries()
			return len(entries) == 5
		})
		for i, e := range entries {
			require.EqualValues(t, 5-i, e.GetSequence(), "newest first, no gaps")
		}
		one, err := s.clients.ListClientHistory(s.admin(), &syncv1.ListClientHistoryRequest{Parent: c, Kind: "EMAIL_JOB_SENT"})
		require.NoError(t, err)
		require.Len(t, one.GetEntries(), 1)
		require.Equal(t, firm+"/emailJobs/e1", one.GetEntries()[0].GetResource())
		page, err := s.clients.ListClientHistory(s.admin(), &syncv1.ListClientHistoryRequest{Parent: c, PageSize: 2})
		require.NoError(t, err)
		page, err = s.clients.ListClientHistory(s.admin(), &syncv1.ListClientHistoryRequest{Parent: c, PageSize: 2, PageToken: page.GetNextPageToken()})
		require.NoError(t, err)
		require.EqualValues(t, 3, page.GetEntries()[0].GetSequence())

		rows := s.export(c, "")
		require.Len(t, rows, 6)
		require.Len(t, s.export(c, "EMAIL_JOB_SENT"), 2)
		for _, r := range rows {
			require.NotEqual(t, '=', rune(r[4][0]), "no formula")
		}
	})
}

// export reads a client's history as CSV.
func (s *suite) export(client, kind string) [][]string {
	s.t.Helper()
	stream, err := s.clients.ExportClientHistory(s.as(access.Staff), &syncv1.ExportClientHistoryRequest{Parent: client, Kind: kind})
	require.NoError(s.t, err)
	var text strings.Builder
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(s.t, err)
		text.Write(m.GetData())
	}
	rows, err := csv.NewReader(strings.NewReader(text.String())).ReadAll()
	require.NoError(s.t, err)
	return rows
}

func TestOffboardByHand(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(6)
		s.connect(nil)
		c := s.client("0005", 0).GetName()
		s.world.Folder(c, func(f *peertest.Folder) {
			f.Documents = 2
			f.Blockers = []*documentsv1.Blocker{{Kind: "SIGNATURE_OPEN", Description: "email job 42 holds 2 documents for signature", Resource: firm + "/emailJobs/42"}}
		})
		preview, err := s.clients.PreviewOffboarding(s.as(access.ReadOnlyStaff), &syncv1.PreviewOffboardingRequest{Name: c})
		require.NoError(t, err)
		require.Len(t, preview.GetBlockers(), 1)
		require.EqualValues(t, 2, preview.GetDocumentCount())
		require.EqualValues(t, 1, preview.GetContactsKept())
		require.Len(t, preview.GetSentences(), 4)

		req := &syncv1.OffboardClientRequest{Name: c, Reason: "left the practice", RequestId: uuid.NewString()}
		_, err = s.clients.OffboardClient(s.admin(), req)
		refused(t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_BLOCKED)
		require.Equal(t, "SIGNATURE_OPEN: email job 42 holds 2 documents for signature", rpcerr.From(err).Metadata()["blocker_1"])

		req = &syncv1.OffboardClientRequest{Name: c, Reason: "left the practice", Override: true, RequestId: uuid.NewString()}
		resp, err := s.clients.OffboardClient(s.admin(), req)
		require.NoError(t, err)
		again, err := s.clients.OffboardClient(s.admin(), req)
		require.NoError(t, err)
		require.Equal(t, resp.GetOffboarding().GetName(), again.GetOffboarding().GetName())
		o := s.settled(resp.GetOffboarding().GetName(), syncv1.OffboardingState_OFFBOARDING_STATE_DONE)
		require.Equal(t, "left the practice", o.GetReason())
		require.NotEmpty(t, o.GetHistoryDocument())
		require.Len(t, o.GetSteps(), 6)

		left := s.client("0005", syncv1.ClientState_CLIENT_STATE_OFFBOARDED)
		require.Equal(t, o.GetName(), left.GetOffboarding())
		for _, gone := range []error{
			second(s.clients.ListClientHistory(s.admin(), &syncv1.ListClientHistoryRequest{Parent: c})),
			second(s.clients.OffboardClient(s.admin(), &syncv1.OffboardClientRequest{Name: c, Reason: "again"})),
			second(s.clients.PreviewOffboarding(s.admin(), &syncv1.PreviewOffboardingRequest{Name: c})),
		} {
			refused(t, gone, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_CLIENT_NOT_LISTED)
		}
		_, err = s.clients.CancelOffboarding(s.admin(), &syncv1.CancelOffboardingRequest{Name: o.GetName()})
		refused(t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_PAST_POINT_OF_NO_RETURN)

		back, err := s.clients.RestoreClient(s.admin(), &syncv1.RestoreClientRequest{Name: c, Reason: "a mistake"})
		require.NoError(t, err)
		s.settled(back.GetOffboarding().GetName(), syncv1.OffboardingState_OFFBOARDING_STATE_REVERSED)
		require.Equal(t, c, s.client("0005", 0).GetName())
		require.Len(t, s.export(c, ""), 5, "with its history")
		_, err = s.clients.RestoreClient(s.admin(), &syncv1.RestoreClientRequest{Name: c})
		refused(t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_CLIENT_LISTED)
	})
}

func second[T any](_ T, err error) error { return err }

func TestBlockedClientGoesWhenTheLastSignatureIsGiven(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(12)
		s.connect(nil)
		c := s.client("0005", 0).GetName()
		s.world.Folder(c, func(f *peertest.Folder) {
			f.Blockers = []*documentsv1.Blocker{{Kind: "SIGNATURE_OPEN", Description: "email job 42"}}
		})
		s.world.Archive("r0005")
		s.full()
		o := s.settled(s.offboardingOf("r0005"), syncv1.OffboardingState_OFFBOARDING_STATE_BLOCKED)
		blocked, err := s.clients.ListClients(s.admin(), &syncv1.ListClientsRequest{Parent: firm, BlockedOnly: true})
		require.NoError(t, err)
		require.Len(t, blocked.GetClients(), 1)
		require.Equal(t, "email job 42", blocked.GetClients()[0].GetBlockers()[0].GetDescription())
		s.world.Folder(c, func(f *peertest.Folder) { f.Blockers, f.TrailSeq = nil, 1 })
		s.tell("d1", 0, &documentseventsv1.SignatureCompleted{Trail: trail(c, 1, "signed")})
		s.settled(o.GetName(), syncv1.OffboardingState_OFFBOARDING_STATE_DONE)
	})
}

func TestCancelBlockedOffboarding(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(12)
		s.connect(nil)
		c := s.client("0005", 0).GetName()
		s.world.Folder(c, func(f *peertest.Folder) {
			f.Blockers = []*documentsv1.Blocker{{Kind: "SIGNATURE_OPEN", Description: "email job 42"}}
		})
		s.world.Archive("r0005")
		s.full()
		o := s.settled(s.offboardingOf("r0005"), syncv1.OffboardingState_OFFBOARDING_STATE_BLOCKED)
		_, err := s.clients.CancelOffboarding(s.admin(), &syncv1.CancelOffboardingRequest{Name: o.GetName()})
		require.NoError(t, err)
		s.settled(o.GetName(), syncv1.OffboardingState_OFFBOARDING_STATE_CANCELLED)
		again, err := s.clients.CancelOffboarding(s.admin(), &syncv1.CancelOffboardingRequest{Name: o.GetName()})
		require.NoError(t, err)
		require.Equal(t, syncv1.OffboardingState_OFFBOARDING_STATE_CANCELLED, again.GetOffboarding().GetState())
		require.Empty(t, s.client("0005", 0).GetBlockers())
		require.Zero(t, s.full().GetCounts().GetRemovalCandidates())
	})
}

func TestReleasedContactMayBeEditedAndDeleted(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(12)
		s.connect(nil)
		find := func(query string) *syncv1.Contact {
			resp, err := s.contacts.ListContacts(s.admin(), &syncv1.ListContactsRequest{Parent: firm, Query: query})
			require.NoError(t, err)
			require.Len(t, resp.GetContacts(), 1)
			return resp.GetContacts()[0]
		}
		k := find("Person 0003")
		k.Phone = "1"
		_, err := s.contacts.UpdateContact(s.admin(), &syncv1.UpdateContactRequest{Contact: k})
		refused(t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_CONTACT_SYNCED)
		_, err = s.contacts.DeleteContact(s.admin(), &syncv1.DeleteContactRequest{Name: k.GetName()})
		refused(t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_CONTACT_RELATED)

		s.world.SetLogin(k.GetName(), true)
		s.tell("contact", 1, &autheventsv1.ContactLoginChanged{Contact: k.GetName(), HasLogin: true})
		eventstest.Until(t, "the login is known", func() bool { return find("Person 0003").GetHasLogin() })
		s.world.Archive("r0003")
		s.full()
		s.settled(s.offboardingOf("r0003"), syncv1.OffboardingState_OFFBOARDING_STATE_DONE)

		k = find("Person 0003")
		require.True(t, k.GetReleased())
		require.Empty(t, k.GetRelations())
		k.DisplayName, k.Mobile = "Renamed", "0400 000 000"
		resp, err := s.contacts.UpdateContact(s.as(access.Staff), &syncv1.UpdateContactRequest{Contact: k})
		require.NoError(t, err)
		require.Equal(t, "Renamed", resp.GetContact().GetDisplayName())
		_, err = s.contacts.UpdateContact(s.admin(), &syncv1.UpdateContactRequest{Contact: k})
		refused(t, err, codes.Aborted, syncv1.ErrorReason_ERROR_REASON_ETAG_MISMATCH)
		released, err := s.contacts.ListContacts(s.admin(), &syncv1.ListContactsRequest{Parent: firm, ReleasedOnly: true})
		require.NoError(t, err)
		require.Len(t, released.GetContacts(), 1)
		_, err = s.contacts.DeleteContact(s.admin(), &syncv1.DeleteContactRequest{Name: k.GetName()})
		require.NoError(t, err)
		_, err = s.contacts.GetContact(s.admin(), &syncv1.GetContactRequest{Name: k.GetName()})
		refused(t, err, codes.NotFound, rpcerr.NotFound)
	})
}
