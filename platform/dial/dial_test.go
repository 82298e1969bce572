package dial_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/serve"
	"github.com/concord-suite/concord/platform/serve/servetest"
)

// nobody audits: the tests here are about clients.
type nobody struct{}

func (nobody) Begin(ctx context.Context, _ *access.Call) (context.Context, func(error)) {
	return ctx, func(error) {}
}
func (nobody) Denied(context.Context, *access.Call, error) {}

// peer is a server that notes who called.
type peer struct {
	*servetest.Things
	mint   *accesstest.Mint
	server *serve.Server

	mu   sync.Mutex
	seen []access.Principal
	fail atomic.Int32 // how many calls still fail as UNAVAILABLE
	runs atomic.Int32
}

func start(t *testing.T, cfg serve.Config) *peer {
	t.Helper()
	return startLogged(t, cfg, io.Discard)
}

// startLogged also says where the log goes.
func startLogged(t *testing.T, cfg serve.Config, log io.Writer) *peer {
	t.Helper()
	things, err := servetest.New()
	require.NoError(t, err)
	p := &peer{Things: things, mint: accesstest.NewMint(t, nil)}
	p.Unary = func(ctx context.Context, _ string, _ *dynamicpb.Message) (*dynamicpb.Message, error) {
		p.runs.Add(1)
		p.mu.Lock()
		p.seen = append(p.seen, access.From(ctx))
		p.mu.Unlock()
		if p.fail.Add(-1) >= 0 {
			return nil, rpcerr.Default(codes.Unavailable)
		}
		return p.Response("ok"), nil
	}
	p.server, err = serve.New(cfg, serve.Deps{
		Name: "things", Verifier: p.mint.Verifier("things"), Audit: nobody{}, Files: things.Files,
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	require.NoError(t, err)
	things.Register(p.server)
	require.NoError(t, p.server.Start(context.Background()))
	t.Cleanup(p.server.Stop)
	return p
}

func connect(t *testing.T, target string, o dial.Options) *grpc.ClientConn {
	t.Helper()
	o.Audience = "things"
	conn, err := dial.New(target, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// inMemory is a peer and a client of the service "sync".
func inMemory(t *testing.T) (*peer, *grpc.ClientConn) {
	t.Helper()
	lis := dial.Listen()
	p := start(t, serve.Config{Listener: lis, Grace: time.Second})
	return p, connect(t, "things", dial.Options{Listener: lis, Signer: p.mint.Signer("sync")})
}

func (p *peer) caller() access.Principal {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[len(p.seen)-1]
}

var ofName = map[string]string{"name": "firms/" + accesstest.FirmA + "/things/1"}

func TestAServiceCallsAsItselfForWhoeverItWorksFor(t *testing.T) {
	p, conn := inMemory(t)
	person := accesstest.Of(access.Staff, accesstest.FirmA)
	_, err := p.Call(access.With(t.Context(), person), conn, "GetThing", ofName)
	require.NoError(t, err)
	require.Equal(t, access.Service, p.caller().Kind)
	require.Equal(t, "sync", p.caller().ID)
	require.Equal(t, accesstest.FirmA, p.caller().Firm)
	require.Equal(t, person, *p.caller().Initiator)

	_, err = p.Call(access.With(t.Context(), person.As("documents")), conn, "GetThing", ofName)
	require.NoError(t, err)
	require.Equal(t, "sync", p.caller().ID)
	require.Equal(t, person, *p.caller().Initiator, "kept through the services between")

	_, err = p.Call(access.With(t.Context(), access.ServicePrincipal("sync", accesstest.FirmA)), conn, "GetThing", ofName)
	require.NoError(t, err)
	require.Nil(t, p.caller().Initiator, "its own schedule")

	_, err = p.Call(t.Context(), conn, "AskGateway", nil)
	require.NoError(t, err)
	require.Equal(t, access.ServicePrincipal("sync", ""), p.caller())

	_, err = p.Call(access.InFirm(access.With(t.Context(), accesstest.Of(access.Operator, "")), "sync", accesstest.FirmA), conn, "GetThing", ofName)
	require.NoError(t, err)
	require.Equal(t, access.Operator, p.caller().Initiator.Kind)
}

func TestAServiceDoesNotLeaveItsFirm(t *testing.T) {
	p, conn := inMemory(t)
	_, err := p.Call(access.With(t.Context(), accesstest.Of(access.Staff, accesstest.FirmB)), conn, "GetThing", ofName)
	require.True(t, rpcerr.Has(err, rpcerr.NotFound), "%v", err)
}

func TestTheGatewayPassesTokensOnAndVouchesForAddresses(t *testing.T) {
	p, conn := inMemory(t)
	person := accesstest.Of(access.Staff, accesstest.FirmA)
	ctx := dial.WithToken(t.Context(), p.mint.Token(person, "things"))
	_, err := p.Call(ctx, conn, "GetThing", ofName)
	require.NoError(t, err)
	require.Equal(t, person, p.caller())

	_, err = p.Call(dial.AsNobody(t.Context(), "192.0.2.9"), conn, "Ping", nil)
	require.NoError(t, err)
	require.Equal(t, access.Principal{Kind: access.Anonymous, Address: "192.0.2.9"}, p.caller())

	_, err = p.Call(dial.AsSelf(ctx, "sync"), conn, "AskGateway", nil)
	require.NoError(t, err)
	require.Equal(t, access.ServicePrincipal("sync", ""), p.caller())
}

func TestWithoutASignerCallsAreNobodys(t *testing.T) {
	lis := dial.Listen()
	p := start(t, serve.Config{Listener: lis, Grace: time.Second})
	conn := connect(t, "things", dial.Options{Listener: lis})
	_, err := p.Call(access.With(t.Context(), accesstest.Of(access.Staff, accesstest.FirmA)), conn, "Ping", nil)
	require.NoError(t, err)
	require.Equal(t, access.Nobody(), p.caller())
}

func TestWhatIsSafeIsTriedAgain(t *testing.T) {
	// Clients read the contract from the generated code of the process, where the test service has to be then.
	things, err := servetest.New()
	require.NoError(t, err)
	file := things.Descriptor().ParentFile()
	require.NoError(t, protoregistry.GlobalFiles.RegisterFile(file))
	for name, c := range map[string]struct {
		method string
		fields map[string]string
		runs   int32
	}{
		"a change with a request_id": {"FileThing", map[string]string{"parent": "firms/" + accesstest.FirmA, "request_id": "r"}, 3},
		"a view":                     {"GetThing", ofName, 3},
		"a change without":           {"FileThing", map[string]string{"parent": "firms/" + accesstest.FirmA}, 1},
	} {
		p, conn := inMemory(t)
		p.fail.Store(2)
		ctx := dial.WithToken(t.Context(), p.mint.Token(accesstest.Of(access.Staff, accesstest.FirmA), "things"))
		_, err := p.Call(ctx, conn, c.method, c.fields)
		require.Equal(t, c.runs, p.runs.Load(), name)
		require.Equal(t, c.runs == 1, err != nil, name)
	}
}

func TestTryingAgainEndsWithTheDeadlineAndTheBudget(t *testing.T) {
	p, conn := inMemory(t)
	p.fail.Store(1 << 20)
	fields := map[string]string{"parent": "firms/" + accesstest.FirmA, "request_id": "r"}
	call := func() int32 {
		before := p.runs.Load()
		ctx := dial.WithToken(t.Context(), p.mint.Token(accesstest.Of(access.Staff, accesstest.FirmA), "things"))
		_, err := p.Call(ctx, conn, "FileThing", fields)
		require.Equal(t, codes.Unavailable, rpcerr.From(err).Code())
		return p.runs.Load() - before
	}
	require.EqualValues(t, 4, call())
	for range 5 {
		call()
	}
	require.EqualValues(t, 1, call(), "a peer that is down is not buried")

	ctx, cancel := context.WithTimeout(t.Context(), 130*time.Millisecond)
	defer cancel()
	fresh, conn2 := inMemory(t)
	fresh.fail.Store(1 << 20)
	_, err := fresh.Call(dial.WithToken(ctx, fresh.mint.Token(accesstest.Of(access.Staff, accesstest.FirmA), "things")), conn2, "FileThing", fields)
	require.Error(t, err)
	require.Less(t, fresh.runs.Load(), int32(4))
}

func TestACallWithoutADeadlineEnds(t *testing.T) {
	lis := dial.Listen()
	p := start(t, serve.Config{Listener: lis, Grace: time.Second})
	release := make(chan struct{})
	p.Unary = func(context.Context, string, *dynamicpb.Message) (*dynamicpb.Message, error) {
		<-release
		return p.Response(""), nil
	}
	conn := connect(t, "things", dial.Options{Listener: lis, Timeout: 200 * time.Millisecond})
	_, err := p.Call(t.Context(), conn, "Ping", nil)
	close(release)
	require.True(t, rpcerr.Has(err, rpcerr.DeadlineExceeded), "%v", err)
}

func TestErrorsOfCallsAndStreamsAreTyped(t *testing.T) {
	p, conn := inMemory(t)
	locked := rpcerr.New(codes.FailedPrecondition, rpcerr.Text("THING_LOCKED"), "locked")
	p.Unary = func(context.Context, string, *dynamicpb.Message) (*dynamicpb.Message, error) {
		return nil, locked.With("by", "x")
	}
	p.Stream = func(_ string, s servetest.Stream) error {
		if _, err := s.Recv(); err != nil {
			return err
		}
		return locked
	}
	ctx := dial.WithToken(t.Context(), p.mint.Token(accesstest.Of(access.Staff, accesstest.FirmA), "things"))
	_, err := p.Call(ctx, conn, "GetThing", ofName)
	require.ErrorIs(t, err, locked)
	s, err := p.Open(ctx, conn, "WatchThing")
	require.NoError(t, err)
	require.NoError(t, s.SendMsg(p.Request(ofName)))
	require.NoError(t, s.CloseSend())
	require.ErrorIs(t, s.RecvMsg(p.Response("")), locked)

	p.Stream = func(_ string, s servetest.Stream) error { _, err := s.Recv(); return err }
	s, err = p.Open(ctx, conn, "WatchThing")
	require.NoError(t, err)
	require.NoError(t, s.SendMsg(p.Request(ofName)))
	require.NoError(t, s.CloseSend())
	require.Equal(t, io.EOF, s.RecvMsg(p.Response("")), "the end of a stream is no error")
}

func TestAPeerThatIsNotThereIsUnavailableAndItsAddressStaysHere(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := lis.Addr().String()
	require.NoError(t, lis.Close())
	things, err := servetest.New()
	require.NoError(t, err)
	conn := connect(t, address, dial.Options{Insecure: true})
	_, err = things.Call(t.Context(), conn, "Ping", nil)
	require.True(t, rpcerr.Has(err, rpcerr.Unavailable))
	require.NotContains(t, rpcerr.From(err).Message(), address)
}

func TestPlainTextStaysInsideTheMachine(t *testing.T) {
	for name, c := range map[string]struct {
		target string
		o      dial.Options
	}{
		"no TLS":          {"127.0.0.1:1", dial.Options{}},
		"to another host": {"sync.concord.svc:7000", dial.Options{Insecure: true}},
		"by DNS":          {"dns:///10.0.0.1:7000", dial.Options{Insecure: true}},
	} {
		c.o.Audience = "things"
		_, err := dial.New(c.target, c.o)
		require.Error(t, err, name)
	}
	_, err := dial.New("127.0.0.1:1", dial.Options{Insecure: true})
	require.Error(t, err, "no audience")
	connect(t, "dns:///localhost:1", dial.Options{Insecure: true})
}
