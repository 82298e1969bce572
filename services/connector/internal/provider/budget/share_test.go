package budget_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/budget"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// The tests of this file run in a bubble in which time passes only while everybody waits. Databases are real; however slow
// the machine is, the figures come out as if it were infinitely fast.

// skews are how far the replicas' clocks are off: half a second between the two furthest.
var skews = []time.Duration{-250 * time.Millisecond, 0, 250 * time.Millisecond}

// replicas opens one account per replica, each with connections of its own.
func replicas(t *testing.T, url string, cfg budget.Config) []*budget.Budget {
	var all []*budget.Budget
	db := sqldbtest.Open(t, url, store.Migrations)
	for i, skew := range skews {
		if i > 0 && db.Dialect() == sqldb.Postgres { // a SQLite file has one process
			db = sqldbtest.Open(t, url, nil)
		}
		all = append(all, budget.New(db, cfg, func() time.Time { return time.Now().Add(skew) }))
	}
	return all
}

func limits(perMinute, appPerMinute int) provider.Limits {
	return provider.Limits{Concurrent: 5, PerMinute: perMinute, PerDay: 1_000_000, AppPerMinute: appPerMinute,
		Reserve: provider.Reserve{Concurrent: 1, PerMinute: perMinute / 10, PerDay: 250, AppPerMinute: appPerMinute / 20},
		Runs:    provider.Reserve{Concurrent: 1, PerDay: 500}}
}

var minute = budget.Config{Minute: time.Minute, Day: 24 * time.Hour, MaxWait: 2 * time.Minute, Weights: map[string]int{"heavy": 2}}

// firmOf spreads fifty tenants over firms: one that floods, one of twice the weight, one that is ordinary, and one with a
// single tenant and little to do.
func firmOf(i int) string {
	switch {
	case i < 30:
		return "flooding"
	case i < 40:
		return "heavy"
	case i < 49:
		return "ordinary"
	}
	return "modest"
}

const fifty = 50

// flood lets every replica call for every tenant for some time, as much as it may.
func flood(t *testing.T, c *counted, all []*budget.Budget, l provider.Limits, lane budget.Lane, d time.Duration) {
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	for i, tenant := range c.tenants {
		ask := budget.Ask{Key: budget.Key{App: app, Tenant: tenant}, Firm: firmOf(i), Lane: lane, Limits: l, Life: time.Minute}
		workers := 6
		switch {
		case ask.Firm == "modest":
			workers = 1
		case raced:
			workers = len(all)
		}
		for w := range workers {
			b := all[w%len(all)]
			group.Go(func() error {
				for ctx.Err() == nil {
					if ask.Firm == "modest" {
						pass(6 * time.Second)
						one, cancel := context.WithCancel(ctx)
						_, err := use(one, b, ask, func(tenant string) int { defer cancel(); return c.call(tenant) })
						cancel()
						if err != nil && ctx.Err() == nil {
							return err
						}
						continue
					}
					if _, err := use(ctx, b, ask, c.call); err != nil && !errors.Is(err, context.DeadlineExceeded) {
						return err
					}
				}
				return nil
			})
		}
	}
	require.NoError(t, group.Wait())
}

// TestEveryTenantsMinuteIsUsed: three replicas and fifty tenants, each as busy as it may be.
func TestEveryTenantsMinuteIsUsed(t *testing.T) {
	sqldbtest.EachURL(t, func(t *testing.T, url string) {
		synctest.Test(t, func(t *testing.T) {
			perMinute, lasting := 20, 3*time.Minute
			if raced {
				perMinute = 10
			}
			c := newCounted(t, fifty, perMinute, 10000, 1, func() { pass(300 * time.Millisecond) })
			flood(t, c, replicas(t, url, minute), limits(perMinute, 10000), budget.Background, lasting)
			require.Zero(t, c.refused())
			worst := 1.0
			for i, tenant := range c.tenants {
				if firmOf(i) != "modest" {
					worst = min(worst, used(c.all(tenant), perMinute-perMinute/10, time.Minute))
				}
				require.LessOrEqual(t, c.gate.Peaks()[tenant], 4)
			}
			require.GreaterOrEqual(t, worst, 0.95)
			t.Logf("%d calls of %d tenants through %d replicas in %s: none refused; of what the reserve leaves, the tenant that used least used %.1f %%",
				len(c.all()), fifty, len(skews), lasting, worst*100)
		})
	})
}

// TestTheAppsMinuteIsUsedAndShared: the same with an app limit that is short, so that the firms must share it.
func TestTheAppsMinuteIsUsedAndShared(t *testing.T) {
	sqldbtest.EachURL(t, func(t *testing.T, url string) {
		synctest.Test(t, func(t *testing.T) {
			perApp, lasting := 400, 3*time.Minute
			if raced {
				perApp = 180
			}
			c := newCounted(t, fifty, 60, perApp, 1, func() { pass(300 * time.Millisecond) })
			flood(t, c, replicas(t, url, minute), limits(60, perApp), budget.Background, lasting)
			require.Zero(t, c.refused())
			share := used(c.all(), perApp-perApp/20, time.Minute)
			if !raced { // a smaller limit has fewer calls to make up for one that comes late
				require.GreaterOrEqual(t, share, 0.95)
			}

			of, settled := map[string]int{}, time.Now().Add(-lasting+time.Minute) // the first minute is whose comes first
			for i, tenant := range c.tenants {
				for _, at := range c.all(tenant) {
					if at.After(settled) {
						of[firmOf(i)]++
					}
				}
			}
			require.InDelta(t, of["flooding"], of["ordinary"], 0.1*float64(of["ordinary"]), "thirty tenants get no more than nine")
			require.InDelta(t, 2*of["ordinary"], of["heavy"], 0.1*float64(of["heavy"]), "twice the weight is twice the share")
			require.Greater(t, of["modest"], 2*of["flooding"]/30, "who wants little goes before each of those who flood")
			t.Logf("%d calls of %d tenants of 4 firms through %d replicas in %s: none refused; of what the reserve leaves %.1f %% were used; "+
				"flooding %d, ordinary %d, heavy %d, modest %d", len(c.all()), fifty, len(skews), lasting, share*100,
				of["flooding"], of["ordinary"], of["heavy"], of["modest"])
		})
	})
}

// TestOneJobTheLimitBounds: two thousand reads at 60 a minute and 5 at once, in either lane that can wait.
func TestOneJobTheLimitBounds(t *testing.T) {
	for name, lane := range map[string]budget.Lane{"background": budget.Background, "least": budget.Least} {
		t.Run(name, func(t *testing.T) {
			url := sqldbtest.URL(t, sqldb.SQLite)
			synctest.Test(t, func(t *testing.T) {
				const perMinute, left = 60, 54
				reads := 2000
				if raced {
					reads = 8*left + 1
				}
				c := newCounted(t, 1, perMinute, 10000, 1, func() { pass(300 * time.Millisecond) })
				all := replicas(t, url, minute)
				ask := budget.Ask{Key: budget.Key{App: app, Tenant: c.tenants[0]}, Lane: lane, Limits: limits(perMinute, 10000), Life: time.Minute}
				began := time.Now()
				todo := make(chan struct{}, reads)
				for range reads {
					todo <- struct{}{}
				}
				close(todo)
				var group errgroup.Group
				for w := range 6 {
					group.Go(func() error {
						for range todo {
							one, cancel := context.WithCancel(t.Context())
							_, err := use(one, all[w%len(all)], ask, func(tenant string) int { defer cancel(); return c.call(tenant) })
							cancel()
							if err != nil {
								return err
							}
						}
						return nil
					})
				}
				require.NoError(t, group.Wait())
				took, forced := time.Since(began), time.Minute*time.Duration((reads-1)/left)
				require.Zero(t, c.refused())
				require.Len(t, c.all(), reads)
				require.LessOrEqual(t, took.Seconds(), 1.05*forced.Seconds())
				t.Logf("%d reads in %s, %.3f of the %s that the limit less the reserve forces; none refused", reads, took.Round(time.Second),
					took.Seconds()/forced.Seconds(), forced)
			})
		})
	}
}
