package dial_test

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/serve/servetest"
)

// TestAnOldCertificateEndsWithItsConnection: whoever kept a certificate of an authority that was taken away has the
// connections that are open, and those for as long as connections and streams may last. Not even a call that is begun and
// never asked, which the server can only wait for, holds one for longer.
func TestAnOldCertificateEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	old, young := mtlstest.NewAuthority(t), mtlstest.NewAuthority(t)
	serving := mtlstest.Mount(t, old.Issue("things"), old)
	cfg := secure(serving.Open("things"))
	cfg.MaxConnectionAge, cfg.MaxStreamStay, cfg.Deadline = 500*time.Millisecond, 4*time.Second, 500*time.Millisecond // a stream begins in time
	p := start(t, cfg)
	left := connect(t, p.server.Addr().String(), dial.Options{TLS: mtlstest.Mount(t, old.Issue("gateway"), old, young).Open("gateway")})
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
	watching, err := p.Open(ctx, left, "WatchThing")
	require.NoError(t, err)
	require.NoError(t, watching.SendMsg(p.Request(ofName)))
	require.NoError(t, watching.CloseSend())
	require.NoError(t, watching.RecvMsg(p.Response("")))
	begun, err := left.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, "/"+servetest.Service+"/GetThing")
	require.NoError(t, err)

	serving.Swap(young.Issue("things"), young)
	err = watching.RecvMsg(p.Response(""))
	require.Equal(t, codes.Unavailable, rpcerr.From(err).Code(), "%v", err)
	require.ErrorContains(t, err, "connect again")
	err = begun.RecvMsg(p.Response(""))
	require.Equal(t, codes.Unavailable, rpcerr.From(err).Code(), "%v", err)
	require.Zero(t, p.runs.Load())
	_, err = p.Call(ctx, left, "Ping", nil)
	require.True(t, rpcerr.Has(err, rpcerr.Unavailable), "%v", err)
}

// TestSessionsAreNotResumedOverGRPC: a server that gave tickets would let a certificate go on that is refused by now.
func TestSessionsAreNotResumedOverGRPC(t *testing.T) {
	ca := mtlstest.NewAuthority(t)
	p := start(t, secure(ca.Source("things")))
	client := ca.Source("gateway").Client("things")
	client.NextProtos, client.ClientSessionCache, client.ServerName = []string{"h2"}, tls.NewLRUClientSessionCache(4), "things"
	for range 2 {
		conn, err := tls.Dial("tcp", p.server.Addr().String(), client)
		require.NoError(t, err)
		_, err = conn.Read(make([]byte, 1)) // HTTP/2 servers speak first, and tickets come before that
		require.NoError(t, err)
		require.False(t, conn.ConnectionState().DidResume)
		require.NoError(t, conn.Close())
	}
}
