package load

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

// unlimited are settings with which no limit of a provider is ever met.
var unlimited = []string{
	"CONCORD_CONNECTOR_XPM_CONCURRENT=100", "CONCORD_CONNECTOR_XPM_PER_MINUTE=100000", "CONCORD_CONNECTOR_XPM_PER_DAY=10000000",
	"CONCORD_CONNECTOR_XPM_APP_PER_MINUTE=10000000",
}

// BenchmarkEngine measures the first full sync of a practice on PostgreSQL without limits, from its worker's beginning to
// its end, against a COPY and merge of the very rows it left behind, on the same server right after it; and the memory
// of the sync process with a large practice against a small one.
//
// Rows are those that the run leaves in sync's tables and that somebody needs afterwards: clients, contacts, their links
// and relations, client history, the changes of the plan, and the events by which the other services learn of them. What
// it writes on the way (pages, staged contacts, its own row) is its own matter and not counted. The COPY gets the rows
// ready made and commits once.
//
// This is the whole chain: the provider makes XML, connector reads it, sync compares and writes, all on one machine with
// the COPY's one process as the comparison. "suite" is with auth, documents and the broker reacting to the events at the
// same time, "chain" with those three held still until the run is over, as if they had machines of their own. What sync
// alone does with records that are there is BenchmarkFullSync in services/sync/internal/runner.
func BenchmarkEngine(b *testing.B) {
	for b.Loop() {
		small := engine(b, size(b, "LOAD_SMALL_CLIENTS", 1000), false)
		large := engine(b, size(b, "LOAD_CLIENTS", 20_000), false)
		chain := engine(b, size(b, "LOAD_CHAIN_CLIENTS", 5000), true)
		report(b, float64(chain.bare)/float64(chain.took), "chain-of-bare-rate")
		report(b, float64(large.bare)/float64(large.took), "suite-of-bare-rate")
		report(b, float64(large.rows)/large.took.Seconds(), "rows/s")
		report(b, float64(large.rows)/large.bare.Seconds(), "bare-rows/s")
		report(b, float64(large.peak)/float64(small.peak), "peak-of-small")
		report(b, float64(large.peak)/mib, "peak-MiB")
		report(b, float64(small.peak)/mib, "small-peak-MiB")
	}
}

// measured is what one engine run showed.
type measured struct {
	rows       int64
	took, bare time.Duration
	peak       int64
}

func engine(b *testing.B, clients int, alone bool) measured {
	s := topology.Start(b, topology.ManyProcesses, topology.Options{Clients: clients, Env: unlimited})
	require.NoError(b, s.World.Do(b.Context(), "POST", "/control/settings",
		map[string]int{"per_minute": 1e9, "per_day": 1e9, "concurrent": 1000, "app_per_minute": 1e9}, nil))
	p := &practice{Suite: s, admin: s.Firm(b, s.Claim(b), "harbour")}
	pids := p.pids(b)
	watcher := p.server(b)
	before := p.usage(b, pids)
	before["postgres"] = watcher.cpu()
	p.conn = p.admin.Connect(b, nil)
	name := p.firstRun(b)
	release := func() {}
	if alone {
		release = hold(b, pids["auth"], pids["documents"], pids["nats"])
		defer release()
	}
	run, phases := p.watchRun(b, name)
	require.Equal(b, syncv1.RunState_RUN_STATE_SUCCEEDED, run.GetState(), run.GetMessage())
	after := p.usage(b, pids)
	after["postgres"] = watcher.cpu()
	m := measured{peak: status(b, pids["sync"], "VmHWM"), took: run.GetEndTime().AsTime().Sub(run.GetStartTime().AsTime())}
	release()
	p.stop(b) // what follows has the server to itself
	m.rows, m.bare = watcher.copyAndMerge()

	rows := [][]string{{"phase", "s"}}
	for _, name := range slices.Sorted(maps.Keys(phases)) {
		rows = append(rows, []string{name, fmt.Sprintf("%.2f", phases[name].Seconds())})
	}
	rows = append(rows, []string{"process", "CPU s"})
	for _, name := range slices.Sorted(maps.Keys(after)) {
		rows = append(rows, []string{name, fmt.Sprintf("%.2f", (after[name] - before[name]).Seconds())})
	}
	table(b, fmt.Sprintf("%d clients: %d rows in %.2f s, bare in %.2f s; sync's peak %d MiB",
		clients, m.rows, m.took.Seconds(), m.bare.Seconds(), m.peak/mib), rows)
	return m
}

// hold stops processes in their tracks until the returned function lets them go on.
func hold(b *testing.B, pids ...int) (release func()) {
	b.Helper()
	signal := func(s syscall.Signal) {
		for _, pid := range pids {
			require.NoError(b, syscall.Kill(pid, s))
		}
	}
	signal(syscall.SIGSTOP)
	return sync.OnceFunc(func() { signal(syscall.SIGCONT) })
}

// firstRun waits for the first run to start, and answers its name.
func (p *practice) firstRun(b *testing.B) (name string) {
	b.Helper()
	story.Eventually(b, "the first run starts", func() bool {
		list := new(syncv1.ListRunsResponse)
		require.NoError(b, p.admin.Call(b.Context(), "GET", "/v1/"+p.admin.Firm+"/runs", nil, list))
		for _, r := range list.GetRuns() {
			name = r.GetName()
		}
		return name != ""
	})
	return name
}

// watchRun follows a run to its end, and answers how long it was seen in each phase.
func (p *practice) watchRun(b *testing.B, name string) (*syncv1.Run, map[string]time.Duration) {
	b.Helper()
	phases := map[string]time.Duration{}
	phase, since := "", time.Now()
	end, err := p.admin.Watch(b.Context(), name, func(r *syncv1.Run) {
		now := time.Now()
		if phase != "" {
			phases[phase] += now.Sub(since)
		}
		phase, since = r.GetPhase().String(), now
	})
	require.NoError(b, err)
	return end, phases
}

// pids finds the suite's own programs.
func (p *practice) pids(b *testing.B) map[string]int {
	b.Helper()
	out := map[string]int{"sim": pidOf(b, "concord-sim", p.Dir), "nats": pidOf(b, "nats-server", p.Dir)}
	for _, name := range programs(p) {
		out[name] = pidOf(b, "concord-"+name, p.Dir)
	}
	return out
}

// usage is the CPU time each process has used.
func (p *practice) usage(b *testing.B, pids map[string]int) map[string]time.Duration {
	b.Helper()
	out := map[string]time.Duration{}
	for name, pid := range pids {
		out[name] = cpu(b, pid)
	}
	return out
}
