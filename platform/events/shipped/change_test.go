package shipped

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"math/big"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/events/topology"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
)

// renews replaces the certificate first and the key later, as no kubelet does and a script may: what does not belong together
// is not taken, and what does is, on both ports.
func (b *bus) renews(t *testing.T) {
	s := b.servers[0]
	ports := []string{"client", "cluster"}
	before := map[string]*big.Int{}
	for _, port := range ports {
		before[port] = b.shown(t, s, port)
	}
	renewed, mark := b.m.issue(t, b.authority, "nats"), len(s.log.String())
	s.write(t, "/etc/nats/tls/tls.crt", renewed.Cert)
	eventstest.Until(t, "the certificate is refused without its key", func() bool {
		return strings.Contains(s.log.since(mark), "Failed to reload server configuration")
	})
	for _, port := range ports {
		require.Equal(t, before[port], b.shown(t, s, port), port)
	}
	s.write(t, "/etc/nats/tls/tls.key", renewed.Key)
	for _, port := range ports {
		eventstest.Until(t, "the renewed certificate is shown to who comes to the port "+port, func() bool {
			return b.shown(t, s, port).Cmp(renewed.Leaf.SerialNumber) == 0
		})
	}
	b.meshed(t)
}

// shown is the serial number of the certificate on a port. To clients a server says something before, to servers it does not.
func (b *bus) shown(t *testing.T, s *server, port string) *big.Int {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.address(t, port), eventstest.Wait)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(eventstest.Wait)))
	if port == "client" {
		_, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
	}
	own := b.m.issue(t, b.authority, "sync")
	pair, err := tls.X509KeyPair(own.Cert, own.Key)
	require.NoError(t, err)
	secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}})
	require.NoError(t, secure.Handshake())
	return secure.ConnectionState().PeerCertificates[0].SerialNumber
}

// leaver is the server that goes away.
const leaver = 2

// leaves does to a server what a rolling update does: preStop, and SIGTERM right after it. Clients are told, are sent elsewhere,
// and have their events confirmed meanwhile; the server ends in its own time, within that of the pod.
func (b *bus) leaves(t *testing.T) {
	s := b.servers[leaver]
	told := make(chan struct{}, 1)
	var client *nats.Conn
	eventstest.Until(t, "a client is on "+s.name, func() bool {
		client = b.connect(t, "sync", nats.LameDuckModeHandler(func(*nats.Conn) { told <- struct{}{} })).Conn()
		return client.ConnectedServerName() == s.name
	})
	preStop := b.m.container().Lifecycle.PreStop.Exec.Command
	js, mark, began := b.connect(t, "sync"), len(s.log.String()), time.Now()
	require.NoError(t, s.inside(preStop[0], preStop[1:]...).Run())
	eventstest.Until(t, "the server is a lame duck", func() bool { return strings.Contains(s.log.since(mark), "lame duck") })
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	confirmed, pace := 0, time.NewTicker(50*time.Millisecond)
	defer pace.Stop()
	for ; !s.ended(); <-pace.C {
		publish(t, js)
		confirmed++
		require.Less(t, time.Since(began), b.m.grace(), "%s does not end", s.name)
	}
	took := time.Since(began)
	t.Logf("%s left in %s, while %d events were confirmed", s.name, took.Round(time.Millisecond), confirmed)
	const handOver = 10 * time.Second // lame_duck_grace_period
	require.Greater(t, took, handOver, "SIGTERM lets it hand over")
	require.Len(t, told, 1, "clients are told")
	eventstest.Until(t, "the client is elsewhere", func() bool { return client.IsConnected() && client.ConnectedServerName() != s.name })
	ctx, cancel := context.WithTimeout(t.Context(), eventstest.Wait)
	defer cancel()
	require.NoError(t, client.FlushWithContext(ctx))
}

// keepsPlace has others stand at the address of the server that left, as one of the bus: with the certificate of each part, and with the
// right names by another authority. They are refused as who comes and as who is come to. Then the server itself comes back.
func (b *bus) keepsPlace(t *testing.T) {
	left := b.servers[leaver]
	stranger := mtlstest.NewAuthority(t)
	type claim struct {
		who  string
		by   *mtlstest.Authority
		says map[string]string // what a server writes, by who dialled
	}
	const unknown = "certificate signed by unknown authority"
	claims := []claim{{"nats", stranger, map[string]string{dialled: unknown, accepted: unknown}}}
	for _, p := range topology.Parts() {
		claims = append(claims, claim{p.Name, b.authority, map[string]string{
			dialled: "certificate is valid for " + p.Name + ", ", accepted: "authentication error",
		}})
	}
	for _, c := range claims {
		impostor := b.m.newServer(t, b.program, left.name, left.ip, b.hosts)
		impostor.certify(t, b.m.issue(t, c.by, c.who), b.authority)
		for _, s := range b.servers[:leaver] {
			mark := len(s.log.String())
			if impostor.cmd == nil {
				impostor.launch(t)
			}
			for way, text := range c.says {
				eventstest.Until(t, fmt.Sprintf("%s refuses the certificate of %s on a connection that it %s", s.name, c.who, way), func() bool {
					require.NotContains(t, s.routes(t), left.name)
					return about(s.log.since(mark), way, left.address(t, "cluster"), text)
				})
			}
		}
		impostor.kill()
	}
	left.launch(t)
	b.awaitReady(t, left)
	b.meshed(t)
	js := b.connect(t, "sync")
	eventstest.Until(t, "SYNC is on three servers again", func() bool { return onThree(t, js) })
	publish(t, js)
}

// How a connection between servers came about.
const (
	dialled  = "dialled"
	accepted = "accepted"
)

// about says whether a line has the text and is about a connection that was dialled to the address, or accepted from anywhere.
func about(log, way, address, text string) bool {
	for line := range strings.Lines(log) {
		if strings.Contains(line, text) && strings.Contains(line, address+" - rid:") == (way == dialled) {
			return true
		}
	}
	return false
}
