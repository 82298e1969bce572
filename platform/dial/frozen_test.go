package dial_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	grpcpeer "google.golang.org/grpc/peer"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/serve/servetest"
)

// freezer is a listener whose connections can be made to carry nothing, as when the server's process is stopped: the kernel
// takes what is sent and makes new connections, and no answer comes.
type freezer struct {
	net.Listener
	frozen, thawed chan struct{}
}

func (f *freezer) Accept() (net.Conn, error) {
	conn, err := f.Listener.Accept()
	return &freezing{conn, f}, err
}

type freezing struct {
	net.Conn
	f *freezer
}

func (c *freezing) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.pass()
	return n, err
}

func (c *freezing) Write(b []byte) (int, error) {
	c.pass()
	return c.Conn.Write(b)
}

func (c *freezing) pass() {
	select {
	case <-c.f.frozen:
		<-c.f.thawed
	default:
	}
}

// TestAFrozenReplicaIsLeft: of two replicas one freezes. A stream without a deadline that it serves ends within half a minute,
// and from then on all calls go to the other one, though the frozen one still stands in DNS and takes connections.
func TestAFrozenReplicaIsLeft(t *testing.T) {
	t.Parallel()
	ca := mtlstest.NewAuthority(t)
	freezers := map[string]*freezer{}
	d := deploy(t, ca.Source("things"), 2, 0, func(lis net.Listener) net.Listener {
		f := &freezer{lis, make(chan struct{}), make(chan struct{})}
		freezers[lis.Addr().String()] = f
		return f
	})
	d.things.Stream = func(_ string, s servetest.Stream) error {
		_, err := s.Recv()
		if err == nil {
			err = s.Send("first")
		}
		if err == nil {
			<-s.Context().Done()
			err = s.Context().Err()
		}
		return err
	}
	conn := connect(t, d.name.target(d.port), dial.Options{TLS: ca.Source("gateway"), Timeout: 500 * time.Millisecond})
	ctx := dial.WithToken(context.Background(), d.mint.Token(accesstest.Of(access.Staff, accesstest.FirmA), "things"))
	call := func() (string, error) { return d.where(ctx, conn) }
	seen := map[string]bool{}
	require.Eventually(t, func() bool {
		at, err := call()
		seen[at] = true
		return err == nil && len(seen) == 2
	}, time.Minute, time.Millisecond)

	stream, err := d.things.Open(ctx, conn, "WatchThing")
	require.NoError(t, err)
	require.NoError(t, stream.SendMsg(d.things.Request(ofName)))
	require.NoError(t, stream.CloseSend())
	require.NoError(t, stream.RecvMsg(d.things.Response("")))
	at, _ := grpcpeer.FromContext(stream.Context())
	ill := freezers[at.Addr.String()]
	t.Cleanup(func() { close(ill.thawed) }) // before the replicas stop
	close(ill.frozen)
	began := time.Now()
	_, err = call()
	if err != nil { // every other call meets it for now
		require.True(t, rpcerr.Has(err, rpcerr.DeadlineExceeded), "%v", err)
	}
	require.Less(t, time.Since(began), 5*time.Second, "a call without a deadline has the client's own")
	err = stream.RecvMsg(d.things.Response(""))
	require.True(t, rpcerr.Has(err, rpcerr.Unavailable), "%v", err)
	require.Less(t, time.Since(began), 30*time.Second)
	t.Logf("the stream ended after %s", time.Since(began).Round(time.Second))
	for range 200 {
		got, err := call()
		require.NoError(t, err)
		require.NotEqual(t, at.Addr.String(), got)
	}
}
