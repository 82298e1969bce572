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

// Schedule starts the runs that are wanted or due.
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
			if kind, by, due := dueBy(i, w.Now(), w.NewsEvery); due {
				if err := w.start(ctx, i.Connection, kind, by); err != nil {
					return err
				}
			}
		}
		after = idle[len(idle)-1].Connection.ID
	}
}

// DefaultNewsEvery is the least time from one run to the next that the provider's news start: news come in bursts, one for
// each field that a person saves, and each run costs a call at least.
const DefaultNewsEvery = 30 * time.Second

// dueBy tells whether a run of an idle connection should start now, of which kind, and by whose word.
func dueBy(i store.Idle, now time.Time, news time.Duration) (run.Kind, string, bool) {
	by, due := fullDue(i, now)
	switch {
	case i.Unmapped && due:
		// What was linked before OAuth 2 is mapped first: a full run would take its clients for new ones. Where one went
		// well all the same, by a person's word, and the upgrade is of no use, nothing is won by waiting.
		again := i.LastVainUpgrade.Add(run.VainPause(i.VainUpgrades))
		if i.VainUpgrades > 0 && now.Before(again) {
			return run.Full, by, !i.Proven.IsZero()
		}
		return run.Upgrade, by, true
	case due:
		return run.Full, by, true
	case i.Connection.ManualWanted && (!i.Unmapped || !i.Proven.IsZero()) && !i.Read.IsZero():
		return run.Manual, "webhook", !now.Before(i.Began.Add(news))
	}
	return "", "", false
}

// fullDue tells whether a full run is wanted, or due by the schedule, and by whose word.
func fullDue(i store.Idle, now time.Time) (string, bool) {
	c := i.Connection
	switch {
	case c.FullWanted:
		return c.WantedBy, true
	case c.FullEveryDays <= 0:
		return "", false
	}
	last := i.Proven
	if last.IsZero() {
		last = c.EstablishedAt
	}
	due := run.DueAt(c.ID, last, c.FullEveryDays)
	if i.Unmapped && i.VainUpgrades > 0 && i.Proven.IsZero() {
		due = last // the upgrade stands where the first full run would
	}
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

// start starts a run unless one was started meanwhile.
func (w *Worker) start(ctx context.Context, c run.Connection, kind run.Kind, by string) error {
	return w.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		// Read again: it may have been disconnected, or have got its run, since it was listed.
		now, err := store.Connection(tx, c.Firm, c.ID)
		if err != nil || !now.State.Usable() {
			return err
		}
		_, _, err = store.StartRun(tx, now, kind, by, "", w.Now())
		return err
	})
}
