package dial_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/mtls"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/serve"
	"github.com/concord-suite/concord/platform/serve/servetest"
)

// secure is the configuration of the server "things" on a port of its own, which answers sync and gateway.
func secure(own *mtls.Source) serve.Config {
	return serve.Config{Address: "127.0.0.1:0", Grace: time.Second, TLS: own, Callers: []string{"sync", "gateway"}}
}

// Between services there is TLS 1.3 and nothing older, on both sides, with authenticated encryption and SHA-256 at least.
// Which of its suites is agreed the library decides and cannot be told: AES-128 may be among them (docs/security/evidence.md).
func TestS04_NothingOlderThanTLS13BetweenServices(t *testing.T) {
	ca := mtlstest.NewAuthority(t)
	p := start(t, secure(ca.Source("things")))
	pair, err := ca.Source("gateway").Certificate()
	require.NoError(t, err)
	shake := func(version uint16) (*tls.Conn, error) {
		return tls.Dial("tcp", p.server.Addr().String(), &tls.Config{
			MinVersion: version, MaxVersion: version, InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"},
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
	own, err := ca.Source("things").Certificate()
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
	client := connect(t, lis.Addr().String(), dial.Options{Timeout: 2 * time.Second, TLS: ca.Source("gateway")})
	_, err = p.Call(t.Context(), client, "Ping", nil)
	require.Error(t, err)
	require.ErrorContains(t, <-shaken, "client offered only unsupported versions")
}

func TestN57_TLSBothWaysAndRenewedCertificates(t *testing.T) {
	ca, foreign := mtlstest.NewAuthority(t), mtlstest.NewAuthority(t)
	volume := mtlstest.Mount(t, ca.Issue("things"), ca)
	p := start(t, secure(volume.Open("things")))
	address := p.server.Addr().String()
	call := func(own *mtls.Source) error {
		_, err := p.Call(t.Context(), connect(t, address, dial.Options{TLS: own}), "Ping", nil)
		return err
	}
	require.NoError(t, call(ca.Source("gateway")))
	require.NoError(t, call(ca.Source("sync")))
	require.Error(t, call(ca.Source("connector")), "a part that is no caller")
	require.Error(t, call(ca.Source("gateway", mtlstest.Valid(-2*time.Hour, -time.Second))), "an expired certificate")
	require.Error(t, call(foreign.Source("gateway")), "another authority")

	before := serial(t, address)
	volume.Swap(ca.Issue("things"), ca)
	require.NoError(t, call(ca.Source("gateway")))
	require.NotEqual(t, before, serial(t, address), "the renewed certificate is in use")
	volume.Overwrite("tls.crt", []byte("half"))
	require.NoError(t, call(ca.Source("gateway")), "a certificate that is half written does not stop the server")
}

// serial reads the serial number of the certificate the server shows; what the server has against us comes later.
func serial(t *testing.T, address string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// TestAConnectionFollowsItsFiles: both ends keep their connections, and each new one is made with what the files hold then,
// authorities included.
func TestAConnectionFollowsItsFiles(t *testing.T) {
	old, young := mtlstest.NewAuthority(t), mtlstest.NewAuthority(t)
	serving, calling := mtlstest.Mount(t, old.Issue("things"), old), mtlstest.Mount(t, old.Issue("gateway"), old)
	own := serving.Open("things")
	cfg := secure(own)
	cfg.MaxConnectionAge = 20 * time.Millisecond // a new handshake every moment
	p := start(t, cfg)
	conn := connect(t, p.server.Addr().String(), dial.Options{TLS: calling.Open("gateway")})
	left := connect(t, p.server.Addr().String(), dial.Options{TLS: mtlstest.Mount(t, old.Issue("sync"), old, young).Open("sync")})
	for _, step := range []func(){
		func() {},
		func() { serving.Swap(old.Issue("things"), old, young) },
		func() { calling.Swap(young.Issue("gateway"), old, young) },
		func() { serving.Swap(young.Issue("things"), young) },
		func() { calling.Swap(young.Issue("gateway"), young) },
	} {
		step()
		for until := time.Now().Add(200 * time.Millisecond); time.Now().Before(until); {
			_, err := p.Call(t.Context(), conn, "Ping", nil)
			require.NoError(t, err)
		}
	}
	require.Eventually(t, func() bool {
		_, err := p.Call(t.Context(), left, "Ping", nil)
		return rpcerr.Has(err, rpcerr.Unavailable)
	}, time.Minute, 20*time.Millisecond, "who has kept a certificate of the old authority is refused when its connection has ended")
}

// TestAPartsWordCountsOverItsOwnConnection: a key for tokens that got away is of no use without the certificate of its part.
func TestAPartsWordCountsOverItsOwnConnection(t *testing.T) {
	ca := mtlstest.NewAuthority(t)
	log := &lockedBuffer{}
	p := startLogged(t, secure(ca.Source("things")), log)
	over := func(part, issuer string) *grpc.ClientConn {
		return connect(t, p.server.Addr().String(), dial.Options{TLS: ca.Source(part), Signer: p.mint.Signer(issuer)})
	}
	ctx := t.Context()
	_, err := p.Call(ctx, over("sync", "sync"), "AskGateway", nil)
	require.NoError(t, err)
	require.Equal(t, access.ServicePrincipal("sync", ""), p.caller())
	_, err = p.Call(dial.AsNobody(ctx, "192.0.2.1"), over("gateway", "gateway"), "Ping", nil)
	require.NoError(t, err)
	require.Equal(t, "192.0.2.1", p.caller().Address)

	_, err = p.Call(ctx, over("gateway", "sync"), "AskGateway", nil)
	require.True(t, rpcerr.Has(err, rpcerr.Unauthenticated), "sync's word over gateway's connection: %v", err)
	require.Contains(t, log.String(), `it is \"sync\"'s, and came over a connection of \"gateway\"`)
	_, err = p.Call(dial.AsNobody(ctx, "192.0.2.1"), over("sync", "gateway"), "Ping", nil)
	require.True(t, rpcerr.Has(err, rpcerr.Unauthenticated), "gateway's word about an address over sync's connection: %v", err)
	for range 2 { // the second time from the memory of verified tokens
		_, err = p.Call(dial.WithToken(ctx, p.mint.Token(access.ServicePrincipal("sync", ""), "things")), over("gateway", "gateway"), "AskGateway", nil)
		require.True(t, rpcerr.Has(err, rpcerr.Unauthenticated), "a service token passed on: %v", err)
	}

	person := access.Principal{Kind: access.Operator, ID: "operator-1"}
	for _, part := range []string{"sync", "gateway"} {
		_, err = p.Call(dial.WithToken(ctx, p.mint.Token(person, "things")), over(part, part), "WhoAmI", nil)
		require.NoError(t, err, "a person's token passes through whoever may call")
		require.Equal(t, "operator-1", p.caller().ID)
	}
}

func TestAClientKnowsWhomItReached(t *testing.T) {
	ca := mtlstest.NewAuthority(t)
	p := start(t, secure(ca.Source("documents", func(c *x509.Certificate) {
		c.DNSNames, c.IPAddresses = []string{"things"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	})))
	_, err := p.Call(t.Context(), connect(t, p.server.Addr().String(), dial.Options{TLS: ca.Source("gateway")}), "Ping", nil)
	require.True(t, rpcerr.Has(err, rpcerr.Unavailable), "%v", err)
	require.Zero(t, p.runs.Load())
}

func TestAServerWithTLSNamesItsCallers(t *testing.T) {
	ca := mtlstest.NewAuthority(t)
	p := start(t, secure(ca.Source("things")))
	cfg := secure(ca.Source("things"))
	cfg.Callers = nil
	_, err := serve.New(cfg, serve.Deps{Name: "things", Verifier: p.mint.Verifier("things"), Files: p.Files})
	require.ErrorContains(t, err, "name the callers")
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestStreamsEndWhenTheirConnectionIsTooOld: a call under way ends in peace, and a stream that would hold the connection for
// ever ends with UNAVAILABLE after a while and can be opened anew.
func TestStreamsEndWhenTheirConnectionIsTooOld(t *testing.T) {
	p := start(t, serve.Config{
		Address: "127.0.0.1:0", Insecure: true, Grace: time.Second, MaxConnectionAge: 100 * time.Millisecond, MaxStreamStay: 200 * time.Millisecond,
	})
	conn := connect(t, p.server.Addr().String(), dial.Options{Insecure: true})
	running, release := make(chan struct{}), make(chan struct{})
	p.Unary = func(context.Context, string, *dynamicpb.Message) (*dynamicpb.Message, error) {
		close(running)
		<-release
		return p.Response("ok"), nil
	}
	p.Stream = func(_ string, s servetest.Stream) error {
		if _, err := s.Recv(); err != nil {
			return err
		}
		if err := s.Send("first"); err != nil {
			return err
		}
		<-s.Context().Done()
		return s.Context().Err()
	}
	ctx := dial.WithToken(t.Context(), p.mint.Token(accesstest.Of(access.Staff, accesstest.FirmA), "things"))

	answered := make(chan error, 1)
	go func() {
		_, err := p.Call(ctx, conn, "GetThing", ofName)
		answered <- err
	}()
	<-running
	for range 2 { // the second on a connection of its own
		s, err := p.Open(ctx, conn, "WatchThing")
		require.NoError(t, err)
		require.NoError(t, s.SendMsg(p.Request(ofName)))
		require.NoError(t, s.CloseSend())
		require.NoError(t, s.RecvMsg(p.Response("")))
		began := time.Now()
		err = s.RecvMsg(p.Response(""))
		require.Equal(t, codes.Unavailable, rpcerr.From(err).Code(), "%v", err)
		require.ErrorContains(t, err, "connect again")
		require.Greater(t, time.Since(began), 150*time.Millisecond)
		require.Less(t, time.Since(began), 5*time.Second)
	}
	close(release)
	require.NoError(t, <-answered, "the call that ran all the while, on the first connection")
}
