package connector_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concord-suite/concord/platform/rpcerr"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"
)

func TestTheProviderIsNotAvailable(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		c := s.connect(firmA, sim.Owner, sim.PracticeName)
		get := func() error {
			_, err := s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: firmA})
			return err
		}
		s.fault(world.Fault{Kind: faults.Status, Path: "*/client.api/get/*", Status: 503, Count: 2})
		require.NoError(t, get(), "tried three times")
		down := s.fault(world.Fault{Kind: faults.Status, Path: "*/client.api/*", Status: 503})
		requireReason(t, get(), connectorv1.ErrorReason_ERROR_REASON_PROVIDER_UNAVAILABLE)
		s.until("the connection is degraded", func() bool {
			_ = get()
			return s.get(c.GetName()).GetState() == connectorv1.ConnectionState_CONNECTION_STATE_DEGRADED
		})
		require.Contains(t, s.get(c.GetName()).GetStateReason(), "tried again")
		require.NoError(t, s.remote.RemoveFault(t.Context(), down))
		s.until("it has recovered by itself", func() bool {
			return s.get(c.GetName()).GetState() == connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE
		})
		require.Len(t, told[*connectoreventsv1.ConnectionRecovered](s), 1)
		require.Empty(t, s.get(c.GetName()).GetStateReason())
		require.NoError(t, get())
	})
}

func TestLimitsThatTheProviderTells(t *testing.T) {
	s := onSQLite(t, options{environ: []string{"CONCORD_CONNECTOR_BUDGET_MAX_WAIT=5s"}})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	get := func(interactive bool) error {
		_, err := s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: firmA, Interactive: interactive})
		return err
	}
	s.fault(world.Fault{Kind: faults.Status, Path: "*/client.api/get/*", Status: 429, Retry: 1, Limit: "minute", Count: 1})
	began := time.Now()
	require.NoError(t, get(false))
	require.GreaterOrEqual(t, time.Since(began), time.Second, "waited as long as it was asked to")
	s.fault(world.Fault{Kind: faults.Status, Path: "*/client.api/get/*", Status: 429, Limit: "concurrent", Count: 1})
	require.NoError(t, get(false))
	s.fault(world.Fault{Kind: faults.Status, Path: "*/client.api/get/*", Status: 429, Retry: 66000, Limit: "day", Count: 1})
	err := get(true)
	requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED)
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	info := rpcerr.From(err).Metadata()
	require.Equal(t, "day", info["limit"])
	until, err := time.Parse(time.RFC3339Nano, info["until"])
	require.NoError(t, err)
	require.InDelta(t, 66000, until.Sub(s.clock.Now()).Seconds(), 10)
	requireReason(t, get(true), connectorv1.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED)
	_, err = s.stream(&connectorv1.StreamRecordsRequest{Connection: c.GetName(), Listing: clients})
	requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED)
	require.Equal(t, connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE, s.get(c.GetName()).GetState(), "a limit is no illness")
	s.clock.forward(66000 * time.Second)
	require.NoError(t, get(false))
}

// TestTheReaderDecidesThePace: a reader that does not read stops the calls, and one that leaves ends them.
func TestTheReaderDecidesThePace(t *testing.T) {
	s := onSQLite(t, options{clients: 6000, environ: []string{"CONCORD_CONNECTOR_XPM_PER_MINUTE=1000"}})
	require.NoError(t, s.remote.Do(t.Context(), "POST", "/control/settings", map[string]any{"per_minute": 1000}, nil))
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	ctx, cancel := context.WithCancel(s.asService("sync", firmA))
	stream, err := s.records.StreamRecords(ctx, &connectorv1.StreamRecordsRequest{Connection: c.GetName(), Listing: clients})
	require.NoError(t, err)
	_, err = stream.Recv()
	require.NoError(t, err)
	calls := func() int {
		all, err := s.remote.Calls(t.Context())
		require.NoError(t, err)
		return all[c.GetTenantId()].Calls
	}
	before, same := -1, 0
	s.until("the calls stop", func() bool {
		now := calls()
		if now == before {
			same++
		} else {
			before, same = now, 0
		}
		return same >= 30
	})
	require.Less(t, before, 14, "twelve pages, and two calls to connect")
	cancel()
	for err == nil {
		_, err = stream.Recv()
	}
	require.Equal(t, codes.Canceled, status.Code(err))
	require.LessOrEqual(t, calls(), before+1, "one page may have been under way")
	s.until("no call is left running", func() bool {
		_, err := s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: firmA})
		require.NoError(t, err)
		return s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM budget_calls`) == "0"
	})
}

func TestTheTokenDiesInTheMiddleOfAListing(t *testing.T) {
	each(t, options{clients: 1200}, func(t *testing.T, s *suite) {
		c := s.connect(firmA, sim.Owner, sim.PracticeName)
		before := s.wire.tokenCalls()
		s.wire.after = once("/paged-list", func() { s.clock.forward(31 * time.Minute) })
		pages := s.list(c, clients)
		require.Len(t, recordsOf(pages), 1200)
		require.Equal(t, before+1, s.wire.tokenCalls())
	})
}

func TestSomebodyDisconnectsAtTheProvider(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		c := s.connect(firmA, sim.Consultant, sim.PracticeName)
		other := s.connect(firmA, sim.Consultant, sim.SecondPracticeName)
		require.NoError(t, s.remote.Do(t.Context(), "POST", "/control/disconnect", map[string]string{"tenant": c.GetTenantId()}, nil))
		get := func(c *connectorv1.Connection) error {
			_, err := s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: firmA})
			return err
		}
		requireReason(t, get(c), connectorv1.ErrorReason_ERROR_REASON_NEEDS_REAUTH)
		require.Equal(t, connectorv1.ConnectionState_CONNECTION_STATE_NEEDS_REAUTH, s.get(c.GetName()).GetState())
		require.NoError(t, get(other))
		needs := told[*connectoreventsv1.ConnectionNeedsReauth](s)
		require.Len(t, needs, 1)
		require.Equal(t, c.GetName(), needs[0].GetConnection())
		requireReason(t, get(c), connectorv1.ErrorReason_ERROR_REASON_NEEDS_REAUTH)
		require.Len(t, told[*connectoreventsv1.ConnectionNeedsReauth](s), 1)

		again := s.connect(firmA, sim.Consultant, sim.PracticeName)
		require.Equal(t, c.GetName(), again.GetName())
		require.NoError(t, get(c))
		require.Len(t, told[*connectoreventsv1.ConnectionRecovered](s), 1)
	})
}

func TestAPersonLosesThePrivilege(t *testing.T) {
	s := onSQLite(t, options{})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	get := func() error {
		_, err := s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: firmA})
		return err
	}
	state, err := s.remote.State(t.Context())
	require.NoError(t, err)
	at := slices.IndexFunc(state.People, func(p *world.Person) bool { return p.Email == sim.Owner })
	person := *state.People[at]
	person.Members = slices.Clone(person.Members)
	set := func(full bool) {
		for i := range person.Members {
			person.Members[i].FullAccess = full
		}
		require.NoError(t, s.remote.Do(t.Context(), "POST", "/control/people", person, nil))
	}
	set(false)
	requireReason(t, get(), connectorv1.ErrorReason_ERROR_REASON_PRIVILEGE_MISSING)
	require.Equal(t, connectorv1.ConnectionState_CONNECTION_STATE_DEGRADED, s.get(c.GetName()).GetState())
	require.Contains(t, s.get(c.GetName()).GetStateReason(), "Authorise 3rd Party Full Access")
	set(true)
	s.until("it has recovered by itself", func() bool {
		return s.get(c.GetName()).GetState() == connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE
	})
}
