package run_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/sync/internal/run"
)

func TestSteps(t *testing.T) {
	walk := func(kind run.Kind, since time.Time) (steps []run.Step) {
		r := run.Run{Kind: kind, Step: run.FirstStep(kind, since)}
		for ; r.Step != run.Finishing; r.Step = r.Next() {
			steps = append(steps, r.Step)
		}
		return steps
	}
	require.Equal(t, []run.Step{run.Clients, run.Contacts, run.Planning, run.Writing, run.Previewing, run.Settling, run.Removing},
		walk(run.Full, time.Time{}))
	require.Equal(t, []run.Step{run.Changes, run.Settling}, walk(run.Manual, time.Unix(1, 0)))
	require.Equal(t, []run.Step{run.Legacy, run.Mapping}, walk(run.Upgrade, time.Unix(1, 0)))
	require.Equal(t, []run.Step{run.Clients, run.Contacts, run.Settling}, walk(run.Manual, time.Time{}),
		"without a time to go on from a manual run reads all, and still never removes")
}

func TestBackoff(t *testing.T) {
	var waits []time.Duration
	retry := run.Retry{MaxWait: 2 * time.Minute}
	for n := int64(1); n <= 9; n++ {
		waits = append(waits, retry.Backoff(n))
	}
	s := time.Second
	require.Equal(t, []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 64 * s, 120 * s, 120 * s}, waits)
	require.Equal(t, s, retry.Backoff(0))
	require.Equal(t, 120*s, retry.Backoff(1<<40))
	require.Equal(t, time.Hour, run.Retry{MaxWait: time.Hour}.Backoff(21))
	var all time.Duration
	for n := int64(1); n < run.DefaultRetry.Attempts; n++ {
		all += run.DefaultRetry.Backoff(n)
	}
	require.Greater(t, all, 150*time.Minute, "an outage that it outlasts")
}

func TestETA(t *testing.T) {
	start := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	r := run.Run{State: run.Running, StepAt: start, Done: 500, Total: 2000}
	require.Equal(t, start.Add(40*time.Second), r.ETA(start.Add(10*time.Second)))
	r.Total = 0
	require.Zero(t, r.ETA(start.Add(time.Second)), "no total, no promise")
	r.Total, r.State = 2000, run.Parked
	require.Zero(t, r.ETA(start.Add(time.Second)))
}

func TestDueAt(t *testing.T) {
	last := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	month := last.AddDate(0, 0, 30)
	a, b := run.DueAt("a", last, 30), run.DueAt("b", last, 30)
	require.NotEqual(t, a, b, "connections spread")
	for _, at := range []time.Time{a, b} {
		require.False(t, at.After(month), "never later than promised")
		require.True(t, at.After(month.Add(-24*time.Hour)))
	}
	require.Equal(t, a, run.DueAt("a", last, 30), "always the same for one connection")
}
