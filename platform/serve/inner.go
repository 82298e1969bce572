package serve

import (
	"context"
	"errors"
	"sync"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/serve/violation"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

// The inner steps: audit and validate.

func (c *chain) auditUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
	if exempt(info.FullMethod) {
		return h(ctx, req)
	}
	ctx, end := c.begin(ctx)
	resp, err := h(ctx, req)
	end(err)
	return resp, err
}

// auditStream records a view when the first answer goes out, since a stream may be open for hours and what was shown was
// shown; everything else is recorded when the stream ends.
func (c *chain) auditStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) error {
	if exempt(info.FullMethod) {
		return h(srv, ss)
	}
	ctx, end := c.begin(ss.Context())
	s := &stream{ServerStream: ss, ctx: ctx}
	if stateOf(ctx).call.Rule.Audit == optionsv1.AuditKind_AUDIT_KIND_VIEW {
		s.sent = func() { end(nil) }
	}
	err := s.handle(srv, h)
	if !stateOf(ctx).denied {
		end(err)
	}
	return err
}

// begin starts the record of a call; the function it returns records once.
func (c *chain) begin(ctx context.Context) (context.Context, func(error)) {
	call := stateOf(ctx).call
	if call.Rule.Audit == optionsv1.AuditKind_AUDIT_KIND_NONE {
		return ctx, func(error) {}
	}
	ctx, end := c.deps.Audit.Begin(ctx, call)
	var once sync.Once
	return ctx, func(err error) { once.Do(func() { end(err) }) }
}

func (c *chain) validateUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
	if !exempt(info.FullMethod) {
		if err := c.validate(ctx, req); err != nil {
			return nil, err
		}
	}
	return h(ctx, req)
}

func (c *chain) validateStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) error {
	if exempt(info.FullMethod) {
		return h(srv, ss)
	}
	ctx := ss.Context()
	s := &stream{ServerStream: ss, ctx: ctx, received: func(m any) error { return c.validate(ctx, m) }}
	return s.handle(srv, h)
}

// validate holds a message to the rules of the contract and names every field that breaks one.
func (c *chain) validate(ctx context.Context, req any) error {
	m, ok := req.(proto.Message)
	if !ok {
		return internalError(ctx, errors.New("the request is no proto message"))
	}
	err := c.deps.Validator.Validate(m)
	if err == nil {
		return nil
	}
	broken, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok {
		return internalError(ctx, err) // a rule in the contract that cannot be evaluated
	}
	out := rpcerr.Default(codes.InvalidArgument)
	for _, v := range broken.Violations {
		out = out.Field(protovalidate.FieldPathString(v.Proto.GetField()), v.Proto.GetRuleId(), violation.Words(v, m.ProtoReflect().Descriptor()))
	}
	return out
}
