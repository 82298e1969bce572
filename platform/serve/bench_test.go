package serve_test

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/serve"
	"github.com/concord-suite/concord/platform/serve/servetest"
)

// silent audits without keeping anything.
type silent struct{}

func (silent) Begin(ctx context.Context, _ *access.Call) (context.Context, func(error)) {
	return ctx, func(error) {}
}
func (silent) Denied(context.Context, *access.Call, error) {}

// BenchmarkCall compares a call through the whole chain, client side included, with the same call on bare gRPC.
func BenchmarkCall(b *testing.B) {
	things, err := servetest.New()
	require.NoError(b, err)
	mint := accesstest.NewMint(b, nil)
	ctx := access.With(context.Background(), accesstest.Of(access.Staff, accesstest.FirmA))

	run := func(name string, lis *dial.Listener, o dial.Options) {
		o.Audience, o.Listener = "things", lis
		conn, err := dial.New("things", o)
		require.NoError(b, err)
		defer func() { _ = conn.Close() }()
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, err := things.Call(ctx, conn, "GetThing", ofName)
				require.NoError(b, err)
			}
		})
	}

	bareListener := dial.Listen()
	bare := grpc.NewServer()
	things.Register(bare)
	go func() { _ = bare.Serve(bareListener) }()
	defer bare.Stop()
	run("bare", bareListener, dial.Options{})

	lis := dial.Listen()
	s, err := serve.New(serve.Config{Listener: lis}, serve.Deps{
		Name: "things", Verifier: mint.Verifier("things"), Audit: silent{}, Files: things.Files,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	require.NoError(b, err)
	things.Register(s)
	require.NoError(b, s.Start(ctx))
	defer s.Stop()
	run("chain", lis, dial.Options{Signer: mint.Signer("sync")})
}
