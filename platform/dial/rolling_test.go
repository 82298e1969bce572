package dial_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver/dns"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/mtls"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
	"github.com/concord-suite/concord/platform/serve"
	"github.com/concord-suite/concord/platform/serve/servetest"
)

// deployment is a service with several replicas behind a name, which count how often each request was done.
type deployment struct {
	t      *testing.T
	things *servetest.Things
	mint   *accesstest.Mint
	own    *mtls.Source
	name   *nameserver
	age    time.Duration
	port   string
	next   byte // the last byte of the next replica's address
	live   []replica
	wrap   func(net.Listener) net.Listener

	mu   sync.Mutex
	done map[string]int
}

type replica struct {
	addr  netip.Addr
	stop  context.CancelFunc
	ended chan error
}

// plain leaves a listener as it is.
func plain(lis net.Listener) net.Listener { return lis }

func deploy(t *testing.T, own *mtls.Source, replicas int, age time.Duration, wrap func(net.Listener) net.Listener) *deployment {
	t.Helper()
	things, err := servetest.New()
	require.NoError(t, err)
	d := &deployment{
		t: t, things: things, mint: accesstest.NewMint(t, nil), own: own, name: newNameserver(t), age: age, port: "0", next: 10,
		wrap: wrap, done: map[string]int{},
	}
	things.Unary = func(_ context.Context, _ string, req *dynamicpb.Message) (*dynamicpb.Message, error) {
		<-time.After(3 * time.Millisecond) // so that there are calls under way whenever something happens
		d.mu.Lock()
		defer d.mu.Unlock()
		d.done[req.Get(req.Descriptor().Fields().ByName("name")).String()]++
		return things.Response("ok"), nil
	}
	for range replicas {
		d.start()
	}
	d.publish()
	t.Cleanup(func() {
		for len(d.live) > 0 {
			d.end(0)
		}
	})
	return d
}

// start starts a replica on an address of its own.
func (d *deployment) start() {
	d.t.Helper()
	addr := netip.AddrFrom4([4]byte{127, 0, 7, d.next})
	d.next++
	lis, err := net.Listen("tcp", net.JoinHostPort(addr.String(), d.port))
	require.NoError(d.t, err)
	_, d.port, err = net.SplitHostPort(lis.Addr().String())
	require.NoError(d.t, err)
	server, err := serve.New(serve.Config{
		Listener: d.wrap(lis), TLS: d.own, Callers: []string{"gateway"}, MaxConnectionAge: d.age, DrainDelay: 100 * time.Millisecond, Grace: 5 * time.Second,
	}, serve.Deps{
		Name: "things", Verifier: d.mint.Verifier("things"), Audit: nobody{}, Files: d.things.Files, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	require.NoError(d.t, err)
	d.things.Register(server)
	ctx, stop := context.WithCancel(context.Background())
	r := replica{addr: addr, stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- server.Run(ctx) }()
	d.live = append(d.live, r)
}

// publish puts the replicas that live into DNS.
func (d *deployment) publish() {
	var addrs []netip.Addr
	for _, r := range d.live {
		addrs = append(addrs, r.addr)
	}
	d.name.set(addrs...)
}

// end stops a replica and waits for it, after DNS has forgotten it.
func (d *deployment) end(i int) {
	d.t.Helper()
	r := d.live[i]
	d.live = append(d.live[:i:i], d.live[i+1:]...)
	d.publish()
	r.stop()
	require.NoError(d.t, <-r.ended)
}

// where makes a call and returns the address of the replica that answered.
func (d *deployment) where(ctx context.Context, conn grpc.ClientConnInterface) (string, error) {
	var at grpcpeer.Peer
	err := conn.Invoke(ctx, "/"+servetest.Service+"/GetThing", d.things.Request(ofName), d.things.Response(""), grpc.Peer(&at))
	if err != nil {
		return "", err
	}
	return at.Addr.String(), nil
}

// load calls the service from four sides until stopped, and returns how many calls were made and how many failed. The calls
// change something and have no request id: nobody but the transport may repeat them, and only what was not begun.
func (d *deployment) load(ctx context.Context, conn grpc.ClientConnInterface) (calls int, failed []error) {
	as := dial.WithToken(context.Background(), d.mint.Token(access.Principal{Kind: access.Operator, ID: "operator-1"}, "things"))
	var mu sync.Mutex
	var all sync.WaitGroup
	for side := range 4 {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, err := d.things.Call(as, conn, "CreateFirm", map[string]string{"name": fmt.Sprint("call ", side, " ", n)})
				mu.Lock()
				calls++
				if err != nil {
					failed = append(failed, err)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return calls, failed
}

// roll replaces every replica, one a second, under load.
func (d *deployment) roll(rounds int, o dial.Options) (calls int, failed []error) {
	d.t.Helper()
	o.Audience = "things"
	conn, err := dial.New(d.name.target(d.port), o)
	require.NoError(d.t, err)
	defer conn.Close()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		calls, failed = d.load(ctx, conn)
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for range rounds * 3 {
		<-tick.C
		d.start()
		d.publish()
		d.end(0)
	}
	<-tick.C
	stop()
	<-done
	return calls, failed
}

// TestReplicasAreReplacedAndNoCallFails: a deployment is rolled twice, one replica a second, while connections are also
// replaced for their age; calls that must not be made twice are made once each. With the library's own 30 s between two
// look-ups of a name most fail as soon as the last replica that was there at first has gone.
func TestReplicasAreReplacedAndNoCallFails(t *testing.T) {
	ca := mtlstest.NewAuthority(t)
	d := deploy(t, ca.Source("things"), 3, 400*time.Millisecond, plain)
	calls, failed := d.roll(2, dial.Options{TLS: ca.Source("gateway")})
	t.Logf("%d calls, %d failed, %d look-ups", calls, len(failed), d.name.lookups())
	require.Empty(t, failed)
	require.Greater(t, calls, 100)
	require.Len(t, d.done, calls)
	for name, times := range d.done {
		require.Equal(t, 1, times, name)
	}

	// The library has one setting for the process, which dial has lowered; the clients of other tests are closed by now.
	dns.SetMinResolutionInterval(30 * time.Second)
	defer dns.SetMinResolutionInterval(time.Second)
	slow := deploy(t, ca.Source("things"), 3, 0, plain)
	calls, failed = slow.roll(1, dial.Options{TLS: ca.Source("gateway")})
	t.Logf("with 30 s between look-ups: %d calls, %d failed", calls, len(failed))
	require.NotEmpty(t, failed)
}

// TestAReplicaThatIsAddedGetsItsShare: nothing fails when a replica is added, and so nobody would look for it, if it were not
// for the age of connections.
func TestAReplicaThatIsAddedGetsItsShare(t *testing.T) {
	t.Parallel()
	ca := mtlstest.NewAuthority(t)
	d := deploy(t, ca.Source("things"), 1, 300*time.Millisecond, plain)
	conn := connect(t, d.name.target(d.port), dial.Options{TLS: ca.Source("gateway")})
	ctx := dial.WithToken(context.Background(), d.mint.Token(accesstest.Of(access.Staff, accesstest.FirmA), "things"))
	first, err := d.where(ctx, conn)
	require.NoError(t, err)
	d.start()
	d.publish()
	require.Eventually(t, func() bool {
		at, err := d.where(ctx, conn)
		require.NoError(t, err)
		return at != first
	}, time.Minute, 10*time.Millisecond)
}
