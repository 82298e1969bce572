package connector_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"
)

// TestNoFailureOfTheProvidersEndsAConnection: whatever goes wrong at the provider itself, for calls and for tokens, the
// connection is degraded at worst, and works again by itself.
func TestNoFailureOfTheProvidersEndsAConnection(t *testing.T) {
	for name, fault := range map[string]world.Fault{
		"500":     {Kind: faults.Status, Status: 500},
		"503":     {Kind: faults.Status, Status: 503},
		"408":     {Kind: faults.Status, Status: 408},
		"frozen":  {Kind: faults.Frozen},
		"dropped": {Kind: faults.Drop},
		"cut":     {Kind: faults.Cut, Bytes: 20},
		"half":    {Kind: faults.HalfXML},
	} {
		t.Run(name, func(t *testing.T) {
			s := onSQLite(t, options{environ: []string{"CONCORD_CONNECTOR_CALL_TIMEOUT=300ms", "CONCORD_CONNECTOR_CALL_LISTING=300ms",
				"CONCORD_CONNECTOR_XERO_TIMEOUT=300ms"}})
			c := s.connect(firmA, sim.Owner, sim.PracticeName)
			client := s.list(c, clients)[0].GetRecords()[0].GetRecordId()
			get := func() error {
				_, err := s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: client, Interactive: true})
				return err
			}
			require.NoError(t, get())
			for _, path := range []string{"*/client.api/*", "/connect/token"} {
				fault.Path = path
				s.fault(fault)
			}
			for range 5 {
				require.Error(t, get())
				require.NotEqual(t, connectorv1.ConnectionState_CONNECTION_STATE_NEEDS_REAUTH, s.get(c.GetName()).GetState())
			}
			require.NoError(t, s.remote.RemoveFault(t.Context(), ""))
			s.until("it works again by itself", func() bool {
				return s.get(c.GetName()).GetState() == connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE && get() == nil
			})
			require.Empty(t, told[*connectoreventsv1.ConnectionNeedsReauth](s))
		})
	}
}

// TestAPersonLosesTheRole: the connection is still there, but the person may not into the practice any more.
func TestAPersonLosesTheRole(t *testing.T) {
	s := onSQLite(t, options{})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	person := s.person(sim.Owner)
	s.unrole(sim.Owner, sim.PracticeName)
	_, err := s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: firmA})
	requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_PRIVILEGE_MISSING)
	require.Equal(t, connectorv1.ConnectionState_CONNECTION_STATE_DEGRADED, s.get(c.GetName()).GetState())
	require.Contains(t, s.get(c.GetName()).GetStateReason(), "no longer has a role")
	require.NoError(t, s.remote.Do(t.Context(), "POST", "/control/people", person, nil))
	s.until("it has recovered by itself", func() bool {
		return s.get(c.GetName()).GetState() == connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE
	})
}

// TestOneThatHangsKeepsNoOtherFromRecovering: two connections are degraded, and the provider answers for neither until both
// are being tried.
func TestOneThatHangsKeepsNoOtherFromRecovering(t *testing.T) {
	s := onSQLite(t, options{})
	all := []*connectorv1.Connection{s.connect(firmA, sim.Consultant, sim.PracticeName), s.connect(firmB, sim.Consultant, sim.SecondPracticeName)}
	var mu sync.Mutex
	tried, both := map[string]bool{}, make(chan struct{})
	s.wire.set(func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
		tenant := r.Header.Get("xero-tenant-id")
		if tenant == "" {
			return send()
		}
		mu.Lock()
		if tried[tenant] = true; len(tried) == len(all) {
			tried[""] = true
			close(both)
		}
		mu.Unlock()
		select {
		case <-both:
			return send()
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	})
	s.change(`UPDATE connections SET state = 'DEGRADED', reason = 'down'`)
	s.until("both work again", func() bool {
		for _, c := range all {
			resp, err := s.connections.GetConnection(s.admin(c.GetName()[len("firms/"):][:len(firmA)]), &connectorv1.GetConnectionRequest{Name: c.GetName()})
			require.NoError(t, err)
			if resp.GetConnection().GetState() != connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE {
				return false
			}
		}
		return true
	})
}
