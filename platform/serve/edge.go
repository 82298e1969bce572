package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/rpcerr"
)

// The outer steps: recover, log, deadline.

func (c *chain) recoverUnary(
	ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler,
) (resp any, err error) {
	defer c.recovered(ctx, &err)
	return h(ctx, req)
}

func (c *chain) recoverStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) (err error) {
	defer c.recovered(ss.Context(), &err)
	return h(srv, ss)
}

// recovered turns a panic into an Internal error. It stands twice in the chain: around the handler, where the audit step
// still sees the failure, and around everything.
func (c *chain) recovered(ctx context.Context, err *error) {
	p := recover()
	if p == nil {
		return
	}
	c.deps.Logger.ErrorContext(ctx, "panic in a call", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	*err = internalError(ctx, errors.New("panic"))
}

func (c *chain) logUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
	begin, st := c.deps.Now(), &state{}
	resp, err := h(context.WithValue(ctx, stateKey{}, st), req)
	c.logCall(ctx, info.FullMethod, st, begin, err)
	return resp, err
}

func (c *chain) logStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) error {
	begin, st := c.deps.Now(), &state{}
	ctx := context.WithValue(ss.Context(), stateKey{}, st)
	err := h(srv, &stream{ServerStream: ss, ctx: ctx})
	c.logCall(ctx, info.FullMethod, st, begin, err)
	return err
}

// logCall writes one line for a failed call, at error level when the fault is ours, and at debug level for the others.
func (c *chain) logCall(ctx context.Context, method string, st *state, begin time.Time, err error) {
	level, code := slog.LevelDebug, codes.OK
	if err != nil {
		level, code = slog.LevelInfo, rpcerr.From(err).Code()
	}
	if code == codes.Internal || code == codes.Unknown || code == codes.DataLoss {
		level = slog.LevelError
	}
	log := c.deps.Logger
	if !log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", method),
		slog.String("code", code.String()),
		slog.Duration("took", c.deps.Now().Sub(begin)),
		slog.String("caller_kind", access.KindName(st.principal.Kind)),
		slog.String("caller", st.principal.ID),
	}
	if st.call != nil && st.call.Firm() != "" {
		attrs = append(attrs, slog.String("firm", st.call.Firm()))
	}
	if err != nil {
		attrs = append(attrs, slog.String("reason", rpcerr.Reason(err)), slog.String("error", err.Error()))
		// A traced call has its trace id on every line from the logger itself.
		if id := rpcerr.From(err).Metadata()["trace_id"]; id != "" && !trace.SpanContextFromContext(ctx).HasTraceID() {
			attrs = append(attrs, slog.String("trace_id", id))
		}
	}
	log.LogAttrs(ctx, level, "call", attrs...)
}

const (
	// deadlineShave is taken off what the caller gives, so that there is time left to tell the caller that, and where,
	// it ran out.
	deadlineShave = 20 * time.Millisecond
	// meaningful is the least time worth starting with: below it the answer would come too late and the work be wasted,
	// which under load makes everything worse.
	meaningful = 100 * time.Millisecond
)

var errTooLate = rpcerr.Default(codes.DeadlineExceeded).Messagef("too little time left to start")

func (c *chain) deadlineUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
	ctx, cancel, err := shave(ctx, c.cfg.Deadline)
	if err != nil {
		return nil, err
	}
	defer cancel()
	return h(ctx, req)
}

// deadlineStream shaves a deadline that is there and gives none to streams without: they may be open for hours.
func (c *chain) deadlineStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
	ctx, cancel, err := shave(ss.Context(), 0)
	if err != nil {
		return err
	}
	defer cancel()
	s := &stream{ServerStream: ss, ctx: ctx}
	return s.handle(srv, h)
}

// shave uses the real clock, as contexts do. A caller's deadline is cut to the server's own, when it has one: who calls
// does not decide how long work may be held up.
func shave(ctx context.Context, fallback time.Duration) (context.Context, context.CancelFunc, error) {
	deadline, ok := ctx.Deadline()
	switch {
	case fallback > 0 && (!ok || time.Until(deadline) > fallback):
		ctx, cancel := context.WithTimeout(ctx, fallback)
		return ctx, cancel, nil
	case !ok:
		return ctx, func() {}, nil
	case time.Until(deadline) < meaningful:
		return nil, nil, errTooLate
	}
	ctx, cancel := context.WithDeadline(ctx, deadline.Add(-deadlineShave))
	return ctx, cancel, nil
}
