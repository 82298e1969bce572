package connector_test

import (
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/world"
)

const (
	clients   = connectorv1.Listing_LISTING_CLIENTS
	contacts  = connectorv1.Listing_LISTING_CONTACTS
	changed   = connectorv1.Listing_LISTING_CHANGED_CLIENTS
	legacyIDs = connectorv1.Listing_LISTING_LEGACY_IDS
)

// stream reads a listing to its end, or up to the first error.
func (s *suite) stream(req *connectorv1.StreamRecordsRequest) ([]*connectorv1.StreamRecordsResponse, error) {
	s.t.Helper()
	stream, err := s.records.StreamRecords(s.asService("sync", firmOf(req.GetConnection())), req)
	require.NoError(s.t, err)
	var pages []*connectorv1.StreamRecordsResponse
	for {
		page, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return pages, nil
		}
		if err != nil {
			return pages, err
		}
		pages = append(pages, page)
	}
}

func (s *suite) list(c *connectorv1.Connection, listing connectorv1.Listing) []*connectorv1.StreamRecordsResponse {
	s.t.Helper()
	pages, err := s.stream(&connectorv1.StreamRecordsRequest{Connection: c.GetName(), Listing: listing})
	require.NoError(s.t, err)
	return pages
}

func recordsOf(pages []*connectorv1.StreamRecordsResponse) map[string]*connectorv1.Record {
	all := map[string]*connectorv1.Record{}
	for _, p := range pages {
		for _, r := range p.GetRecords() {
			all[r.GetRecordId()] = r
		}
	}
	return all
}

func drifted(pages []*connectorv1.StreamRecordsResponse) bool {
	return slices.ContainsFunc(pages, (*connectorv1.StreamRecordsResponse).GetDrifted)
}

func (s *suite) record(c *connectorv1.Connection, id string) *connectorv1.Record {
	s.t.Helper()
	resp, err := s.records.GetRecord(s.asService("sync", firmOf(c.GetName())), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: id})
	require.NoError(s.t, err)
	return resp.GetRecord()
}

func (s *suite) detail(c *connectorv1.Connection, id string) *connectorv1.Record {
	s.t.Helper()
	resp, err := s.records.GetRecord(s.asService("sync", firmOf(c.GetName())), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: id, Detail: true})
	require.NoError(s.t, err)
	return resp.GetRecord()
}

func TestListings(t *testing.T) {
	each(t, options{clients: 1200}, func(t *testing.T, s *suite) {
		c := s.connect(firmA, sim.Owner, sim.PracticeName)
		all, err := s.remote.Clients(t.Context(), "", "", 5000)
		require.NoError(t, err)
		require.Len(t, all, 1200)
		require.NoError(t, s.remote.Do(t.Context(), "DELETE", "/control/calls", nil, nil))

		pages := s.list(c, clients)
		require.Len(t, pages, 3)
		for i, p := range pages {
			require.EqualValues(t, i+1, p.GetPage())
			require.EqualValues(t, 1, p.GetCalls())
			require.Equal(t, i == 2, p.GetComplete())
			require.Equal(t, i == 2, p.GetResumeToken() == "")
			require.False(t, p.GetDrifted())
			require.EqualValues(t, -1, p.GetAnnouncedTotal())
			require.Equal(t, c.GetTenantId(), p.GetTenantId())
			require.WithinDuration(t, s.clock.Now(), p.GetServerTime().AsTime(), time.Minute)
		}
		found := recordsOf(pages)
		require.Len(t, found, 1200)
		for _, one := range all {
			r := found[one.UUID]
			require.NotNil(t, r, one.Name)
			require.Equal(t, one.Code, r.GetClient().GetCode())
			require.Equal(t, connectorv1.RecordState_RECORD_STATE_ACTIVE, r.GetState())
			require.Equal(t, []string{"groups", "custom_fields", "relationships"}, r.GetClient().GetUnread())
		}
		people := s.list(c, contacts)
		links := map[string][]string{}
		for id, r := range recordsOf(people) {
			for _, l := range r.GetContact().GetLinks() {
				links[l.GetClientRecordId()] = append(links[l.GetClientRecordId()], id)
			}
		}
		for _, one := range all {
			require.ElementsMatch(t, one.Contacts, links[one.UUID], one.Name)
		}
		require.False(t, drifted(people))

		calls, err := s.remote.Calls(t.Context())
		require.NoError(t, err)
		of := calls[c.GetTenantId()]
		require.Equal(t, 3+1+len(people), of.Calls, "pages, and one list for all relations")
		require.Zero(t, of.Refused)
		require.NotEqual(t, int32(-1), s.get(c.GetName()).GetDayCallsLeft())
		require.NotNil(t, s.get(c.GetName()).GetLastSuccessTime())

		// The same hash by every way to the same client.
		one := found[all[0].UUID]
		require.Equal(t, one.GetHash(), s.record(c, one.GetRecordId()).GetHash())
		require.Equal(t, []string{"custom_fields"}, s.record(c, one.GetRecordId()).GetClient().GetUnread())
		detailed := s.detail(c, one.GetRecordId())
		require.Empty(t, detailed.GetClient().GetUnread())
		require.Equal(t, one.GetHash(), detailed.GetHash())
	})
}

func TestChangedClients(t *testing.T) {
	s := onSQLite(t, options{clients: 700})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	_, err := s.stream(&connectorv1.StreamRecordsRequest{Connection: c.GetName(), Listing: changed})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	since := func(at time.Time) []*connectorv1.StreamRecordsResponse {
		pages, err := s.stream(&connectorv1.StreamRecordsRequest{Connection: c.GetName(), Listing: changed, ChangedSince: timestamppb.New(at)})
		require.NoError(t, err)
		require.True(t, pages[len(pages)-1].GetComplete())
		return pages
	}
	s.clock.forward(time.Hour)
	from := s.clock.Now()
	none := since(from)
	require.Len(t, none, 1)
	require.Empty(t, none[0].GetRecords())

	all, err := s.remote.Clients(t.Context(), "", "", 5000)
	require.NoError(t, err)
	at := slices.IndexFunc(all, func(r remote.Record) bool { return len(r.Contacts) > 0 })
	_, err = s.remote.Update(t.Context(), all[at].UUID, map[string]string{"Email": "new@example.com"})
	require.NoError(t, err)
	some := recordsOf(since(from))
	require.Equal(t, "new@example.com", some[all[at].UUID].GetClient().GetEmail())
	require.Len(t, some, 1+len(all[at].Contacts))
	require.Equal(t, all[at].UUID, some[all[at].Contacts[0]].GetContact().GetLinks()[0].GetClientRecordId())

	everything := since(time.Unix(0, 0))
	require.Greater(t, len(everything), 1, "in pages")
	require.NotEmpty(t, everything[0].GetResumeToken())
	require.True(t, slices.ContainsFunc(everything[0].GetRecords(), func(r *connectorv1.Record) bool {
		return r.GetState() == connectorv1.RecordState_RECORD_STATE_ARCHIVED
	}), "archived ones too")
	again, err := s.stream(&connectorv1.StreamRecordsRequest{Connection: c.GetName(), Listing: changed,
		ChangedSince: timestamppb.New(time.Unix(0, 0)), PageToken: everything[0].GetResumeToken()})
	require.NoError(t, err)
	require.Len(t, recordsOf(again), len(recordsOf(everything)), "resuming begins again")
}

func TestGetRecord(t *testing.T) {
	s := onSQLite(t, options{})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	all, err := s.remote.Clients(t.Context(), "", "", 10)
	require.NoError(t, err)
	require.Equal(t, connectorv1.RecordState_RECORD_STATE_ACTIVE, s.record(c, all[0].UUID).GetState())
	_, err = s.remote.Archive(t.Context(), remote.UUIDs(all[0].UUID))
	require.NoError(t, err)
	require.Equal(t, connectorv1.RecordState_RECORD_STATE_ARCHIVED, s.record(c, all[0].UUID).GetState())
	require.NoError(t, s.remote.Do(t.Context(), "POST", "/control/clients/delete", map[string]any{"uuids": []string{all[1].UUID}}, nil))
	require.Equal(t, connectorv1.RecordState_RECORD_STATE_DELETED, s.record(c, all[1].UUID).GetState())
	require.NoError(t, s.remote.Do(t.Context(), "POST", "/control/clients/delete", map[string]any{"uuids": []string{all[2].UUID}, "purge": true}, nil))
	unknown := s.record(c, all[2].UUID)
	require.Equal(t, connectorv1.RecordState_RECORD_STATE_DELETED, unknown.GetState())
	require.Nil(t, unknown.GetKind())
	require.Equal(t, connectorv1.RecordState_RECORD_STATE_DELETED, s.record(c, uuid.NewString()).GetState())
	_, err = s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: "1234"})
	requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_REFUSED)
	_, err = s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: "firms/" + firmA + "/connections/" + uuid.NewString(), RecordId: firmA})
	requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_NOT_FOUND)
}

func TestResume(t *testing.T) {
	s := onSQLite(t, options{clients: 1200})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	whole := s.list(c, clients)
	rest, err := s.stream(&connectorv1.StreamRecordsRequest{Connection: c.GetName(), Listing: clients, PageToken: whole[0].GetResumeToken()})
	require.NoError(t, err)
	require.Len(t, rest, 2)
	require.EqualValues(t, 2, rest[0].GetPage())
	require.True(t, rest[1].GetComplete())
	require.Equal(t, whole[1].GetRecords()[0].GetRecordId(), rest[0].GetRecords()[0].GetRecordId())
	for _, bad := range []*connectorv1.StreamRecordsRequest{
		{Connection: c.GetName(), Listing: clients, PageToken: "nonsense"},
		{Connection: c.GetName(), Listing: contacts, PageToken: whole[0].GetResumeToken()},
		{Connection: "firms/" + firmA + "/connections/" + uuid.NewString(), Listing: clients, PageToken: whole[0].GetResumeToken()},
	} {
		_, err := s.stream(bad)
		require.Error(t, err)
	}
}

// TestAListingWithoutAnEnd: pages that go on for ever are given up.
func TestAListingWithoutAnEnd(t *testing.T) {
	s := onSQLite(t, options{clients: 1200})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	token := s.list(c, clients)[0].GetResumeToken()
	text, err := base64.RawURLEncoding.DecodeString(token)
	require.NoError(t, err)
	late := strings.Replace(string(text), `"n":1`, `"n":20000`, 1)
	require.NotEqual(t, string(text), late)
	pages, err := s.stream(&connectorv1.StreamRecordsRequest{Connection: c.GetName(), Listing: clients,
		PageToken: base64.RawURLEncoding.EncodeToString([]byte(late))})
	requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_ANSWER_INVALID)
	require.Contains(t, err.Error(), "no end")
	require.Empty(t, pages)
}

// TestListingsThatCannotBeTrusted: what the provider sends is broken, of somebody else, or moves.
func TestListingsThatCannotBeTrusted(t *testing.T) {
	s := onSQLite(t, options{clients: 1200})
	c := s.connect(firmA, sim.Consultant, sim.PracticeName)
	s.list(c, clients) // from now on the practice is known
	try := func(t *testing.T, listing connectorv1.Listing, f world.Fault) ([]*connectorv1.StreamRecordsResponse, error) {
		t.Helper()
		id := s.fault(f)
		defer func() { require.NoError(t, s.remote.RemoveFault(t.Context(), id)) }()
		return s.stream(&connectorv1.StreamRecordsRequest{Connection: c.GetName(), Listing: listing, ChangedSince: timestamppb.New(time.Unix(0, 0))})
	}
	const path = "*/client.api/paged-list"
	t.Run("half a document", func(t *testing.T) {
		pages, err := try(t, clients, world.Fault{Kind: faults.HalfXML, Path: path, After: 1, Count: 1})
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_ANSWER_INVALID)
		require.Len(t, pages, 1, "the page before stands, nothing of the half one")
		require.False(t, pages[0].GetComplete())
		for _, listing := range []connectorv1.Listing{contacts, changed} {
			pages, err = try(t, listing, world.Fault{Kind: faults.HalfXML, Path: "*/client.api/list", Count: 1})
			requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_ANSWER_INVALID)
			require.Empty(t, pages)
		}
		require.Equal(t, connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE, s.get(c.GetName()).GetState())
	})
	t.Run("cut off", func(t *testing.T) {
		pages, err := try(t, clients, world.Fault{Kind: faults.Cut, Path: path, Bytes: 5000, Count: 1})
		require.NoError(t, err, "asked again")
		require.Len(t, recordsOf(pages), 1200)
		require.EqualValues(t, 2, pages[0].GetCalls())
		require.False(t, drifted(pages))
	})
	t.Run("another practice", func(t *testing.T) {
		pages, err := try(t, clients, world.Fault{Kind: faults.WrongTenant, Path: path})
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_ANSWER_INVALID)
		require.Contains(t, err.Error(), "another practice")
		require.False(t, slices.ContainsFunc(pages, (*connectorv1.StreamRecordsResponse).GetComplete))
	})
	t.Run("empty", func(t *testing.T) {
		pages, err := try(t, clients, world.Fault{Kind: faults.Empty, Path: path})
		require.NoError(t, err)
		require.Len(t, pages, 1)
		require.Empty(t, pages[0].GetRecords())
		pages, err = s.stream(&connectorv1.StreamRecordsRequest{Connection: c.GetName(), Listing: clients})
		require.NoError(t, err, "an empty listing is not what the practice is recognised by")
		require.Len(t, recordsOf(pages), 1200)
	})
	for _, order := range []string{"skip", "repeat", "reverse"} {
		t.Run(order, func(t *testing.T) {
			pages, err := try(t, clients, world.Fault{Kind: faults.Drift, Path: path, Order: order, After: 1, Count: 1})
			require.NoError(t, err)
			require.True(t, drifted(pages))
			require.True(t, pages[len(pages)-1].GetDrifted(), "it stays said")
			if order == "skip" {
				return // of contacts there are two pages, and a short last page is just the last page
			}
			pages, err = try(t, contacts, world.Fault{Kind: faults.Drift, Path: "*/client.api/contacts", Order: order, After: 1, Count: 1})
			require.NoError(t, err)
			require.True(t, drifted(pages))
		})
	}
}
