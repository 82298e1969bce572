package serve_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/serve"
	"github.com/concord-suite/concord/platform/serve/servetest"
)

type servetestStream = servetest.Stream

func plainClient(t *testing.T, lis *dial.Listener) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///plain", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func deps(t *testing.T) serve.Deps {
	mint := accesstest.NewMint(t, nil)
	return serve.Deps{
		Name: "things", Verifier: mint.Verifier("things"), Audit: newAudits(),
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func TestAServerDoesNotStartWithAMethodWithoutARule(t *testing.T) {
	things, err := servetest.New(func(f *descriptorpb.FileDescriptorProto) { f.GetService()[0].GetMethod()[0].Options = nil })
	require.NoError(t, err)
	d := deps(t)
	d.Files = things.Files
	s, err := serve.New(serve.Config{Listener: dial.Listen()}, d)
	require.NoError(t, err)
	things.Register(s)
	require.ErrorContains(t, s.Run(t.Context()), "/concord.test.v1.ThingService/Ping has no rule")
}

func TestAServerDoesNotStartWithAServiceItCannotDescribe(t *testing.T) {
	things, err := servetest.New()
	require.NoError(t, err)
	s, err := serve.New(serve.Config{Listener: dial.Listen()}, deps(t)) // looks among the generated code only
	require.NoError(t, err)
	things.Register(s)
	require.ErrorContains(t, s.Start(t.Context()), "no descriptor of service "+servetest.Service)
}

func TestAServerDoesNotStartWithoutTheAuditorItNeeds(t *testing.T) {
	things, err := servetest.New()
	require.NoError(t, err)
	d := deps(t)
	d.Files, d.Audit = things.Files, nil
	s, err := serve.New(serve.Config{Listener: dial.Listen()}, d)
	require.NoError(t, err)
	things.Register(s)
	require.ErrorContains(t, s.Start(t.Context()), "no auditor")
}

func TestPlainTextStaysInsideTheMachine(t *testing.T) {
	for name, c := range map[string]serve.Config{
		"everywhere":    {Address: ":0", Insecure: true},
		"all addresses": {Address: "0.0.0.0:0", Insecure: true},
		"a name":        {Address: "example.com:7000", Insecure: true},
		"not asked for": {Address: "127.0.0.1:0"},
	} {
		_, err := serve.New(c, deps(t))
		require.Error(t, err, name)
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "localhost:0"} {
		_, err := serve.New(serve.Config{Address: address, Insecure: true}, deps(t))
		require.NoError(t, err, address)
	}
}

func TestAServerNeedsItsOwnVerifier(t *testing.T) {
	d := deps(t)
	d.Name = "documents"
	_, err := serve.New(serve.Config{Listener: dial.Listen()}, d)
	require.Error(t, err)
	d.Verifier = nil
	_, err = serve.New(serve.Config{Listener: dial.Listen()}, d)
	require.Error(t, err)
}

func TestATakenPortIsSaidPlainly(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, lis.Close()) }()
	s, err := serve.New(serve.Config{Address: lis.Addr().String(), Insecure: true}, deps(t))
	require.NoError(t, err)
	require.ErrorContains(t, s.Run(t.Context()), "address already in use")
}

func TestHealthFollowsReadiness(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	h := start(t, func(c *serve.Config, d *serve.Deps) {
		c.ReadyEvery = time.Millisecond
		d.Ready = func(context.Context) error {
			if broken.Load() {
				return errors.New("no database")
			}
			return nil
		}
	})
	client := healthv1.NewHealthClient(h.conn)
	is := func(want healthv1.HealthCheckResponse_ServingStatus) func() bool {
		return func() bool {
			for _, name := range []string{"", servetest.Service} {
				r, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{Service: name})
				if err != nil || r.GetStatus() != want {
					return false
				}
			}
			return true
		}
	}
	require.Eventually(t, is(healthv1.HealthCheckResponse_NOT_SERVING), time.Minute, time.Millisecond)
	broken.Store(false)
	require.Eventually(t, is(healthv1.HealthCheckResponse_SERVING), time.Minute, time.Millisecond)
	broken.Store(true)
	require.Eventually(t, is(healthv1.HealthCheckResponse_NOT_SERVING), time.Minute, time.Millisecond)
}

func TestAReadinessCheckThatHangsIsNotReady(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	h := start(t, func(c *serve.Config, d *serve.Deps) {
		c.ReadyEvery = time.Millisecond
		d.Ready = func(context.Context) error { <-release; return nil }
	})
	require.Eventually(t, func() bool {
		r, err := healthv1.NewHealthClient(h.conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
		return err == nil && r.GetStatus() == healthv1.HealthCheckResponse_NOT_SERVING
	}, time.Minute, time.Millisecond)
}

func TestReflectionIsOpenToEverybody(t *testing.T) {
	h := start(t)
	s, err := reflectionv1.NewServerReflectionClient(h.conn).ServerReflectionInfo(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Send(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
	}))
	r, err := s.Recv()
	require.NoError(t, err)
	var names []string
	for _, svc := range r.GetListServicesResponse().GetService() {
		names = append(names, svc.GetName())
	}
	require.Contains(t, names, servetest.Service)
}

func TestStoppingLetsCallsFinishAndEndsStreams(t *testing.T) {
	things, err := servetest.New()
	require.NoError(t, err)
	mint, lis := accesstest.NewMint(t, nil), dial.Listen()
	began, release := make(chan struct{}, 2), make(chan struct{})
	things.Unary = func(context.Context, string, *dynamicpb.Message) (*dynamicpb.Message, error) {
		began <- struct{}{}
		<-release
		return things.Response("finished"), nil
	}
	things.Stream = func(_ string, s servetestStream) error {
		if _, err := s.Recv(); err != nil {
			return err
		}
		began <- struct{}{}
		<-s.Context().Done()
		return s.Context().Err()
	}
	d := deps(t)
	d.Verifier, d.Files = mint.Verifier("things"), things.Files
	s, err := serve.New(serve.Config{Listener: lis, Grace: time.Second}, d)
	require.NoError(t, err)
	things.Register(s)
	require.NoError(t, s.Start(t.Context()))
	conn, err := dial.New("things", dial.Options{Audience: "things", Listener: lis})
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	ctx := dial.WithToken(t.Context(), mint.Token(staff, "things"))

	stream, err := things.Open(ctx, conn, "WatchThing")
	require.NoError(t, err)
	require.NoError(t, stream.SendMsg(things.Request(ofName)))
	require.NoError(t, stream.CloseSend())
	called := make(chan string, 1)
	go func() {
		text, err := things.Call(ctx, conn, "GetThing", ofName)
		if err != nil {
			text = err.Error()
		}
		called <- text
	}()
	<-began
	<-began
	stopped := make(chan struct{})
	go func() { s.Stop(); close(stopped) }()
	require.Equal(t, codes.Unavailable, status.Code(stream.RecvMsg(things.Response(""))), "watchers are sent elsewhere")
	close(release)
	require.Equal(t, "finished", <-called)
	<-stopped
	_, err = things.Call(ctx, conn, "GetThing", ofName)
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.Error(t, s.Start(t.Context()), "a server starts once")
}

func TestAHandlerThatNeverEndsDoesNotKeepTheServer(t *testing.T) {
	things, err := servetest.New()
	require.NoError(t, err)
	mint, lis := accesstest.NewMint(t, nil), dial.Listen()
	began, release := make(chan struct{}), make(chan struct{})
	things.Unary = func(ctx context.Context, _ string, _ *dynamicpb.Message) (*dynamicpb.Message, error) {
		close(began)
		<-ctx.Done() // ended by the server in the end, not by the caller
		close(release)
		return nil, ctx.Err()
	}
	d := deps(t)
	d.Verifier, d.Files = mint.Verifier("things"), things.Files
	s, err := serve.New(serve.Config{Listener: lis, Grace: 100 * time.Millisecond}, d)
	require.NoError(t, err)
	things.Register(s)
	require.NoError(t, s.Start(t.Context()))
	conn, err := dial.New("things", dial.Options{Audience: "things", Listener: lis})
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	go func() {
		_, _ = things.Call(dial.WithToken(context.Background(), mint.Token(staff, "things")), conn, "FileThing",
			map[string]string{"parent": "firms/" + accesstest.FirmA})
	}()
	<-began
	s.Stop()
	<-release
}
