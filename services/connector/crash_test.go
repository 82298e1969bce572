package connector_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/world"
)

// once calls fn the first time the path of an answer ends in suffix.
func once(suffix string, fn func()) func(path string) {
	var done atomic.Bool
	return func(path string) {
		if strings.HasSuffix(path, suffix) && done.CompareAndSwap(false, true) {
			fn()
		}
	}
}

// requireOneConnection looks that one connection was made of an attempt, once, whatever happened on the way.
func (s *suite) requireOneConnection(attempt string) {
	s.t.Helper()
	a := s.attempt(attempt)
	require.Equal(s.t, confirmed, a.GetState(), s.troubles())
	require.Len(s.t, told[*connectoreventsv1.ConnectionEstablished](s), 1)
	require.Equal(s.t, connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE, s.get(a.GetConnection()).GetState())
	require.True(s.t, s.auth.requires(a.GetConnection()))
	require.Equal(s.t, "1", s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM grants`))
	_, err := s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: a.GetConnection(), RecordId: firmA})
	require.NoError(s.t, err)
}

// TestLostCommitsOnTheWay loses the commit, or its answer, right after each call to the outside: what was learned there
// is not written down, or is without anybody knowing.
func TestLostCommitsOnTheWay(t *testing.T) {
	lose := map[string]func(*sqldbtest.Faults){
		"not done":            func(f *sqldbtest.Faults) { f.FailCommit(1) },
		"done, answer lost":   func(f *sqldbtest.Faults) { f.CommitThenFail(1) },
		"refused, then again": func(f *sqldbtest.Faults) { f.RefuseCommit(1) },
	}
	for kind, break_ := range lose {
		t.Run(kind, func(t *testing.T) {
			t.Run("exchange", func(t *testing.T) {
				f := sqldbtest.NewFaults()
				each(t, options{still: true, faults: f}, func(t *testing.T, s *suite) {
					s.wire.after = once("/connect/token", func() { break_(f) })
					opened := s.start(firmA)
					_, err := s.complete(s.consent(opened, remote.Choice{Person: sim.Owner, Tenant: sim.PracticeName}))
					s.work()
					name := opened.GetAttempt().GetName()
					if kind == "not done" { // the provider has given its answer away, once and for all
						s.until("the attempt has failed", func() bool { return s.attempt(name).GetState() == failed })
						require.Contains(t, s.attempt(name).GetError(), "start again")
						return
					}
					s.until("the attempt is authorised", func() bool { return s.attempt(name).GetState() == authorised })
					_ = err // the browser may have been told to try again
				})
			})
			t.Run("list", func(t *testing.T) {
				f := sqldbtest.NewFaults()
				each(t, options{still: true, faults: f}, func(t *testing.T, s *suite) {
					s.wire.after = once("/paged-list", func() { break_(f) })
					opened := s.start(firmA)
					_, _ = s.complete(s.consent(opened, remote.Choice{Person: sim.Owner, Tenant: sim.PracticeName}))
					s.work()
					s.until("the attempt is authorised", func() bool { return s.attempt(opened.GetAttempt().GetName()).GetState() == authorised })
				})
			})
			t.Run("confirm", func(t *testing.T) {
				f := sqldbtest.NewFaults()
				each(t, options{still: true, faults: f}, func(t *testing.T, s *suite) {
					a := s.authorise(firmA, sim.Owner, sim.PracticeName)
					s.auth.set(func(d *authDesk) {
						first := once("", func() { break_(f) })
						d.called = func() { first("") }
					})
					_, _ = s.confirm(a, a.GetPreselectedTenantId(), false)
					s.work()
					s.until("the connection is made", func() bool { return s.attempt(a.GetName()).GetState() == confirmed })
					s.requireOneConnection(a.GetName())
				})
			})
		})
	}
}

// TestAProcessDiesWhileConfirming: after auth was asked, nothing the process does reaches the database any more.
func TestAProcessDiesWhileConfirming(t *testing.T) {
	f := sqldbtest.NewFaults()
	each(t, options{still: true, faults: f}, func(t *testing.T, s *suite) {
		a := s.authorise(firmA, sim.Owner, sim.PracticeName)
		s.auth.set(func(d *authDesk) { d.called = func() { f.FailExec("UPDATE attempts", 100) } })
		_, err := s.confirm(a, a.GetPreselectedTenantId(), false)
		require.Error(t, err)
		require.Empty(t, told[*connectoreventsv1.ConnectionEstablished](s))
		s.auth.set(func(d *authDesk) { d.called = nil })
		f.FailExec("", 0)
		s.clock.forward(6 * time.Minute) // the five minutes do not matter any more: the person has decided
		s.work()
		s.until("a worker has made the connection", func() bool { return s.attempt(a.GetName()).GetState() == confirmed })
		s.requireOneConnection(a.GetName())
		entries := s.entries("connection.confirm_resumed")
		require.Len(t, entries, 1, "nobody's request tells the ledger of it")
		require.Equal(t, s.attempt(a.GetName()).GetConnection(), entries[0].GetResource())
		require.Equal(t, accesstest.Of(access.Administrator, firmA).ID, entries[0].GetInitiator(), "who decided")
		require.True(t, entries[0].GetSuccess())
	})
}

// TestTheCallerLeavesWhileConfirming: the caller was told that it did not work, and so it must not work later.
func TestTheCallerLeavesWhileConfirming(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		a := s.authorise(firmA, sim.Owner, sim.PracticeName)
		hold := make(chan struct{})
		s.auth.set(func(d *authDesk) { d.hold = hold })
		ctx, cancel := context.WithTimeout(s.admin(firmA), 300*time.Millisecond)
		defer cancel()
		_, err := s.connections.ConfirmConnectAttempt(ctx, &connectorv1.ConfirmConnectAttemptRequest{
			Name: a.GetName(), TenantId: a.GetPreselectedTenantId(), Options: a.GetSuggestedOptions()})
		require.Error(t, err)
		close(hold)
		s.until("the attempt can be confirmed again", func() bool {
			return s.cell(`SELECT state FROM attempts`) == "AUTHORISED"
		})
		_, err = s.confirm(a, a.GetPreselectedTenantId(), false)
		require.NoError(t, err)
		s.requireOneConnection(a.GetName())
	})
}

func TestTheCodeIsLostOnTheWay(t *testing.T) {
	for kind, want := range map[string]connectorv1.AttemptState{
		faults.Drop:          authorised, // the code was not spent: it is sent again
		faults.ApplyThenDrop: failed,     // it was, and its answer is lost for good
	} {
		t.Run(kind, func(t *testing.T) {
			s := onSQLite(t, options{})
			s.fault(world.Fault{Kind: kind, Path: "/connect/token", Count: 1})
			opened := s.start(firmA)
			_, err := s.complete(s.consent(opened, remote.Choice{Person: sim.Owner, Tenant: sim.PracticeName}))
			require.NoError(t, err)
			s.until("the attempt is "+want.String(), func() bool { return s.attempt(opened.GetAttempt().GetName()).GetState() == want })
		})
	}
}

// TestASupersededChoiceIsNotCarriedOut: while one attempt is being confirmed the same person starts another.
func TestASupersededChoiceIsNotCarriedOut(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		a := s.authorise(firmA, sim.Owner, sim.PracticeName)
		hold := make(chan struct{})
		s.auth.set(func(d *authDesk) { d.hold = hold })
		ended := make(chan error, 1)
		go func() {
			_, err := s.confirm(a, a.GetPreselectedTenantId(), false)
			ended <- err
		}()
		s.until("the choice is written down", func() bool {
			return s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM attempts WHERE state = 'CONFIRMING'`) == "1"
		})
		s.start(firmA)
		close(hold)
		requireReason(t, <-ended, connectorv1.ErrorReason_ERROR_REASON_ATTEMPT_ENDED)
		require.Empty(t, told[*connectoreventsv1.ConnectionEstablished](s))
		s.clock.forward(10 * time.Second) // the chore waits until nobody can be requiring it any more
		s.until("auth is told that there is no connection", func() bool {
			s.auth.mu.Lock()
			defer s.auth.mu.Unlock()
			return len(s.auth.required) == 0
		})
	})
}

// TestADisconnectionWhileConfirming: the disconnection is the later decision.
func TestADisconnectionWhileConfirming(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		c := s.connect(firmA, sim.Owner, sim.PracticeName)
		a := s.authorise(firmA, sim.Owner, sim.PracticeName)
		disconnect := once("", func() {
			_, err := s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: c.GetName()})
			if err != nil {
				t.Errorf("disconnect: %v", err)
			}
		})
		s.auth.set(func(d *authDesk) { d.called = func() { disconnect("") } })
		_, err := s.confirm(a, a.GetPreselectedTenantId(), false)
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_ATTEMPT_ENDED)
		require.Contains(t, err.Error(), "disconnected")
		require.Equal(t, connectorv1.ConnectionState_CONNECTION_STATE_DISCONNECTED, s.get(c.GetName()).GetState())
		s.clock.forward(time.Minute) // what might be needed again is looked at again after half a minute
		s.until("nothing is left to be told", func() bool { return s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM chores`) == "0" })
		require.False(t, s.auth.requires(c.GetName()))
		require.Empty(t, s.upstream())
	})
}

// TestAChangeWhileConfirming: the options were changed meanwhile; what was just confirmed stands.
func TestAChangeWhileConfirming(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		c := s.connect(firmA, sim.Owner, sim.PracticeName)
		a := s.authorise(firmA, sim.Owner, sim.PracticeName)
		change := once("", func() {
			changed := update(c, "options.full_sync_every_days")
			changed.Connection.Options.FullSyncEveryDays = 3
			if _, err := s.connections.UpdateConnection(s.admin(firmA), changed); err != nil {
				t.Errorf("update: %v", err)
			}
		})
		s.auth.set(func(d *authDesk) { d.called = func() { change("") } })
		resp, err := s.confirm(a, a.GetPreselectedTenantId(), false)
		require.NoError(t, err)
		require.Equal(t, c.GetName(), resp.GetConnection().GetName())
		require.EqualValues(t, 30, resp.GetConnection().GetOptions().GetFullSyncEveryDays())
	})
}
