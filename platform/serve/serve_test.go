package serve_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/serve"
	"github.com/concord-suite/concord/platform/serve/servetest"
)

// audits is an Auditor that remembers.
type audits struct {
	ended  chan record
	denied chan record
}

type record struct {
	method, firm, resource string
	err                    error
}

func newAudits() *audits {
	return &audits{ended: make(chan record, 1000), denied: make(chan record, 1000)}
}

func recordOf(call *access.Call, err error) record {
	return record{call.Rule.Method, call.Firm(), call.Resource(), err}
}

func (a *audits) Begin(ctx context.Context, call *access.Call) (context.Context, func(error)) {
	return ctx, func(err error) { a.ended <- recordOf(call, err) }
}

func (a *audits) Denied(_ context.Context, call *access.Call, err error) {
	a.denied <- recordOf(call, err)
}

// house is a running test server with a client.
type house struct {
	*servetest.Things
	mint    *accesstest.Mint
	audits  *audits
	revoked *access.Revocations
	server  *serve.Server
	lis     *dial.Listener
	conn    *grpc.ClientConn
	done    chan error
}

type option func(*serve.Config, *serve.Deps)

func start(t testing.TB, opts ...option) *house {
	t.Helper()
	things, err := servetest.New()
	require.NoError(t, err)
	h := &house{
		Things: things, mint: accesstest.NewMint(t, nil), audits: newAudits(), lis: dial.Listen(),
		revoked: access.NewRevocations(time.Now), done: make(chan error, 1),
	}
	cfg := serve.Config{Listener: h.lis, Grace: 2 * time.Second}
	deps := serve.Deps{
		Name: "things", Verifier: h.mint.Verifier("things"), Revocations: h.revoked, Audit: h.audits,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Files: things.Files,
	}
	for _, o := range opts {
		o(&cfg, &deps)
	}
	h.server, err = serve.New(cfg, deps)
	require.NoError(t, err)
	h.Register(h.server)
	ctx, cancel := context.WithCancel(context.Background())
	require.NoError(t, h.server.Check())
	go func() { h.done <- h.server.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-h.done) })
	h.conn = h.client(t, dial.Options{})
	return h
}

func (h *house) client(t testing.TB, o dial.Options) *grpc.ClientConn {
	t.Helper()
	o.Audience, o.Listener = "things", h.lis
	conn, err := dial.New("things", o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// as is a context whose calls are made by the principal.
func (h *house) as(t testing.TB, p access.Principal) context.Context {
	t.Helper()
	return dial.WithToken(t.Context(), h.mint.Token(p, "things"))
}

func TestEveryCallerOfEveryMethodGetsTheVerdictOfTheContract(t *testing.T) {
	h := start(t)
	accesstest.Matrix(t, []protoreflect.ServiceDescriptor{h.Descriptor()}, accesstest.Over(h.conn, h.mint, "things"))
}
