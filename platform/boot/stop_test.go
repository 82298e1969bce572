package boot_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

// relaying is a service whose work is to publish its outbox, with a call that ends when the test says so.
func relaying(arrived, release chan struct{}, rt func() *boot.Runtime) *service {
	return &service{
		unary: func(context.Context) error {
			close(arrived)
			<-release
			return nil
		},
		run: func(ctx context.Context) error {
			r := rt()
			return events.NewRelay(r.DB, r.Bus, "things", events.RelayOptions{}).Run(ctx)
		},
	}
}

// What the last call put into the outbox is with the bus when the process has ended: here the audit entry of a view, which
// is written up to a second after the call.
func TestWhatTheLastCallLeftBehindIsPublished(t *testing.T) {
	m := newMachine(t, "things")
	arrived, release := make(chan struct{}), make(chan struct{})
	var r *running
	runtime := make(chan *boot.Runtime, 1)
	r = start(t, "things", m.environ("things"), relaying(arrived, release, func() *boot.Runtime { return <-runtime }), withDatabase...)
	runtime <- r.rt
	r.awaitReady(t, 200)
	conn, err := dial.New(r.address(t, "grpc"), dial.Options{Audience: "things", Insecure: true})
	require.NoError(t, err)
	defer conn.Close()
	answered := make(chan error, 1)
	go func() { answered <- call(context.Background(), conn, "Look") }()
	<-arrived
	r.stop()
	require.Contains(t, r.awaitReady(t, 503), "stopping")
	close(release)
	require.NoError(t, <-answered)
	require.Equal(t, 0, <-r.code)
	stream, err := m.bus.Connect(t).Stream(t.Context(), "AUDIT")
	require.NoError(t, err)
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, info.State.Msgs)
	require.NotContains(t, r.stderr.String(), "events stay in the outbox")
}

// While it drains, a process says that it is not ready and answers all the same.
func TestADrainingProcessAnswers(t *testing.T) {
	m := newMachine(t, "things")
	r := start(t, "things", m.environ("things", "DRAIN_DELAY=2s"), &service{}, withDatabase...)
	r.awaitReady(t, 200)
	said := tells(t, r)
	r.stop()
	said.within(t, time.Second, false)
	conn, err := dial.New(r.address(t, "grpc"), dial.Options{Audience: "things", Insecure: true})
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, ping(t.Context(), conn))
	require.Equal(t, 0, <-r.code)
}

// With database, bus and collector frozen a process ends within the time that its settings and StopTime make.
func TestAStopIsBoundedWhateverHangs(t *testing.T) {
	m := newMachine(t, "things")
	server := sqldbtest.Postgres(t)
	bus := newLine(t, m.bus.URL())
	collector, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	require.NoError(t, err)
	defer collector.Close()
	arrived, release := make(chan struct{}), make(chan struct{})
	runtime := make(chan *boot.Runtime, 1)
	svc := relaying(arrived, release, func() *boot.Runtime { return <-runtime })
	work := svc.run
	svc.run = func(ctx context.Context) error {
		_ = work(ctx)
		select {} // does not end at all
	}
	r := start(t, "things", m.environ("things", "DATABASE_URL="+server.URL(t), "NATS_URL="+bus.url(), "GRACE=1s",
		"OTLP_ENDPOINT=http://"+collector.Addr().String()), svc, withDatabase...)
	runtime <- r.rt
	r.awaitReady(t, 200)
	conn, err := dial.New(r.address(t, "grpc"), dial.Options{Audience: "things", Insecure: true})
	require.NoError(t, err)
	defer conn.Close()
	go func() { _ = call(context.Background(), conn, "Look") }()
	<-arrived
	server.Freeze(t)
	bus.freeze(true)
	r.stop()
	began := time.Now()
	close(release)
	select {
	case <-r.code:
		require.Less(t, time.Since(began), time.Second+boot.StopTime)
	case <-time.After(2 * boot.StopTime):
		t.Fatal("it hangs")
	}
}

func TestTheSettingsSayHowLongAStopTakes(t *testing.T) {
	m := newMachine(t, "things")
	code, out, stderr := once(m.environ("things", "DRAIN_DELAY=5s", "GRACE=25s"), builds, withDatabase, "config", "print")
	require.Equal(t, 0, code, stderr)
	require.Contains(t, out, "# a stop takes at most 40s = drain_delay + grace + 10s; terminationGracePeriodSeconds must be more\n")
	_, out, _ = once(nil, builds, withDatabase, "config", "doc")
	require.Contains(t, out, fmt.Sprintf("drain_delay + grace + %s", boot.StopTime))
}

func TestASchemaIsWaitedFor(t *testing.T) {
	sqldbtest.EachURL(t, func(t *testing.T, url string) {
		m := newMachine(t, "things")
		environ := m.environ("things", "DATABASE_MIGRATE=false", "DATABASE_URL="+url)
		health := freeAddress(t)
		w := launch("things", append(environ, "CONCORD_THINGS_HEALTH_ADDR="+health), &service{}, withDatabase...)
		defer w.stop()
		var body string
		eventstest.Until(t, "it says what it waits for", func() bool {
			body = w.ask(health)
			return strings.Contains(body, "schema: ")
		})
		eventstest.Until(t, "it says what to do", func() bool {
			return strings.Contains(w.ask(health), "; the schema is at 0, this release needs 1: run `concord-things migrate`\n")
		})
		require.Equal(t, "200 ok", w.ask(health, "/livez"))
		code, _, stderr := once(environ, builds, withDatabase, "migrate")
		require.Equal(t, 0, code, stderr)
		eventstest.Until(t, "it starts", func() bool { return strings.HasPrefix(w.ask(health), "200 ready") })
		// One line, and maybe another when half of it was there.
		require.LessOrEqual(t, strings.Count(w.stderr.String(), `"msg":"not ready"`), 2, w.stderr.String())
		w.stop()
		require.Equal(t, 0, <-w.code)
	})
}

func TestADatabaseThatIsAwayIsWaitedFor(t *testing.T) {
	m := newMachine(t, "things")
	server := sqldbtest.Postgres(t)
	environ := m.environ("things", "DATABASE_URL="+server.URL(t))
	server.Kill(t)
	health := freeAddress(t)
	w := launch("things", append(environ, "CONCORD_THINGS_HEALTH_ADDR="+health), &service{}, withDatabase...)
	defer w.stop()
	eventstest.Until(t, "it says what it waits for", func() bool {
		return strings.Contains(w.ask(health), "database: no connection to the database\n")
	})
	require.Contains(t, w.stderr.String(), "database: no connection to the database at ", "the log names the server, whoever asks is not told")
	require.Equal(t, "200 ok", w.ask(health, "/livez"))
	server.Restart(t)
	eventstest.Until(t, "it starts", func() bool { return strings.HasPrefix(w.ask(health), "200 ready") })

	server.Kill(t) // and a process that waits can be stopped
	other := launch("things", environ, &service{}, withDatabase...)
	eventstest.Until(t, "it waits", func() bool { return strings.Contains(other.stderr.String(), "not ready") })
	other.stop()
	require.Equal(t, 0, <-other.code, other.stderr.String())
}
