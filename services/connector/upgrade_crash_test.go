package connector_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
)

// requireOneUpgrade looks that a connection was upgraded once, whatever happened on the way.
func (s *suite) requireOneUpgrade(old *connectorv1.Connection, attempt string) {
	s.t.Helper()
	require.Equal(s.t, confirmed, s.attempt(attempt).GetState(), s.troubles())
	require.Equal(s.t, old.GetName(), s.attempt(attempt).GetConnection())
	require.Len(s.t, told[*connectoreventsv1.ConnectionUpgraded](s), 1)
	require.Empty(s.t, told[*connectoreventsv1.ConnectionEstablished](s))
	require.Equal(s.t, active, s.get(old.GetName()).GetState())
	require.True(s.t, s.auth.requires(old.GetName()))
	require.Equal(s.t, "1", s.count("grants"))
	require.Equal(s.t, "1", s.count("connections"))
	_, err := s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: old.GetName(), RecordId: firmA})
	require.NoError(s.t, err)
}

// TestLostCommitsOnTheWayToAnUpgrade loses the commit, or its answer, right after each call to the outside.
func TestLostCommitsOnTheWayToAnUpgrade(t *testing.T) {
	lose := map[string]func(*sqldbtest.Faults){
		"not done":            func(f *sqldbtest.Faults) { f.FailCommit(1) },
		"done, answer lost":   func(f *sqldbtest.Faults) { f.CommitThenFail(1) },
		"refused, then again": func(f *sqldbtest.Faults) { f.RefuseCommit(1) },
	}
	for kind, break_ := range lose {
		for _, step := range []string{"/connect/token", "/paged-list", "confirm"} {
			t.Run(kind+" "+step, func(t *testing.T) {
				f := sqldbtest.NewFaults()
				each(t, options{still: true, faults: f}, func(t *testing.T, s *suite) {
					old := s.imports(firmA, sim.PracticeName, nil)
					opened, err := s.upgrading(old)
					require.NoError(t, err)
					if step != "confirm" {
						s.wire.after = once(step, func() { break_(f) })
					}
					_, _ = s.complete(s.consent(opened, remote.Choice{Person: sim.Owner, Tenant: sim.PracticeName}))
					name := opened.GetAttempt().GetName()
					if step != "confirm" {
						s.work()
					}
					s.until("the attempt goes on or has failed", func() bool { return s.attempt(name).GetState() != waiting })
					a := s.attempt(name)
					if step == "/connect/token" && kind == "not done" { // the provider gives its answer once
						require.Equal(t, failed, a.GetState())
						require.Equal(t, legacy, s.get(old.GetName()).GetState())
						return
					}
					if step == "confirm" {
						s.auth.set(func(d *authDesk) {
							first := once("", func() { break_(f) })
							d.called = func() { first("") }
						})
					}
					_, _ = s.confirm(a, a.GetPreselectedTenantId(), false)
					if step == "confirm" {
						s.work()
					}
					s.until("the connection is upgraded", func() bool { return s.attempt(name).GetState() == confirmed })
					s.requireOneUpgrade(old, name)
				})
			})
		}
	}
}

// TestAProcessDiesWhileUpgrading: after auth was asked, nothing the process does reaches the database any more.
func TestAProcessDiesWhileUpgrading(t *testing.T) {
	f := sqldbtest.NewFaults()
	each(t, options{still: true, faults: f}, func(t *testing.T, s *suite) {
		old := s.imports(firmA, sim.PracticeName, nil)
		a := s.authoriseUpgrade(old, sim.PracticeName)
		s.auth.set(func(d *authDesk) { d.called = func() { f.FailExec("UPDATE attempts", 100) } })
		_, err := s.confirm(a, a.GetPreselectedTenantId(), false)
		require.Error(t, err)
		require.Equal(t, legacy, s.get(old.GetName()).GetState())
		s.auth.set(func(d *authDesk) { d.called = nil })
		f.FailExec("", 0)
		s.clock.forward(6 * time.Minute) // the person has decided: the five minutes do not matter any more
		s.work()
		s.until("a worker has upgraded it", func() bool { return s.attempt(a.GetName()).GetState() == confirmed })
		s.requireOneUpgrade(old, a.GetName())
	})
}

// TestWhatHappensToAConnectionWhileItIsUpgraded: what comes between the choice and its end is the later decision.
func TestWhatHappensToAConnectionWhileItIsUpgraded(t *testing.T) {
	for name, c := range map[string]struct {
		between func(s *suite, old *connectorv1.Connection)
		reason  connectorv1.ErrorReason
		state   connectorv1.ConnectionState
	}{
		"dropped": {func(s *suite, old *connectorv1.Connection) {
			_, err := s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: old.GetName()})
			if err != nil {
				s.t.Errorf("disconnect: %v", err)
			}
		}, connectorv1.ErrorReason_ERROR_REASON_NOT_LEGACY, disconnected},
		"its practice connected": {func(s *suite, _ *connectorv1.Connection) {
			s.auth.set(func(d *authDesk) { d.called = nil })
			colleague := accesstest.SteppedUp(accesstest.Of(access.Administrator, firmA), s.clock.Now())
			colleague.ID = uuid.NewString()
			opened, err := s.connections.StartConnectAttempt(s.as(colleague), &connectorv1.StartConnectAttemptRequest{
				Parent: "firms/" + firmA, Provider: connectorv1.Provider_PROVIDER_XPM})
			if err == nil {
				_, err = s.complete(s.consent(opened, remote.Choice{Person: sim.Owner, Tenant: sim.PracticeName}))
			}
			if err == nil {
				_, err = s.connections.ConfirmConnectAttempt(s.as(colleague), &connectorv1.ConfirmConnectAttemptRequest{
					Name: opened.GetAttempt().GetName(), TenantId: s.tenant(sim.PracticeName), Options: &connectorv1.ConnectionOptions{}})
			}
			if err != nil {
				s.t.Errorf("connect: %v", err)
			}
		}, connectorv1.ErrorReason_ERROR_REASON_TENANT_CONNECTED, legacy},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, options{}, func(t *testing.T, s *suite) {
				old := s.imports(firmA, sim.PracticeName, nil)
				a := s.authoriseUpgrade(old, sim.PracticeName)
				hold, ended := make(chan struct{}), make(chan error, 1)
				s.auth.set(func(d *authDesk) { d.hold = hold })
				go func() {
					_, err := s.confirm(a, a.GetPreselectedTenantId(), false)
					ended <- err
				}()
				s.until("the choice is written down, and auth asked", func() bool { return s.auth.holds() == 1 })
				s.auth.set(func(d *authDesk) { d.hold = nil })
				c.between(s, old)
				close(hold)
				requireReason(t, <-ended, c.reason)
				require.Equal(t, failed, s.attempt(a.GetName()).GetState())
				require.Equal(t, c.state, s.get(old.GetName()).GetState())
				require.Empty(t, told[*connectoreventsv1.ConnectionUpgraded](s))
				s.clock.forward(time.Minute)
				s.until("auth does not ask for it any more", func() bool { return !s.auth.requires(old.GetName()) })
			})
		})
	}
}
