package events_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	synceventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

// The tests of this file take something away at the worst moment and require that every event takes effect once.

// Transactions that began earlier commit later: the row with the lower position becomes visible after its successor was
// published.
func TestEventsThatCommitOutOfOrder(t *testing.T) {
	each(t, func(w *world) {
		if w.out.Dialect() == sqldb.SQLite {
			// One writer at a time: the first has committed before the second gets a position. Nothing to prove here.
			w.emit("first", 1)
			w.emit("second", 1)
		}
		w.run(w.relay(events.RelayOptions{}))
		w.run(w.consumer(quick()))
		if w.out.Dialect() == sqldb.Postgres {
			require.NoError(w, w.out.Tx(context.Background(), func(tx *sqldb.Tx) error {
				if _, err := events.Add(tx, events.Event{Entity: "first", Message: archived("first")}); err != nil {
					return err
				}
				w.emit("second", 1)
				w.waitPublished() // the first is not visible yet
				w.requireEffects(1)
				return nil
			}, sqldb.ReadCommitted))
		}
		w.requireEffects(2)
	})
}

// The relay dies between publishing and marking: the rows are published again, and recognised.
func TestRelayDiesBeforeItMarks(t *testing.T) {
	each(t, func(w *world) {
		w.emitMany("c", 20)
		w.outFault.FailExec("published_seq = v.column2", 3) // what it publishes, it can not mark
		w.run(w.relay(events.RelayOptions{Batch: 5}))
		w.run(w.consumer(quick()))
		w.requireEffects(20)
		w.waitPublished()
		require.Equal(w, 20, w.inStream(w.nats.Connect(w), "SYNC"), "the bus recognised the copies")
	})
}

// One event that the bus refuses stays behind, and is seen to.
func TestAnEventThatTheBusRefuses(t *testing.T) {
	ctx := context.Background()
	each(t, func(w *world) {
		js := w.nats.Connect(w)
		require.NoError(w, events.EnsureStreams(ctx, js, 1))
		stream, err := js.Stream(ctx, "SYNC")
		require.NoError(w, err)
		cfg := stream.CachedInfo().Config
		cfg.MaxMsgSize = 2000 // set by whoever runs the servers
		_, err = js.UpdateStream(ctx, cfg)
		require.NoError(w, err)
		for range 5 { // more than a batch
			w.emit(strings.Repeat("x", 3000), 1)
		}
		w.emitMany("c", 20)
		r := w.relay(events.RelayOptions{Batch: 4})
		w.run(r)
		c := w.consumer(quick())
		w.run(c)
		w.requireEffects(20)
		eventstest.Until(w, "the emitter says that it lags", func() bool {
			w.emit("c-0000", 2) // others come through all the time
			lag, err := r.Lag(ctx)
			return err == nil && lag > 3*time.Second
		})
		lag, err := c.Lag(ctx, "SYNC", "acme")
		require.NoError(w, err)
		require.Greater(w, lag, 3*time.Second, "and no beacon says otherwise")
		cfg.MaxMsgSize = -1
		_, err = js.UpdateStream(ctx, cfg)
		require.NoError(w, err)
		eventstest.Until(w, "it came through as well", func() bool {
			return w.count(w.in, `SELECT count(DISTINCT client) FROM effects`) == 21
		})
	})
}

// One event that is larger than the servers let a client send, which is a setting of theirs, stays behind as well. It never
// leaves the process; the others do. It is said, and not each time.
func TestAnEventThatTheBusIsNotGiven(t *testing.T) {
	each(t, func(w *world) {
		w.nats.Limit(w, 32<<10)
		require.NoError(w, events.EnsureStreams(context.Background(), w.nats.Connect(w), 1))
		w.emit(strings.Repeat("x", 40<<10), 1)
		w.emitMany("c", 20)
		log := &record{}
		w.run(w.relay(events.RelayOptions{Log: slog.New(log)}))
		w.run(w.consumer(quick()))
		w.requireEffects(20)
		for i := range 20 {
			w.emit(fmt.Sprint("d", i), 1)
			w.requireEffects(21 + i)
		}
		require.Equal(w, 1, w.count(w.out, `SELECT count(*) FROM events_outbox WHERE published_seq IS NULL`))
		require.LessOrEqual(w, log.count("the bus did not take every event"), 10)
		w.nats.Limit(w, 0)
		w.requireEffects(41)
	})
}

// record counts the lines of a log.
type record struct {
	slog.Handler
	mu   sync.Mutex
	said map[string]int
}

func (r *record) Enabled(context.Context, slog.Level) bool { return true }

func (r *record) WithAttrs([]slog.Attr) slog.Handler { return r }

func (r *record) Handle(_ context.Context, line slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said == nil {
		r.said = map[string]int{}
	}
	r.said[line.Message]++
	return nil
}

func (r *record) count(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said[text]
}

// After the bus has forgotten which ids it took, copies come through, and the inbox recognises them.
func TestTheInboxRecognisesWhatTheBusDoesNot(t *testing.T) {
	each(t, func(w *world) {
		w.emitMany("c", 20)
		stop := w.run(w.relay(events.RelayOptions{}))
		w.run(w.consumer(quick()))
		w.requireEffects(20)
		w.waitPublished()
		stop()
		w.nats.Wipe(w)
		w.run(w.relay(events.RelayOptions{}))
		js := w.nats.Connect(w)
		eventstest.Until(w, "the new stream has them again", func() bool {
			_, err := js.Stream(context.Background(), "SYNC")
			return err == nil && w.inStream(js, "SYNC") == 20
		})
		w.emit("last", 1)
		w.requireEffects(21)
	})
}

// The consumer dies between the effect and the acknowledgement.
func TestConsumerDiesBeforeItAcknowledges(t *testing.T) {
	each(t, func(w *world) {
		w.run(w.relay(events.RelayOptions{}))
		w.inFault.CommitThenFail(5) // the effect is there, and the consumer does not know
		w.run(w.consumer(quick()))
		w.emitMany("c", 20)
		w.requireEffects(20)
	})
}

func TestConsumerDiesBeforeItCommits(t *testing.T) {
	each(t, func(w *world) {
		w.run(w.relay(events.RelayOptions{}))
		w.inFault.FailCommit(5)
		w.run(w.consumer(quick()))
		w.emitMany("c", 20)
		w.requireEffects(20)
	})
}

// Every event is delivered three times, to several replicas.
func TestRedelivery(t *testing.T) {
	each(t, func(w *world) {
		w.run(w.relay(events.RelayOptions{}))
		w.emitMany("c", 30)
		var mu sync.Mutex
		deliveries := map[string]int{}
		opt := quick()
		opt.AckWait = 100 * time.Millisecond
		for range 2 {
			c := events.NewConsumer(w.in, w.nats.Connect(w), "documents", opt)
			events.Handle(c, func(_ context.Context, tx *sqldb.Tx, m events.Meta, e *synceventsv1.ClientArchived) error {
				mu.Lock()
				deliveries[m.ID]++
				n := deliveries[m.ID]
				mu.Unlock()
				if n < 3 {
					return fmt.Errorf("lost on the way: %w", sqldb.ErrBusy)
				}
				return effect(tx, m, e)
			})
			w.run(c)
		}
		w.requireEffects(30)
		for id, n := range deliveries {
			require.GreaterOrEqual(w, n, 3, id)
		}
	})
}

// The store of the bus is wiped while events are under way.
func TestTheStoreIsWipedInTheMiddle(t *testing.T) {
	each(t, func(w *world) {
		w.run(w.relay(events.RelayOptions{Batch: 7}))
		w.run(w.consumer(quick()))
		for round := range 3 {
			w.emitMany(fmt.Sprintf("round%d", round), 40)
			if round == 1 {
				w.requireEffects(80) // once from a calm state, once in the middle of it
			}
			w.nats.Wipe(w)
		}
		w.requireEffects(120)
		w.emit("afterwards", 1)
		w.requireEffects(121)
	})
}

// Somebody deletes a stream while everybody is connected.
func TestAStreamIsDeleted(t *testing.T) {
	each(t, func(w *world) {
		w.run(w.relay(events.RelayOptions{CheckEvery: time.Hour}))
		w.emitMany("a", 20)
		w.waitPublished()
		require.NoError(w, w.nats.Connect(w).DeleteStream(context.Background(), "SYNC"))
		w.emitMany("b", 20)
		w.waitPublished()
		w.run(w.consumer(quick()))
		w.requireEffects(40)
		require.NoError(w, w.nats.Connect(w).DeleteStream(context.Background(), "SYNC"))
		w.emitMany("c", 20)
		w.requireEffects(60)
	})
}

// The bus comes back without the last messages it had confirmed. The consumer had not seen them.
func TestTheEndOfTheStreamIsLost(t *testing.T) {
	each(t, func(w *world) {
		stop := w.run(w.relay(events.RelayOptions{}))
		w.emitMany("kept", 10)
		w.waitPublished()
		restore := w.nats.Snapshot(w)
		w.emitMany("lost", 10)
		w.waitPublished()
		stop()
		restore()
		require.Equal(w, 10, w.inStream(w.nats.Connect(w), "SYNC"))
		w.run(w.relay(events.RelayOptions{}))
		w.run(w.consumer(quick()))
		w.requireEffects(20)
	})
}

// The same, and somebody else has filled the places meanwhile: the stream is as long as it was, with other messages.
func TestAnotherEmitterTookThePlacesOfLostEvents(t *testing.T) {
	each(t, func(w *world) {
		stop := w.run(w.relay(events.RelayOptions{}))
		w.emitMany("kept", 10)
		w.waitPublished()
		restore := w.nats.Snapshot(w)
		w.emitMany("lost", 10)
		w.waitPublished()
		stop()
		restore()
		js := w.nats.Connect(w)
		for i := range 30 {
			_, err := js.Publish(context.Background(), "sync.v1.something_else", []byte{byte(i)})
			require.NoError(w, err)
		}
		w.run(w.relay(events.RelayOptions{}))
		w.run(w.consumer(quick()))
		w.requireEffects(20)
		w.waitPublished()
		require.Equal(w, 50, w.inStream(js, "SYNC"), "only what was lost was published again")
	})
}

// Three replicas of the emitter publish at the same time, and some die.
func TestThreeRelays(t *testing.T) {
	each(t, func(w *world) {
		var stops []func()
		for range 3 {
			db := w.out
			if db.Dialect() == sqldb.Postgres {
				db = sqldbtest.Open(w, w.outURL, nil) // a process each; a SQLite file has one
			}
			stops = append(stops, w.run(events.NewRelay(db, w.nats.Connect(w), "sync", events.RelayOptions{Batch: 3})))
		}
		w.run(w.consumer(quick()))
		w.emitMany("a", 50)
		stops[0]()
		w.emitMany("b", 50)
		stops[1]()
		w.emitMany("c", 50)
		w.requireEffects(150)
		require.Equal(w, 150, w.inStream(w.nats.Connect(w), "SYNC"))
	})
}

func TestABrokerThatIsAwayHoldsNobodyUp(t *testing.T) {
	each(t, func(w *world) {
		w.nats.Stop(w)
		js := w.nats.Connect(w) // connects when there is somebody
		w.run(events.NewRelay(w.out, js, "sync", events.RelayOptions{}))
		w.run(w.consumer(quick()))
		w.emitMany("c", 10)
		w.nats.Start(w)
		w.requireEffects(10)
		w.nats.Stop(w)
		w.emitMany("d", 10)
		w.nats.Start(w)
		w.requireEffects(20)
	})
}

func TestADatabaseThatHangsIsWaitedFor(t *testing.T) {
	each(t, func(w *world) {
		w.run(w.relay(events.RelayOptions{}))
		opt := quick()
		opt.HandlerTimeout = 2 * time.Second
		w.run(w.consumer(opt))
		w.emit("before", 1)
		w.requireEffects(1)
		w.inFault.Freeze()
		w.emitMany("c", 10)
		w.waitPublished()
		cons, err := w.nats.Connect(w).Consumer(context.Background(), "SYNC", "documents")
		require.NoError(w, err)
		eventstest.Until(w, "handlers gave up", func() bool {
			info, err := cons.Info(context.Background())
			return err == nil && info.NumRedelivered > 0
		})
		w.inFault.Thaw()
		w.requireEffects(11)
		require.Zero(w, w.count(w.in, `SELECT count(*) FROM events_parked WHERE state = 'PARKED'`))
	})
}
