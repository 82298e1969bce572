package syncsvc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
)

// old lets connector know the connection as one from before OAuth 2.
func (s *suite) old() {
	s.world.Strange = true
	s.world.SetConnection(theConnection(func(c *connectorv1.Connection) {
		c.State, c.TenantId = connectorv1.ConnectionState_CONNECTION_STATE_LEGACY, ""
	}))
}

// upgrade tells that the connection works by OAuth 2 now.
func (s *suite) upgrade() {
	s.world.SetConnection(theConnection(nil))
	s.tell("connections/"+peertest.Connection, 1, &connectoreventsv1.ConnectionUpgraded{
		Connection: theConnection(nil), ConfirmedBy: firm + "/staff/01920000-0000-7000-8000-000000000103",
	})
}

// ended waits until there are so many runs, all of them ended, and returns them, oldest first.
func (s *suite) ended(n int) (runs []*syncv1.Run) {
	s.t.Helper()
	eventstest.Until(s.t, fmt.Sprintf("%d runs have ended", n), func() bool {
		resp, err := s.runs.ListRuns(s.admin(), &syncv1.ListRunsRequest{Parent: firm})
		require.NoError(s.t, err)
		runs = nil
		for _, r := range resp.GetRuns() {
			if r.GetEndTime() == nil {
				return false
			}
			runs = append([]*syncv1.Run{r}, runs...)
		}
		return len(runs) == n
	})
	return runs
}

func (s *suite) links(state syncv1.LegacyLinkState) []*syncv1.LegacyLink {
	s.t.Helper()
	resp, err := s.legacy.ListLegacyLinks(s.as(access.ReadOnlyStaff), &syncv1.ListLegacyLinksRequest{Parent: connection, State: state})
	require.NoError(s.t, err)
	return resp.GetLegacyLinks()
}

func (s *suite) importCSV(text string) (*syncv1.ImportLegacyLinksResponse, error) {
	return s.legacy.ImportLegacyLinks(s.admin(), &syncv1.ImportLegacyLinksRequest{
		Parent: connection, Source: &syncv1.ImportLegacyLinksRequest_Csv{Csv: text},
	})
}

// TestUpgrade imports a legacy connection's links, upgrades it, decides what could not be mapped, and nobody is doubled.
func TestUpgrade(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(12)
		text := "\uFEFFlegacy_id,code,name,client\r\n"
		for i := 1; i <= 8; i++ {
			s.world.Change(fmt.Sprintf("r%04d", i), func(c *peertest.Client) { c.LegacyID = fmt.Sprint(i) })
			text += fmt.Sprintf("%d,,\"Former name, %d\",\r\n", i, i)
		}
		s.world.Change("r0009", func(c *peertest.Client) { c.Fields.Code = "SAME" })
		s.world.Change("r0010", func(c *peertest.Client) { c.Fields.Code = "SAME" })
		text += "90,SAME,Somebody of two,\r\n91,,Nobody any more,\r\n"
		s.old()
		_, err := s.runs.StartRun(s.admin(), &syncv1.StartRunRequest{Parent: firm, Connection: connection, Kind: syncv1.RunKind_RUN_KIND_UPGRADE})
		refused(t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_CONNECTION_INACTIVE)
		got, err := s.importCSV(text)
		require.NoError(t, err)
		require.EqualValues(t, 10, got.GetImported())
		require.EqualValues(t, 10, got.GetClientsCreated())
		made := s.client("Former name, 1", 0)
		require.False(t, made.GetSynced())
		require.Empty(t, made.GetListSource())
		require.Len(t, s.links(syncv1.LegacyLinkState_LEGACY_LINK_STATE_PENDING), 10)

		s.upgrade()
		runs := s.ended(2)
		up, full := runs[0], runs[1]
		require.Equal(t, syncv1.RunKind_RUN_KIND_UPGRADE, up.GetKind())
		require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, up.GetState(), up.GetMessage())
		require.EqualValues(t, 8, up.GetCounts().GetLegacyMapped())
		require.EqualValues(t, 1, up.GetCounts().GetLegacySuggested())
		require.EqualValues(t, 1, up.GetCounts().GetLegacyUnmapped())
		require.Equal(t, syncv1.RunKind_RUN_KIND_FULL, full.GetKind())
		require.Equal(t, up.GetStartedBy(), full.GetStartedBy())
		require.EqualValues(t, 2, full.GetCounts().GetClientsCreated(), "the two who are new")
		require.EqualValues(t, 2, full.GetCounts().GetSuggestions(), "and the two whose code was not enough")
		require.EqualValues(t, 8, full.GetCounts().GetClientsUpdated())
		now := s.client("Client 0001", 0)
		require.Equal(t, made.GetName(), now.GetName(), "the same client, under the name it has today")
		require.True(t, now.GetSynced())

		open := s.links(syncv1.LegacyLinkState_LEGACY_LINK_STATE_SUGGESTED)
		require.Len(t, open, 1)
		require.Equal(t, "2 records have the code SAME; 2 records may be it", open[0].GetExplanation())
		require.Len(t, open[0].GetCandidates(), 2)
		s.decides(open[0], now)
		gone := s.links(syncv1.LegacyLinkState_LEGACY_LINK_STATE_UNMAPPED)[0]
		resp, err := s.legacy.DecideLegacyLink(s.admin(), &syncv1.DecideLegacyLinkRequest{
			Name: gone.GetName(), Decision: &syncv1.DecideLegacyLinkRequest_Dismiss{Dismiss: true},
		})
		require.NoError(t, err)
		require.Equal(t, syncv1.LegacyLinkState_LEGACY_LINK_STATE_DISMISSED, resp.GetLegacyLink().GetState())
		require.NotNil(t, resp.GetLegacyLink().GetDecideTime())
		require.False(t, s.client("Nobody any more", 0).GetSynced(), "it stays, without a link")

		_, err = s.runs.StartRun(s.admin(), &syncv1.StartRunRequest{Parent: firm, Connection: connection, Kind: syncv1.RunKind_RUN_KIND_UPGRADE})
		refused(t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_NOTHING_TO_UPGRADE)
		last := s.full()
		require.EqualValues(t, 11, last.GetCounts().GetClientsUnchanged())
		require.EqualValues(t, 1, last.GetCounts().GetSuggestions(), "the other record of the code still waits")
		list, err := s.clients.ListClients(s.admin(), &syncv1.ListClientsRequest{Parent: firm})
		require.NoError(t, err)
		require.EqualValues(t, 12, list.GetTotalSize(), "ten of the connection, two new ones: nobody is doubled")
	})
}

// decides maps a suggested link to its first candidate, after trying what is refused.
func (s *suite) decides(l *syncv1.LegacyLink, taken *syncv1.Client) {
	s.t.Helper()
	decide := func(ctx access.Kind, name, record string) (*syncv1.DecideLegacyLinkResponse, error) {
		return s.legacy.DecideLegacyLink(s.as(ctx), &syncv1.DecideLegacyLinkRequest{
			Name: name, Decision: &syncv1.DecideLegacyLinkRequest_RecordId{RecordId: record},
		})
	}
	_, err := decide(access.Administrator, l.GetName(), "unheard-of")
	violates(s.t, err, "record_id")
	_, err = decide(access.Administrator, l.GetName(), "r0001")
	refused(s.t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_CHANGE_STALE)
	require.Equal(s.t, taken.GetName(), rpcerr.From(err).Metadata()["client"])
	_, err = decide(access.Administrator, connection+"/legacyLinks/"+uuid.NewString(), "r0009")
	refused(s.t, err, codes.NotFound, rpcerr.NotFound)
	s.world.Delete("r0010")
	_, err = decide(access.Administrator, l.GetName(), "r0010")
	refused(s.t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_CHANGE_STALE)
	s.world.PutClient("r0010", &connectorv1.ClientFields{
		Name: "Client 0010 Pty Ltd", Code: "SAME", EntityType: "Company", Email: "c10@example.com",
	})
	resp, err := decide(access.Administrator, l.GetName(), "r0009")
	require.NoError(s.t, err)
	got := resp.GetLegacyLink()
	require.Equal(s.t, syncv1.LegacyLinkState_LEGACY_LINK_STATE_MAPPED, got.GetState())
	require.Equal(s.t, "r0009", got.GetRecordId())
	require.Equal(s.t, l.GetClient(), got.GetClient())
	require.Empty(s.t, got.GetCandidates())
	_, err = decide(access.Administrator, l.GetName(), "r0010")
	refused(s.t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_ALREADY_DECIDED)
	c := s.client("Client 0009", 0)
	require.Equal(s.t, l.GetClient(), c.GetName(), "it has the record's values at once")
	require.Equal(s.t, "c9@example.com", c.GetEmail())
	history, err := s.clients.ListClientHistory(s.admin(), &syncv1.ListClientHistoryRequest{Parent: c.GetName()})
	require.NoError(s.t, err)
	require.Contains(s.t, fmt.Sprint(history.GetEntries()), `name changed from`)
}

// What a person decides on a suggestion maps the link, too; and a provider that is away keeps nobody from deciding.
func TestLegacyLinksDecidedElsewhereAndInAnOutage(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(2)
		s.old()
		_, err := s.importCSV("name\nClient 0001 Pty Ltd\nClient 0002 Pty Ltd\n")
		require.NoError(t, err)
		s.upgrade()
		s.ended(2)
		open := s.links(syncv1.LegacyLinkState_LEGACY_LINK_STATE_SUGGESTED)
		require.Len(t, open, 2)
		plans, err := s.plans.ListPlans(s.admin(), &syncv1.ListPlansRequest{Parent: firm})
		require.NoError(t, err)
		changes, err := s.plans.ListPlanChanges(s.admin(), &syncv1.ListPlanChangesRequest{
			Parent: plans.GetPlans()[0].GetName(), State: syncv1.ChangeState_CHANGE_STATE_WAITING,
		})
		require.NoError(t, err)
		require.Len(t, changes.GetChanges(), 2)
		first := changes.GetChanges()[0]
		_, err = s.plans.DecideSuggestion(s.admin(), &syncv1.DecideSuggestionRequest{
			Name: first.GetName(), Decision: syncv1.SuggestionDecision_SUGGESTION_DECISION_LINK,
		})
		require.NoError(t, err)
		mapped := s.links(syncv1.LegacyLinkState_LEGACY_LINK_STATE_MAPPED)
		require.Len(t, mapped, 1)
		require.Equal(t, first.GetRecordId(), mapped[0].GetRecordId())
		require.Equal(t, "by a decision on a suggestion", mapped[0].GetExplanation())

		open = s.links(syncv1.LegacyLinkState_LEGACY_LINK_STATE_SUGGESTED)
		s.world.Fail("GetRecord", 1000, rpcerr.New(codes.Unavailable, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_UNAVAILABLE, "away").GRPCStatus().Err())
		resp, err := s.legacy.DecideLegacyLink(s.admin(), &syncv1.DecideLegacyLinkRequest{
			Name: open[0].GetName(), Decision: &syncv1.DecideLegacyLinkRequest_RecordId{RecordId: open[0].GetCandidates()[0].GetRecordId()},
		})
		require.NoError(t, err)
		require.Equal(t, "by a person's decision", resp.GetLegacyLink().GetExplanation())
		waiting, err := s.plans.ListPlanChanges(s.admin(), &syncv1.ListPlanChangesRequest{
			Parent: plans.GetPlans()[0].GetName(), State: syncv1.ChangeState_CHANGE_STATE_WAITING,
		})
		require.NoError(t, err)
		require.Empty(t, waiting.GetChanges(), "nobody has to be asked any more")
		require.EqualValues(t, 1, s.full().GetCounts().GetClientsUpdated(), "the values come with the next listing")
		require.NotEmpty(t, s.client("Client 0002", 0).GetEmail())
	})
}

func TestImportIsAllOrNothing(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.old()
		_, err := s.importCSV("legacy_id,code,name,client\n1,A,Abel,\nx,,Blum,\n3,,,\n4,,Cora,firms/" + accesstest.FirmB + "/clients/" + uuid.NewString() +
			"\n5,,Dora,nobody\n")
		require.Equal(t, codes.InvalidArgument, rpcerr.From(err).Code())
		var said []string
		for _, v := range rpcerr.From(err).Violations() {
			require.Equal(t, "csv", v.Field)
			said = append(said, v.Description)
		}
		require.Len(t, said, 4)
		all := strings.Join(said, "\n")
		for _, want := range []string{"line 3: the legacy_id", "line 4: the name is missing", "line 5: there is no such client", "line 6: the client must be"} {
			require.Contains(t, all, want)
		}
		require.Contains(t, rpcerr.From(err).Message(), "4 mistakes")
		require.Empty(t, s.links(0))

		many := "legacy_id,name\n" + strings.Repeat("x,Abel\n", 3000)
		_, err = s.importCSV(many)
		violations := rpcerr.From(err).Violations()
		require.Len(t, violations, 101)
		require.Contains(t, violations[100].Description, "2900 more: line 102, line 103,")
		require.Contains(t, violations[100].Description, "line 3001")

		rows := &syncv1.ImportLegacyLinksRequest{Parent: connection, Source: &syncv1.ImportLegacyLinksRequest_Rows{Rows: &syncv1.LegacyRows{
			Rows: []*syncv1.LegacyRow{{LegacyId: "1", DisplayName: "Abel"}, {LegacyId: "01", DisplayName: "Abel again"}},
		}}}
		_, err = s.legacy.ImportLegacyLinks(s.admin(), rows)
		violates(t, err, "rows.rows[1].legacy_id")
		rows.GetRows().Rows[1].LegacyId, rows.ValidateOnly = "2", true
		resp, err := s.legacy.ImportLegacyLinks(s.admin(), rows)
		require.NoError(t, err)
		require.EqualValues(t, 2, resp.GetImported())
		require.Empty(t, s.links(0), "it was only asked")
		s.again(rows)
	})
}

// TestProvidersThatNeverHadOtherIDs have nothing to import: an UPGRADE run could map none of it.
func TestProvidersThatNeverHadOtherIDs(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.SetConnection(theConnection(func(c *connectorv1.Connection) { c.Provider = connectorv1.Provider_PROVIDER_XERO }))
		_, err := s.importCSV("name\nAbel\n")
		refused(t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_NOTHING_TO_UPGRADE)
		require.Empty(t, s.links(0))
	})
}

// again imports rows, again, corrected, and for another firm.
func (s *suite) again(rows *syncv1.ImportLegacyLinksRequest) {
	s.t.Helper()
	rows.ValidateOnly, rows.RequestId = false, uuid.NewString()
	for range 2 {
		resp, err := s.legacy.ImportLegacyLinks(s.admin(), rows)
		require.NoError(s.t, err)
		require.EqualValues(s.t, 2, resp.GetImported(), "done once, answered alike")
	}
	rows.RequestId = ""
	resp, err := s.legacy.ImportLegacyLinks(s.admin(), rows)
	require.NoError(s.t, err)
	require.EqualValues(s.t, 2, resp.GetUnchanged())
	require.Zero(s.t, resp.GetImported()+resp.GetClientsCreated())
	rows.GetRows().Rows[0].Code = "NOW"
	resp, err = s.legacy.ImportLegacyLinks(s.admin(), rows)
	require.NoError(s.t, err)
	require.EqualValues(s.t, 1, resp.GetImported())
	page, err := s.legacy.ListLegacyLinks(s.admin(), &syncv1.ListLegacyLinksRequest{Parent: connection, PageSize: 1})
	require.NoError(s.t, err)
	require.Equal(s.t, "NOW", page.GetLegacyLinks()[0].GetCode())
	page, err = s.legacy.ListLegacyLinks(s.admin(), &syncv1.ListLegacyLinksRequest{Parent: connection, PageSize: 1, PageToken: page.GetNextPageToken()})
	require.NoError(s.t, err)
	require.Equal(s.t, "Abel again", page.GetLegacyLinks()[0].GetDisplayName())
	require.Empty(s.t, page.GetNextPageToken())

	foreign := s.asPrincipal(accesstest.SteppedUp(accesstest.Of(access.Administrator, accesstest.FirmB), time.Now()))
	_, err = s.legacy.ListLegacyLinks(foreign, &syncv1.ListLegacyLinksRequest{Parent: connection})
	refused(s.t, err, codes.NotFound, rpcerr.NotFound)
	other := "firms/" + accesstest.FirmB + "/connections/" + peertest.Connection
	_, err = s.legacy.ListLegacyLinks(foreign, &syncv1.ListLegacyLinksRequest{Parent: other})
	refused(s.t, err, codes.NotFound, rpcerr.NotFound)
	_, err = s.legacy.ImportLegacyLinks(foreign, &syncv1.ImportLegacyLinksRequest{Parent: other, Source: rows.GetSource()})
	refused(s.t, err, codes.NotFound, rpcerr.NotFound)
	_, err = s.legacy.DecideLegacyLink(foreign, &syncv1.DecideLegacyLinkRequest{
		Name:     other + "/legacyLinks/" + s.links(0)[0].GetName()[len(connection+"/legacyLinks/"):],
		Decision: &syncv1.DecideLegacyLinkRequest_Dismiss{Dismiss: true},
	})
	refused(s.t, err, codes.NotFound, rpcerr.NotFound)
}

// A full run waits for the upgrade: it would make clients again whose names and codes have changed.
func TestRunsWaitForTheUpgrade(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(3)
		s.connect(nil)
		_, err := s.importCSV("legacy_id,name\n1,Former\n2,Client 0002 Pty Ltd\n")
		require.NoError(t, err)
		start := &syncv1.StartRunRequest{Parent: firm, Connection: connection, Kind: syncv1.RunKind_RUN_KIND_FULL}
		for _, start.Kind = range []syncv1.RunKind{syncv1.RunKind_RUN_KIND_FULL, syncv1.RunKind_RUN_KIND_MANUAL} {
			_, err = s.runs.StartRun(s.admin(), start)
			refused(t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_UPGRADE_PENDING)
		}
		require.Contains(t, rpcerr.From(err).Message(), "2 clients of the legacy connection are not mapped yet")
		// The provider has no such listing: then the full run goes on without it.
		s.world.Fail("StreamRecords", 1, rpcerr.New(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_REFUSED, "no more").GRPCStatus().Err())
		require.Equal(t, syncv1.RunState_RUN_STATE_FAILED, s.sync(syncv1.RunKind_RUN_KIND_UPGRADE).GetState())
		require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, s.full().GetState())
		up := s.sync(syncv1.RunKind_RUN_KIND_UPGRADE)
		require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, up.GetState(), up.GetMessage())
		require.EqualValues(t, 1, up.GetCounts().GetLegacyMapped(), "the client was there, and is linked")
	})
}

// News of the provider that come as events have what changed read; a degraded connection says why.
func TestEventsThatWebhooksAndOutagesBring(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(3)
		s.connect(nil)
		s.world.Change("r0001", func(c *peertest.Client) { c.Fields.Name = "Renamed by somebody" })
		for i := range 5 {
			s.tell("webhooks/"+peertest.Connection, int64(i+1), &connectoreventsv1.RecordsChanged{Connection: connection, RecordIds: []string{"r0001"}})
		}
		s.heard(`connections WHERE manual_wanted AND full_every_days = $1`, 0)
		s.tell("connections/"+peertest.Connection, 2, &connectoreventsv1.ConnectionDegraded{Connection: connection, Reason: "the server is down"})
		s.heard(`connections WHERE state = 'DEGRADED' AND state_reason = 'the server is down' AND state_seq = $1`, 2)
		s.tell("connections/"+peertest.Connection, 3, &connectoreventsv1.ConnectionRecovered{Connection: connection})
		s.heard(`connections WHERE state = 'ACTIVE' AND state_seq = $1`, 3)
	})
}

// Two people decide at one moment: one of them does, and the other is told.
func TestTwoDecideAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(4)
		for i := 1; i <= 4; i++ {
			s.world.Change(fmt.Sprintf("r%04d", i), func(c *peertest.Client) { c.Fields.Name = "Abel" })
		}
		s.old()
		_, err := s.importCSV("legacy_id,name\n91,Abel\n92,Abel\n")
		require.NoError(t, err)
		s.upgrade()
		s.ended(2)
		open := s.links(syncv1.LegacyLinkState_LEGACY_LINK_STATE_SUGGESTED)
		require.Len(t, open, 2)
		both := func(names, records [2]string) (answers []codes.Code) {
			all := make(chan codes.Code, 2)
			for i := range 2 {
				go func() {
					_, err := s.legacy.DecideLegacyLink(s.admin(), &syncv1.DecideLegacyLinkRequest{
						Name: names[i], Decision: &syncv1.DecideLegacyLinkRequest_RecordId{RecordId: records[i]},
					})
					all <- status.Code(err)
				}()
			}
			answers = []codes.Code{<-all, <-all}
			slices.Sort(answers)
			return answers
		}
		want := []codes.Code{codes.OK, codes.FailedPrecondition}
		a, b := open[0].GetName(), open[1].GetName()
		require.Equal(t, want, both([2]string{a, a}, [2]string{"r0001", "r0002"}), "one link, two records")
		taken := s.links(syncv1.LegacyLinkState_LEGACY_LINK_STATE_MAPPED)[0].GetRecordId()
		require.Equal(t, want, both([2]string{b, b}, [2]string{taken, "r0003"}), "a record that was just taken, and a free one")
		require.Len(t, s.links(syncv1.LegacyLinkState_LEGACY_LINK_STATE_MAPPED), 2)
	})
}
