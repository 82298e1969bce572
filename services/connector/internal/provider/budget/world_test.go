package budget_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/sim/gateway"
	"github.com/concord-suite/concord/sim/world"

	"github.com/concord-suite/concord/services/connector/internal/provider/budget"
)

const app = "xero/app"

// counted is the provider as the simulated world counts: its own limits over tenants made for the test.
type counted struct {
	store   *world.Store
	gate    *gateway.Gateway
	handler http.Handler
	tenants []string

	mu   sync.Mutex
	seen map[string][]time.Time // when calls were let pass, by tenant
}

// token is what every call is made with.
type token struct{}

func (token) Verify(string) (gateway.Bearer, error) {
	return gateway.Bearer{App: "app", Person: "person", Scope: []string{"all"}}, nil
}

// newCounted makes a provider of so many tenants. work is how long it takes to answer.
func newCounted(t *testing.T, tenants, perMinute, appPerMinute int, factor float64, work func()) *counted {
	t.Helper()
	store, err := world.Open("", time.Now)
	require.NoError(t, err)
	c := &counted{store: store, seen: map[string][]time.Time{}}
	require.NoError(t, store.Update(func(tx *world.Tx) error {
		person := world.Person{ID: "person"}
		for i := range tenants {
			id := fmt.Sprintf("%08d-0000-4000-8000-000000000000", i)
			c.tenants = append(c.tenants, id)
			tx.Tenants.Put(tx, id, &world.Tenant{ID: id})
			tx.Connections.Put(tx, id, &world.Connection{App: "app", Person: person.ID, Tenant: id})
			person.Members = append(person.Members, world.Role{Tenant: id, FullAccess: true})
		}
		tx.People.Put(tx, person.ID, &person)
		settings := world.DefaultSettings()
		settings.PerMinute, settings.AppPerMinute, settings.PerDay = perMinute, appPerMinute, 1_000_000
		tx.Settings.Put(tx, world.SettingsKey, &settings)
		return nil
	}))
	c.gate = gateway.New(store, token{}, factor)
	c.handler = c.gate.Wrap(func(*http.Request) []string { return []string{"all"} }, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.seen[gateway.CallOf(r.Context()).Tenant] = append(c.seen[gateway.CallOf(r.Context()).Tenant], time.Now())
		c.mu.Unlock()
		work()
	}))
	require.Equal(t, perMinute, store.Rules().PerMinute)
	return c
}

// call makes a call without a network.
func (c *counted) call(tenant string) int {
	r := httptest.NewRequest(http.MethodGet, "/api/thing", nil)
	r.Header.Set("Authorization", "Bearer x")
	r.Header.Set("xero-tenant-id", tenant)
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	return w.Code
}

// refused is how many calls the provider refused.
func (c *counted) refused() (n int) {
	c.store.View(func(s *world.State) {
		for _, row := range s.Calls.All() {
			n += row.Refused
		}
	})
	return n
}

// all are the times of all calls, or of some tenants'.
func (c *counted) all(tenants ...string) (at []time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for tenant, seen := range c.seen {
		if len(tenants) == 0 || slices.Contains(tenants, tenant) {
			at = append(at, seen...)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// used is the part of a limit that was used: the limit forces the call so many places later to come a window later, and
// how much later it came is what was left unused.
func used(at []time.Time, limit int, window time.Duration) float64 {
	var gaps time.Duration
	n := 0
	for i := limit; i < len(at); i++ {
		gaps += at[i].Sub(at[i-limit])
		n++
	}
	if n == 0 {
		return 0
	}
	return float64(window) * float64(n) / float64(gaps)
}

// pass waits up to d.
func pass(d time.Duration) { <-time.After(rand.N(d)) }

// use makes calls of a kind one after the other until ctx ends. A database that a busy machine keeps from answering in time
// is asked again, as callers do; what was not written down lapses.
func use(ctx context.Context, b *budget.Budget, a budget.Ask, call func(tenant string) int) (made int, err error) {
	for ctx.Err() == nil {
		p, err := b.Acquire(ctx, a)
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, sqldb.ErrBusy) {
			pass(50 * time.Millisecond)
			continue
		}
		if err != nil {
			return made, err
		}
		pass(100 * time.Millisecond)
		if code := call(a.Tenant); code != http.StatusOK {
			return made, fmt.Errorf("the provider answered %d to %s", code, a.Tenant)
		}
		answered := time.Now()
		pass(50 * time.Millisecond)
		made++
		if err := p.End(ctx, budget.Told{DayLeft: -1, Answered: answered, Whole: true}); err != nil && !errors.Is(err, sqldb.ErrBusy) {
			return made, err
		}
	}
	return made, nil
}
