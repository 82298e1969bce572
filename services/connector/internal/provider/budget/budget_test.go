package budget

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// clock is a clock that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

var (
	real   = Config{Minute: time.Minute, Day: 24 * time.Hour, MaxWait: 0}
	limits = provider.Limits{Concurrent: 5, PerMinute: 60, PerDay: 5000, AppPerMinute: 10000,
		Reserve: provider.Reserve{Concurrent: 1, PerMinute: 6, PerDay: 250, AppPerMinute: 500},
		Runs:    provider.Reserve{Concurrent: 1, PerDay: 500}}
	tenant = Key{App: "xero/app", Tenant: "t1"}
	fine   = Told{DayLeft: -1, Whole: true}
)

// ask asks for a call of no firm.
func ask(k Key, lane Lane) Ask { return Ask{Key: k, Limits: limits, Lane: lane, Life: time.Minute} }

// one makes a call that succeeds at once.
func one(t *testing.T, b *Budget, k Key, lane Lane) {
	t.Helper()
	p, err := b.Acquire(t.Context(), ask(k, lane))
	require.NoError(t, err)
	require.NoError(t, p.End(t.Context(), fine))
}

func refused(t *testing.T, b *Budget, k Key, lane Lane, limit string) *Exhausted {
	t.Helper()
	_, err := b.Acquire(t.Context(), ask(k, lane))
	var ex *Exhausted
	require.ErrorAs(t, err, &ex)
	require.Equal(t, limit, ex.Limit)
	return ex
}

func TestLimitsAndTheReserve(t *testing.T) {
	sqldbtest.Each(t, store.Migrations, func(t *testing.T, db *sqldb.DB) {
		t.Run("minute", func(t *testing.T) {
			c := newClock()
			b := New(db, real, c.now)
			k := Key{App: "minute", Tenant: "t"}
			for range 54 {
				one(t, b, k, Background)
			}
			ex := refused(t, b, k, Background, Minute)
			require.Greater(t, ex.Until.Sub(c.now()), time.Minute-time.Second)
			require.Less(t, ex.Until.Sub(c.now()), time.Minute+2*time.Second)
			for range 6 {
				one(t, b, k, Interactive)
			}
			refused(t, b, k, Interactive, Minute)
			one(t, b, Key{App: "minute", Tenant: "other"}, Background)
			c.advance(time.Minute)
			refused(t, b, k, Interactive, Minute) // the slot has not ended
			c.advance(2 * time.Second)
			one(t, b, k, Background)
		})
		t.Run("concurrent", func(t *testing.T) {
			c := newClock()
			b := New(db, real, c.now)
			k := Key{App: "concurrent", Tenant: "t"}
			var held []*Permit
			for range 4 {
				p, err := b.Acquire(t.Context(), ask(k, Background))
				require.NoError(t, err)
				held = append(held, p)
			}
			refused(t, b, k, Background, Concurrent)
			fifth, err := b.Acquire(t.Context(), ask(k, Interactive))
			require.NoError(t, err)
			refused(t, b, k, Interactive, Concurrent)
			require.NoError(t, fifth.End(t.Context(), fine))
			require.NoError(t, held[0].End(t.Context(), Told{DayLeft: -1}))
			refused(t, b, k, Background, Concurrent) // its answer was not read: the provider may be at it
			c.advance(2 * time.Second)
			one(t, b, k, Background)
			c.advance(time.Minute)
			one(t, b, k, Background) // the others' process died
		})
		t.Run("day", func(t *testing.T) {
			c := newClock()
			b := New(db, real, c.now)
			k, small := Key{App: "day", Tenant: "t"}, limits
			small.PerDay, small.Reserve.PerDay = 10, 2
			for range 8 {
				p, err := b.Acquire(t.Context(), Ask{Key: k, Limits: small, Lane: Background, Life: time.Minute})
				require.NoError(t, err)
				require.NoError(t, p.End(t.Context(), fine))
				c.advance(time.Hour)
			}
			_, err := b.Acquire(t.Context(), Ask{Key: k, Limits: small, Lane: Background, Life: time.Minute})
			var ex *Exhausted
			require.ErrorAs(t, err, &ex)
			require.Equal(t, Day, ex.Limit)
			require.InDelta(t, 16, ex.Until.Sub(c.now()).Hours(), 0.1, "when the first call is a day old")
			_, err = b.Acquire(t.Context(), Ask{Key: k, Limits: small, Lane: Interactive, Life: time.Minute})
			require.NoError(t, err)
		})
		t.Run("app", func(t *testing.T) {
			c := newClock()
			b := New(db, real, c.now)
			small := limits
			small.AppPerMinute, small.Reserve.AppPerMinute = 120, 12
			call := func(lane Lane) error {
				k := Key{App: "app", Tenant: uuid.NewString()}
				p, err := b.Acquire(t.Context(), Ask{Key: k, Limits: small, Lane: lane, Life: time.Minute})
				if err == nil {
					err = p.End(t.Context(), fine)
				}
				return err
			}
			made := 0
			for range parts - 1 { // work that can wait leaves something of every part of the minute
				c.advance(real.Minute/parts + real.Minute/minuteSlots)
				for call(Background) == nil {
					made++
				}
			}
			require.Equal(t, 108, made)
			var ex *Exhausted
			require.ErrorAs(t, call(Background), &ex)
			require.Equal(t, AppMinute, ex.Limit)
			for range 12 {
				require.NoError(t, call(Interactive))
			}
			require.ErrorAs(t, call(Interactive), &ex)
			require.Equal(t, AppMinute, ex.Limit)
		})
	})
}

func TestTheProviderIsBelieved(t *testing.T) {
	sqldbtest.Each(t, store.Migrations, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		b := New(db, real, c.now)
		tell := func(k Key, lane Lane, told Told) {
			t.Helper()
			p, err := b.Acquire(t.Context(), ask(k, lane))
			require.NoError(t, err)
			told.Whole = true
			require.NoError(t, p.End(t.Context(), told))
		}
		t.Run("Retry-After of hours", func(t *testing.T) {
			k := Key{App: "a", Tenant: "retry"}
			tell(k, Background, Told{DayLeft: -1, Limit: Day, RetryAfter: 18 * time.Hour})
			require.Equal(t, 18*time.Hour, refused(t, b, k, Interactive, Day).Until.Sub(c.now()), "people wait too")
			tell(Key{App: "a", Tenant: "other"}, Background, Told{DayLeft: -1})
			c.advance(18 * time.Hour)
			one(t, b, k, Background)
		})
		t.Run("a minute that the account thinks free", func(t *testing.T) {
			k := Key{App: "a", Tenant: "minute"}
			tell(k, Background, Told{DayLeft: -1, Limit: Minute, RetryAfter: 22 * time.Second})
			require.Equal(t, 22*time.Second, refused(t, b, k, Background, Minute).Until.Sub(c.now()))
		})
		t.Run("concurrent without a time", func(t *testing.T) {
			k := Key{App: "a", Tenant: "concurrent"}
			tell(k, Background, Told{DayLeft: -1, Limit: Concurrent})
			require.Equal(t, time.Second, refused(t, b, k, Background, Concurrent).Until.Sub(c.now()))
		})
		t.Run("the app's minute stops every tenant", func(t *testing.T) {
			tell(Key{App: "b", Tenant: "one"}, Background, Told{DayLeft: -1, Limit: AppMinute, RetryAfter: 30 * time.Second})
			refused(t, b, Key{App: "b", Tenant: "two"}, Interactive, AppMinute)
		})
		t.Run("a smaller day than ours", func(t *testing.T) {
			k := Key{App: "a", Tenant: "tier"}
			tell(k, Background, Told{DayLeft: 250})
			refused(t, b, k, Background, Day)
			tell(k, Interactive, Told{DayLeft: 249})
			c.advance(time.Hour)
			one(t, b, k, Background) // one call to hear whether a new day began
		})
	})
}

// arrivals is a provider that writes down when calls were with it.
type arrivals struct {
	mu           sync.Mutex
	counted      []time.Time
	running, top int
}

// call is one call: it takes some time to arrive, is counted, and takes some time to be answered.
func (a *arrivals) call(latency time.Duration) {
	pass := func() { <-time.After(rand.N(latency)) }
	pass()
	a.mu.Lock()
	a.counted = append(a.counted, time.Now())
	a.running++
	a.top = max(a.top, a.running)
	a.mu.Unlock()
	pass()
	a.mu.Lock()
	a.running--
	a.mu.Unlock()
}

// worst is the most calls in any window of that length, wherever it begins.
func (a *arrivals) worst(window time.Duration) int {
	slices.SortFunc(a.counted, time.Time.Compare)
	most, from := 0, 0
	for to := range a.counted {
		for a.counted[to].Sub(a.counted[from]) >= window {
			from++
		}
		most = max(most, to-from+1)
	}
	return most
}

// TestReplicasTogetherKeepTheLimits runs three replicas with four workers each against one tenant, in windows of a second.
func TestReplicasTogetherKeepTheLimits(t *testing.T) {
	sqldbtest.EachURL(t, func(t *testing.T, url string) {
		const window, calls = time.Second, 200
		var with arrivals
		group, ctx := errgroup.WithContext(t.Context())
		began := time.Now()
		todo := make(chan struct{}, calls)
		for range calls {
			todo <- struct{}{}
		}
		close(todo)
		db := sqldbtest.Open(t, url, store.Migrations)
		for range 3 {
			if db.Dialect() == sqldb.Postgres { // a SQLite file has one process, and SQLite's own lock lets writers starve
				db = sqldbtest.Open(t, url, nil)
			}
			b := New(db, Config{Minute: window, Day: time.Hour, MaxWait: time.Minute}, time.Now)
			for range 4 {
				group.Go(func() error {
					for range todo {
						p, err := b.Acquire(ctx, Ask{Key: tenant, Limits: limits, Lane: Background, Life: 10 * time.Second})
						if err != nil {
							return err
						}
						with.call(20 * time.Millisecond)
						if err := p.End(context.WithoutCancel(ctx), fine); err != nil {
							return err
						}
					}
					return nil
				})
			}
		}
		require.NoError(t, group.Wait())
		took := time.Since(began)
		require.Len(t, with.counted, calls)
		require.LessOrEqual(t, with.worst(window), limits.PerMinute-limits.Reserve.PerMinute)
		require.LessOrEqual(t, with.top, limits.Concurrent-limits.Reserve.Concurrent)
		t.Logf("%d calls in %s, most in a window %d, most at once %d", calls, took.Round(time.Millisecond), with.worst(window), with.top)
	})
}

func TestWaitingEndsWithTheCaller(t *testing.T) {
	sqldbtest.Each(t, store.Migrations, func(t *testing.T, db *sqldb.DB) {
		b := New(db, Config{Minute: time.Minute, Day: time.Hour, MaxWait: time.Hour}, time.Now)
		for range 4 {
			_, err := b.Acquire(t.Context(), Ask{Key: tenant, Limits: limits, Lane: Background, Life: time.Minute})
			require.NoError(t, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := b.Acquire(ctx, ask(tenant, Background))
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestPurge(t *testing.T) {
	sqldbtest.Each(t, store.Migrations, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		b := New(db, real, c.now)
		one(t, b, tenant, Background)
		rows := func() (n int) {
			require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
				return tx.QueryRow(`SELECT COUNT(*) FROM budget_usage`).Scan(&n)
			}))
			return n
		}
		require.NoError(t, b.Purge(t.Context()))
		require.Equal(t, 3, rows())
		c.advance(2 * time.Minute)
		require.NoError(t, b.Purge(t.Context()))
		require.Equal(t, 1, rows(), "the day's")
		c.advance(25 * time.Hour)
		_, err := b.Acquire(t.Context(), Ask{Key: Key{App: "dead", Tenant: "t"}, Limits: limits, Lane: Background, Life: time.Minute})
		require.NoError(t, err, "a call whose process dies")
		require.NoError(t, b.Purge(t.Context()))
		require.Zero(t, rows())
		c.advance(25 * time.Hour)
		require.NoError(t, b.Purge(t.Context()))
		var running int
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(`SELECT COUNT(*) FROM budget_calls`).Scan(&running)
		}))
		require.Zero(t, running)
	})
}
