package events_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	synceventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/events/topology"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

// Three servers leave and come back one after the other, as in a rolling update, and the one that leads the stream is
// killed, while two replicas emit and two consume: nothing is lost, nothing takes effect twice, and publishing goes on.
// Meanwhile the stream, which began on one server, is spread over three.
func TestServersComeAndGoUnderLoad(t *testing.T) {
	t.Parallel()
	c := eventstest.NewCluster(t, 3)
	c.Launch(t)
	c.Prepare(t, 1)
	operator := c.Connect(t, "bus-operator")
	w := &world{T: t, outURL: sqldbtest.URL(t, sqldbtest.Engines()[0]), inURL: sqldbtest.URL(t, sqldbtest.Engines()[0])}
	w.out, w.in = sqldbtest.Open(t, w.outURL, events.Schema), sqldbtest.Open(t, w.inURL, events.Schema)
	w.exec(w.in, `CREATE TABLE effects (client TEXT NOT NULL, event TEXT NOT NULL)`)
	var emitted, slowest atomic.Int64
	for range 2 {
		w.run(events.NewRelay(w.out, c.Connect(t, "sync"), "sync", events.RelayOptions{Replicas: events.Prepared, CheckEvery: time.Second}))
		consumer := events.NewConsumer(w.in, c.Connect(t, "documents"), "documents", events.ConsumerOptions{Replicas: events.Prepared})
		events.Handle(consumer, func(ctx context.Context, tx *sqldb.Tx, m events.Meta, e *synceventsv1.ClientArchived) error {
			if took := int64(time.Since(m.Time)); took > slowest.Load() {
				slowest.Store(took) // two at a time: it need not be exact
			}
			return handleEffect(ctx, tx, m, e)
		})
		w.run(consumer)
	}
	ctx, stopLoad := context.WithCancel(t.Context())
	load := make(chan struct{})
	go func() {
		defer close(load)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			w.emit(fmt.Sprint("clients/", emitted.Add(1)), 1)
			<-tick.C
		}
	}()
	goesOn := func() {
		t.Helper()
		before := w.count(w.in, `SELECT count(*) FROM effects`)
		eventstest.Until(t, "events take effect", func() bool { return w.count(w.in, `SELECT count(*) FROM effects`) > before+20 })
	}
	goesOn()
	migrate := c.Connect(t, "sync")
	lines, err := topology.Prepare(ctx, migrate, "sync", 3)
	require.NoError(t, err)
	const raised = "stream SYNC: each event on 3 of the servers instead of 1"
	require.Len(t, lines, 1)
	require.Contains(t, lines[0], raised)
	if lines[0] == raised { // a machine that took too long for it is told so
		place, err := operator.Consumer(ctx, "SYNC", "documents")
		require.NoError(t, err)
		require.Len(t, place.CachedInfo().Cluster.Replicas, 2)
		for _, r := range place.CachedInfo().Cluster.Replicas {
			require.False(t, r.Pending, "the consumer's place is on every server, too")
		}
	}
	c.Prepare(t, 3)
	whole(t, operator)
	lines, err = topology.Prepare(ctx, migrate, "sync", 1)
	require.NoError(t, err)
	migrate.Conn().Close() // a server that leaves takes its time for each connection
	require.Equal(t, []string{"stream SYNC: unchanged: each event stays on 3 of the servers, though nats_replicas is 1"}, lines)

	for _, node := range c.Nodes {
		node.Leave(t)
		goesOn()
		node.Launch(t)
		whole(t, operator)
	}
	leader := leaderOf(t, operator)
	for _, node := range c.Nodes {
		if node.Name == leader {
			node.Kill()
			goesOn()
			node.Launch(t)
		}
	}
	goesOn()
	stopLoad()
	<-load
	w.requireEffects(int(emitted.Load()))
	w.waitPublished()
	whole(t, operator)
	took, clients := w.count(w.in, `SELECT count(*) FROM effects`), w.count(w.in, `SELECT count(DISTINCT client) FROM effects`)
	t.Logf("emitted %d, in the stream %d, took effect %d, twice %d, lost %d; three servers left and came back, %s was killed; the slowest took effect after %s",
		emitted.Load(), w.inStream(operator, "SYNC"), took, took-clients, int(emitted.Load())-clients, leader, time.Duration(slowest.Load()).Round(time.Millisecond))
}

// whole waits until every stream, and every consumer's place in it, has all its replicas. What a server has not got yet
// when the last one that has it leaves is not there until that comes back.
func whole(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	everywhere := func(c *jetstream.ClusterInfo) bool {
		return c != nil && c.Leader != "" && len(c.Replicas) == 2 &&
			!slices.ContainsFunc(c.Replicas, func(r *jetstream.PeerInfo) bool { return !r.Current || r.Offline || r.Pending })
	}
	eventstest.Until(t, "every server has everything", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		for _, s := range events.Streams() {
			stream, err := js.Stream(ctx, s.Name)
			if err != nil || !everywhere(stream.CachedInfo().Cluster) {
				return false
			}
			consumers := stream.ListConsumers(ctx)
			for info := range consumers.Info() {
				if !everywhere(info.Cluster) {
					return false
				}
			}
			if consumers.Err() != nil {
				return false
			}
		}
		return true
	})
}

func leaderOf(t *testing.T, js jetstream.JetStream) string {
	t.Helper()
	stream, err := js.Stream(context.Background(), "SYNC")
	require.NoError(t, err)
	return stream.CachedInfo().Cluster.Leader
}

// What the last calls wrote is published before the process ends; a bus that is away holds nobody up.
func TestRelayPublishesTheRestBeforeItEnds(t *testing.T) {
	each(t, func(w *world) {
		eventstest.Until(w, "a relay ends that had the time for all", func() bool {
			stop := w.run(w.relay(events.RelayOptions{Poll: time.Hour, CheckEvery: time.Hour}))
			w.emitMany("c", 20)
			w.waitPublished()
			// As if they had been written a moment ago: nobody is told of it.
			w.exec(w.out, `UPDATE events_outbox SET published_seq = NULL, stream_created = NULL`)
			stop()
			return w.count(w.out, `SELECT count(*) FROM events_outbox WHERE published_seq IS NULL`) == 0
		})

		stop := w.run(w.relay(events.RelayOptions{Poll: time.Hour, CheckEvery: time.Hour}))
		w.nats.Stop(w)
		w.emit("late", 1)
		begun := time.Now()
		stop()
		require.Less(w, time.Since(begun), 10*time.Second)
		w.nats.Start(w)
	})
}

// A server may learn a moment later that whoever published has let go of it: that is waited for.
func TestRelayPublishesTheRestWhenOthersLetGo(t *testing.T) {
	each(t, func(w *world) {
		eventstest.Until(w, "a relay ends that had the time for all", func() bool {
			var lock *sqldb.Lock
			eventstest.Until(w, "the lock is free", func() bool {
				var err error
				lock, err = w.out.TryLock(context.Background(), "events.relay/sync/SYNC")
				require.NoError(w, err)
				return lock != nil
			})
			stop := w.run(w.relay(events.RelayOptions{}))
			w.emit("c", 1)
			time.AfterFunc(200*time.Millisecond, lock.Release)
			stop()
			return w.count(w.out, `SELECT count(*) FROM events_outbox WHERE published_seq IS NULL`) == 0
		})
	})
}

func TestObserveTellsWhatWaits(t *testing.T) {
	each(t, func(w *world) {
		reader := sdkmetric.NewManualReader()
		events.Observe(w.out, sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"))
		w.emitMany("c", 3)
		var all metricdata.ResourceMetrics
		require.NoError(w, reader.Collect(context.Background(), &all))
		found := map[string]bool{}
		for _, m := range all.ScopeMetrics[0].Metrics {
			found[m.Name] = true
			if gauge, ok := m.Data.(metricdata.Gauge[int64]); ok && m.Name == "concord.events.outbox.backlog" {
				require.EqualValues(w, 3, gauge.DataPoints[0].Value)
			}
		}
		require.Equal(w, map[string]bool{"concord.events.outbox.backlog": true, "concord.events.outbox.oldest": true, "concord.events.aside": true}, found)
	})
}
