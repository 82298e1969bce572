package syncsvc_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
)

func TestEstimateRun(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(25)
		s.old()
		ask := func(kind syncv1.RunKind) *syncv1.EstimateRunResponse {
			resp, err := s.runs.EstimateRun(s.as(access.Staff), &syncv1.EstimateRunRequest{Parent: firm, Connection: connection, Kind: kind})
			require.NoError(t, err)
			return resp
		}
		_, err := s.runs.EstimateRun(s.admin(), &syncv1.EstimateRunRequest{Parent: firm, Connection: connection, Kind: syncv1.RunKind_RUN_KIND_UPGRADE})
		refused(t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_CONNECTION_INACTIVE)
		_, err = s.importCSV("legacy_id,name\n1,Client 0001 Pty Ltd\n2,Client 0002 Pty Ltd\n")
		require.NoError(t, err)
		s.upgrade()
		s.ended(2)
		got := ask(syncv1.RunKind_RUN_KIND_FULL)
		require.Contains(t, got.GetBasis(), "25 clients and 25 contacts at the last full sync, on ")
		require.EqualValues(t, 2, got.GetCalls())
		require.EqualValues(t, 5000, got.GetDayLimit())
		require.EqualValues(t, 4000, got.GetDayLeft())
		require.NotNil(t, got.GetBeginTime())
		require.NotNil(t, got.GetEndTime())
		require.NotZero(t, got.GetDuration().AsDuration())
		require.EqualValues(t, 25, s.world.Asked().GetClients())
		require.False(t, s.world.Asked().GetInteractive())

		got = ask(syncv1.RunKind_RUN_KIND_MANUAL)
		require.Contains(t, got.GetBasis(), "one in 50 of 23 clients, since no manual sync has shown yet")
		s.world.Change("r0007", func(c *peertest.Client) { c.Fields.Phone = "1" })
		s.sync(syncv1.RunKind_RUN_KIND_MANUAL)
		require.Contains(t, ask(syncv1.RunKind_RUN_KIND_MANUAL).GetBasis(), "that had changed at the last manual sync, on ")
		require.Equal(t, []connectorv1.Listing{connectorv1.Listing_LISTING_CHANGED_CLIENTS}, s.world.Asked().GetListings())
		require.Contains(t, ask(syncv1.RunKind_RUN_KIND_UPGRADE).GetBasis(), "; the full sync that follows is part of it")
		require.Len(t, s.world.Asked().GetListings(), 3)

		s.world.Archive("r0020", "r0021")
		require.EqualValues(t, 2, s.full().GetCounts().GetRemovalsConfirmed())
		require.Contains(t, ask(syncv1.RunKind_RUN_KIND_FULL).GetBasis(), "; 2 records read one by one, as many as the last time")
		require.EqualValues(t, 2, s.world.Asked().GetReads())

		s.world.Fail("EstimateCalls", 1000, rpcerr.New(codes.Unavailable, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_UNAVAILABLE, "away").GRPCStatus().Err())
		_, err = s.runs.EstimateRun(s.admin(), &syncv1.EstimateRunRequest{Parent: firm, Connection: connection, Kind: syncv1.RunKind_RUN_KIND_FULL})
		require.Equal(t, codes.Unavailable, rpcerr.From(err).Code())
	})
}

func TestDetailsOfAClient(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Unread = true
		s.world.SetBudget(func(b *peertest.Budget) { b.PerMinute = 60000 })
		s.world.Practice(3)
		s.world.Change("r0002", func(c *peertest.Client) {
			c.Details = &connectorv1.ClientFields{
				Groups:        []string{"Trusts"},
				CustomFields:  []*connectorv1.CustomField{{Name: "Partner", Value: "Ada"}},
				Relationships: []*connectorv1.Relationship{{Type: "Director", RelatedRecordId: "r0003", RelatedName: "Client 0003"}},
			}
		})
		s.connect(nil)
		var c *syncv1.Client
		eventstest.Until(t, "the details are there", func() bool {
			resp, err := s.clients.GetClient(s.admin(), &syncv1.GetClientRequest{Name: s.client("0002", 0).GetName()})
			require.NoError(t, err)
			c = resp.GetClient()
			return c.GetDetailsTime() != nil
		})
		require.Equal(t, []string{"Trusts"}, c.GetGroups())
		require.Equal(t, "Ada", c.GetCustomFields()[0].GetValue())
		require.Equal(t, s.client("0003", 0).GetName(), c.GetRelationships()[0].GetClient())
		require.Equal(t, "Director", s.client("0002", 0).GetRelationships()[0].GetType(), "the list has them too")
	})
}
