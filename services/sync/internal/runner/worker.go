// Package runner executes runs: it reads listings page by page, makes and updates clients as the pages arrive, writes
// removals down, and hands over those that are proven and not withheld to off-boarding.
//
// Everything a run has done is in the database, in the transaction in which it was done, together with where to go on.
// A worker holds a lease on its run and proves in every transaction that it still has it; a run whose worker died is
// taken over after the lease and goes on after the last committed step. No transaction contains a call to anybody.
package runner

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/peer"
	"github.com/concord-suite/concord/services/sync/internal/run"
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
	// Lease is how long a worker that died keeps its run from others.
	Lease time.Duration
	// Batch is how many changes go into one transaction of a step without pages.
	Batch int
	// Retry is how runs live with errors; run.DefaultRetry when it says nothing.
	Retry run.Retry
	// NewsEvery is the least time between runs that news of a provider start; DefaultNewsEvery when it says nothing.
	NewsEvery time.Duration
}

// Worker executes runs and decided plans, and starts what is due. Any number of workers, in any number of processes, may
// work on one database.
type Worker struct{ Deps }

// New makes a worker.
func New(d Deps) *Worker {
	if d.Retry == (run.Retry{}) {
		d.Retry = run.DefaultRetry
	}
	if d.NewsEvery == 0 {
		d.NewsEvery = DefaultNewsEvery
	}
	return &Worker{d}
}

// Step takes one run and works on it until it ends, waits, or is lost. It calls claimed once it has one, and
// returns lease.ErrIdle when there is none.
func (w *Worker) Step(ctx context.Context, claimed func()) error {
	r, err := lease.Claim(ctx, w.DB, func(tx *sqldb.Tx) (run.Run, error) {
		return store.ClaimRun(tx, w.Owner, w.Now(), w.Lease)
	})
	if err != nil {
		return err
	}
	claimed()
	id, epoch := r.ID, r.Epoch // r moves on while the lease is renewed
	ctx, stop := w.keep(peer.InFirm(ctx, r.Firm, r.Initiator), func(tx *sqldb.Tx, until time.Time) error {
		return store.RenewRun(tx, id, epoch, until)
	})
	defer stop()
	return w.execute(ctx, &r)
}

// keep renews the lease of what the worker has claimed until stop is called.
func (w *Worker) keep(ctx context.Context, renew func(*sqldb.Tx, time.Time) error) (kept context.Context, stop func()) {
	return lease.Keep(ctx, w.DB, w.Now, w.Lease, renew)
}

// execute takes step after step until the run ends or can't go on now.
func (w *Worker) execute(ctx context.Context, r *run.Run) error {
	for !r.State.Ended() && r.State == run.Running {
		var err error
		switch {
		case r.CancelRequested:
			err = w.end(ctx, r, run.Cancelled)
		case r.Step.Listing():
			err = w.list(ctx, r)
		case r.Step == run.Mapping:
			err = w.mapLinks(ctx, r)
		case r.Step == run.Planning:
			err = w.plan(ctx, r)
		case r.Step == run.Writing:
			err = w.write(ctx, r)
		case r.Step == run.Previewing:
			err = w.preview(ctx, r)
		case r.Step == run.Settling:
			err = w.settle(ctx, r)
		case r.Step == run.Removing:
			err = w.remove(ctx, r)
		default:
			err = w.finish(ctx, r)
		}
		if err != nil {
			return w.failed(ctx, r, err)
		}
	}
	return nil
}

// advance commits one piece of a run: fn works on the locked run, which is written back with it.
func (w *Worker) advance(ctx context.Context, r *run.Run, fn func(tx *sqldb.Tx, r *run.Run) error) error {
	var next run.Run
	err := w.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		locked, err := store.LockRun(tx, r.ID, r.Epoch)
		if err != nil {
			return err
		}
		if err := fn(tx, &locked); err != nil {
			return err
		}
		next = locked
		if locked.State.Ended() {
			return store.EndRun(tx, &next)
		}
		return store.SaveRun(tx, &next, w.Now().Add(w.Lease))
	}, sqldb.ReadCommitted)
	if err == nil {
		*r = next
	}
	return err
}

// end closes a run in a state.
func (w *Worker) end(ctx context.Context, r *run.Run, state run.State) error {
	return w.advance(ctx, r, func(_ *sqldb.Tx, r *run.Run) error {
		r.State, r.EndedAt = state, w.Now()
		return nil
	})
}

// failed decides what an error means for the run: wait, begin the listing anew, or end.
func (w *Worker) failed(ctx context.Context, r *run.Run, cause error) error {
	if errors.Is(cause, store.ErrLeaseLost) {
		w.Log.Info("a run was taken over by another worker, or ended", "run", r.ID)
		return nil
	}
	if ctx.Err() != nil {
		return w.letGo(ctx, r)
	}
	f := peer.FailureOf(cause, r.PageToken != "", w.Now())
	w.Log.Warn("a run met an error", "run", r.ID, "step", string(r.Step), "error", cause)
	err := w.advance(ctx, r, func(tx *sqldb.Tx, r *run.Run) error {
		r.Attempts++
		r.Message = f.Words
		degraded, err := degraded(tx, r)
		if err != nil {
			return err
		}
		if degraded != "" && f.Remedy != peer.Wait {
			r.Message = f.Words + "; " + degraded
		}
		switch f.Remedy {
		case peer.RetryFew:
			r.Garbled++
		case peer.Retry:
			r.Garbled = 0
		}
		switch {
		case f.Remedy == peer.Wait:
			r.Attempts-- // waiting for a limit is no failure, and happens as often as there are minutes
			r.State, r.WaitUntil = run.Parked, f.Until
		case f.Remedy == peer.Restart && r.Restarts < run.MaxRestarts && r.Step.Listing():
			r.Restarts++
			r.Enter(r.Step, w.Now())
			return store.DropPages(tx, r.ID, r.Step, 0)
		case f.Remedy == peer.GiveUp, f.Remedy == peer.Restart, r.Attempts >= w.Retry.Attempts && degraded == "",
			r.Garbled >= run.FewAttempts:
			r.State, r.EndedAt = run.Failed, w.Now()
		case f.Remedy == peer.RetryFew:
			r.State, r.WaitUntil = run.Parked, w.Now().Add(w.Retry.MaxWait)
		default:
			r.State, r.WaitUntil = run.Parked, w.Now().Add(w.Retry.Backoff(r.Attempts))
		}
		return nil
	})
	if errors.Is(err, store.ErrLeaseLost) {
		return nil
	}
	return err
}

// degraded says that the connection of a run can't be used for now, and why; "" when it can. Connector tries it by itself and
// tells when it has recovered, so that its runs wait for that and do not fail, however long it takes.
func degraded(tx *sqldb.Tx, r *run.Run) (string, error) {
	c, err := store.Connection(tx, r.Firm, r.Connection)
	if err != nil || c.State != run.ConnectionDegraded {
		return "", ignoreMissing(err)
	}
	if c.StateReason == "" {
		return "the run goes on when the connection has recovered", nil
	}
	return "the connection is degraded: " + c.StateReason, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, sqldb.ErrNotFound) {
		return nil
	}
	return err
}

// letGoWait bounds the last transaction of a worker that is told to stop.
const letGoWait = 2 * time.Second

// letGo gives a run back at once when this process stops, so that nobody has to wait for the lease.
func (w *Worker) letGo(ctx context.Context, r *run.Run) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), letGoWait)
	defer cancel()
	err := w.DB.Tx(ctx, func(tx *sqldb.Tx) error { return store.RenewRun(tx, r.ID, r.Epoch, time.Time{}) }, sqldb.ReadCommitted)
	if errors.Is(err, store.ErrLeaseLost) {
		return nil
	}
	return err
}
