// Package saga takes clients out of the client list, and back: step by step, each step idempotent and recorded, so that
// a worker that dies anywhere leaves something the next one goes on with.
//
// A step asks another service and then records the answer in one transaction, or it is one transaction. It is recorded
// under a lease with an epoch: a worker that was given up for dead and comes back can't record anything any more. Up to
// the step LEAVE the client is in the list and the off-boarding can be cancelled; from there on it runs forward, for as
// long as it takes, and can be inverted when it is done.
package saga

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/offboard"
	"github.com/concord-suite/concord/services/sync/internal/peer"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/lease"
)

// Deps is what a Worker works with.
type Deps struct {
	DB    *sqldb.DB
	Peers *peer.Peers
	Now   func() time.Time
	Log   *slog.Logger
	// Owner is the name of this process, for the leases.
	Owner string
	// Lease is how long a worker that died keeps its off-boarding from others.
	Lease time.Duration
}

// Worker executes off-boardings. Any number of workers, in any number of processes, may work on one database.
type Worker struct{ Deps }

// New makes a worker.
func New(d Deps) *Worker { return &Worker{d} }

// Step takes one off-boarding and works on it until it is done, or has to wait. It calls claimed once it has one,
// and returns lease.ErrIdle when none is due.
func (w *Worker) Step(ctx context.Context, claimed func()) error {
	o, err := lease.Claim(ctx, w.DB, func(tx *sqldb.Tx) (offboard.Offboarding, error) {
		return store.ClaimOffboarding(tx, w.Owner, w.Now(), w.Lease)
	})
	if err != nil {
		return err
	}
	claimed()
	id, epoch := o.ID, o.Epoch // o moves on while the lease is renewed
	work, stop := lease.Keep(peer.InFirm(ctx, o.Firm, o.Initiator), w.DB, w.Now, w.Lease, func(tx *sqldb.Tx, until time.Time) error {
		return store.RenewOffboarding(tx, id, epoch, until)
	})
	defer stop()
	cause := w.execute(work, &o)
	return w.pause(ctx, &o, cause)
}

// execute takes step after step until there is none, or an error.
func (w *Worker) execute(ctx context.Context, o *offboard.Offboarding) error {
	for o.Step != offboard.None {
		if o.CancelRequested && o.Cancellable() && o.Step != offboard.Abort {
			if err := w.advance(ctx, o, func(_ *sqldb.Tx, o *offboard.Offboarding) error { return nil }); err != nil {
				return err
			}
			continue
		}
		var err error
		switch o.Step {
		case offboard.Begin:
			err = w.begin(ctx, o)
		case offboard.Fence:
			err = w.fence(ctx, o)
		case offboard.File:
			err = w.file(ctx, o)
		case offboard.Leave:
			err = w.leave(ctx, o)
		case offboard.Commit:
			err = w.commit(ctx, o)
		case offboard.Abort:
			err = w.abort(ctx, o)
		case offboard.ReverseFolder:
			err = w.reverseFolder(ctx, o)
		case offboard.Return:
			err = w.comeBack(ctx, o)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// advance commits one piece of an off-boarding: fn works on the locked row, which is written back with it. A wish to
// cancel that came meanwhile is heeded here, before fn, as long as the client is still in the list: fn is then not
// called, and the next step is the lifting of the fences.
func (w *Worker) advance(ctx context.Context, o *offboard.Offboarding, fn func(tx *sqldb.Tx, o *offboard.Offboarding) error) error {
	var next offboard.Offboarding
	err := w.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		locked, err := store.HoldOffboarding(tx, o.ID, o.Epoch)
		if err != nil {
			return err
		}
		if locked.CancelRequested && locked.Cancellable() && locked.Step != offboard.Abort {
			locked.Step = offboard.Abort
		} else if err := fn(tx, &locked); err != nil {
			return err
		}
		locked.Attempts, locked.LastError = 0, ""
		next = locked
		until := w.Now().Add(w.Lease)
		if next.Step == offboard.None || next.State == offboard.Blocked && next.Step == offboard.Begin {
			until = time.Time{} // nothing more to do now: given up with the same commit
		}
		return store.SaveOffboarding(tx, &next, until)
	}, sqldb.ReadCommitted)
	if err == nil {
		*o = next
	}
	return err
}

// pauseWait bounds the transaction that records why an off-boarding pauses, also when this process stops.
const pauseWait = 2 * time.Second

// pause gives an off-boarding back, to be taken up again when it is due, and records the error that stopped it. It never
// gives up for good: see offboard.RetryAt.
func (w *Worker) pause(ctx context.Context, o *offboard.Offboarding, cause error) error {
	if cause == nil || errors.Is(cause, store.ErrLeaseLost) || errors.Is(cause, errBlocked) {
		return nil
	}
	stopping := ctx.Err() != nil
	wait, waits := errors.AsType[*waiting](cause)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pauseWait)
	defer cancel()
	err := w.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		locked, err := store.HoldOffboarding(tx, o.ID, o.Epoch)
		if err != nil {
			return err
		}
		switch {
		case stopping:
			locked.NextAt = w.Now()
		case locked.Woken != o.Woken && waits:
			locked.NextAt = w.Now() // what it waits for may have come since it looked
		case waits:
			wait.rest(&locked, w.Now())
		default:
			locked.Attempts++
			locked.LastError = peer.FailureOf(cause, false, w.Now()).Words
			if locked.NextAt = offboard.RetryAt(w.Now(), locked.Attempts); locked.Woken != o.Woken {
				locked.NextAt = w.Now()
			}
			w.Log.Warn("an off-boarding met an error and will go on", "offboarding", o.ID, "step", string(locked.Step),
				"attempt", locked.Attempts, "error", cause)
		}
		return store.SaveOffboarding(tx, &locked, time.Time{})
	}, sqldb.ReadCommitted)
	if errors.Is(err, store.ErrLeaseLost) {
		return nil
	}
	return err
}
