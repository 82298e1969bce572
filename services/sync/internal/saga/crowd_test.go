package saga_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/lease"
)

// TestCrowd lets many off-boardings, full syncs, trails and logins touch the same clients and contacts at once. Nobody may
// wait for another in a circle, and every invariant holds at the end.
func TestCrowd(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.Connect(func(c *run.Connection) { c.Guard = plan.Guard{Permille: 1000} })
		b.World.Practice(40)
		for i := range 10 { // contacts that many leaving clients share
			b.World.PutContact(fmt.Sprintf("q%d", i), fmt.Sprintf("Shared %d", i),
				fmt.Sprintf("r%04d", 1+i), fmt.Sprintf("r%04d", 11+i), fmt.Sprintf("r%04d", 31+i))
		}
		b.Sync(run.Full)
		var leavers []string
		for i := 1; i <= 20; i++ {
			leavers = append(leavers, fmt.Sprintf("r%04d", i))
		}
		ids := make([]string, len(leavers))
		for i, r := range leavers {
			ids[i] = b.Client(r).ID
		}
		b.World.Archive(leavers...)
		b.Sync(run.Full)

		ctx, stop := context.WithTimeout(context.Background(), 2*time.Minute)
		defer stop()
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() { offboardAll(ctx, t, b) })
		}
		wg.Go(func() {
			for i := range 3 {
				syncOnce(ctx, t, b, i)
			}
		})
		wg.Go(func() {
			for i, id := range ids {
				tell(ctx, t, b, id, int64(1))
				tell(ctx, t, b, ids[(i+7)%len(ids)], int64(2))
			}
		})
		wg.Wait()
		b.Offboard()
		b.Invariants()
		require.EqualValues(t, 20, b.Count(`offboardings WHERE state = 'DONE'`))
		require.EqualValues(t, 20, b.Count(`clients WHERE state = 'OFFBOARDED'`))
		require.Zero(t, b.Count(`contacts k JOIN contact_links l ON l.contact = k.id WHERE l.record_id LIKE 'q%' AND k.state <> 'ACTIVE'`))
	})
}

// offboardAll works until nothing is left to leave.
func offboardAll(ctx context.Context, t *testing.T, b *peertest.Bench) {
	for ctx.Err() == nil {
		err := b.Saga.Step(ctx, func() {})
		switch {
		case errors.Is(err, lease.ErrIdle):
			b.Clock.Turn(100 * time.Millisecond)
			if b.Count(`offboardings WHERE state IN ('PREPARING', 'SECURING')`) == 0 {
				return
			}
		case err != nil && !errors.Is(err, sqldb.ErrBusy):
			t.Errorf("off-boarding: %v", err)
			return
		}
	}
	t.Error("off-boardings take for ever")
}

// syncOnce runs a full sync while contacts change.
func syncOnce(ctx context.Context, t *testing.T, b *peertest.Bench, n int) {
	b.World.PutContact("q0", fmt.Sprintf("Shared again %d", n), "r0001", "r0011", "r0031", fmt.Sprintf("r%04d", 32+n))
	id := b.Start(run.Full)
	for ctx.Err() == nil && !b.Run(id).State.Ended() {
		if err := b.Runner.Step(ctx, func() {}); errors.Is(err, lease.ErrIdle) {
			b.Clock.Turn(time.Second)
		} else if err != nil {
			t.Errorf("sync: %v", err)
			return
		}
	}
	if r := b.Run(id); r.State != run.Succeeded {
		t.Errorf("sync %s: %s", r.State, r.Message)
	}
}

// tell appends to a client's trail, as the consumer of events does.
func tell(ctx context.Context, t *testing.T, b *peertest.Bench, id string, n int64) {
	err := b.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		if err := store.WakeBlocked(tx, id, b.Clock.Now()); err != nil {
			return err
		}
		_, err := store.AppendTrail(tx, peertest.Firm, history.Entry{
			Client: id, At: b.Clock.Now(), Kind: history.DocumentFiled, Actor: "x", Summary: "filed", TrailSeq: n,
		})
		return err
	})
	if err != nil {
		t.Errorf("trail: %v", err)
	}
}
