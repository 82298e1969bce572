package runner_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
)

func hide(b *peertest.Bench, hidden bool, ids ...string) {
	for _, id := range ids {
		b.World.Change(id, func(c *peertest.Client) { c.Hidden = hidden })
	}
}

func TestRefutedCandidatesAreNotAskedAboutEachTime(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		hide(b, true, records(1, 4)...)
		require.EqualValues(t, 4, b.Sync(run.Full).Counts.Refuted)
		b.World.Forget()
		b.World.Archive(records(11, 14)...)
		r := b.Sync(run.Full)
		require.Equal(t, run.Succeeded, r.State, "those in use count for nothing, not even for the guard: %s", r.Message)
		require.EqualValues(t, 4, r.Counts.Started)
		require.Equal(t, 4, b.World.Calls("GetRecord"))
		b.World.Forget()
		forbid(b, "links", "plans", "changes")
		require.Equal(t, run.Succeeded, b.Sync(run.Full).State)
		require.Zero(t, b.World.Calls("GetRecord"))
	})
}

func TestRefutedCandidatesAreAskedAboutAgainAfterAWeek(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(40)
		b.Sync(run.Full)
		hide(b, true, records(1, 10)...)
		decide(b, planOf(b, b.Sync(run.Full)), true)
		b.Work()
		require.EqualValues(t, 10, b.Count(`changes WHERE state = 'REFUTED'`))
		b.World.Archive("r0003", "r0009") // where nobody sees it
		b.Clock.Turn(plan.AskAgainAfter - time.Hour)
		require.Zero(t, b.Sync(run.Full).Counts.Candidates)
		b.Clock.Turn(2 * time.Hour)
		b.World.Forget()
		var started int64
		for range 2 { // never more of them than may leave without a decision
			r := b.Sync(run.Full)
			require.Equal(t, run.Succeeded, r.State, r.Message)
			require.EqualValues(t, 5, r.Counts.Candidates)
			require.Contains(t, b.Changes(r, plan.Archive)[0].Evidence[1], "in use when it was read on 2026-05-01")
			started += r.Counts.Started
		}
		require.EqualValues(t, 2, started)
		require.Zero(t, b.Sync(run.Full).Counts.Candidates)
		require.Equal(t, 10, b.World.Calls("GetRecord"))
	})
}

func TestRefutedRecordThatMovedIsAskedAboutAtOnce(t *testing.T) {
	for name, move := range map[string]func(b *peertest.Bench){
		"listed again":       func(b *peertest.Bench) { hide(b, false, "r0002"); b.Sync(run.Full) },
		"changed":            func(b *peertest.Bench) { b.Sync(run.Manual) },
		"listed as archived": func(b *peertest.Bench) { b.World.Archive("r0002"); b.Sync(run.Manual) },
	} {
		t.Run(name, func(t *testing.T) {
			peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
				b.World.Practice(30)
				b.Sync(run.Full)
				hide(b, true, "r0002")
				require.EqualValues(t, 1, b.Sync(run.Full).Counts.Refuted)
				move(b)
				b.World.Archive("r0002")
				require.EqualValues(t, 1, b.Sync(run.Full).Counts.Started)
			})
		})
	}
}
