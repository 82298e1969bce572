package budget_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"

	"github.com/concord-suite/concord/services/connector/internal/provider/budget"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// replicaEnv makes the test binary a replica instead of running tests: it holds an order.
const replicaEnv = "CONCORD_BUDGET_REPLICA"

func TestMain(m *testing.M) {
	text := os.Getenv(replicaEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	if err := serve([]byte(text), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "replica:", err)
		os.Exit(1)
	}
}

// order is what a replica process is told.
type order struct {
	Database, Provider      string
	Tenants                 []string
	PerMinute, AppPerMinute int
	Minute                  time.Duration
	Skew                    time.Duration
}

// serve calls for every tenant as much as it may, until somebody closes its input, and prints how many calls it made.
func serve(text []byte, in io.Reader, out io.Writer) error {
	var o order
	if err := json.Unmarshal(text, &o); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() { _, _ = io.Copy(io.Discard, in); stop() }()
	db, err := sqldb.Open(ctx, sqldb.Config{URL: o.Database})
	if err != nil {
		return err
	}
	defer db.Close()
	cfg := minute
	cfg.Minute, cfg.MaxWait = o.Minute, time.Minute
	b := budget.New(db, cfg, func() time.Time { return time.Now().Add(o.Skew) })
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	made := make([]int, len(o.Tenants))
	var group errgroup.Group
	for i, tenant := range o.Tenants {
		ask := budget.Ask{Key: budget.Key{App: app, Tenant: tenant}, Firm: firmOf(i), Lane: budget.Background,
			Limits: limits(o.PerMinute, o.AppPerMinute), Life: 30 * time.Second}
		group.Go(func() (err error) {
			made[i], err = use(ctx, b, ask, func(tenant string) int { return get(client, o.Provider, tenant) })
			if ctx.Err() != nil {
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	sum := 0
	for _, n := range made {
		sum += n
	}
	_, err = fmt.Fprintln(out, sum)
	return err
}

func get(client *http.Client, provider, tenant string) int {
	r, err := http.NewRequest(http.MethodGet, provider+"/api/thing", nil)
	if err != nil {
		return 0
	}
	r.Header.Set("Authorization", "Bearer x")
	r.Header.Set("xero-tenant-id", tenant)
	resp, err := client.Do(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// TestReplicaProcesses runs three processes, whose clocks differ, on one PostgreSQL against a provider that counts, with
// fifty tenants and a minute that lasts six seconds. How much they use depends on the machine here; that nothing is
// refused does not.
func TestReplicaProcesses(t *testing.T) {
	const perMinute, perApp, factor, lasting = 20, 240, 10, 18 * time.Second
	c := newCounted(t, fifty, perMinute, perApp, factor, func() { pass(50 * time.Millisecond) })
	server := httptest.NewServer(c.handler)
	defer server.Close()
	url := sqldbtest.URL(t, sqldb.Postgres)
	sqldbtest.Open(t, url, store.Migrations)
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	window := time.Minute / factor
	var commands []*exec.Cmd
	var inputs []io.Closer
	outs := make([]strings.Builder, len(skews))
	for i := range skews {
		text, err := json.Marshal(order{Database: url, Provider: server.URL, Tenants: c.tenants, PerMinute: perMinute, AppPerMinute: perApp,
			Minute: window, Skew: skews[i] / factor})
		require.NoError(t, err)
		cmd := exec.CommandContext(ctx, self)
		cmd.Env = append(os.Environ(), replicaEnv+"="+string(text))
		cmd.Stdout, cmd.Stderr = &outs[i], os.Stderr
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		commands, inputs = append(commands, cmd), append(inputs, in)
	}
	select {
	case <-time.After(lasting):
	case <-ctx.Done():
	}
	for i, cmd := range commands {
		require.NoError(t, inputs[i].Close())
		require.NoError(t, cmd.Wait(), "a replica met a limit, or failed")
	}
	require.Zero(t, c.refused())
	require.NotEmpty(t, c.all())
	peak := 0
	for _, n := range c.gate.Peaks() {
		peak = max(peak, n)
	}
	require.LessOrEqual(t, peak, 5)
	worst := 0
	for _, tenant := range c.tenants {
		worst = max(worst, most(c.all(tenant), window))
	}
	require.LessOrEqual(t, worst, perMinute)
	require.LessOrEqual(t, most(c.all(), window), perApp)
	t.Logf("%d calls by processes that counted %s, %s and %s: none refused; at most %d of %d in a tenant's minute, %d of %d in the app's, %d of 5 at once; "+
		"%.1f %% of what the reserve leaves of the app's minute used on this machine", len(c.all()), strings.TrimSpace(outs[0].String()),
		strings.TrimSpace(outs[1].String()), strings.TrimSpace(outs[2].String()), worst, perMinute, most(c.all(), window), perApp, peak,
		100*used(c.all(), perApp-perApp/20, window))
}

// most is how many calls are in any window of that length, wherever it begins.
func most(at []time.Time, window time.Duration) (n int) {
	from := 0
	for to := range at {
		for at[to].Sub(at[from]) >= window {
			from++
		}
		n = max(n, to-from+1)
	}
	return n
}
