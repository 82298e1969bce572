package events_test

import (
	"context"
	"fmt"
	"google.golang.org/protobuf/proto"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/sqldb"
	synceventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"
)

func TestLagOfARelay(t *testing.T) {
	ctx := context.Background()
	each(t, func(w *world) {
		r := w.relay(events.RelayOptions{})
		lag, err := r.Lag(ctx)
		require.NoError(w, err)
		require.Zero(w, lag)
		w.emit("a", 1)
		eventstest.Until(w, "the event grows old", func() bool {
			lag, err := r.Lag(ctx)
			return err == nil && lag > 20*time.Millisecond
		})
		w.run(r)
		eventstest.Until(w, "there is no lag", func() bool { lag, err := r.Lag(ctx); return err == nil && lag == 0 })
	})
}

func TestLagOfAConsumer(t *testing.T) {
	ctx := context.Background()
	each(t, func(w *world) {
		var broken atomic.Bool
		c := w.failing(quick(), func() error {
			if broken.Load() {
				return errSecret
			}
			return nil
		})
		lag := func(firm string) time.Duration {
			d, err := c.Lag(ctx, "SYNC", firm)
			require.NoError(w, err)
			return d
		}
		w.run(c)
		require.Greater(w, lag("acme"), time.Hour, "nothing is known yet")
		stop := w.run(w.relay(events.RelayOptions{}))
		current := func() bool { return lag("acme") < 3*time.Second }
		eventstest.Until(w, "an idle emitter is known to be idle", current)
		w.emitMany("c", 20)
		w.requireEffects(20)
		eventstest.Until(w, "it is up to date again", current)

		stop()
		eventstest.Until(w, "it does not know how old its data are", func() bool { return lag("acme") > 3*time.Second })
		w.run(w.relay(events.RelayOptions{}))
		eventstest.Until(w, "the emitter is back", current)

		broken.Store(true)
		w.emit("x", 1)
		w.waitState(events.StateParked)
		eventstest.Until(w, "the parked event counts", func() bool { return lag("acme") > 3*time.Second })
		eventstest.Until(w, "it counts for nobody else", func() bool { return lag("another firm") < 3*time.Second })
		require.Greater(w, func() time.Duration { d, _ := c.Lag(ctx, "AUTH", "acme"); return d }(), time.Hour, "a stream it does not follow")
	})
}

func TestPurge(t *testing.T) {
	ctx := context.Background()
	each(t, func(w *world) {
		later := func(d time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(d) } }
		stop := w.run(w.relay(events.RelayOptions{}))
		clients := make([]events.Event, 1100) // more than are removed at once
		for i := range clients {
			clients[i] = events.Event{Firm: "acme", Entity: fmt.Sprint("c", i), Message: archived("c")}
		}
		require.NoError(w, w.emitAll(clients...))
		w.waitPublished()
		stop()
		require.NoError(w, w.in.Tx(ctx, func(tx *sqldb.Tx) error {
			_, err := tx.CopyIn("events_inbox", []string{"consumer", "event_id"}, func(yield func([]any) bool) {
				for i := range 1100 {
					if !yield([]any{"documents", fmt.Sprint(i)}) {
						return
					}
				}
			})
			return err
		}))
		w.emit("not published yet", 1)

		rows := func() int { return w.count(w.out, `SELECT count(*) FROM events_outbox`) }
		require.NoError(w, w.relay(events.RelayOptions{Now: later(events.OutboxRetention - time.Hour)}).Purge(ctx))
		require.Equal(w, 1101, rows())
		require.NoError(w, w.relay(events.RelayOptions{Now: later(events.OutboxRetention + time.Hour)}).Purge(ctx))
		require.Equal(w, 1, rows(), "what was not published stays")

		inbox := func() int { return w.count(w.in, `SELECT count(*) FROM events_inbox`) }
		opt := quick()
		opt.Now = later(events.InboxRetention - time.Hour)
		require.NoError(w, w.consumer(opt).Purge(ctx))
		require.Equal(w, 1100, inbox())
		opt.Now = later(events.InboxRetention + time.Hour)
		require.NoError(w, w.consumer(opt).Purge(ctx))
		require.Zero(w, inbox())
	})
}

// Every process hears what is broadcast: what was said shortly before it began to listen, what is said while it listens,
// and what is said after the bus was away.
func TestBroadcastReachesEveryProcess(t *testing.T) {
	t.Parallel()
	server := eventstest.Start(t)
	js := server.Connect(t)
	heard := make(chan string, 16)
	for range 2 {
		go events.Broadcast(t.Context(), server.Connect(t), slog.New(slog.DiscardHandler), time.Minute, func(e *synceventsv1.RunFinished) {
			heard <- e.GetRun()
		})
	}
	say := func(run string) {
		data, err := proto.Marshal(&synceventsv1.RunFinished{Run: run})
		require.NoError(t, err)
		eventstest.Until(t, "the bus takes "+run, func() bool {
			_, err := js.Publish(t.Context(), "sync.v1.run_finished", data)
			return err == nil
		})
	}
	hears := func(run string) {
		t.Helper()
		for n := 0; n < 2; {
			select {
			case got := <-heard:
				if got == run { // events of before come again after a reconnection
					n++
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("%d of 2 heard %s", n, run)
			}
		}
	}
	require.NoError(t, events.EnsureStreams(t.Context(), js, 1))
	say("first")
	hears("first")
	server.Restart(t)
	say("second")
	hears("second")
}
