package events_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	synceventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/sqldb"
)

// failing returns a consumer whose handler returns what answer says.
func (w *world) failing(opt events.ConsumerOptions, answer func() error) *events.Consumer {
	c := events.NewConsumer(w.in, w.nats.Connect(w), "documents", opt)
	events.Handle(c, func(_ context.Context, tx *sqldb.Tx, m events.Meta, e *synceventsv1.ClientArchived) error {
		if err := effect(tx, m, e); err != nil {
			return err
		}
		return answer()
	})
	return c
}

func (w *world) list(state string) []events.Parked {
	w.Helper()
	all, err := events.ListParked(context.Background(), w.in, "documents", state, "", 10)
	require.NoError(w, err)
	return all
}

func (w *world) waitState(state string) events.Parked {
	w.Helper()
	eventstest.Until(w, "an event is "+state, func() bool { return len(w.list(state)) == 1 })
	return w.list(state)[0]
}

var errSecret = errors.New("client 'Jane Doe' is not here")

func TestAnEventThatKeepsFailingIsParkedAndDecidedAbout(t *testing.T) {
	ctx := context.Background()
	each(t, func(w *world) {
		w.run(w.relay(events.RelayOptions{}))
		var attempts atomic.Int32
		var repaired atomic.Bool
		w.run(w.failing(quick(), func() error {
			attempts.Add(1)
			if repaired.Load() {
				return nil
			}
			return errSecret
		}))
		id := w.emit("clients/1", 3)
		p := w.waitState(events.StateParked)
		require.EqualValues(w, 3, attempts.Load())
		require.Equal(w, events.Parked{Consumer: "documents", ID: id, State: "PARKED", Attempts: 3, Source: "sync",
			Subject: "sync.v1.client_archived", Firm: "acme", Entity: "clients/1", Sequence: 3,
			Reason: "the handler failed (*errors.errorString)", Time: p.Time, Due: p.Due, Changed: p.Changed}, p)
		require.Zero(w, w.count(w.in, `SELECT count(*) FROM effects`), "a failed attempt leaves nothing")

		require.NoError(w, events.Retry(ctx, w.in, "documents", id, "admin-1", "trying again"))
		eventstest.Until(w, "it failed again", func() bool { return len(w.list(events.StateParked)) == 1 })
		require.Equal(w, "admin-1", w.list("")[0].DecidedBy)

		repaired.Store(true)
		require.NoError(w, events.Retry(ctx, w.in, "documents", id, "admin-1", "repaired"))
		w.requireEffects(1)
		require.Empty(w, w.list(""))
		require.ErrorIs(w, events.Retry(ctx, w.in, "documents", id, "admin-1", "once more"), events.ErrNotParked)
	})
}

func TestADiscardedEventNeverTakesEffect(t *testing.T) {
	ctx := context.Background()
	each(t, func(w *world) {
		stop := w.run(w.relay(events.RelayOptions{}))
		var repaired atomic.Bool
		w.run(w.failing(quick(), func() error {
			if repaired.Load() {
				return nil
			}
			return events.Failure("the folder is locked", errSecret)
		}))
		id := w.emit("clients/1", 1)
		require.Equal(w, "the folder is locked", w.waitState(events.StateParked).Reason)
		require.NoError(w, events.Discard(ctx, w.in, "documents", id, "admin-1", "done by hand"))
		require.ErrorIs(w, events.Retry(ctx, w.in, "documents", id, "admin-1", ""), events.ErrNotParked)
		require.ErrorIs(w, events.Discard(ctx, w.in, "documents", "no such", "admin-1", ""), events.ErrNotParked)
		repaired.Store(true)
		stop()
		w.nats.Wipe(w) // and published again from the outbox
		w.run(w.relay(events.RelayOptions{}))
		w.emit("clients/2", 1)
		w.requireEffects(1)
		require.Equal(w, 1, w.count(w.in, `SELECT count(*) FROM effects WHERE client = 'clients/2'`))
		p := w.list(events.StateDiscarded)[0]
		require.Equal(w, "admin-1", p.DecidedBy)
		require.Equal(w, "done by hand", p.DecidedReason)
		require.Zero(w, w.count(w.in, `SELECT length(payload) FROM events_parked`))
	})
}

func TestAFailingEventHoldsUpNobody(t *testing.T) {
	each(t, func(w *world) {
		w.run(w.relay(events.RelayOptions{}))
		opt := quick()
		opt.MaxPending = 4
		c := events.NewConsumer(w.in, w.nats.Connect(w), "documents", opt)
		events.Handle(c, func(_ context.Context, tx *sqldb.Tx, m events.Meta, e *synceventsv1.ClientArchived) error {
			if m.Entity == "stuck" {
				return events.Later(time.Hour)
			}
			return effect(tx, m, e)
		})
		w.run(c)
		for range 10 {
			w.emit("stuck", 1)
		}
		w.emitMany("c", 20)
		w.requireEffects(20)
	})
}

func TestLaterIsNoFailure(t *testing.T) {
	each(t, func(w *world) {
		w.run(w.relay(events.RelayOptions{}))
		var attempts atomic.Int32
		w.run(w.failing(quick(), func() error {
			if attempts.Add(1) < 10 { // far more often than an event may fail
				return events.Later(time.Millisecond)
			}
			return nil
		}))
		w.emit("clients/1", 1)
		w.requireEffects(1)
		require.EqualValues(w, 10, attempts.Load())
	})
}

func TestAPanicIsAFailure(t *testing.T) {
	each(t, func(w *world) {
		w.run(w.relay(events.RelayOptions{}))
		w.run(w.failing(quick(), func() error { panic(errSecret) }))
		w.emit("clients/1", 1)
		require.Equal(w, "the handler panicked", w.waitState(events.StateParked).Reason)
	})
}

func TestAHandlerWithoutEndIsAFailure(t *testing.T) {
	each(t, func(w *world) {
		w.run(w.relay(events.RelayOptions{}))
		opt := quick()
		opt.HandlerTimeout = time.Second // putting it aside has as long
		c := events.NewConsumer(w.in, w.nats.Connect(w), "documents", opt)
		events.Handle(c, func(ctx context.Context, _ *sqldb.Tx, _ events.Meta, _ *synceventsv1.ClientArchived) error {
			<-ctx.Done()
			return ctx.Err()
		})
		w.run(c)
		w.emit("clients/1", 1)
		require.EqualValues(w, 3, w.waitState(events.StateParked).Attempts)
	})
}

func TestWhatDoesNotDecodeIsParkedAtOnce(t *testing.T) {
	each(t, func(w *world) {
		js := w.nats.Connect(w)
		require.NoError(w, events.EnsureStreams(context.Background(), js, 1))
		w.run(w.consumer(quick()))
		_, err := js.PublishMsg(context.Background(), &nats.Msg{Subject: "sync.v1.client_archived", Data: []byte("\xff\xff")})
		require.NoError(w, err)
		p := w.waitState(events.StateParked)
		require.Equal(w, 1, p.Attempts)
		require.Contains(w, p.Reason, "does not decode")
		require.Equal(w, "SYNC/1", p.ID, "it came without an id")
	})
}

func TestOlderEventsAreTold(t *testing.T) {
	each(t, func(w *world) {
		newer := func(key string, sequence int64) (ok bool) {
			require.NoError(w, w.in.Tx(context.Background(), func(tx *sqldb.Tx) (err error) {
				ok, err = events.Newer(tx, key, sequence)
				return err
			}))
			return ok
		}
		require.True(w, newer("a", 3))
		require.False(w, newer("a", 2))
		require.False(w, newer("a", 3))
		require.True(w, newer("b", 1))
		require.True(w, newer("a", 4))
	})
}

// An event that waits is overtaken by its successor; when its turn comes it is old.
func TestAnOvertakenEventIsSkipped(t *testing.T) {
	each(t, func(w *world) {
		w.run(w.relay(events.RelayOptions{}))
		var held atomic.Bool
		held.Store(true)
		c := events.NewConsumer(w.in, w.nats.Connect(w), "documents", quick())
		events.Handle(c, func(_ context.Context, tx *sqldb.Tx, m events.Meta, e *synceventsv1.ClientArchived) error {
			if m.Sequence == 1 && held.Load() {
				return events.Later(time.Millisecond)
			}
			newer, err := events.Newer(tx, "test/"+m.Entity, m.Sequence)
			if err != nil || !newer {
				return err
			}
			return effect(tx, m, e)
		})
		w.run(c)
		w.emit("clients/1", 1)
		second := w.emit("clients/1", 2)
		w.requireEffects(1)
		held.Store(false)
		eventstest.Until(w, "the first is done", func() bool { return len(w.list("")) == 0 })
		w.requireEffects(1)
		require.Equal(w, 1, w.count(w.in, `SELECT count(*) FROM effects WHERE event = $1`, second))
	})
}
