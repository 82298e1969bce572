package events_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	autheventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	documentseventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/documents/v1"
	synceventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/events/topology"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

// samples are an event of each stream.
func samples() map[string]proto.Message {
	return map[string]proto.Message{
		"AUTH": &autheventsv1.SessionRevoked{Session: "s"}, "CONNECTOR": &connectoreventsv1.ConnectionRemoved{},
		"SYNC": archived("c"), "DOCUMENTS": &documentseventsv1.DocumentFiled{}, "AUDIT": &auditeventsv1.AuditRecorded{},
	}
}

// follow makes a part's consumer of everything it is declared to follow, which counts what comes.
func follow(c *events.Consumer, streams []string, got chan<- string) {
	note := func(m events.Meta) error { got <- m.Source + " " + m.Stream; return nil }
	for _, stream := range streams {
		switch stream {
		case "AUTH":
			events.Handle(c, func(_ context.Context, _ *sqldb.Tx, m events.Meta, _ *autheventsv1.SessionRevoked) error {
				return note(m)
			})
		case "CONNECTOR":
			events.Handle(c, func(_ context.Context, _ *sqldb.Tx, m events.Meta, _ *connectoreventsv1.ConnectionRemoved) error {
				return note(m)
			})
		case "SYNC":
			events.Handle(c, func(_ context.Context, _ *sqldb.Tx, m events.Meta, _ *synceventsv1.ClientArchived) error {
				return note(m)
			})
		case "DOCUMENTS":
			events.Handle(c, func(_ context.Context, _ *sqldb.Tx, m events.Meta, _ *documentseventsv1.DocumentFiled) error {
				return note(m)
			})
		case "AUDIT":
			events.Handle(c, func(_ context.Context, _ *sqldb.Tx, m events.Meta, _ *auditeventsv1.AuditRecorded) error {
				return note(m)
			})
		}
	}
}

// Every part emits, follows, watches and looks for losses under the permissions that derive from the declaration, on
// servers that know it by its certificate; and no subject is refused to it meanwhile.
func TestEveryPartWorksUnderItsPermissions(t *testing.T) {
	t.Parallel()
	c := eventstest.NewCluster(t, 1)
	c.Launch(t)
	c.Prepare(t, 1)
	refused := make(chan error, 100)
	got := make(chan string, 1000)
	want := map[string]int{}
	ctx, cancel := context.WithCancel(t.Context())
	var ended []chan error
	start := func(r runner) {
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		ended = append(ended, done)
	}
	relays := map[string]*events.Relay{}
	outs := map[string]*sqldb.DB{}
	for _, p := range topology.Parts() {
		js := c.Connect(t, p.Name, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- fmt.Errorf("%s: %w", p.Name, err) }))
		db := sqldbtest.Open(t, sqldbtest.URL(t, sqldbtest.Engines()[0]), events.Schema)
		if len(p.Emits) > 0 {
			relays[p.Name], outs[p.Name] = events.NewRelay(db, js, p.Name, events.RelayOptions{Replicas: events.Prepared, CheckEvery: 100 * time.Millisecond}), db
			start(relays[p.Name])
		}
		if len(p.Follows) > 0 {
			consumer := events.NewConsumer(db, js, p.Name, events.ConsumerOptions{Replicas: events.Prepared})
			follow(consumer, p.Follows, got)
			start(consumer)
		}
		go events.Broadcast(ctx, js, slog.New(slog.DiscardHandler), time.Minute, func(*autheventsv1.SessionRevoked) { got <- "watched by " + p.Name })
		want["watched by "+p.Name]++
		for _, emitter := range topology.Parts() {
			for _, stream := range emitter.Emits {
				if slices.Contains(p.Follows, stream) {
					want[emitter.Name+" "+stream]++
				}
			}
		}
	}
	for _, p := range topology.Parts() {
		for _, stream := range p.Emits {
			require.NoError(t, outs[p.Name].Tx(ctx, func(tx *sqldb.Tx) error {
				_, err := events.Add(tx, events.Event{Firm: "f", Entity: "e", Message: samples()[stream]})
				return err
			}))
		}
	}
	heard := map[string]int{}
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for enough := false; !enough; {
		select {
		case what := <-got:
			heard[what]++
		case <-limit.C:
			t.Fatalf("want %v, have %v", want, heard)
		}
		enough = true
		for what, n := range want {
			enough = enough && heard[what] >= n
		}
	}
	// A loss in the middle makes a relay read its stream's headers, which is the most that it ever asks for.
	require.NoError(t, outs["sync"].Tx(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`UPDATE events_outbox SET published_seq = published_seq + 100000 WHERE published_seq IS NOT NULL`)
		return err
	}))
	eventstest.Until(t, "the relay has looked for what is lost", func() bool {
		var lost int
		return outs["sync"].QueryRow(ctx, `SELECT count(*) FROM events_outbox WHERE published_seq IS NULL OR published_seq > 100000`).Scan(&lost) == nil && lost == 0
	})
	cancel()
	for _, done := range ended {
		require.NoError(t, <-done)
	}
	select {
	case err := <-refused:
		t.Fatal(err)
	default:
	}
}

// What a part is not declared to do, the servers refuse.
func TestNoPartCanDoAnothersWork(t *testing.T) {
	t.Parallel()
	c := eventstest.NewCluster(t, 1)
	c.Launch(t)
	c.Prepare(t, 1)
	refusals := make(chan error, 100)
	js := c.Connect(t, "documents", nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refusals <- err }))
	victim := events.NewConsumer(sqldbtest.Open(t, sqldbtest.URL(t, sqldbtest.Engines()[0]), events.Schema), c.Connect(t, "sync"), "sync", events.ConsumerOptions{})
	follow(victim, []string{"AUTH"}, make(chan string, 10))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- victim.Run(ctx) }()
	defer func() { cancel(); require.NoError(t, <-done) }()
	operator := c.Connect(t, "bus-operator")
	eventstest.Until(t, "sync has its consumer", func() bool { _, err := operator.Consumer(ctx, "AUTH", "sync"); return err == nil })

	refusedAt := func(subject string) {
		t.Helper()
		select {
		case err := <-refusals:
			require.ErrorIs(t, err, nats.ErrPermissionViolation)
			require.Contains(t, err.Error(), `"`+subject)
		case <-time.After(eventstest.Wait):
			t.Fatalf("%s is not refused", subject)
		}
	}
	nc := js.Conn()
	for _, subject := range []string{
		"sync.v1.client_archived", "auth.v1.session_revoked", // events of others
		"_INBOX_sync.x.y", "concord.beacon.SYNC", // answers and beacons of others
		"$JS.API.STREAM.DELETE.DOCUMENTS", "$JS.API.STREAM.PURGE.DOCUMENTS", "$JS.API.STREAM.MSG.DELETE.DOCUMENTS",
		"$JS.API.STREAM.CREATE.SYNC", "$JS.API.STREAM.UPDATE.SYNC", "$JS.API.STREAM.CREATE.AUDIT", "$JS.API.STREAM.CREATE.NEW",
		"$JS.API.STREAM.SNAPSHOT.DOCUMENTS", "$JS.API.STREAM.LEADER.STEPDOWN.DOCUMENTS",
		"$JS.API.CONSUMER.CREATE.AUTH.sync", "$JS.API.CONSUMER.CREATE.AUTH.sync.auth.v1.session_revoked",
		"$JS.API.CONSUMER.CREATE.AUTH.any.auth.v1.staff_invited", "$JS.API.CONSUMER.DELETE.AUTH.sync", "$JS.API.CONSUMER.MSG.NEXT.AUTH.sync",
		"$JS.API.CONSUMER.CREATE.CONNECTOR.documents", "$JS.API.DIRECT.GET.SYNC", "$JS.API.STREAM.MSG.GET.AUTH",
		"$JS.ACK.AUTH.sync.1.1.1.1.0", "$SYS.REQ.SERVER.PING",
	} {
		require.NoError(t, nc.Publish(subject, nil))
		refusedAt(subject)
	}
	for _, subject := range []string{"_INBOX_sync.>", "_INBOX.>", ">", "sync.v1.>", "$JS.API.>", "concord.beacon.CONNECTOR", "$SYS.>"} {
		_, err := nc.SubscribeSync(subject)
		require.NoError(t, err)
		refusedAt(subject)
	}
	_, err := operator.Stream(ctx, "NEW")
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)

	// Without a certificate, or with a name and a password, nobody is let in.
	authorities := nats.RootCAs(c.Certificates["sync"].Files().CA)
	for _, o := range [][]nats.Option{{authorities}, {authorities, nats.UserInfo("spiffe://concord/sync", "")}} {
		_, err := nats.Connect(c.URL(), o...)
		require.Error(t, err)
	}
}

func TestUndeclaredWorkIsAMistakeAtTheStart(t *testing.T) {
	t.Parallel()
	server := eventstest.Start(t)
	js := server.Connect(t)
	c := events.NewConsumer(nil, js, "documents", events.ConsumerOptions{})
	follow(c, []string{"CONNECTOR"}, nil)
	require.ErrorContains(t, c.Run(t.Context()), "documents is not declared to follow the stream CONNECTOR: declare it in platform/events/topology")
	db := sqldbtest.Open(t, sqldbtest.URL(t, sqldbtest.Engines()[0]), events.Schema)
	require.ErrorContains(t, events.NewRelay(db, js, "gateway", events.RelayOptions{}).Run(t.Context()), "gateway is not declared to emit events")
	cluster := eventstest.NewCluster(t, 1)
	cluster.Launch(t)
	gateway := cluster.Connect(t, "gateway")
	require.ErrorContains(t, events.Broadcast(t.Context(), gateway, slog.New(slog.DiscardHandler), time.Minute, func(*synceventsv1.RunFinished) {}),
		"gateway is not declared to watch sync.v1.run_finished")
}

// Programs that make no streams wait for those that migrate makes; events of other streams go on meanwhile.
func TestPreparedProgramsWaitForTheirStreams(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		js := w.nats.Connect(w)
		w.run(w.relay(events.RelayOptions{Replicas: events.Prepared, Poll: 20 * time.Millisecond}))
		opt := quick()
		opt.Replicas = events.Prepared
		w.run(w.consumer(opt))
		require.NoError(w, w.emitAll(events.Event{Message: &auditeventsv1.AuditRecorded{}}, events.Event{Message: archived("a")}))
		_, err := js.Stream(ctx, "SYNC")
		require.ErrorIs(w, err, jetstream.ErrStreamNotFound)
		lines, err := topology.Prepare(ctx, js, "sync", 1)
		require.NoError(w, err)
		require.Equal(w, []string{"stream SYNC: made, each event on 1 of the servers"}, lines)
		w.requireEffects(1) // though AUDIT is not there
		_, err = js.Stream(ctx, "AUDIT")
		require.ErrorIs(w, err, jetstream.ErrStreamNotFound)
		lines, err = topology.Prepare(ctx, js, "auth", 1)
		require.NoError(w, err)
		require.Len(w, lines, 2)
		w.waitPublished()
		lines, err = topology.Prepare(ctx, js, "sync", 1)
		require.NoError(w, err)
		require.Equal(w, []string{"stream SYNC: unchanged"}, lines)
	})
}
