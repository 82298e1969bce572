package load

import (
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/test/topology"
)

const (
	// starts are measured, and the middle one counts.
	starts = 7
	// idleFor is how long the program has had nothing to do when its memory is looked at.
	idleFor = 10 * time.Second
)

// BenchmarkAllInOne measures how long bin/concord takes on an existing data directory from its start to /readyz saying
// 204, against the same program answering `version`, which is what the machine needs to load and run it at all; and what
// it holds in memory after it did nothing for 10 s.
func BenchmarkAllInOne(b *testing.B) {
	for b.Loop() {
		p := connect(b, topology.OneProcess, topology.Options{Clients: size(b, "LOAD_SMALL_CLIENTS", 1000)})
		p.settled(b)
		program := p.Processes["concord"]
		var ready, bare []time.Duration
		var ratios []float64
		for range starts {
			program.Stop(b)
			began := time.Now()
			require.NoError(b, exec.Command(topology.Binary(b, "concord"), "version").Run())
			bare = append(bare, time.Since(began))
			began = time.Now()
			program.Launch(b)
			p.awaitReady(b)
			ready = append(ready, time.Since(began))
			ratios = append(ratios, ready[len(ready)-1].Seconds()/bare[len(bare)-1].Seconds())
		}
		pid := pidOf(b, "concord", p.Dir)
		pause(b, idleFor)
		before := cpu(b, pid)
		pause(b, idleFor)
		idle := (cpu(b, pid) - before).Seconds() / idleFor.Seconds()
		report(b, float64(median(ready).Milliseconds()), "ms-to-ready")
		report(b, median(ratios), "of-bare-start")
		report(b, float64(status(b, pid, "VmRSS"))/mib, "idle-MiB")
		report(b, 100*idle, "idle-CPU-%")
	}
}

// awaitReady asks every millisecond, so that the asking is no part of what is measured.
func (p *practice) awaitReady(b *testing.B) {
	b.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := http.Get(p.URL + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusNoContent {
				return
			}
		}
		select {
		case <-tick.C:
		case <-b.Context().Done():
			b.Fatal("it never became ready")
		}
	}
}
