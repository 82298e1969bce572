package storm

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
)

// unavailable are the reasons for which a service may be unable to answer while a storm goes on; without one of them, 503
// is a finding.
var unavailable = []string{
	"SCOPE_STALE",       // a contact's relations are under way
	"BUSY",              // too many passwords at once
	"PIN_UNDELIVERABLE", // no message may be sent to what the storm calls a number
	"PROVIDER_",         // the simulated provider keeps its limits
	"CONTACT_UNCONFIRMED",
	"TOO_MANY",
}

// tally counts answers.
type tally struct {
	mu    sync.Mutex
	calls map[string]map[string]int // by call, by code
	done  map[string]int            // what was done, by kind of caller
	kinds map[string]int            // requests by kind of caller
	bad   map[string]int            // findings
	took  map[string]time.Duration  // by call, all together
	// waking is how long everybody waited for callers who signed in again.
	waking time.Duration
}

func newTally() *tally {
	return &tally{calls: map[string]map[string]int{}, done: map[string]int{}, kinds: map[string]int{}, bad: map[string]int{}, took: map[string]time.Duration{}}
}

// add counts an answer.
func (t *tally) add(o outcome, leaked []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	by := t.calls[o.way+" "+o.call]
	if by == nil {
		by = map[string]int{}
		t.calls[o.way+" "+o.call] = by
	}
	by[o.code]++
	t.took[o.way+" "+o.call] += o.took
	t.kinds[o.who.kind]++
	if o.ok() {
		t.done[o.who.kind]++
	}
	if len(leaked) > 0 {
		t.bad[fmt.Sprintf("%s %s as %s of %s answers %s with ids of another firm: %v", o.way, o.call, o.who.kind, o.who.firm, o.code, leaked)]++
	}
	if !t.innocent(o) {
		t.bad[fmt.Sprintf("%s %s as %s: %s %s %s", o.way, o.call, o.who.kind, o.code, o.reason, clip(o.detail))]++
	}
	for _, word := range []string{"SQLSTATE", "sqlite", "goroutine ", "runtime error", "pgx:", "jackc/pgx", "pgconn"} {
		if strings.Contains(o.answer, word) && !strings.Contains(o.sent, word) {
			t.bad[fmt.Sprintf("%s %s as %s: the answer holds %q", o.way, o.call, o.who.kind, word)]++
		}
	}
}

func clip(s string) string { return s[:min(len(s), 160)] }

// innocent says whether a code may be answered to a random request.
func (t *tally) innocent(o outcome) bool {
	explained := slices.ContainsFunc(unavailable, func(reason string) bool { return strings.Contains(o.reason, reason) })
	if o.way == "gRPC" {
		if o.code == "Unavailable" {
			return explained
		}
		return o.streamed && o.code == "DeadlineExceeded" || slices.ContainsFunc(innocent, func(c codes.Code) bool { return c.String() == o.code })
	}
	switch {
	case o.code == "503":
		return explained
	case o.code == "not sent":
		return true
	case o.code == "no answer", o.code == "cut":
		return o.streamed
	}
	return o.code < "500"
}

// findings are what must not have happened, most frequent first.
func (t *tally) findings() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []string
	for what, n := range t.bad {
		all = append(all, fmt.Sprintf("%5d x %s", n, what))
	}
	slices.Sort(all)
	slices.Reverse(all)
	return all
}

// table is every call with how often each code was answered.
func (t *tally) table() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	total := 0
	for _, call := range slices.Sorted(maps.Keys(t.calls)) {
		fmt.Fprintf(&b, "%-100s", call)
		for _, code := range slices.Sorted(maps.Keys(t.calls[call])) {
			fmt.Fprintf(&b, " %s:%d", code, t.calls[call][code])
			total += t.calls[call][code]
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%d answers; requests done, of all:", total)
	for _, kind := range slices.Sorted(maps.Keys(t.kinds)) {
		fmt.Fprintf(&b, " %s %d/%d,", kind, t.done[kind], t.kinds[kind])
	}
	slowest := slices.SortedFunc(maps.Keys(t.took), func(a, b string) int { return cmp.Compare(t.took[b], t.took[a]) })
	b.WriteString("\nmost time went into:")
	for _, call := range slowest[:min(8, len(slowest))] {
		fmt.Fprintf(&b, " %s %s,", call, t.took[call].Round(time.Millisecond))
	}
	fmt.Fprintf(&b, " signing in again %s\n", t.waking.Round(time.Millisecond))
	return b.String()
}

// complete looks that the storm was one: every kind of caller got something done, and with enough requests every way in
// was tried.
func (t *tally) complete(tt *testing.T, s *storm, total int) {
	for kind, n := range t.kinds {
		if n > 100 {
			require.NotZero(tt, t.done[kind], "nothing that a %s asked for was done in %d requests", kind, n)
		}
	}
	if total < 20*(len(s.rest.operations)+len(s.grpc.methods)) {
		return
	}
	for _, op := range s.rest.operations {
		require.NotEmpty(tt, t.calls["REST "+op.verb+" "+op.path], "%s %s was not called", op.verb, op.path)
	}
	for _, m := range s.grpc.methods {
		require.NotEmpty(tt, t.calls["gRPC "+string(m.FullName())[len("concord."):]], "%s was not called", m.FullName())
	}
}
