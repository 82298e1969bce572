package custody_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/custody"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

const app = "xero/test"

// scopes are what grants of these tests are asked for. Without openid: signing an id token takes the provider as long as
// everything else.
var scopes = []string{"offline_access", "practicemanager.client"}

var config = custody.Config{Lease: time.Second, Call: 700 * time.Millisecond, Grace: 30 * time.Minute, Idle: 7 * 24 * time.Hour, Retry: 10 * time.Millisecond}

// TestOneCallPerExpiry: 8 workers in each of 3 replicas find the token expired at the same moment.
func TestOneCallPerExpiry(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		replicas := []replica{b.replica(), b.replica(), b.replica()}
		g := b.grant(replicas[0])
		const expiries = 20
		for i := range expiries {
			b.forward(31 * time.Minute)
			var group errgroup.Group
			for _, r := range replicas {
				for range 8 {
					group.Go(func() error {
						_, err := r.Token(t.Context(), g.ID)
						return err
					})
				}
			}
			require.NoError(t, group.Wait())
			require.EqualValues(t, i+1, b.calls.Load())
		}
		b.works(replicas[0], g.ID)
		require.EqualValues(t, expiries, b.calls.Load())
		t.Logf("%d expiries, 24 workers in 3 replicas: %d token calls", expiries, b.calls.Load())
	})
}

func TestATokenIsRenewedBeforeItDies(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.replica()
		g := b.grant(r)
		b.forward(24 * time.Minute)
		b.works(r, g.ID)
		require.Zero(t, b.calls.Load())
		b.forward(2 * time.Minute)
		b.works(r, g.ID)
		require.EqualValues(t, 1, b.calls.Load())
		require.Greater(t, b.row(r, g.ID).Generation, g.Generation)
	})
}

// TestNoGrantIsLost goes through everything that can go wrong between wanting a new token and having saved it.
func TestNoGrantIsLost(t *testing.T) {
	type step struct {
		name string
		// arm prepares the fault; f breaks the database of the replica that renews.
		arm func(b *bench, f *sqldbtest.Faults)
	}
	fault := func(f world.Fault) func(*bench, *sqldbtest.Faults) {
		return func(b *bench, _ *sqldbtest.Faults) {
			_, err := b.remote.Fault(b.t.Context(), f)
			require.NoError(b.t, err)
		}
	}
	after := func(do func(*sqldbtest.Faults)) func(*bench, *sqldbtest.Faults) {
		return func(b *bench, f *sqldbtest.Faults) {
			var once sync.Once
			b.answer = func() { once.Do(func() { do(f) }) }
		}
	}
	steps := []step{
		{"intent not written", func(_ *bench, f *sqldbtest.Faults) { f.FailCommit(1) }},
		{"intent written, answer lost", func(_ *bench, f *sqldbtest.Faults) { f.CommitThenFail(1) }},
		{"request lost", fault(world.Fault{Kind: faults.Drop, Path: "/connect/token", Count: 1})},
		{"answer lost", fault(world.Fault{Kind: faults.ApplyThenDrop, Path: "/connect/token", Count: 1})},
		{"answer lost three times", fault(world.Fault{Kind: faults.ApplyThenDrop, Path: "/connect/token", Count: 3})},
		{"answer cut", fault(world.Fault{Kind: faults.Cut, Path: "/connect/token", Bytes: 20, Count: 1})},
		{"error 500", fault(world.Fault{Kind: faults.Status, Path: "/connect/token", Status: 500, Count: 2})},
		{"error 429", fault(world.Fault{Kind: faults.Status, Path: "/connect/token", Status: 429, Retry: 1, Count: 1})},
		{"slower than allowed", fault(world.Fault{Kind: faults.Slow, Path: "/connect/token", Delay: world.Duration(time.Second), Count: 1})},
		{"save not done", after(func(f *sqldbtest.Faults) { f.FailCommit(1) })},
		{"save not done five times", after(func(f *sqldbtest.Faults) { f.FailCommit(5) })},
		{"save done, answer lost", after(func(f *sqldbtest.Faults) { f.CommitThenFail(1) })},
		{"save refused", after(func(f *sqldbtest.Faults) { f.RefuseCommit(2) })},
		{"save fails", after(func(f *sqldbtest.Faults) { f.FailExec("UPDATE grants", 3) })},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			each(t, func(t *testing.T, b *bench) {
				f := sqldbtest.NewFaults()
				broken, other := b.replica(f.Option()), b.replica()
				g := b.grant(other)
				b.forward(31 * time.Minute)
				s.arm(b, f)
				_, _ = broken.Token(t.Context(), g.ID)
				b.recovers(other, g.ID)
				b.answer = nil
				for range 3 { // and it goes on working
					b.forward(31 * time.Minute)
					b.recovers(broken, g.ID)
				}
				require.Equal(t, store.GrantActive, b.row(other, g.ID).Status)
			})
		})
	}
}

// TestAReplicaThatFreezesWithTheAnswer: its lease runs out, another one renews, and then the first one thaws and saves.
func TestAReplicaThatFreezesWithTheAnswer(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		f := sqldbtest.NewFaults()
		frozen, other := b.replica(f.Option()), b.replica()
		g := b.grant(other)
		b.forward(31 * time.Minute)
		var once sync.Once
		b.answer = func() { once.Do(f.Freeze) }
		ended := make(chan error, 1)
		go func() {
			_, err := frozen.Token(context.WithoutCancel(t.Context()), g.ID)
			ended <- err
		}()
		b.until("the answer is here", func() bool { return b.calls.Load() > 0 })
		b.recovers(other, g.ID)
		after := b.row(other, g.ID)
		f.Thaw()
		require.NoError(t, <-ended)
		b.until("the late answer is kept as a spare", func() bool { return !b.row(other, g.ID).Spare.Empty() })
		now := b.row(other, g.ID)
		require.Equal(t, after.Generation, now.Generation, "what the other one saved stands")
		require.Equal(t, after.Refresh, now.Refresh)
		b.works(frozen, g.ID)
		b.forward(31 * time.Minute)
		b.works(frozen, g.ID)
	})
}

// TestTheSpareSavesAGrant: of two answers to the same token the provider honours the one that came too late.
func TestTheSpareSavesAGrant(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.replica()
		g := b.grant(r)
		good, err := b.ring.Open(g.Refresh.Text, g.Row("refresh"))
		require.NoError(t, err)
		bad := g
		bad.Refresh.Text, bad.Refresh.Key, err = b.ring.Seal([]byte("no longer honoured"), g.Row("refresh"))
		require.NoError(t, err)
		bad.Spare.Text, bad.Spare.Key, err = b.ring.Seal(good, g.Row("spare"))
		require.NoError(t, err)
		bad.SpareUntil = b.now().Add(time.Hour)
		require.NoError(t, r.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := store.UpdateGrant(tx, bad, g.Generation)
			return err
		}))
		b.forward(31 * time.Minute)
		b.works(r, g.ID)
		require.EqualValues(t, 2, b.calls.Load())
		require.True(t, b.row(r, g.ID).Spare.Empty())
	})
}

func (b *bench) told(r replica, typ string) (n int) {
	b.t.Helper()
	require.NoError(b.t, r.db.Read(b.t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM events_outbox WHERE type = $1`, "concord.events.connector.v1."+typ).Scan(&n)
	}))
	return n
}

func TestAWithdrawnConsent(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.replica()
		g := b.grant(r)
		require.NoError(t, b.remote.Do(t.Context(), "POST", "/control/disconnect", map[string]string{"app": sim.ClientID}, nil))
		b.forward(31 * time.Minute)
		_, err := r.Token(t.Context(), g.ID)
		require.ErrorIs(t, err, custody.ErrDead)
		require.Contains(t, err.Error(), "withdrawn")
		_, err = r.Token(t.Context(), g.ID)
		require.ErrorIs(t, err, custody.ErrDead)
		require.EqualValues(t, 1, b.calls.Load(), "a dead grant is not tried again")
		row := b.row(r, g.ID)
		require.Equal(t, store.GrantDead, row.Status)
		require.True(t, row.Refresh.Empty() && row.Access.Empty())
		require.Equal(t, 1, b.told(r, "ConnectionNeedsReauth"))
		require.NoError(t, r.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			list, err := store.ConnectionsOfGrant(tx, g.ID)
			require.Equal(t, connection.NeedsReauth, list[0].State)
			return err
		}))
	})
}

// TestARefusalIsNotBelievedWhileAnAnswerIsOutstanding: the provider rotated, its answer was lost, and it does not keep
// its promise to accept the old token for a while.
func TestARefusalIsNotBelievedWhileAnAnswerIsOutstanding(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.replica()
		g := b.grant(r)
		require.NoError(t, b.remote.Do(t.Context(), "POST", "/control/settings", map[string]string{"refresh_grace": "1ms"}, nil))
		_, err := b.remote.Fault(t.Context(), world.Fault{Kind: faults.ApplyThenDrop, Path: "/connect/token", Count: 1})
		require.NoError(t, err)
		b.forward(31 * time.Minute)
		_, err = r.Token(t.Context(), g.ID)
		require.ErrorIs(t, err, provider.ErrUnavailable)
		for range 5 {
			b.forward(time.Minute)
			_, err = r.Token(t.Context(), g.ID)
			require.ErrorIs(t, err, provider.ErrUnavailable)
			require.Equal(t, store.GrantActive, b.row(r, g.ID).Status)
		}
		b.forward(30 * time.Minute)
		_, err = r.Token(t.Context(), g.ID)
		require.ErrorIs(t, err, custody.ErrDead, "after the grace there is nothing left to hope for")
	})
}

func TestASettingsMistakeDoesNotEndAGrant(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		wrong, right := b.with(b.identity("wrong secret")), b.replica()
		g := b.grant(right)
		b.forward(31 * time.Minute)
		for range 3 {
			_, err := wrong.Token(t.Context(), g.ID)
			require.Error(t, err)
			require.NotErrorIs(t, err, custody.ErrDead)
			b.forward(time.Second)
		}
		row := b.row(right, g.ID)
		require.Equal(t, store.GrantActive, row.Status)
		require.Empty(t, row.Attempt, "the token was not looked at, so nothing is outstanding")
		b.works(right, g.ID)
	})
}

func TestWhatIsLeftOfATokenIsUsedWhileTheProviderIsDown(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.replica()
		g := b.grant(r)
		_, err := b.remote.Fault(t.Context(), world.Fault{Kind: faults.Status, Path: "/connect/token", Status: 503})
		require.NoError(t, err)
		b.forward(27 * time.Minute)
		b.works(r, g.ID)
		require.EqualValues(t, 1, b.calls.Load())
		b.forward(4 * time.Minute)
		_, err = r.Token(t.Context(), g.ID)
		require.ErrorIs(t, err, provider.ErrUnavailable)
	})
}

func TestARefusedAccessToken(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.replica()
		g := b.grant(r)
		token, err := r.Token(t.Context(), g.ID)
		require.NoError(t, err)
		require.NoError(t, r.Refused(t.Context(), g.ID, token))
		b.works(r, g.ID)
		require.EqualValues(t, 1, b.calls.Load())
		require.NoError(t, r.Refused(t.Context(), g.ID, token), "of an older token says nothing about the present one")
		b.works(r, g.ID)
		require.EqualValues(t, 1, b.calls.Load())
	})
}

// TestUpkeep: a refresh that was begun and left is taken up, and a grant nobody uses is kept alive.
func TestUpkeep(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.replica()
		g := b.grant(r)
		_, err := b.remote.Fault(t.Context(), world.Fault{Kind: faults.ApplyThenDrop, Path: "/connect/token", Count: 1})
		require.NoError(t, err)
		b.forward(31 * time.Minute)
		_, err = r.Token(t.Context(), g.ID)
		require.Error(t, err)
		require.NotEmpty(t, b.row(r, g.ID).Attempt)
		b.forward(time.Minute)
		require.NoError(t, r.Upkeep(t.Context()))
		require.Empty(t, b.row(r, g.ID).Attempt)
		require.EqualValues(t, 2, b.calls.Load())
		for range 10 { // 70 days, more than an unused token lives
			require.NoError(t, r.Upkeep(t.Context()))
			b.forward(7*24*time.Hour + time.Minute)
		}
		b.works(r, g.ID)
	})
}

func TestTokensDoNotPrint(t *testing.T) {
	tokens := provider.Tokens{Access: "hush-access", Refresh: "hush-refresh"}
	token := custody.Fixed("hush-token")
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("m", "tokens", tokens, "token", token, "pointer", &tokens)
	for _, text := range []string{fmt.Sprint(tokens, token), fmt.Sprintf("%v %+v %#v %s %q", tokens, tokens, tokens, tokens, tokens),
		fmt.Sprintf("%v %+v %#v %s %x", token, token, token, token, token), log.String(), fmt.Sprint(&tokens, &token)} {
		require.NotContains(t, text, "hush")
	}
}
