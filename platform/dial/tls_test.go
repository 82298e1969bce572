package dial_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/serve"
)

// Between services there is TLS 1.3 and nothing older, on both sides, with authenticated encryption and SHA-256 at least.
// Which of its suites is agreed the library decides and cannot be told: AES-128 may be among them (docs/security/evidence.md).
func TestS04_NothingOlderThanTLS13BetweenServices(t *testing.T) {
	a := newAuthority(t)
	loopback := []net.IP{net.IPv4(127, 0, 0, 1)}
	a.issue("server", loopback)
	a.issue("client", nil)
	p := start(t, serve.Config{Address: "127.0.0.1:0", Grace: time.Second, TLS: serve.TLS{
		CertFile: a.file("server"), KeyFile: a.file("server-key"), ClientCAFile: a.file("ca"),
	}})
	pair, err := tls.LoadX509KeyPair(a.file("client"), a.file("client-key"))
	require.NoError(t, err)
	pem, err := os.ReadFile(a.file("ca"))
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	shake := func(version uint16) (*tls.Conn, error) {
		return tls.Dial("tcp", p.server.Addr().String(), &tls.Config{
			MinVersion: version, MaxVersion: version, RootCAs: roots, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"},
		})
	}
	for _, old := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12} {
		_, err := shake(old)
		require.Error(t, err, tls.VersionName(old))
	}
	conn, err := shake(tls.VersionTLS13)
	require.NoError(t, err)
	require.Contains(t, []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256},
		conn.ConnectionState().CipherSuite)
	require.NoError(t, conn.Close())

	// A service refuses a peer that knows no more than TLS 1.2, whatever certificate it has.
	own, err := tls.LoadX509KeyPair(a.file("server"), a.file("server-key"))
	require.NoError(t, err)
	lis, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own}, NextProtos: []string{"h2"},
	})
	require.NoError(t, err)
	defer lis.Close()
	shaken := make(chan error, 1)
	go func() {
		peer, err := lis.Accept()
		if err == nil {
			err = peer.(*tls.Conn).HandshakeContext(t.Context())
			_ = peer.Close()
		}
		shaken <- err
	}()
	client := connect(t, lis.Addr().String(), dial.Options{Timeout: 2 * time.Second, TLS: dial.TLS{
		CAFile: a.file("ca"), CertFile: a.file("client"), KeyFile: a.file("client-key"),
	}})
	_, err = p.Call(t.Context(), client, "Ping", nil)
	require.Error(t, err)
	require.ErrorContains(t, <-shaken, "client offered only unsupported versions")
}
