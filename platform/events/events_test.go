package events_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	synceventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

// world is an emitter and a receiver on one engine, each with a database of its own, and a bus between them.
type world struct {
	*testing.T
	nats              *eventstest.Server
	out, in           *sqldb.DB
	outFault, inFault *sqldbtest.Faults
	outURL, inURL     string
}

// each runs fn in a world per engine, beside all others: worlds share nothing, and mostly wait.
func each(t *testing.T, fn func(w *world)) {
	t.Helper()
	t.Parallel()
	for _, engine := range sqldbtest.Engines() {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			w := &world{T: t, nats: eventstest.Start(t), outFault: sqldbtest.NewFaults(), inFault: sqldbtest.NewFaults(),
				outURL: sqldbtest.URL(t, engine), inURL: sqldbtest.URL(t, engine)}
			w.out = sqldbtest.Open(t, w.outURL, events.Schema, w.outFault.Option())
			w.in = sqldbtest.Open(t, w.inURL, events.Schema, w.inFault.Option())
			w.exec(w.in, `CREATE TABLE effects (client TEXT NOT NULL, event TEXT NOT NULL)`)
			fn(w)
		})
	}
}

func (w *world) exec(db *sqldb.DB, query string, args ...any) {
	w.Helper()
	require.NoError(w, db.Tx(context.Background(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	}))
}

func (w *world) count(db *sqldb.DB, query string, args ...any) (n int) {
	w.Helper()
	require.NoError(w, db.QueryRow(context.Background(), query, args...).Scan(&n))
	return n
}

func archived(client string) *synceventsv1.ClientArchived {
	return &synceventsv1.ClientArchived{Client: client}
}

// emit commits one event and returns its id.
func (w *world) emit(client string, sequence int64) (id string) {
	w.Helper()
	require.NoError(w, w.out.Tx(context.Background(), func(tx *sqldb.Tx) (err error) {
		id, err = events.Add(tx, events.Event{Firm: "acme", Entity: client, Sequence: sequence, Message: archived(client)})
		return err
	}))
	return id
}

// emitAll commits events together.
func (w *world) emitAll(all ...events.Event) error {
	return w.out.Tx(context.Background(), func(tx *sqldb.Tx) error { return events.AddAll(tx, slices.Values(all)) })
}

func (w *world) emitMany(prefix string, n int) {
	w.Helper()
	require.NoError(w, w.out.Tx(context.Background(), func(tx *sqldb.Tx) error {
		for i := range n {
			client := fmt.Sprintf("%s-%04d", prefix, i)
			if _, err := events.Add(tx, events.Event{Firm: "acme", Entity: client, Sequence: 1, Message: archived(client)}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// runner is anything with a Run that ends with its context.
type runner interface{ Run(context.Context) error }

// run runs r until stop is called, or the test ends.
func (w *world) run(r runner) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		require.NoError(w, r.Run(ctx))
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	w.Cleanup(stop)
	return stop
}

func (w *world) relay(opt events.RelayOptions) *events.Relay {
	if opt.CheckEvery == 0 {
		opt.CheckEvery = 200 * time.Millisecond
	}
	return events.NewRelay(w.out, w.nats.Connect(w), "sync", opt)
}

// quick is a consumer's options for tests.
func quick() events.ConsumerOptions {
	return events.ConsumerOptions{AckWait: 500 * time.Millisecond, RetryPoll: 20 * time.Millisecond,
		Backoff: []time.Duration{time.Millisecond, time.Millisecond}}
}

// consumer returns a consumer that writes each event into the table effects.
func (w *world) consumer(opt events.ConsumerOptions) *events.Consumer {
	c := events.NewConsumer(w.in, w.nats.Connect(w), "documents", opt)
	events.Handle(c, handleEffect)
	return c
}

func handleEffect(_ context.Context, tx *sqldb.Tx, m events.Meta, e *synceventsv1.ClientArchived) error {
	return effect(tx, m, e)
}

func effect(tx *sqldb.Tx, m events.Meta, e *synceventsv1.ClientArchived) error {
	_, err := tx.Exec(`INSERT INTO effects (client, event) VALUES ($1, $2)`, e.GetClient(), m.ID)
	return err
}

// requireEffects waits until n clients were affected, and requires that none was twice.
func (w *world) requireEffects(n int) {
	w.Helper()
	eventstest.Until(w, fmt.Sprintf("%d effects", n), func() bool {
		return w.count(w.in, `SELECT count(*) FROM effects`) >= n
	})
	require.Equal(w, n, w.count(w.in, `SELECT count(DISTINCT client) FROM effects`), "effects, none twice")
	require.Equal(w, n, w.count(w.in, `SELECT count(*) FROM effects`), "effects, none twice")
}

func (w *world) waitPublished() {
	w.Helper()
	eventstest.Until(w, "everything is published", func() bool {
		return w.count(w.out, `SELECT count(*) FROM events_outbox WHERE published_seq IS NULL`) == 0
	})
}

// inStream counts the messages of a stream.
func (w *world) inStream(js jetstream.JetStream, name string) int {
	w.Helper()
	stream, err := js.Stream(context.Background(), name)
	require.NoError(w, err)
	return int(stream.CachedInfo().State.Msgs)
}

func TestFromTheChangeToItsEffect(t *testing.T) {
	each(t, func(w *world) {
		w.run(w.relay(events.RelayOptions{}))
		c := events.NewConsumer(w.in, w.nats.Connect(w), "documents", quick())
		got := make(chan events.Meta, 1)
		events.Handle(c, func(_ context.Context, tx *sqldb.Tx, m events.Meta, e *synceventsv1.ClientArchived) error {
			got <- m
			return effect(tx, m, e)
		})
		w.run(c)
		id := w.emit("clients/1", 7)
		w.requireEffects(1)
		m := <-got
		require.Less(w, time.Since(m.Time), time.Minute)
		require.Equal(w, events.Meta{ID: id, Source: "sync", Stream: "SYNC", Subject: "sync.v1.client_archived", Firm: "acme",
			Entity: "clients/1", Sequence: 7, Time: m.Time}, m)
	})
}

func TestAddRefusesWhatCouldNotBePublished(t *testing.T) {
	each(t, func(w *world) {
		add := func(e events.Event) error {
			return w.out.Tx(context.Background(), func(tx *sqldb.Tx) error { _, err := events.Add(tx, e); return err })
		}
		require.ErrorContains(w, add(events.Event{}), "without a message")
		require.ErrorContains(w, add(events.Event{Message: &auditeventsv1.AuditEntry{}}), "no event option")
		require.ErrorContains(w, add(events.Event{Message: archived("x"), Entity: "a\r\nNats-Msg-Id: b"}), "control characters")
		large := archived(string(make([]byte, 600<<10)))
		require.ErrorContains(w, add(events.Event{Message: large}), "bytes")
		good := events.Event{Entity: "good", Message: archived("good")}
		for _, bad := range []events.Event{{}, {Message: archived("x"), Entity: "a\nb"}} {
			require.ErrorContains(w, w.emitAll(good, bad, good), "events: a")
		}
		require.Zero(w, w.count(w.out, `SELECT count(*) FROM events_outbox`))
	})
}

func TestAnEventOfARolledBackTransactionNeverHappened(t *testing.T) {
	each(t, func(w *world) {
		w.outFault.FailCommit(1)
		require.ErrorIs(w, w.out.Tx(context.Background(), func(tx *sqldb.Tx) error {
			_, err := events.Add(tx, events.Event{Entity: "never", Message: archived("never")})
			return err
		}), sqldb.ErrOutcomeUnknown)
		w.emit("after", 1)
		w.run(w.relay(events.RelayOptions{}))
		w.run(w.consumer(quick()))
		w.requireEffects(1)
		require.Equal(w, 1, w.count(w.in, `SELECT count(*) FROM effects WHERE client = 'after'`))
	})
}
