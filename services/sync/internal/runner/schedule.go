package runner

import (
	"context"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// scheduleBatch is how many connections are looked at in one transaction.
const scheduleBatch = 200

// Schedule starts the full runs that are wanted or due.
func (w *Worker) Schedule(ctx context.Context) error {
	for after := ""; ; {
		var idle []store.Idle
		err := w.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
			idle, err = store.IdleConnections(tx, after, scheduleBatch)
			return err
		})
		if err != nil || len(idle) == 0 {
			return err
		}
		for _, i := range idle {
			if by, due := dueBy(i, w.Now()); due {
				if err := w.start(ctx, i.Connection, by); err != nil {
					return err
				}
			}
		}
		after = idle[len(idle)-1].Connection.ID
	}
}

// dueBy tells whether a full run of an idle connection should start now, and by whose word.
func dueBy(i store.Idle, now time.Time) (string, bool) {
	c := i.Connection
	if c.FullWanted {
		return c.WantedBy, true
	}
	last := i.Proven
	if last.IsZero() {
		last = c.EstablishedAt
	}
	due := run.DueAt(c.ID, last, c.FullEveryDays)
	if i.Vain > 0 {
		// What proved nothing was no full sync: the next comes when it was due all along, but not at once again. A
		// connection that has had none yet is due since it was made.
		if i.Proven.IsZero() {
			due = last
		}
		if again := i.LastVain.Add(run.VainPause(i.Vain)); again.After(due) {
			due = again
		}
	}
	return "schedule", !now.Before(due)
}

// start starts a full run unless one was started meanwhile.
func (w *Worker) start(ctx context.Context, c run.Connection, by string) error {
	return w.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		// Read again: it may have been disconnected, or have got its run, since it was listed.
		now, err := store.Connection(tx, c.Firm, c.ID)
		if err != nil || !now.State.Usable() {
			return err
		}
		_, _, err = store.StartRun(tx, now, run.Full, by, "", w.Now())
		return err
	})
}
