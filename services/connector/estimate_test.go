package connector_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"
)

// TestEstimates computes against the real provider's limits: 60 a minute of which 6 are kept for people, 5,000 a day of
// which 250 are, and 500 more for runs when details are read.
func TestEstimates(t *testing.T) {
	each(t, options{real: true}, func(t *testing.T, s *suite) {
		c := s.connect(firmA, sim.Owner, sim.PracticeName)
		ask := func(req *connectorv1.EstimateCallsRequest) *connectorv1.EstimateCallsResponse {
			t.Helper()
			req.Connection = c.GetName()
			resp, err := s.records.EstimateCalls(s.asService("sync", firmA), req)
			require.NoError(t, err)
			require.Equal(t, resp.GetDuration().AsDuration(), resp.GetEndTime().AsTime().Sub(resp.GetBeginTime().AsTime()))
			return resp
		}
		both := []connectorv1.Listing{clients, connectorv1.Listing_LISTING_CONTACTS}
		before, err := s.remote.Calls(t.Context())
		require.NoError(t, err)
		used := before[c.GetTenantId()].Calls

		full := ask(&connectorv1.EstimateCallsRequest{Listings: both, Clients: 5000, Contacts: 10000})
		require.EqualValues(t, 10+1+20, full.GetCalls(), "pages of 500, and one to know whose the contacts are")
		require.Zero(t, full.GetDuration().AsDuration(), "the minute lets all of them pass")
		require.EqualValues(t, 5000, full.GetDayLimit())
		require.EqualValues(t, 5000-250-used, full.GetDayLeft())
		require.EqualValues(t, 7, full.GetDaySharePermille(), "6.2, rounded up")
		require.InDelta(t, 0, full.GetBeginTime().AsTime().Sub(s.clock.Now()).Seconds(), 5)

		small := ask(&connectorv1.EstimateCallsRequest{Listings: both})
		require.EqualValues(t, 3, small.GetCalls(), "an empty practice has a page, too")
		changed := ask(&connectorv1.EstimateCallsRequest{Listings: []connectorv1.Listing{connectorv1.Listing_LISTING_CHANGED_CLIENTS}, Clients: 5000})
		require.EqualValues(t, 1, changed.GetCalls())

		reads := ask(&connectorv1.EstimateCallsRequest{Reads: 2000})
		require.EqualValues(t, 2000, reads.GetCalls())
		require.InDelta(t, 37, reads.GetDuration().AsDuration().Minutes(), 1, "54 a minute")
		require.EqualValues(t, 400, reads.GetDaySharePermille())
		alone := ask(&connectorv1.EstimateCallsRequest{Reads: 2000, Interactive: true})
		require.InDelta(t, 33, alone.GetDuration().AsDuration().Minutes(), 1, "people have the reserve as well")
		require.EqualValues(t, 5000-used, alone.GetDayLeft())

		days := ask(&connectorv1.EstimateCallsRequest{Listings: both, Clients: 15000, Contacts: 30000, Details: 15000})
		require.EqualValues(t, 30+61+1+30000, days.GetCalls())
		require.EqualValues(t, 6019, days.GetDaySharePermille())
		require.InDelta(t, 7, days.GetDuration().AsDuration().Hours()/24, 0.2, "4,250 a day: seven days pass, and some minutes of the eighth")
		require.EqualValues(t, 5000-250-used, days.GetDayLeft())
		require.EqualValues(t, 5000-250-500-used, ask(&connectorv1.EstimateCallsRequest{Details: 1}).GetDayLeft(), "runs are left alone")

		s.fault(world.Fault{Kind: faults.Status, Path: "*/client.api/get/*", Status: 429, Retry: 66000, Limit: "day", Count: 1})
		_, err = s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: firmA})
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED)
		blocked := ask(&connectorv1.EstimateCallsRequest{Listings: both, Clients: 5000, Contacts: 10000})
		require.InDelta(t, 66000, blocked.GetBeginTime().AsTime().Sub(s.clock.Now()).Seconds(), 10, "tomorrow, as the provider said")
		require.Zero(t, blocked.GetDuration().AsDuration())
	})
}

func TestEstimatesWhenTheDayIsUsedUp(t *testing.T) {
	s := onSQLite(t, options{real: true, environ: []string{"CONCORD_CONNECTOR_XPM_PER_DAY=20", "CONCORD_CONNECTOR_XPM_PER_MINUTE=100"}})
	require.NoError(t, s.remote.Do(t.Context(), "POST", "/control/settings", map[string]any{"per_minute": 100}, nil))
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	began := s.clock.Now()
	for {
		_, err := s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: firmA})
		if err != nil {
			requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED)
			break
		}
	}
	resp, err := s.records.EstimateCalls(s.asService("sync", firmA), &connectorv1.EstimateCallsRequest{Connection: c.GetName(), Reads: 20})
	require.NoError(t, err)
	require.Zero(t, resp.GetDayLeft())
	require.EqualValues(t, 1000, resp.GetDaySharePermille())
	require.InDelta(t, 24, resp.GetBeginTime().AsTime().Sub(began).Hours(), 0.1, "when today's calls are a day old")
	require.InDelta(t, 24, resp.GetDuration().AsDuration().Hours(), 0.1, "19 of them, and one the day after")
}

func TestEstimatesThatCantBe(t *testing.T) {
	s := onSQLite(t, options{})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	estimate := func(firm string, req *connectorv1.EstimateCallsRequest) error {
		_, err := s.records.EstimateCalls(s.asService("sync", firm), req)
		return err
	}
	unknown := "firms/" + firmA + "/connections/" + uuid.NewString()
	requireReason(t, estimate(firmA, &connectorv1.EstimateCallsRequest{Connection: unknown}), connectorv1.ErrorReason_ERROR_REASON_NOT_FOUND)
	requireReason(t, estimate(firmB, &connectorv1.EstimateCallsRequest{
		Connection: "firms/" + firmB + c.GetName()[len("firms/")+len(firmA):]}), connectorv1.ErrorReason_ERROR_REASON_NOT_FOUND)
	require.Error(t, estimate(firmB, &connectorv1.EstimateCallsRequest{Connection: c.GetName()}), "a token of another firm")
	for name, req := range map[string]*connectorv1.EstimateCallsRequest{
		"less than nothing":             {Connection: c.GetName(), Clients: -1},
		"more than anybody has":         {Connection: c.GetName(), Details: 10_000_001},
		"a listing that is none":        {Connection: c.GetName(), Listings: []connectorv1.Listing{99}},
		"a listing that is not set":     {Connection: c.GetName(), Listings: []connectorv1.Listing{0}},
		"a connection that is no place": {Connection: "connections/1"},
	} {
		require.Equal(t, codes.InvalidArgument, status.Code(estimate(firmA, req)), name)
	}
	_, err := s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: c.GetName(), RequestId: uuid.NewString()})
	require.NoError(t, err)
	requireReason(t, estimate(firmA, &connectorv1.EstimateCallsRequest{Connection: c.GetName(), Reads: 1}), connectorv1.ErrorReason_ERROR_REASON_CONNECTION_INACTIVE)
}

// TestDetailsGoBehindRuns: reading details leaves one more of the calls at once alone, and shows that it was let in as that.
func TestDetailsGoBehindRuns(t *testing.T) {
	s := onSQLite(t, options{environ: []string{"CONCORD_CONNECTOR_XPM_PER_DAY=40", "CONCORD_CONNECTOR_BUDGET_MAX_WAIT=5s"}})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	get := func(detail, interactive bool) error {
		_, err := s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{
			Connection: c.GetName(), RecordId: firmA, Detail: detail, Interactive: interactive})
		return err
	}
	made := 0
	for ; get(true, false) == nil; made++ {
		require.Less(t, made, 40)
	}
	requireReason(t, get(true, false), connectorv1.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED)
	require.NoError(t, get(false, false), "runs have four calls more")
	require.NoError(t, get(true, true), "people have two more")
}
