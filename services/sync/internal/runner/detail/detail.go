// Package detail reads what listings leave out of clients: groups, relationships and the practice's own fields. They cost a
// provider a call or two per client, so they are read one by one, and only of clients whose listed hash is another than
// the one they were read for, or of which they were read long ago: a listed hash says nothing of them. They are read after
// everything else, at a part of the pace that the provider allows, and for a part of what is left of the day's calls.
// Nobody waits for them.
package detail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/peer"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/details"
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
	// Share is the part, in hundredths, of the calls left of a day that details may use, and of the pace that the provider
	// allows. 0 reads no details.
	Share int
	// Age is after how long details are read again, although nothing else of their client changed. 0 never does.
	Age time.Duration
	// Retry is how long to wait after an error.
	Retry run.Retry
}

// Worker reads details. Any number of them, in any number of processes, may work on one database.
type Worker struct{ Deps }

// New makes a worker.
func New(d Deps) *Worker {
	if d.Retry == (run.Retry{}) {
		d.Retry = run.DefaultRetry
	}
	return &Worker{d}
}

const (
	// leaseFor outlasts the reading of one record, which peer bounds by a minute and a half.
	leaseFor = 2 * time.Minute
	// window is for how long an allowance is asked: the providers count calls by the day.
	window = 24 * time.Hour
	// noRoom is how long to wait when a day has nothing left, and does not say until when.
	noRoom = time.Hour
)

// Step reads the details of one client. It calls claimed once it has one to look at, and returns lease.ErrIdle when there is none.
func (w *Worker) Step(ctx context.Context, claimed func()) error {
	if w.Share <= 0 {
		return lease.ErrIdle
	}
	work, err := lease.Claim(ctx, w.DB, func(tx *sqldb.Tx) (details.Work, error) {
		return details.Claim(tx, w.Owner, w.Now(), leaseFor)
	})
	if err != nil {
		return err
	}
	claimed()
	err = w.read(peer.InFirm(ctx, work.Firm, ""), work)
	if errors.Is(err, store.ErrLeaseLost) {
		return nil
	}
	return err
}

// read reads one record of the work, or finds that there is none, or no call left for it.
func (w *Worker) read(ctx context.Context, work details.Work) error {
	task, due, err := w.next(ctx, &work)
	if errors.Is(err, sqldb.ErrNotFound) {
		work.Pending, work.Cursor, work.Message, work.WaitUntil = false, "", "", time.Time{}
		return w.release(ctx, work, nil)
	}
	if err != nil {
		return err
	}
	if due > 0 {
		if err := w.allow(ctx, &work, due); err != nil {
			return w.failed(ctx, work, err, nil)
		}
	}
	if work.Spent >= work.Allowed {
		work.WaitUntil = work.AllowedUntil
		work.Message = fmt.Sprintf("the %d calls that details may use until then are used; %s", work.Allowed, work.Message)
		return w.release(ctx, work, nil)
	}
	answer, err := w.Peers.Details(ctx, store.Name(work.Firm, "connections", work.Connection), task.Record)
	if err != nil {
		return w.unread(ctx, work, task, err)
	}
	if !task.Again {
		work.Cursor = task.Record
	}
	work.Attempts = 0
	work.Spent += max(int64(answer.GetCalls()), 1)
	work.WaitUntil = w.Now().Add(work.Pace)
	return w.release(ctx, work, func(tx *sqldb.Tx) error {
		if answer.GetRecord().GetState() != connectorv1.RecordState_RECORD_STATE_ACTIVE {
			return details.Skip(tx, work, task.Record, task.Hash, w.Now())
		}
		return details.Save(tx, work, task.Record, task.Hash, peer.DetailsOf(answer.GetRecord().GetClient()), w.Now())
	})
}

// next finds what is to be read, and counts it when an allowance is to be asked for. When nothing is, the work learns when
// something is because of its age.
func (w *Worker) next(ctx context.Context, work *details.Work) (task details.Task, due int64, err error) {
	var before time.Time
	if w.Age > 0 {
		before = w.Now().Add(-w.Age)
	}
	return task, due, w.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		task, err = details.Next(tx, *work, before)
		switch {
		case errors.Is(err, sqldb.ErrNotFound):
			oldest, failed := details.Oldest(tx, *work)
			if failed != nil {
				return failed
			}
			work.AgedAt = time.Time{}
			if w.Age > 0 && !oldest.IsZero() {
				work.AgedAt = oldest.Add(w.Age)
			}
		case err == nil && !w.Now().Before(work.AllowedUntil):
			due, err = details.Due(tx, *work, before)
		}
		return err
	})
}

// unread lets the work wait after an error about a record. Where nothing but the record may be the reason, the others go
// on, and it comes again the next time round.
func (w *Worker) unread(ctx context.Context, work details.Work, task details.Task, cause error) error {
	switch peer.FailureOf(cause, false, w.Now()).Remedy {
	case peer.Wait, peer.Retry:
		return w.failed(ctx, work, cause, nil)
	}
	work.Cursor = max(work.Cursor, task.Record)
	return w.failed(ctx, work, cause, func(tx *sqldb.Tx) error {
		if !task.Again {
			return nil
		}
		return details.Unsettle(tx, work, task.Record)
	})
}

// allow asks how many calls are left of the day, and takes its share of them for a day.
func (w *Worker) allow(ctx context.Context, work *details.Work, due int64) error {
	said, err := w.Peers.Estimate(ctx, &connectorv1.EstimateCallsRequest{
		Connection: store.Name(work.Firm, "connections", work.Connection), Details: due,
	})
	if err != nil {
		return err
	}
	now := w.Now()
	left := int64(said.GetDayLeft())
	if said.GetDayLimit() == 0 {
		left = due * 100 // a provider that counts no days: the pace is what bounds it
	}
	work.Allowed, work.Spent, work.AllowedUntil = left*int64(w.Share)/100, 0, now.Add(window)
	if work.Allowed == 0 {
		work.AllowedUntil = now.Add(noRoom)
		if begin := said.GetBeginTime().AsTime(); begin.After(work.AllowedUntil) {
			work.AllowedUntil = begin
		}
	}
	work.Pace = 0
	if calls := int64(said.GetCalls()); calls > 0 {
		work.Pace = said.GetDuration().AsDuration() / time.Duration(max(due, 1)) * 100 / time.Duration(w.Share)
	}
	if work.Pace > window/100 {
		work.Pace = 0 // a wait for the next day, and no pace
	}
	work.Message = fmt.Sprintf("%d %% of the %d calls left of the day go to details", w.Share, left)
	return nil
}

// failed lets the work wait after an error: for a limit until the time told, else longer each time. also is written with it.
func (w *Worker) failed(ctx context.Context, work details.Work, cause error, also func(*sqldb.Tx) error) error {
	if ctx.Err() != nil {
		return w.release(context.WithoutCancel(ctx), work, nil)
	}
	f := peer.FailureOf(cause, false, w.Now())
	work.Message = f.Words
	switch f.Remedy {
	case peer.Wait:
		work.WaitUntil = f.Until
	case peer.GiveUp:
		work.Attempts++
		work.WaitUntil = w.Now().Add(noRoom)
	default:
		work.Attempts++
		work.WaitUntil = w.Now().Add(w.Retry.Backoff(work.Attempts))
	}
	w.Log.Info("reading details met an error and will be tried again", "connection", work.Connection, "error", cause)
	return w.release(ctx, work, also)
}

// release lets go of the work, and does what belongs to it in the same transaction.
func (w *Worker) release(ctx context.Context, work details.Work, also func(*sqldb.Tx) error) error {
	return w.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		if err := details.Release(tx, work); err != nil || also == nil {
			return err
		}
		return also(tx)
	}, sqldb.ReadCommitted)
}
