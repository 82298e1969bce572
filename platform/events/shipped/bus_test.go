package shipped

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/events/link"
	"github.com/concord-suite/concord/platform/events/topology"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
)

// wiring is what every part is given, see deploy/k8s/base/sync/wiring.env.
const wiring = "tls://nats:4222"

// bus is the servers of an installation.
type bus struct {
	m         *manifests
	authority *mtlstest.Authority
	program   string
	hosts     string
	servers   []*server
	turn      atomic.Int64
}

// begin starts the servers.
func begin(t *testing.T, m *manifests, authority *mtlstest.Authority) *bus {
	t.Helper()
	b := &bus{m: m, authority: authority, program: program(t)}
	network := freeNetwork(t)
	for i := range m.set.Spec.Replicas {
		b.hosts += fmt.Sprintf("%s nats-%d.%s\n", host(network, 10+i), i, m.set.Spec.ServiceName)
	}
	for i := range m.set.Spec.Replicas {
		s := m.newServer(t, b.program, fmt.Sprintf("nats-%d", i), host(network, 10+i), b.hosts)
		b.servers = append(b.servers, s)
		s.certify(t, m.issue(t, authority, "nats"), authority)
	}
	return b
}

func (b *bus) launch(t *testing.T) {
	t.Helper()
	for _, s := range b.servers {
		s.launch(t)
	}
	for _, s := range b.servers {
		b.awaitReady(t, s)
	}
}

func (b *bus) awaitReady(t *testing.T, s *server) {
	t.Helper()
	c := b.m.container()
	for _, p := range []probe{c.Startup, c.Liveness, c.Readiness} {
		eventstest.Until(t, s.name+" answers "+p.Get.Path, func() bool {
			require.False(t, s.ended(), "%s ended", s.name)
			return s.healthy(t, p)
		})
	}
}

// names resolves "nats" to the servers, one after the other, as the headless service does.
type names struct{ b *bus }

// SkipHostLookup keeps the library from asking this machine's DNS.
func (names) SkipHostLookup() bool { return true }

// Dial connects to a server that is up.
func (n names) Dial(network, address string) (net.Conn, error) {
	name, port, err := net.SplitHostPort(address)
	if err != nil || name != "nats" {
		return nil, fmt.Errorf("no such name: %s: %w", address, err)
	}
	s := n.b.servers[int(n.b.turn.Add(1))%len(n.b.servers)]
	return net.DialTimeout(network, net.JoinHostPort(s.ip.String(), port), eventstest.Wait)
}

// connect connects as a part does.
func (b *bus) connect(t *testing.T, part string, opts ...nats.Option) jetstream.JetStream {
	t.Helper()
	own := mtlstest.Mount(t, b.m.issue(t, b.authority, part), b.authority).Open(part)
	nc, err := link.Connect(link.Config{URL: wiring, Part: part, Name: part, Own: own}, append(opts, nats.SetCustomDialer(names{b}))...)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	eventstest.Until(t, part+" is connected", nc.IsConnected)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

// prepare does what the jobs of a release do.
func (b *bus) prepare(t *testing.T) {
	t.Helper()
	for _, p := range topology.Parts() {
		js := b.connect(t, p.Name)
		var err error
		eventstest.Until(t, "the streams of "+p.Name+" are made", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err = topology.Prepare(ctx, js, p.Name, b.m.set.Spec.Replicas)
			return err == nil
		})
		js.Conn().Close()
	}
}

// publish has an event of sync confirmed, however often that has to be tried.
func publish(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	eventstest.Until(t, "an event is confirmed", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := js.Publish(ctx, "sync.v1.client_archived", []byte("event"))
		return err == nil
	})
}

// onThree says whether the stream is on three servers and all of them are up to date.
func onThree(t *testing.T, js jetstream.JetStream) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	stream, err := js.Stream(ctx, "SYNC")
	if err != nil {
		return false
	}
	info, err := stream.Info(ctx)
	if err != nil || info.Cluster == nil || info.Cluster.Leader == "" || len(info.Cluster.Replicas) != 2 {
		return false
	}
	for _, r := range info.Cluster.Replicas {
		if !r.Current || r.Offline {
			return false
		}
	}
	return info.Config.Replicas == 3
}

// others are the names of all servers but one.
func (b *bus) others(of *server) (names []string) {
	for _, s := range b.servers {
		if s != of {
			names = append(names, s.name)
		}
	}
	return names
}

// meshed waits until every server is connected with all others, and with nobody else.
func (b *bus) meshed(t *testing.T) {
	t.Helper()
	for _, s := range b.servers {
		want := strings.Join(b.others(s), " ")
		eventstest.Until(t, s.name+" is connected with "+want, func() bool { return strings.Join(s.routes(t), " ") == want })
	}
}

func host(network netip.Addr, n int) netip.Addr {
	b := network.As4()
	b[3] = byte(n)
	return netip.AddrFrom4(b)
}

// freeNetwork is a piece of the loopback network that nobody else uses: ports are those that ship, so addresses differ.
func freeNetwork(t *testing.T) netip.Addr {
	t.Helper()
	for range 100 {
		network := netip.AddrFrom4([4]byte{127, byte(192 + rand.IntN(62)), byte(rand.IntN(256)), 10})
		lis, err := net.Listen("tcp", netip.AddrPortFrom(network, 4222).String())
		if err != nil {
			continue
		}
		require.NoError(t, lis.Close())
		return network
	}
	t.Fatal("no free piece of the loopback network (127.192.0.0 to 127.253.255.0)")
	return netip.Addr{}
}
