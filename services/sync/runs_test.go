package syncsvc_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
)

func TestConnectionStartsItsFirstRun(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(25)
		run := s.connect(nil)
		require.Equal(t, syncv1.RunKind_RUN_KIND_FULL, run.GetKind())
		require.EqualValues(t, 25, run.GetCounts().GetClientsCreated())
		require.Contains(t, run.GetStartedBy(), firm+"/staff/")
		require.True(t, run.GetProven())
		require.NotNil(t, run.GetFirstVisibleTime())
		got, err := s.runs.GetRun(s.as(access.ReadOnlyStaff), &syncv1.GetRunRequest{Name: run.GetName()})
		require.NoError(t, err)
		require.Equal(t, run.GetEndTime().AsTime(), got.GetRun().GetEndTime().AsTime())
		changes, err := s.plans.ListPlanChanges(s.admin(), &syncv1.ListPlanChangesRequest{
			Parent: run.GetPlan(), PageSize: 20, Kind: syncv1.ChangeKind_CHANGE_KIND_CREATE, State: syncv1.ChangeState_CHANGE_STATE_APPLIED,
		})
		require.NoError(t, err)
		require.Len(t, changes.GetChanges(), 20)
		require.NotEmpty(t, changes.GetNextPageToken())
	})
}

func TestRunsAreOnePerConnection(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(25)
		s.connect(nil)
		limit := rpcerr.New(codes.ResourceExhausted, connectorv1.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED, "the limit of the day is used up").
			With("until", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		s.world.FailLater("StreamRecords", 1, 1, limit.GRPCStatus().Err())
		start := &syncv1.StartRunRequest{Parent: firm, Connection: connection, Kind: syncv1.RunKind_RUN_KIND_FULL, RequestId: uuid.NewString()}
		first, err := s.runs.StartRun(s.as(access.Staff), start)
		require.NoError(t, err)
		again, err := s.runs.StartRun(s.as(access.Staff), start)
		require.NoError(t, err)
		require.Equal(t, first.GetRun().GetName(), again.GetRun().GetName())
		name := first.GetRun().GetName()
		eventstest.Until(t, "the run is parked", func() bool {
			resp, err := s.runs.GetRun(s.admin(), &syncv1.GetRunRequest{Name: name})
			require.NoError(t, err)
			return resp.GetRun().GetState() == syncv1.RunState_RUN_STATE_PARKED && resp.GetRun().GetWaitUntil() != nil
		})
		_, err = s.runs.StartRun(s.admin(), &syncv1.StartRunRequest{Parent: firm, Connection: connection, Kind: syncv1.RunKind_RUN_KIND_MANUAL})
		refused(t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_RUN_IN_PROGRESS)
		require.Equal(t, name, rpcerr.From(err).Metadata()["run"])
		cancelled, err := s.runs.CancelRun(s.as(access.Staff), &syncv1.CancelRunRequest{Name: name})
		require.NoError(t, err)
		require.Equal(t, syncv1.RunState_RUN_STATE_CANCELLED, cancelled.GetRun().GetState())
		_, err = s.runs.CancelRun(s.admin(), &syncv1.CancelRunRequest{Name: name})
		refused(t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_RUN_ENDED)
		require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, s.sync(syncv1.RunKind_RUN_KIND_MANUAL).GetState())
		list, err := s.runs.ListRuns(s.admin(), &syncv1.ListRunsRequest{Parent: firm, Connection: connection, PageSize: 2})
		require.NoError(t, err)
		require.Len(t, list.GetRuns(), 2)
		list, err = s.runs.ListRuns(s.admin(), &syncv1.ListRunsRequest{Parent: firm, Connection: connection, PageSize: 2, PageToken: list.GetNextPageToken()})
		require.NoError(t, err)
		require.Len(t, list.GetRuns(), 1)
		require.Empty(t, list.GetNextPageToken())
	})
}

func TestWatchRunFollowsItsProgress(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(60)
		s.connect(nil)
		resp, err := s.runs.StartRun(s.admin(), &syncv1.StartRunRequest{Parent: firm, Connection: connection, Kind: syncv1.RunKind_RUN_KIND_FULL})
		require.NoError(t, err)
		stream, err := s.runs.WatchRun(s.admin(), &syncv1.WatchRunRequest{Name: resp.GetRun().GetName()})
		require.NoError(t, err)
		var seen []*syncv1.Run
		for {
			m, err := stream.Recv()
			if err != nil {
				break
			}
			seen = append(seen, m.GetRun())
		}
		require.NotEmpty(t, seen)
		require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, seen[len(seen)-1].GetState())
		for i := 1; i < len(seen); i++ {
			require.GreaterOrEqual(t, seen[i].GetCalls(), seen[i-1].GetCalls())
		}
		stream, err = s.runs.WatchRun(s.admin(), &syncv1.WatchRunRequest{Name: firm + "/runs/" + uuid.NewString()})
		require.NoError(t, err)
		_, err = stream.Recv()
		refused(t, err, codes.NotFound, rpcerr.NotFound)
	})
}

func TestConnectionNobodyToldOfYet(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(3)
		s.world.Strange = true
		start := &syncv1.StartRunRequest{Parent: firm, Connection: connection, Kind: syncv1.RunKind_RUN_KIND_FULL}
		_, err := s.runs.StartRun(s.admin(), start)
		refused(t, err, codes.NotFound, rpcerr.NotFound)
		s.world.SetConnection(theConnection(nil))
		resp, err := s.runs.StartRun(s.admin(), start)
		require.NoError(t, err)
		require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, s.watch(resp.GetRun().GetName()).GetState())
	})
}

func TestEventsAboutConnectionsInAnyOrder(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(3)
		s.connect(nil)
		name := "connections/" + peertest.Connection
		s.tell(name, 4, &connectoreventsv1.ConnectionRemoved{Connection: connection, RemovedBy: "somebody"})
		s.tell(name, 3, &connectoreventsv1.ConnectionRecovered{Connection: connection})
		s.tell(name, 2, &connectoreventsv1.ConnectionUpdated{Connection: theConnection(nil)})
		start := &syncv1.StartRunRequest{Parent: firm, Connection: connection, Kind: syncv1.RunKind_RUN_KIND_FULL}
		eventstest.Until(t, "the connection is gone", func() bool {
			_, err := s.runs.StartRun(s.admin(), start)
			return rpcerr.Has(err, syncv1.ErrorReason_ERROR_REASON_CONNECTION_INACTIVE)
		})
		require.False(t, s.client("0001", 0).GetSynced(), "its clients stay, as clients that nothing keeps in step")

		// Connected anew to the same tenant, as another connection: the links are still there.
		other := "0195f000-0000-7000-8000-0000000000c2"
		s.tell("connections/"+other, 1, &connectoreventsv1.ConnectionEstablished{Connection: theConnection(func(c *connectorv1.Connection) {
			c.Name = firm + "/connections/" + other
		})})
		eventstest.Until(t, "the new connection has had its run", func() bool {
			resp, err := s.runs.ListRuns(s.admin(), &syncv1.ListRunsRequest{Parent: firm, Connection: firm + "/connections/" + other})
			require.NoError(t, err)
			return len(resp.GetRuns()) == 1 && resp.GetRuns()[0].GetEndTime() != nil && resp.GetRuns()[0].GetCounts().GetClientsUnchanged() == 3
		})
		require.True(t, s.client("0001", 0).GetSynced())
	})
}

// The news of the new connection overtake those that the old one is removed: its run finds clients that it can't claim.
func TestConnectionMadeAnewBeforeTheOldOneIsGone(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(3)
		s.connect(nil)
		other := "0195f000-0000-7000-8000-0000000000c2"
		s.tell("connections/"+other, 1, &connectoreventsv1.ConnectionEstablished{Connection: theConnection(func(c *connectorv1.Connection) {
			c.Name = firm + "/connections/" + other
		})})
		s.heard(`(SELECT count(*) AS n FROM changes WHERE kind = 'LINK' AND state = 'WAITING') AS q WHERE q.n = $1`, 3)
		s.tell("connections/"+peertest.Connection, 2, &connectoreventsv1.ConnectionRemoved{Connection: connection, RemovedBy: "somebody"})
		eventstest.Until(t, "the new connection has had another run", func() bool {
			resp, err := s.runs.ListRuns(s.admin(), &syncv1.ListRunsRequest{Parent: firm, Connection: firm + "/connections/" + other})
			require.NoError(t, err)
			return len(resp.GetRuns()) == 2 && resp.GetRuns()[0].GetEndTime() != nil && resp.GetRuns()[0].GetCounts().GetClientsUnchanged() == 3
		})
		require.True(t, s.client("0001", 0).GetSynced())
		s.heard(`(SELECT count(*) AS n FROM changes WHERE kind = 'LINK' AND state = 'STALE') AS q WHERE q.n = $1`, 3)
		s.heard(`(SELECT count(*) AS n FROM clients) AS q WHERE q.n = $1`, 3)
	})
}

func TestWhatOvertakesTheConnectionItIsAbout(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(3)
		name := "connections/" + peertest.Connection
		heard := func(n int) { // the state that was told last, before anything else of the connection
			s.heard(`connections WHERE state_seq = $1`, n)
		}
		s.tell(name, 4, &connectoreventsv1.ConnectionRemoved{Connection: connection, RemovedBy: "somebody"})
		heard(4)
		s.world.Strange = true
		_, err := s.runs.StartRun(s.admin(), &syncv1.StartRunRequest{Parent: firm, Connection: connection, Kind: syncv1.RunKind_RUN_KIND_FULL})
		refused(t, err, codes.NotFound, rpcerr.NotFound)
		s.tell(name, 1, &connectoreventsv1.ConnectionEstablished{Connection: theConnection(nil)})
		s.heard(`connections WHERE event_seq = $1`, 1)
		_, err = s.runs.StartRun(s.admin(), &syncv1.StartRunRequest{Parent: firm, Connection: connection, Kind: syncv1.RunKind_RUN_KIND_FULL})
		refused(t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_CONNECTION_INACTIVE)
		runs, err := s.runs.ListRuns(s.admin(), &syncv1.ListRunsRequest{Parent: firm})
		require.NoError(t, err)
		require.Empty(t, runs.GetRuns(), "it was removed")

		// Established anew; then its options change, and the news of a recovery that followed come first.
		s.tell(name, 5, &connectoreventsv1.ConnectionEstablished{Connection: theConnection(nil)})
		s.heard(`runs WHERE state = 'SUCCEEDED' AND created_at > $1`, 0)
		s.tell(name, 8, &connectoreventsv1.ConnectionRecovered{Connection: connection})
		heard(8)
		s.tell(name, 7, &connectoreventsv1.ConnectionUpdated{Connection: theConnection(func(c *connectorv1.Connection) {
			c.State = connectorv1.ConnectionState_CONNECTION_STATE_DEGRADED
			c.Options.RemovalPolicy = connectorv1.RemovalPolicy_REMOVAL_POLICY_REVIEW
		})})
		s.heard(`connections WHERE review_removals AND state = 'ACTIVE' AND event_seq = $1`, 7)
	})
}

// heard waits until there is a row.
func (s *suite) heard(from string, arg int) {
	s.t.Helper()
	eventstest.Until(s.t, from, func() bool {
		var n int64
		require.NoError(s.t, s.db.Read(context.Background(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(`SELECT count(*) FROM `+from, arg).Scan(&n)
		}))
		return n > 0
	})
}
