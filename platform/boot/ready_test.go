package boot_test

import (
	"context"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

// truth is how long a process may take to tell the truth; the brink is for a machine under load.
const (
	truth = 2 * time.Second
	brink = 500 * time.Millisecond
)

// told is what a program tells about its readiness.
type told struct {
	url    string
	health healthv1.HealthClient
}

func tells(t *testing.T, r *running) told {
	t.Helper()
	conn, err := dial.New(r.address(t, "grpc"), dial.Options{Audience: "things", Insecure: true})
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return told{"http://" + r.address(t, "health"), healthv1.NewHealthClient(conn)}
}

// within waits until both ways of asking say ready or not, and fails when that takes too long.
func (a told) within(t *testing.T, limit time.Duration, ready bool) (body string) {
	t.Helper()
	began := time.Now()
	status, serving := 503, healthv1.HealthCheckResponse_NOT_SERVING
	if ready {
		status, serving = 200, healthv1.HealthCheckResponse_SERVING
	}
	eventstest.Until(t, "both tell the same", func() bool {
		got, text := get(t, a.url+"/readyz")
		body = text
		answer, err := a.health.Check(t.Context(), &healthv1.HealthCheckRequest{}, grpc.WaitForReady(true))
		return err == nil && got == status && answer.GetStatus() == serving
	})
	require.Less(t, time.Since(began), limit)
	status, alive := get(t, a.url+"/livez")
	require.Equal(t, 200, status, alive)
	return body
}

func TestADatabaseThatFreezesIsToldWithinTwoSeconds(t *testing.T) {
	server := sqldbtest.Postgres(t)
	m := newMachine(t, "things")
	r := start(t, "things", m.environ("things", "DATABASE_URL="+server.URL(t)), &service{}, withDatabase...)
	said := tells(t, r)
	said.within(t, eventstest.Wait, true)
	for range 2 {
		server.Freeze(t)
		body := said.within(t, truth+brink, false)
		require.Contains(t, body, "database: does not answer\n")
		require.Contains(t, body, "bus: ok\n")
		server.Thaw(t)
		said.within(t, 10*time.Second, true)
	}
	server.Kill(t)
	body := said.within(t, truth+brink, false)
	require.Contains(t, body, "database: no connection to the database\n")
	server.Restart(t)
	said.within(t, 10*time.Second, true)
	require.LessOrEqual(t, strings.Count(r.stderr.String(), `"msg":"not ready"`), 6, "a line when it changes, not each time it is asked")
}

func TestADatabaseWithoutAFreeConnectionIsNotDown(t *testing.T) {
	m := newMachine(t, "things")
	url := sqldbtest.URL(t, sqldb.Postgres)
	r := start(t, "things", m.environ("things", "DATABASE_URL="+url, "DATABASE_MAX_CONNS=6"), &service{}, withDatabase...)
	r.awaitReady(t, 200)
	const all = 6
	held, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, all)
	for range all {
		go func() {
			ended <- r.rt.DB.Read(context.Background(), func(*sqldb.Tx) error { held <- struct{}{}; <-release; return nil })
		}()
	}
	for range all {
		<-held
	}
	eventstest.Until(t, "it is told", func() bool {
		status, body := get(t, "http://"+r.address(t, "health")+"/readyz")
		require.Equal(t, 200, status, body)
		return strings.Contains(body, "database: ok, all 6 connections are in use\n")
	})
	close(release)
	for range all {
		require.NoError(t, <-ended)
	}
}

func TestABusThatFreezesIsToldAndNotWaitedFor(t *testing.T) {
	m := newMachine(t, "things")
	line := newLine(t, m.bus.URL())
	r := start(t, "things", m.environ("things", "NATS_URL="+line.url()), &service{}, withDatabase...)
	said := tells(t, r)
	said.within(t, eventstest.Wait, true)
	line.freeze(true)
	began := time.Now()
	eventstest.Until(t, "it is told", func() bool {
		status, body := get(t, said.url+"/readyz")
		require.Equal(t, 200, status, body)
		return strings.Contains(body, "bus: unreachable for ") && strings.Contains(body, "s, serving without it")
	})
	require.Less(t, time.Since(began), truth+brink)
	line.freeze(false)
	eventstest.Until(t, "it is back", func() bool {
		_, body := get(t, said.url+"/readyz")
		return strings.Contains(body, "bus: ok")
	})
	require.LessOrEqual(t, strings.Count(r.stderr.String(), "serving without it"), 1)
}

func TestABusThatWasNeverReachedKeepsAProcessFromBeingReady(t *testing.T) {
	m := newMachine(t, "things")
	environ := m.environ("things")
	m.bus.Stop(t)
	r := start(t, "things", environ, &service{}, withDatabase...)
	said := tells(t, r)
	said.within(t, truth+brink, false)
	var body string
	eventstest.Until(t, "it is told", func() bool {
		_, body = get(t, said.url+"/readyz")
		return !strings.Contains(body, "bus: starting")
	})
	require.Contains(t, body, "bus: never reached since the start: check nats_url, and that the servers run\n")
	m.bus.Start(t)
	said.within(t, 15*time.Second, true)
}

func TestAnotherCheckCounts(t *testing.T) {
	var expired atomic.Bool
	s := setup(t, "things")
	s.Now = time.Now
	s.Checks = []boot.Check{{Part: "certificate", Ask: func(context.Context) (string, error) {
		if expired.Load() {
			return "", errExpired
		}
		return "ok, until next year", nil
	}}}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.Health = lis
	rt, err := boot.Open(t.Context(), s)
	require.NoError(t, err)
	defer rt.Close()
	url := "http://" + lis.Addr().String() + "/readyz"
	eventstest.Until(t, "it is asked", func() bool {
		_, body := get(t, url)
		return strings.Contains(body, "certificate: ok, until next year")
	})
	expired.Store(true)
	eventstest.Until(t, "it has expired", func() bool {
		status, body := get(t, url)
		return status == 503 && strings.Contains(body, "certificate: expired: renew it")
	})
}

var errExpired = stringError("expired: renew it")

type stringError string

func (e stringError) Error() string { return string(e) }

// line is a way to a server that can be frozen: connections stay open and nothing goes through.
type line struct {
	lis    net.Listener
	target string

	mu     sync.Mutex
	frozen chan struct{} // closed when it thaws; nil while it is not frozen
}

func newLine(t *testing.T, target string) *line {
	t.Helper()
	u, err := url.Parse(target)
	require.NoError(t, err)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &line{lis: lis, target: u.Host}
	t.Cleanup(func() {
		l.freeze(false)
		lis.Close()
	})
	go l.serve()
	return l
}

func (l *line) url() string { return "nats://" + l.lis.Addr().String() }

func (l *line) freeze(yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if yes && l.frozen == nil {
		l.frozen = make(chan struct{})
	} else if !yes && l.frozen != nil {
		close(l.frozen)
		l.frozen = nil
	}
}

func (l *line) wait() {
	l.mu.Lock()
	frozen := l.frozen
	l.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

func (l *line) serve() {
	for {
		in, err := l.lis.Accept()
		if err != nil {
			return
		}
		go func() {
			defer in.Close()
			l.wait()
			out, err := net.Dial("tcp", l.target)
			if err != nil {
				return
			}
			defer out.Close()
			go l.copy(in, out)
			l.copy(out, in)
		}()
	}
}

func (l *line) copy(to, from net.Conn) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		l.wait()
		if n > 0 {
			if _, werr := to.Write(buffer[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// What a service does without is told, and does not make the process unready.
func TestWhatAServiceDoesWithoutIsTold(t *testing.T) {
	m := newMachine(t, "things")
	svc := &service{}
	r := start(t, "things", m.environ("things"), svc, withDatabase...)
	said := tells(t, r)
	require.Contains(t, said.within(t, eventstest.Wait, true), "things: ok")
	without := "bytes unreachable for 3s, serving without them"
	svc.without.Store(&without)
	eventstest.Until(t, "it is told", func() bool {
		status, body := get(t, said.url+"/readyz")
		return status == 200 && strings.Contains(body, "things: bytes unreachable for 3s, serving without them")
	})
	require.Contains(t, r.stderr.String(), "ready, though not everything is well")
}
