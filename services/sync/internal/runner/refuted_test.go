package runner_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/sync/internal/client"
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

// A guard that lets nobody through by itself keeps nobody in the list for ever.
func TestRefutedRecordsAreAskedAboutAgainWhenNobodyMayLeaveAlone(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(60)
		b.Connect(func(c *run.Connection) { c.Guard = plan.Guard{Permille: 10} }) // 1 % of 60: none without a word
		b.Sync(run.Full)
		hide(b, true, records(1, 40)...)
		decide(b, planOf(b, b.Sync(run.Full)), true)
		b.Work()
		require.EqualValues(t, 40, b.Count(`changes WHERE state = 'REFUTED'`))
		b.World.Delete("r0002")
		b.Clock.Turn(plan.AskAgainAfter + time.Hour)
		b.World.Forget()
		for range 2 { // a screen of them waits, and it does not grow
			r := b.Sync(run.Full)
			require.Equal(t, run.Withheld, r.State)
			require.EqualValues(t, 25, r.Counts.Candidates)
			require.Zero(t, b.World.Calls("GetRecord"), "what waits costs no calls")
		}
		var started int64
		for range 2 {
			r := b.Sync(run.Full)
			decide(b, planOf(b, r), true)
			b.Work()
			started += b.Run(r.ID).Counts.Started
		}
		require.EqualValues(t, 1, started)
		require.Equal(t, 40, b.World.Calls("GetRecord"))
		require.Zero(t, b.Sync(run.Full).Counts.Candidates)
	})
}

// While too many are absent, and nobody decides, those that were in use stand in the plan beside them.
func TestRefutedRecordsAreAskedAboutAgainWhileTooManyAreAbsent(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(40)
		b.Sync(run.Full)
		hide(b, true, "r0002")
		require.EqualValues(t, 1, b.Sync(run.Full).Counts.Refuted)
		b.World.Delete("r0002")
		b.World.Archive(records(11, 20)...)
		require.EqualValues(t, 10, b.Sync(run.Full).Counts.Candidates)
		b.Clock.Turn(plan.AskAgainAfter + time.Hour)
		r := b.Sync(run.Full)
		require.EqualValues(t, 11, r.Counts.Candidates)
		decide(b, planOf(b, r), true)
		b.Work()
		require.EqualValues(t, 11, b.Run(r.ID).Counts.Started)
	})
}

// As many leave in every run as may by themselves.
func TestRefutedRecordsAreNotForgottenWhileAsManyLeaveAsMay(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(60)
		b.Connect(func(c *run.Connection) { c.Guard = plan.Guard{Floor: 2} })
		b.Sync(run.Full)
		hide(b, true, "r0060")
		require.EqualValues(t, 1, b.Sync(run.Full).Counts.Refuted)
		b.World.Delete("r0060")
		var withheld run.Run
		for week := 1; week <= 3; week++ {
			b.Clock.Turn(plan.AskAgainAfter + time.Hour)
			b.World.Archive(records(2*week, 2*week+1)...)
			withheld = b.Sync(run.Full)
			if withheld.State == run.Withheld {
				break
			}
			require.EqualValues(t, 2, withheld.Counts.Started, "it makes nobody wait at first")
		}
		require.Equal(t, run.Withheld, withheld.State)
		decide(b, planOf(b, withheld), true)
		b.Work()
		require.EqualValues(t, 3, b.Run(withheld.ID).Counts.Started)
	})
}

// A record that was in use all along has not come back when it is listed one day.
func TestRefutedRecordOfWhoLeftByHandDoesNotReturn(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		hide(b, true, "r0002")
		require.EqualValues(t, 1, b.Sync(run.Full).Counts.Refuted)
		byHand(b, "r0002")
		b.Sync(run.Full)
		require.Zero(t, b.Count(`links WHERE presence <> 'PRESENT'`))
		hide(b, false, "r0002")
		require.Zero(t, b.Sync(run.Full).Counts.ClientsRestored)
		b.Offboard()
		require.Equal(t, client.Offboarded, b.Client("r0002").State, "a person's word stands")
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
