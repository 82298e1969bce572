package custody_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"
)

// TestGrantsInUseAreRenewedAhead: over two hours grants that were made at once are used by three replicas every few
// minutes. Nobody ever waits for a renewal, none happens twice, and they do not happen at once. Upkeep comes round every
// half minute, the time that is left between the latest moment of a renewal ahead and the one at which it falls due.
func TestGrantsInUseAreRenewedAhead(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		replicas := []replica{b.replica(), b.replica(), b.replica()}
		const used, minutes = 12, 120
		var grants []string
		for range used {
			grants = append(grants, b.grant(replicas[0]).ID)
		}
		idle := b.grant(replicas[0])
		moments, renewed := map[int]bool{}, 0
		for round := range 2 * minutes {
			b.forward(time.Minute / 2)
			minute := round / 2
			if round%8 == 0 {
				before := b.calls.Load()
				for i, grant := range grants {
					b.token(replicas[(round/8+i)%len(replicas)], grant)
				}
				require.Equal(t, before, b.calls.Load(), "somebody waited for a renewal")
			}
			ages := map[string]time.Time{}
			for _, grant := range grants {
				ages[grant] = b.row(replicas[0], grant).AccessIssued
			}
			before := b.calls.Load()
			var group errgroup.Group
			for _, r := range replicas {
				group.Go(func() error { return r.Upkeep(t.Context()) })
			}
			require.NoError(t, group.Wait())
			now := 0
			for _, grant := range grants {
				if issued := b.row(replicas[0], grant).AccessIssued; issued.After(ages[grant]) {
					now++
					require.GreaterOrEqual(t, issued.Sub(ages[grant]), 20*time.Minute)
				}
			}
			require.EqualValues(t, before+int32(now), b.calls.Load(), "one call for each that was renewed")
			if renewed += now; now > 0 && minute < 30 {
				moments[minute] = true
			}
		}
		require.GreaterOrEqual(t, renewed, used*4, "every 20 to 25 minutes")
		require.GreaterOrEqual(t, len(moments), 3, "spread over five minutes")
		require.Equal(t, idle.Generation, b.row(replicas[0], idle.ID).Generation, "what nobody uses is left alone")
		before := b.calls.Load()
		for range 10 {
			b.forward(5 * time.Minute)
			require.NoError(t, replicas[0].Upkeep(t.Context()))
		}
		require.LessOrEqual(t, b.calls.Load(), before+used, "once more, at most, after it was used last")
	})
}

// TestARenewalAheadThatFails does not show: the token is good yet, and the next try is soon.
func TestARenewalAheadThatFails(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.replica()
		g := b.grant(r)
		b.forward(18 * time.Minute)
		b.token(r, g.ID)
		_, err := b.remote.Fault(t.Context(), world.Fault{Kind: faults.ApplyThenDrop, Path: "/connect/token", Count: 1})
		require.NoError(t, err)
		b.forward(6*time.Minute + 50*time.Second)
		require.NoError(t, r.Upkeep(t.Context()))
		require.EqualValues(t, 1, b.calls.Load())
		b.works(r, g.ID)
		require.EqualValues(t, 1, b.calls.Load())
		b.forward(5 * time.Second)
		require.NoError(t, r.Upkeep(t.Context()))
		require.EqualValues(t, 2, b.calls.Load(), "what was begun is taken up although the token is good yet")
		require.Empty(t, b.row(r, g.ID).Attempt)
		b.forward(20 * time.Minute)
		b.works(r, g.ID)
		require.EqualValues(t, 2, b.calls.Load())
	})
}

// TestNobodyWaitsForSomebodyElsesRenewal: while one renews a token that is good yet, the others go on with it.
func TestNobodyWaitsForSomebodyElsesRenewal(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		one, other := b.replica(), b.replica()
		g := b.grant(one)
		fault, err := b.remote.Fault(t.Context(), world.Fault{Kind: faults.Frozen, Path: "/connect/token"})
		require.NoError(t, err)
		b.forward(26 * time.Minute)
		ended := make(chan error, 1)
		go func() {
			_, err := one.Token(t.Context(), g.ID)
			ended <- err
		}()
		b.until("it is under way", func() bool { return b.begun.Load() == 1 })
		b.token(other, g.ID)
		b.token(one, g.ID)
		require.EqualValues(t, 1, b.begun.Load())
		require.NoError(t, b.remote.RemoveFault(t.Context(), fault))
		require.NoError(t, <-ended)
		require.EqualValues(t, 1, b.calls.Load())
	})
}
