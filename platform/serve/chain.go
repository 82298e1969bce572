package serve

import (
	"context"
	"sync"

	"google.golang.org/grpc"

	"github.com/concord-suite/concord/platform/access"
)

// chain is the one chain of interceptors. Trace is not in it: it is the stats handler, which sees a call before and after
// all of them.
type chain struct {
	cfg   Config
	deps  Deps
	rules *access.RuleSet // set before the server serves

	mu       sync.Mutex
	draining bool
	streams  map[*context.CancelCauseFunc]struct{}
}

// step is one link of the chain, for both shapes of calls.
type step struct {
	name   string
	unary  grpc.UnaryServerInterceptor
	stream grpc.StreamServerInterceptor
}

func newChain(cfg Config, deps Deps) *chain {
	return &chain{cfg: cfg, deps: deps, streams: map[*context.CancelCauseFunc]struct{}{}}
}

// steps lists the links in their fixed order, outermost first.
func (c *chain) steps() []step {
	return []step{
		{"recover", c.recoverUnary, c.recoverStream},
		{"log", c.logUnary, c.logStream},
		{"deadline", c.deadlineUnary, c.deadlineStream},
		{"principal", c.principalUnary, c.principalStream},
		{"permission", c.permissionUnary, c.permissionStream},
		{"audit", c.auditUnary, c.auditStream},
		{"validate", c.validateUnary, c.validateStream},
		{"errors", c.errorsUnary, c.errorsStream},
	}
}

func (c *chain) options() []grpc.ServerOption {
	var unary []grpc.UnaryServerInterceptor
	var stream []grpc.StreamServerInterceptor
	for _, s := range c.steps() {
		unary = append(unary, s.unary)
		stream = append(stream, s.stream)
	}
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(unary...), grpc.ChainStreamInterceptor(stream...)}
}

// stream is a ServerStream with another context, and with hooks around its messages.
type stream struct {
	grpc.ServerStream
	ctx      context.Context
	received func(m any) error // after a message came in, before the handler sees it
	sending  func(m any) error // before a message goes out
	sent     func()            // after one went out
	failed   error             // what a hook refused; the call ends with it, whatever the handler makes of it
}

// Context implements grpc.ServerStream.
func (s *stream) Context() context.Context { return s.ctx }

// RecvMsg implements grpc.ServerStream.
func (s *stream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if err := readable(m); err != nil {
		s.failed = err
		return err
	}
	if s.received == nil {
		return nil
	}
	if err := s.received(m); err != nil {
		s.failed = err
		return err
	}
	return nil
}

// SendMsg implements grpc.ServerStream.
func (s *stream) SendMsg(m any) error {
	if s.sending != nil {
		if err := s.sending(m); err != nil {
			s.failed = err
			return err
		}
	}
	err := s.ServerStream.SendMsg(m)
	if err == nil && s.sent != nil {
		s.sent()
	}
	return err
}

// handle runs the handler on the stream; a refusal of a hook wins over what the handler returns.
func (s *stream) handle(srv any, h grpc.StreamHandler) error {
	err := h(srv, s)
	if s.failed != nil {
		return s.failed
	}
	return err
}

type stateKey struct{}

// state is what the outer steps want to know of what the inner ones found out, for the log line.
type state struct {
	principal access.Principal
	call      *access.Call
	denied    bool // permission refused it, and recorded that
}

func stateOf(ctx context.Context) *state {
	if s, ok := ctx.Value(stateKey{}).(*state); ok {
		return s
	}
	return &state{}
}

// CallFrom returns the call under way, for handlers that want to know the firm they work for; nil outside one.
func CallFrom(ctx context.Context) *access.Call { return stateOf(ctx).call }
