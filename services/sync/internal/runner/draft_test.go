package runner_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store/lease"
)

// A plan waits for a decision when it is written to its end, and not before; the one it follows waits until then.
func TestPlanIsDecidableOnceItIsWritten(t *testing.T) {
	sqldbtest.EachURL(t, func(t *testing.T, url string) {
		b := peertest.NewBench(t, sqldbtest.Open(t, url, peertest.Schema))
		b.World.Practice(40)
		b.Sync(run.Full)
		b.World.Archive(records(1, 20)...)
		former := b.Sync(run.Full)
		require.Equal(t, plan.Waiting, planOf(b, former).State)

		killer := &peertest.Killer{}
		mortal := sqldbtest.Open(t, url, nil, killer.Option())
		id := b.Start(run.Full)
		partly := 0
		for b.Run(id).Step.Drafting() {
			if r := b.Run(id); r.HasPlan {
				p := planOf(b, r)
				require.Equal(t, plan.Settled, p.State, "%s", r.Step)
				require.Equal(t, plan.Waiting, planOf(b, former).State, "the former one stands until the new one is there")
				if p.Waiting > 0 && p.Waiting < 20 {
					partly++
				}
			}
			dieAtCommit(b, killer, mortal, 2)
		}
		require.Positive(t, partly, "the plan was seen half written")
		b.Hire(b.DB)
		p := planOf(b, b.Run(id))
		require.Equal(t, plan.Waiting, p.State)
		require.EqualValues(t, 20, p.Waiting)
		require.NotEmpty(t, p.WithheldReason)
		require.Equal(t, plan.Superseded, planOf(b, former).State)
	})
}

// dieAtCommit lets a worker take up work and die at its n-th commit, and waits for its lease to end.
func dieAtCommit(b *peertest.Bench, killer *peertest.Killer, mortal *sqldb.DB, n int) {
	killer.Arm(n, true)
	b.Hire(mortal)
	for !killer.Dead() {
		if err := b.Runner.Step(context.Background(), func() {}); errors.Is(err, lease.ErrIdle) {
			break
		}
	}
	b.Clock.Turn(peertest.Lease + time.Minute)
}
