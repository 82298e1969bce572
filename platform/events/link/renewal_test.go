package link_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
)

// A certificate and an authority that are renewed on disk are used by the next connection, without a restart.
func TestRenewedFilesAreUsed(t *testing.T) {
	c := eventstest.NewCluster(t, 1)
	c.Launch(t)
	c.Prepare(t, 1)
	m, nc, _ := watch(t, c.Config("sync"))
	until(t, m, "connected")
	young := mtlstest.NewAuthority(t)
	c.Certificates["sync"].Swap(c.Authority.Issue("sync"), young)
	c.Certificates["nats"].Swap(young.Issue("nats", eventstest.Loopback), young)
	c.Nodes[0].Kill()
	c.Nodes[0].Launch(t)
	until(t, m, "refuse the certificate")
	c.Certificates["sync"].Swap(young.Issue("sync"), young)
	until(t, m, "connected")
	require.True(t, nc.IsConnected())
}

// TestAConnectionToTheBusOutlivesItsCertificate: the servers look at a certificate when a connection is made, and end none
// when they read their files again. Whoever must be refused at once needs them restarted (docs/runbooks/certificates.md).
func TestAConnectionToTheBusOutlivesItsCertificate(t *testing.T) {
	c := eventstest.NewCluster(t, 1)
	c.Launch(t)
	c.Prepare(t, 1)
	old, young := c.Authority, mtlstest.NewAuthority(t)
	left := mtlstest.Mount(t, old.Issue("sync"), old, young) // whoever has kept the old one
	m, nc, _ := watch(t, as(c, left))
	until(t, m, "connected")
	c.Certificates["nats"].Swap(young.Issue("nats", eventstest.Loopback), young)
	c.Nodes[0].Reload(t)
	eventstest.Until(t, "the server believes the new authority alone", func() bool {
		_, err := greet(c.URL(), left, nil)
		return err != nil && strings.Contains(err.Error(), "unknown certificate authority")
	})
	require.NoError(t, nc.FlushTimeout(30*time.Second), "the connection from before goes on")
	require.EqualValues(t, 0, nc.Stats().Reconnects)

	c.Nodes[0].Kill()
	c.Nodes[0].Launch(t)
	until(t, m, "the NATS servers refuse the certificate (")
	left.Swap(young.Issue("sync"), young)
	until(t, m, "connected")
}

// TestSessionsOfTheBusDoNotOutliveARenewal: the servers give tickets, and a thief may keep one. It is of no use once the
// authority is taken away.
func TestSessionsOfTheBusDoNotOutliveARenewal(t *testing.T) {
	c := eventstest.NewCluster(t, 1)
	c.Launch(t)
	old, young := c.Authority, mtlstest.NewAuthority(t)
	thief, tickets := mtlstest.Mount(t, old.Issue("sync"), old, young), tls.NewLRUClientSessionCache(4)
	eventstest.Until(t, "a ticket is good", func() bool {
		resumed, err := greet(c.URL(), thief, tickets)
		return err == nil && resumed
	})
	c.Certificates["nats"].Swap(young.Issue("nats", eventstest.Loopback), young)
	c.Nodes[0].Reload(t)
	eventstest.Until(t, "the ticket is refused", func() bool {
		_, err := greet(c.URL(), thief, tickets)
		return err != nil && strings.Contains(err.Error(), "unknown certificate authority")
	})
}

// greet connects to a NATS server as a library that keeps sessions would, and tells whether one was resumed.
func greet(at string, own *mtlstest.Volume, tickets tls.ClientSessionCache) (resumed bool, err error) {
	server, err := url.Parse(at)
	if err != nil {
		return false, err
	}
	conn, err := net.Dial("tcp", server.Host)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return false, err
	}
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil { // INFO, and nothing after it until TLS begins
		return false, err
	}
	pair, err := tls.LoadX509KeyPair(own.Files().Cert, own.Files().Key)
	if err != nil {
		return false, err
	}
	over := tls.Client(conn, &tls.Config{
		MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, // what the server says is of interest
		Certificates: []tls.Certificate{pair}, ServerName: "nats", ClientSessionCache: tickets,
	})
	if _, err := over.Write([]byte("CONNECT {\"verbose\":false}\r\nPING\r\n")); err != nil {
		return false, err
	}
	for lines := bufio.NewScanner(over); ; { // in TLS 1.3 the verdict comes after the handshake
		if !lines.Scan() {
			return false, fmt.Errorf("no answer: %w", lines.Err())
		}
		if lines.Text() == "PONG" {
			return over.ConnectionState().DidResume, nil
		}
	}
}
