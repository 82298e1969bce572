// Package load measures a running suite from outside. Nothing here fails because a machine is slow: every benchmark prints
// what it found as a ratio to something measured in the same run, and docs/performance.md says what the ratio should be.
//
// Most benchmarks start a suite for every iteration, so they want -benchtime 1x; `make bench` runs them that way.
package load

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(bareGateway); address != "" {
		os.Exit(serveBareGateway(address))
	}
	code := topology.Main(m)
	fmt.Print(tables.String())
	os.Exit(code)
}

// tables are printed after all benchmarks: the testing package cuts what a benchmark logs after ten lines.
var tables strings.Builder

// size is a number that the environment may change, for measurements that take longer than a benchmark should.
func size(b *testing.B, name string, normal int) int {
	text := os.Getenv(name)
	if text == "" {
		return normal
	}
	n, err := strconv.Atoi(text)
	require.NoError(b, err, name)
	return n
}

// practice is a suite whose administrator has connected a practice and seen its first run end.
type practice struct {
	*topology.Suite
	admin *story.Person
	conn  *connectorv1.Connection
	first *syncv1.Run
}

// connect starts a suite and connects a practice of so many clients.
func connect(b *testing.B, kind topology.Kind, o topology.Options) *practice {
	b.Helper()
	o.Env = append(o.Env, "CONCORD_SYNC_DETAILS_SHARE=0") // runs are measured, and not what goes on after them
	s := topology.Start(b, kind, o)
	p := &practice{Suite: s, admin: s.Firm(b, s.Claim(b), "harbour")}
	p.conn = p.admin.Connect(b, nil)
	p.first = p.admin.FirstRun(b)
	require.Equal(b, syncv1.RunState_RUN_STATE_SUCCEEDED, p.first.GetState(), p.first.GetMessage())
	return p
}

// full does a full run.
func (p *practice) full(b *testing.B) *syncv1.Run {
	b.Helper()
	run := p.admin.Run(b, p.conn.GetName(), syncv1.RunKind_RUN_KIND_FULL)
	require.Equal(b, syncv1.RunState_RUN_STATE_SUCCEEDED, run.GetState(), run.GetMessage())
	return run
}

// report names a metric; the time of an iteration, which includes starting a suite, says nothing and is left out.
func report(b *testing.B, value float64, unit string) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(value, unit)
}

// median is the middle of what was measured: one slow or one lucky sample must not move it.
func median[T int64 | float64 | time.Duration](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// table prints aligned rows at the end.
func table(b *testing.B, title string, rows [][]string) {
	b.Helper()
	width := map[int]int{}
	for _, r := range rows {
		for i, cell := range r {
			width[i] = max(width[i], len(cell))
		}
	}
	fmt.Fprintf(&tables, "\n%s: %s\n", b.Name(), title)
	for _, r := range rows {
		for i, cell := range r {
			fmt.Fprintf(&tables, "  %-*s", width[i], cell)
		}
		tables.WriteByte('\n')
	}
}

// pause lets time pass where time itself is the subject, as in "idle for 10 s".
func pause(b *testing.B, d time.Duration) {
	b.Helper()
	select {
	case <-time.After(d):
	case <-b.Context().Done():
		b.Fatal("the benchmark ended while it paused")
	}
}
