package saga

import (
	"context"
	"fmt"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/offboard"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// waiting is the error of a step that waits for what documents told about the client and the bus has not brought. Each
// event that comes brings the off-boarding up again at once; the times are for what does not come.
type waiting struct {
	events int64
	// since is from when on it waits.
	since time.Time
}

// Error is the sentence for people.
func (e *waiting) Error() string {
	return fmt.Sprintf("waiting for %s of documents about this client", countOf(e.events, "event"))
}

const (
	// patience is how long events may take before it is said what is waited for, and documents is asked for them: a bus
	// that works needs milliseconds, one that is started anew some seconds.
	patience = 10 * time.Second
	// lookAgain is how soon an off-boarding that waits looks again by itself until then, and lookSlowly afterwards.
	lookAgain, lookSlowly = 500 * time.Millisecond, 30 * time.Second
)

// rest puts a waiting off-boarding down.
func (e *waiting) rest(o *offboard.Offboarding, now time.Time) {
	if o.NextAt = now.Add(lookAgain); now.Sub(e.since) >= patience {
		o.NextAt, o.LastError = now.Add(lookSlowly), e.Error()
	}
}

// complete returns the client once its history holds what documents told up to the off-boarding's place on the trail.
// Events that are late are asked for.
func (w *Worker) complete(ctx context.Context, o *offboard.Offboarding) (client.Client, error) {
	for {
		var who client.Client
		wait := &waiting{}
		err := w.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
			if who, err = store.Client(tx, o.Firm, o.Client); err != nil {
				return err
			}
			wait.since, err = store.LastLine(tx, o.ID)
			return err
		})
		wait.events = o.TrailSeq - who.TrailSeq
		switch {
		case err != nil || wait.events <= 0:
			return who, err
		case w.Now().Sub(wait.since) < patience:
			return who, wait
		}
		came, err := w.fetch(ctx, o, who.TrailSeq)
		switch {
		case err != nil:
			return who, err
		case !came:
			return who, wait
		}
	}
}

// fetch asks documents for the events after a place on the client's trail, and reports whether the history has more of
// them now.
func (w *Worker) fetch(ctx context.Context, o *offboard.Offboarding, after int64) (bool, error) {
	entries, err := w.Peers.Trail(ctx, w.client(o), o.Client, after)
	if err != nil || len(entries) == 0 || entries[0].TrailSeq != after+1 {
		return false, err
	}
	err = w.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		for _, e := range entries {
			if _, err := store.AppendTrail(tx, o.Firm, e); err != nil {
				return err
			}
		}
		return nil
	}, sqldb.ReadCommitted)
	return err == nil, err
}
