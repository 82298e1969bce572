package events

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// The states of an event that was put aside.
const (
	StateWaiting   = "WAITING"   // tried again by itself
	StateParked    = "PARKED"    // not tried again before somebody decides
	StateDiscarded = "DISCARDED" // never tried again
)

// asideTopic is what keepHouse watches to hear of new rows at once.
const asideTopic = "events.parked"

// putAside notes an event that could not take effect, so that the bus can go on with the next: an event that waits
// would hold one of the places for events under way, and enough of them would stop the service.
func (c *Consumer) putAside(ctx context.Context, in *incoming, cause error) error {
	state, wait, attempts := c.judge(in, cause)
	err := c.db.Tx(ctx, func(tx *sqldb.Tx) error {
		tx.Notify(asideTopic)
		_, err := tx.Exec(`INSERT INTO events_parked (consumer, event_id, state, attempts, reason, source, stream, subject, firm,
			entity, sequence, event_time, traceparent, payload, due_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, `+tx.Dialect().NowMicros()+` + CAST($15 AS BIGINT))
			ON CONFLICT (consumer, event_id) DO UPDATE SET state = excluded.state, attempts = excluded.attempts,
			reason = excluded.reason, due_at = excluded.due_at, changed_at = excluded.changed_at
			WHERE events_parked.state = 'WAITING'`,
			c.service, in.ID, state, attempts, reasonOf(cause), in.Source, in.Stream, in.Subject, in.Firm, in.Entity,
			in.Sequence, sqldb.Micros(in.Time), in.trace, in.payload, wait.Microseconds())
		return err
	})
	if err == nil {
		c.opt.Log.Warn("an event was put aside", "id", in.ID, "subject", in.Subject, "state", state, "attempts", attempts, "reason", reasonOf(cause))
		if state == StateParked {
			c.parked.Add(ctx, 1)
		}
	}
	return err
}

// judge says what becomes of an event after cause.
func (c *Consumer) judge(in *incoming, cause error) (state string, wait time.Duration, attempts int) {
	var later *laterError
	if errors.As(cause, &later) {
		return StateWaiting, later.wait, in.attempts
	}
	attempts = in.attempts + 1
	if errors.Is(cause, errUndecodable) || attempts > len(c.opt.Backoff) {
		return StateParked, 0, attempts
	}
	return StateWaiting, c.opt.Backoff[attempts-1], attempts
}

// reasonOf returns words about err that quote nothing of the event.
func reasonOf(err error) string {
	var f *failure
	var database *sqldb.Error
	var later *laterError
	switch {
	case errors.As(err, &f):
		return f.reason
	case errors.As(err, &later):
		return later.Error()
	case errors.Is(err, errUndecodable):
		return errUndecodable.Error()
	case errors.As(err, &database):
		return database.Error()
	}
	return fmt.Sprintf("the handler failed (%T)", err)
}

// keepHouse tries what was put aside when its time has come, and purges, until ctx ends.
func (c *Consumer) keepHouse(ctx context.Context) {
	changed, stop := c.db.Watch(asideTopic)
	defer stop()
	poll, old := time.NewTicker(c.opt.RetryPoll), time.NewTicker(purgeEvery)
	defer poll.Stop()
	defer old.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-changed:
			err = c.retryDue(ctx)
		case <-poll.C:
			err = c.retryDue(ctx)
		case <-old.C:
			err = c.Purge(ctx)
		}
		if err != nil && ctx.Err() == nil {
			c.opt.Log.Warn("events that were put aside could not be looked after", "error", err)
		}
	}
}

// retryDue tries each event whose time has come.
func (c *Consumer) retryDue(ctx context.Context) error {
	for ctx.Err() == nil {
		var in *incoming
		var failed error
		bounded, cancel := context.WithTimeout(ctx, c.opt.HandlerTimeout)
		err := c.db.Tx(bounded, func(tx *sqldb.Tx) (err error) {
			failed = nil
			if in, err = c.due(tx); err != nil {
				return err
			}
			failed = c.again(tx, in)
			return failed
		})
		timedOut := errors.Is(bounded.Err(), context.DeadlineExceeded)
		cancel()
		switch {
		case err == nil:
		case failed == nil && errors.Is(err, sqldb.ErrNotFound):
			return nil
		case failed == nil, transient(err) && !timedOut:
			return err
		default:
			if err := c.putAside(ctx, in, failed); err != nil {
				return err
			}
		}
	}
	return nil
}

// due returns an event whose time has come and locks it; ErrNotFound when there is none.
func (c *Consumer) due(tx *sqldb.Tx) (*incoming, error) {
	in := &incoming{}
	var us int64
	err := tx.QueryRow(`SELECT event_id, attempts, source, stream, subject, firm, entity, sequence, event_time, traceparent, payload
		FROM events_parked WHERE consumer = $1 AND state = 'WAITING' AND due_at <= `+tx.Dialect().NowMicros()+`
		ORDER BY due_at LIMIT 1`+tx.Dialect().SkipLocked(), c.service).
		Scan(&in.ID, &in.attempts, &in.Source, &in.Stream, &in.Subject, &in.Firm, &in.Entity, &in.Sequence, &us, &in.trace, &in.payload)
	in.Time = sqldb.FromMicros(us)
	return in, err
}

// again runs the handler of an event that was put aside and takes it out of there.
func (c *Consumer) again(tx *sqldb.Tx, in *incoming) error {
	h := c.handlers[in.Subject]
	if h == nil {
		return Failure("this release has no handler for it", nil)
	}
	if _, err := tx.Exec(`DELETE FROM events_parked WHERE consumer = $1 AND event_id = $2`, c.service, in.ID); err != nil {
		return err
	}
	if first, err := c.note(tx, in.ID); err != nil || !first {
		return err
	}
	ctx, span := c.opt.Tracer.Start(remote(tx.Context(), in.trace), "handle "+in.Subject+" again")
	defer span.End()
	return guarded(h, ctx, tx, in)
}
