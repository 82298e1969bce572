package auth_test

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// BenchmarkFlood sends sign-ins all at once, by strangers from everywhere, and reports how much memory the service had at
// most while it answered them: with 1,000 it is what it is with 50, since passwords wait for one of a few slots and those
// who wait too long are told to come back. Argon2id takes 19 MiB in each slot.
func BenchmarkFlood(b *testing.B) {
	for _, many := range []int{50, 1000} {
		b.Run(fmt.Sprint(many), func(b *testing.B) {
			s := onSQLite(b, options{run: true, realHashes: true, quiet: true})
			admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
			var peak uint64
			var refused, busy atomic.Int64
			for b.Loop() {
				peak = max(peak, peakWhile(func() { s.flood(b, many, &refused, &busy) }))
			}
			b.ReportMetric(float64(peak)/(1<<20), "MiB-peak")
			b.ReportMetric(float64(refused.Load())/float64(b.N), "answered/op")
			b.ReportMetric(float64(busy.Load())/float64(b.N), "told-to-come-back/op")
			s.signInAs(admin)
		})
	}
}

// flood sends so many wrong sign-ins at the same time.
func (s *suite) flood(t testing.TB, many int, refused, busy *atomic.Int64) {
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			_, err := s.signIn.StartSignIn(s.nobody(fmt.Sprintf("2001:db8:%x::1", i)), &authv1.StartSignInRequest{
				Email: fmt.Sprintf("nobody%d@flood%d.example", i, i), Password: passphrase,
			})
			switch {
			case err != nil && comeBack(err):
				busy.Add(1)
			case rpcerr.Has(err, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED):
				refused.Add(1)
			default:
				t.Errorf("answered %v", err)
			}
		})
	}
	wg.Wait()
}

// peakWhile returns how many bytes of heap were in use at most while fn ran.
func peakWhile(fn func()) (peak uint64) {
	done := make(chan struct{})
	go func() { defer close(done); fn() }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var m runtime.MemStats
	for {
		select {
		case <-done:
			return peak
		case <-tick.C:
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	}
}

// What a flood of sign-ins takes in memory is bounded by the slots for passwords, not by the flood.
func TestAFloodTakesNoMoreMemoryThanItsSlots(t *testing.T) {
	s := onSQLite(t, options{run: true, realHashes: true, quiet: true, environ: []string{"CONCORD_AUTH_PASSWORDS_AT_ONCE=2"}})
	var refused, busy atomic.Int64
	few := peakWhile(func() { s.flood(t, 50, &refused, &busy) })
	runtime.GC()
	many := peakWhile(func() { s.flood(t, 300, &refused, &busy) })
	// 300 at once would take 5.6 GiB. Beside the slots there are as many requests under way, a few KiB each.
	const room = 192 << 20
	require.Less(t, many, few+room, "%d MiB for 50, %d MiB for 300", few>>20, many>>20)
	require.EqualValues(t, 350, refused.Load()+busy.Load())
}
