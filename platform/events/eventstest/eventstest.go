// Package eventstest gives tests a real NATS server with JetStream on loopback, with its data in a directory of the
// test, and ways to hurt it: stop it, start it again, take its data away, or put it back to an older state, which is how
// a broker that lost acknowledged messages looks from outside.
//
// It imports the NATS server, so only test files may import it: no program of the suite but the all-in-one contains a
// server.
package eventstest

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concord-suite/concord/platform/events/link"
)

// Wait bounds everything that tests wait for. It is far beyond what anything takes on a loaded machine.
const Wait = 2 * time.Minute

// Server is a NATS server of the test's own. It keeps its address over restarts.
type Server struct {
	dir    string
	port   int
	limit  int32 // max_payload, 0 means that of NATS
	server *server.Server
}

// Start starts a server that lives as long as the test. Every message is on disk before it is confirmed, as in
// production.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{dir: t.TempDir(), port: server.RANDOM_PORT}
	s.Start(t)
	t.Cleanup(s.shutdown)
	return s
}

// Start starts the server again after Stop, on its data.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: s.port, StoreDir: s.dir, JetStream: true, SyncAlways: true, NoSigs: true, NoLog: true,
		MaxPayload: s.limit,
	})
	if err != nil {
		t.Fatalf("start the NATS server: %v", err)
	}
	srv.Start()
	if !srv.ReadyForConnections(Wait) {
		t.Fatal("the NATS server does not start")
	}
	s.port = srv.Addr().(*net.TCPAddr).Port
	s.server = srv
}

// URL returns the address for clients.
func (s *Server) URL() string { return s.server.ClientURL() }

// Stop stops the server; clients lose their connections and find nobody.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.shutdown()
}

func (s *Server) shutdown() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

// Restart stops the server and starts it on its data.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop(t)
	s.Start(t)
}

// Limit restarts the server with another bound on what one message may have in bytes; 0 means that of NATS.
func (s *Server) Limit(t testing.TB, bytes int32) {
	t.Helper()
	s.limit = bytes
	s.Restart(t)
}

// Wipe restarts the server without any of its data.
func (s *Server) Wipe(t testing.TB) {
	t.Helper()
	s.Stop(t)
	s.must(t, os.RemoveAll(filepath.Join(s.dir, "jetstream")))
	s.Start(t)
}

// Snapshot stops the server for a moment and keeps a copy of its data. The returned function restarts the server with
// that copy, all later messages being lost.
func (s *Server) Snapshot(t testing.TB) (restore func()) {
	t.Helper()
	kept, live := filepath.Join(t.TempDir(), "kept"), filepath.Join(s.dir, "jetstream")
	s.Stop(t)
	s.must(t, os.CopyFS(kept, os.DirFS(live)))
	s.Start(t)
	return func() {
		t.Helper()
		s.Stop(t)
		s.must(t, os.RemoveAll(live))
		s.must(t, os.CopyFS(live, os.DirFS(kept)))
		s.Start(t)
	}
}

func (s *Server) must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Connect returns a JetStream context on a connection of its own, as services have it, closed with the test.
func (s *Server) Connect(t testing.TB) jetstream.JetStream {
	t.Helper()
	nc, err := link.Connect(link.Config{URL: s.URL(), Name: t.Name()}, nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0))
	s.must(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	s.must(t, err)
	return js
}

// Until waits until ok says so, and fails the test after Wait with what ok said last.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(Wait)
	defer limit.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-limit.C:
			t.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}
