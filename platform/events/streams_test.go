package events_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/trace"

	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	synceventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/sqldb"
)

func TestEnsureStreams(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server := eventstest.Start(t)
	js := server.Connect(t)
	require.NoError(t, events.EnsureStreams(ctx, js, 1))
	require.NoError(t, events.EnsureStreams(ctx, js, 1))
	for _, s := range events.Streams() {
		stream, err := js.Stream(ctx, s.Name)
		require.NoError(t, err)
		cfg := stream.CachedInfo().Config
		require.Equal(t, []string{s.Emitter + ".v1.>"}, cfg.Subjects)
		require.Equal(t, jetstream.FileStorage, cfg.Storage)
		require.Equal(t, jetstream.LimitsPolicy, cfg.Retention)
		require.Equal(t, 20*time.Minute, cfg.Duplicates)
		require.Greater(t, cfg.MaxAge, events.OutboxRetention)
		require.Greater(t, events.InboxRetention, events.OutboxRetention+cfg.MaxAge)
		require.Error(t, stream.Purge(ctx), "nobody takes events back")
	}
}

// A stream that somebody made by hand, or an earlier release, is brought to the present shape and keeps its messages.
func TestEnsureStreamsAdaptsWhatIsThere(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server := eventstest.Start(t)
	js := server.Connect(t)
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "SYNC", Subjects: []string{"sync.v1.>"}, MaxAge: time.Hour})
	require.NoError(t, err)
	_, err = js.Publish(ctx, "sync.v1.x", nil)
	require.NoError(t, err)
	require.NoError(t, events.EnsureStreams(ctx, js, 1))
	stream, err := js.Stream(ctx, "SYNC")
	require.NoError(t, err)
	require.True(t, stream.CachedInfo().Config.DenyPurge)
	require.Greater(t, stream.CachedInfo().Config.MaxAge, time.Hour)
	require.EqualValues(t, 1, stream.CachedInfo().State.Msgs)

	// A restart is no loss: by its time of creation the relay would take the stream for another one.
	created := stream.CachedInfo().Created
	server.Restart(t)
	stream, err = server.Connect(t).Stream(ctx, "SYNC")
	require.NoError(t, err)
	require.True(t, created.Equal(stream.CachedInfo().Created))
}

func TestOneServiceEmitsIntoItsOwnAndTheAuditStream(t *testing.T) {
	each(t, func(w *world) {
		w.run(w.relay(events.RelayOptions{}))
		require.NoError(w, w.out.Tx(context.Background(), func(tx *sqldb.Tx) error {
			for _, e := range []events.Event{{Message: archived("a")}, {Message: &auditeventsv1.AuditRecorded{}}} {
				if _, err := events.Add(tx, e); err != nil {
					return err
				}
			}
			return nil
		}))
		w.waitPublished()
		js := w.nats.Connect(w)
		require.Equal(w, 1, w.inStream(js, "SYNC"))
		require.Equal(w, 1, w.inStream(js, "AUDIT"))
	})
}

func TestEventsOfAnEntityReachTheStreamInOrder(t *testing.T) {
	each(t, func(w *world) {
		for i := range 30 {
			w.emit(fmt.Sprint("clients/", i%3), int64(i/3+1))
		}
		var together []events.Event
		for i := range 30 {
			client := fmt.Sprint("clients/", i%3)
			together = append(together, events.Event{Firm: "acme", Entity: client, Sequence: int64(i/3 + 11), Message: archived(client)})
		}
		require.NoError(w, w.emitAll(together...))
		require.Equal(w, 60, w.count(w.out, `SELECT count(DISTINCT id) FROM events_outbox WHERE firm = 'acme' AND stream = 'SYNC'`))
		w.run(w.relay(events.RelayOptions{Batch: 16}))
		w.waitPublished()
		last := map[string]int64{}
		require.NoError(w, w.out.Read(context.Background(), func(tx *sqldb.Tx) error {
			rows, err := tx.Query(`SELECT entity, sequence FROM events_outbox ORDER BY published_seq`)
			if err != nil {
				return err
			}
			for rows.Next() {
				var entity string
				var sequence int64
				require.NoError(w, rows.Scan(&entity, &sequence))
				require.Equal(w, last[entity]+1, sequence, entity)
				last[entity] = sequence
			}
			return rows.Err()
		}))
	})
}

// A consumer of an older release does not take away what a newer one listens to, and gives back what it does not know.
func TestTwoReleasesSideBySide(t *testing.T) {
	each(t, func(w *world) {
		w.run(w.relay(events.RelayOptions{}))
		newer := w.consumer(quick())
		events.Handle(newer, func(_ context.Context, tx *sqldb.Tx, m events.Meta, e *synceventsv1.ClientRestored) error {
			_, err := tx.Exec(`INSERT INTO effects (client, event) VALUES ($1, $2)`, "restored", m.ID)
			return err
		})
		stop := w.run(newer)
		w.emit("a", 1)
		w.requireEffects(1)
		stop()
		stopOld := w.run(w.consumer(quick()))
		w.emit("b", 1)
		w.requireEffects(2)
		js := w.nats.Connect(w)
		cons, err := js.Consumer(context.Background(), "SYNC", "documents")
		require.NoError(w, err)
		require.ElementsMatch(w, []string{"sync.v1.client_archived", "sync.v1.client_restored"}, cons.CachedInfo().Config.FilterSubjects)
		require.NoError(w, w.out.Tx(context.Background(), func(tx *sqldb.Tx) error {
			_, err := events.Add(tx, events.Event{Message: &synceventsv1.ClientRestored{}})
			return err
		}))
		eventstest.Until(w, "the old one has seen it", func() bool {
			info, err := cons.Info(context.Background())
			return err == nil && info.Delivered.Stream >= 3
		})
		w.emit("c", 1)
		w.requireEffects(3)
		eventstest.Until(w, "only what it does not know is given back, not acknowledged", func() bool {
			info, err := cons.Info(context.Background())
			return err == nil && info.NumAckPending == 1 && info.AckFloor.Stream == 2
		})
		stopOld()
	})
}

// A consumer that is as it should be is used as it is: a change needs the servers to agree, which they may not while one of
// them is away.
func TestAReplicaThatComesBackChangesNothing(t *testing.T) {
	each(t, func(w *world) {
		w.run(w.relay(events.RelayOptions{}))
		var changes atomic.Int32
		nc := w.nats.Connect(w).Conn()
		_, err := nc.Subscribe("$JS.API.CONSUMER.CREATE.SYNC.>", func(*nats.Msg) { changes.Add(1) })
		require.NoError(w, err)
		require.NoError(w, nc.Flush())
		take := func(n int, opt events.ConsumerOptions) {
			stop := w.run(w.consumer(opt))
			w.emit(fmt.Sprint("c", n), 1)
			w.requireEffects(n)
			stop()
			require.NoError(w, nc.Flush())
		}
		take(1, quick())
		eventstest.Until(w, "the consumer was made", func() bool { return changes.Load() > 0 })
		made := changes.Load()
		take(2, quick())
		require.Equal(w, made, changes.Load())
		other := quick()
		other.MaxPending = 50
		take(3, other)
		eventstest.Until(w, "another release changes it", func() bool { return changes.Load() > made })
	})
}

func TestWrongHandlersAreToldAtOnce(t *testing.T) {
	t.Parallel()
	server := eventstest.Start(t)
	handle := func(add func(c *events.Consumer)) error {
		c := events.NewConsumer(nil, server.Connect(t), "documents", events.ConsumerOptions{})
		add(c)
		return c.Run(context.Background())
	}
	archive := func(context.Context, *sqldb.Tx, events.Meta, *synceventsv1.ClientArchived) error { return nil }
	require.ErrorContains(t, handle(func(c *events.Consumer) {
		events.Handle(c, archive)
		events.Handle(c, archive)
	}), "two handlers")
	require.ErrorContains(t, handle(func(c *events.Consumer) {
		events.Handle(c, func(context.Context, *sqldb.Tx, events.Meta, *auditeventsv1.AuditEntry) error { return nil })
	}), "no event option")
}

func TestTheTraceGoesAlong(t *testing.T) {
	each(t, func(w *world) {
		w.run(w.relay(events.RelayOptions{}))
		c := events.NewConsumer(w.in, w.nats.Connect(w), "documents", quick())
		got := make(chan sdktrace.SpanContext, 1)
		events.Handle(c, func(ctx context.Context, _ *sqldb.Tx, _ events.Meta, _ *synceventsv1.ClientArchived) error {
			got <- sdktrace.SpanContextFromContext(ctx)
			return nil
		})
		w.run(c)
		id, err := sdktrace.TraceIDFromHex("0af7651916cd43dd8448eb211c80319c")
		require.NoError(w, err)
		parent := sdktrace.NewSpanContext(sdktrace.SpanContextConfig{TraceID: id, SpanID: sdktrace.SpanID{1}, TraceFlags: sdktrace.FlagsSampled})
		require.NoError(w, w.out.Tx(sdktrace.ContextWithSpanContext(context.Background(), parent), func(tx *sqldb.Tx) error {
			_, err := events.Add(tx, events.Event{Message: archived("a")})
			return err
		}))
		require.Equal(w, id, (<-got).TraceID())
	})
}
