package runner_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
)

// What the policy approved waits for a person when the policy changes before it is done.
func TestPolicyThatChangesAfterThePlan(t *testing.T) {
	for name, set := range map[string]func(*run.Connection){
		"review":          func(c *run.Connection) { c.ReviewRemovals = true },
		"suspended":       func(c *run.Connection) { c.RemovalsSuspended = true },
		"a tighter guard": func(c *run.Connection) { c.Guard = plan.Guard{Permille: 1} },
	} {
		t.Run(name, func(t *testing.T) {
			peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
				b.World.Practice(60)
				b.Sync(run.Full)
				b.World.Archive(records(1, 4)...)
				id := b.Start(run.Full)
				b.World.FailLater("GetRecord", 1, 100, unavailable) // one is done, and then there is a pause
				b.Work()
				b.World.Heal()
				require.Equal(t, run.Removing, b.Run(id).Step)
				b.Connect(set)
				b.World.Forget()
				b.Clock.Turn(time.Minute)
				b.Work()
				r := b.Run(id)
				require.Equal(t, run.Withheld, r.State, r.Message)
				require.NotEmpty(t, r.Message)
				require.Zero(t, b.World.Calls("GetRecord"), "nothing is spent on what waits")
				require.EqualValues(t, 1, r.Counts.Started)
				require.EqualValues(t, 3, planOf(b, r).Waiting)
				require.Equal(t, plan.Waiting, planOf(b, r).State)
				require.Equal(t, r.Message, planOf(b, r).WithheldReason)

				decide(b, planOf(b, r), true)
				b.Work()
				require.EqualValues(t, 4, b.Run(id).Counts.Started, "a person has looked at them")
			})
		})
	}
}

func TestWhatAPersonApprovedStandsUnlessRemovalsAreSuspended(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.World.Archive(records(1, 10)...)
		r := b.Sync(run.Full)
		decide(b, planOf(b, r), true)
		b.Connect(func(c *run.Connection) { c.RemovalsSuspended = true })
		b.World.Forget()
		b.Work()
		require.Zero(t, b.World.Calls("GetRecord"))
		require.Zero(t, b.Run(r.ID).Counts.Started)
		p := planOf(b, r)
		require.Equal(t, plan.Waiting, p.State, "to be looked at again")
		require.EqualValues(t, 10, p.Waiting)
		require.Contains(t, p.WithheldReason, "another than the last time")

		decide(b, p, true)
		b.Connect(func(c *run.Connection) { c.RemovalsSuspended = true; c.ReviewRemovals = true }) // told again, nothing new
		b.Work()
		require.EqualValues(t, 10, b.Run(r.ID).Counts.Started, "decided by somebody who knew")
	})
}

func TestReviewPolicyLeavesDecisionsAlone(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.World.Archive(records(1, 10)...)
		r := b.Sync(run.Full)
		decide(b, planOf(b, r), true)
		b.Connect(func(c *run.Connection) { c.ReviewRemovals = true })
		b.Work()
		require.EqualValues(t, 10, b.Run(r.ID).Counts.Started)
	})
}

func TestApprovedInASupersededPlanIsStaleWhenSuspended(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(40)
		b.Sync(run.Full)
		b.World.Archive(records(1, 10)...)
		r := b.Sync(run.Full)
		p := planOf(b, r)
		b.World.FailLater("GetRecord", 4, 100, unavailable)
		decide(b, p, true)
		b.Work()
		b.World.Heal()
		b.World.Archive(records(11, 20)...)
		b.Connect(func(c *run.Connection) { c.RemovalsSuspended = true })
		b.Clock.Turn(time.Hour)
		next := b.Sync(run.Full)
		require.Equal(t, run.Withheld, next.State)
		require.EqualValues(t, 4, b.Run(r.ID).Counts.Started)
		for _, c := range b.Changes(b.Run(r.ID), plan.Archive) {
			require.Contains(t, []plan.ChangeState{plan.ChangeApplied, plan.ChangeStale}, c.State, "the newer plan has them")
		}
	})
}
