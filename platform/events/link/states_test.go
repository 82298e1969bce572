package link_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/events/link"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
)

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

// watch connects as sync and watches.
func watch(t *testing.T, cfg link.Config) (*link.Monitor, *nats.Conn, *lines) {
	t.Helper()
	log := &lines{}
	m := link.NewMonitor(link.Options{Part: "sync", Own: cfg.Own, Log: slog.New(slog.NewTextHandler(log, nil))})
	t.Cleanup(m.Close)
	nc, err := link.Connect(cfg, m.Options()...)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	require.NoError(t, m.Watch(nc))
	return m, nc, log
}

func until(t *testing.T, m *link.Monitor, text string) link.Health {
	t.Helper()
	var h link.Health
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for h = m.Health(); !strings.Contains(h.String(), text); h = m.Health() {
		select {
		case <-limit.C:
			t.Fatalf("want %q, have %q", text, h)
		case <-tick.C:
		}
	}
	return h
}

// Each state is told apart, in words with what to do, and none makes the program ready but the right one.
func TestStatesAreToldApart(t *testing.T) {
	c := eventstest.NewCluster(t, 1)
	m, _, log := watch(t, c.Config("sync"))
	require.False(t, until(t, m, "never reached since the start: check nats_url").Ready)

	c.Launch(t)
	h := until(t, m, "the stream SYNC is missing: run `concord-sync migrate`")
	require.False(t, h.Ready)
	require.Equal(t, link.Wrong, h.State)
	require.Contains(t, h.Why, "the stream DOCUMENTS is missing: run `concord-documents migrate`")
	c.Prepare(t, 1)
	require.True(t, until(t, m, "connected").Ready)
	require.Zero(t, log.count("level="), "why a program is not ready is told by who asks for that")

	// The wrong certificate: of a stranger with the right authority.
	c.Certificates["stranger"] = mtlstest.Mount(t, c.Authority.Issue("stranger"), c.Authority)
	stranger, _, _ := watch(t, c.Config("stranger"))
	require.False(t, until(t, stranger, "Authorization Violation").Ready)

	// A certificate that has expired is renewed on disk, and used at the next attempt.
	late := mtlstest.Mount(t, c.Authority.Issue("sync", mtlstest.Valid(-time.Hour, -time.Minute)), c.Authority)
	expired, _, _ := watch(t, as(c, late))
	require.False(t, until(t, expired, "the own certificate expired at ").Ready)
	late.Swap(c.Authority.Issue("sync"), c.Authority)
	require.True(t, until(t, expired, "connected").Ready)

	// One of an authority that the servers do not know.
	foreign := mtlstest.NewAuthority(t)
	refused, _, _ := watch(t, as(c, mtlstest.Mount(t, foreign.Issue("sync"), c.Authority)))
	until(t, refused, "the NATS servers refuse the certificate (")

	// And servers of an authority that the part does not know.
	doubts, _, _ := watch(t, as(c, mtlstest.Mount(t, c.Authority.Issue("sync"), foreign)))
	until(t, doubts, "the NATS servers' certificate is of an unknown authority")
}

// as is how sync connects with what is mounted there.
func as(c *eventstest.Cluster, files *mtlstest.Volume) link.Config {
	cfg := c.Config("sync")
	cfg.Own = files.Open("sync")
	return cfg
}

// A part that watches with another's certificate sees which subjects are refused to it.
func TestARefusedSubjectIsNamed(t *testing.T) {
	c := eventstest.NewCluster(t, 1)
	c.Launch(t)
	c.Prepare(t, 1)
	m, _, _ := watch(t, c.Config("gateway")) // looks at the streams of sync
	h := until(t, m, "the NATS servers refuse a subject to this user: print its permissions with `bus permissions`")
	require.False(t, h.Ready)
	require.Contains(t, h.Why, "$JS.API.STREAM.INFO")

	// Answers that may not come, because they would come to another's inbox.
	foreign := c.Config("sync")
	foreign.Part = "auth"
	m, _, _ = watch(t, foreign)
	until(t, m, `Permissions Violation for Subscription to "_INBOX_auth.`)
}

func TestAnAccountWithoutJetStream(t *testing.T) {
	c := eventstest.NewCluster(t, 1)
	c.Accounts = strings.Replace(c.Accounts, "jetstream: enabled", "jetstream: disabled", 1)
	c.Launch(t)
	m, _, _ := watch(t, c.Config("sync"))
	require.False(t, until(t, m, "account has no `jetstream: enabled`").Ready)
}

// A server that is frozen is noticed within two seconds, though its sockets are open, and the program stays ready.
func TestAFrozenServer(t *testing.T) {
	c := eventstest.NewCluster(t, 1)
	c.Launch(t)
	c.Prepare(t, 1)
	m, nc, log := watch(t, c.Config("sync"))
	until(t, m, "connected")
	c.Nodes[0].Freeze(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for m.Health().State != link.Lost {
		select {
		case <-ctx.Done():
			t.Fatalf("after two seconds: %s", m.Health())
		case <-tick.C:
		}
	}
	h := m.Health()
	require.True(t, h.Ready)
	require.Contains(t, h.String(), "unreachable for ")
	require.Contains(t, h.String(), "s, serving without it")
	eventstest.Until(t, "it gives the connection up", func() bool { return !nc.IsConnected() })
	require.Equal(t, 1, log.count("the bus is unreachable, events wait in the outbox"))
	c.Nodes[0].Thaw(t)
	until(t, m, "connected")
	eventstest.Until(t, "it is told that all is well", func() bool { return log.count("the bus is as it should be") == 1 })
	require.Equal(t, 2, log.count("level="), "two lines")
}

// Where there are others, a frozen server is left for one of them, long before the library would notice.
func TestAFrozenServerIsLeft(t *testing.T) {
	c := eventstest.NewCluster(t, 3)
	c.Launch(t)
	c.Prepare(t, 3)
	m, nc, _ := watch(t, c.Config("sync"))
	until(t, m, "connected")
	at := nc.ConnectedServerName()
	for _, node := range c.Nodes {
		if node.Name == at {
			node.Freeze(t)
		}
	}
	until(t, m, "unreachable for ")
	until(t, m, "connected")
	require.NotEqual(t, at, nc.ConnectedServerName())
}
