package serve

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
)

func (c *chain) errorsUnary(
	ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler,
) (resp any, err error) {
	defer c.recovered(ctx, &err)
	resp, err = h(ctx, req)
	if err != nil {
		return nil, Map(ctx, err)
	}
	return resp, nil
}

func (c *chain) errorsStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) (err error) {
	defer c.recovered(ss.Context(), &err)
	if err := h(srv, ss); err != nil {
		return Map(ss.Context(), err)
	}
	return nil
}

// Map makes of any error one that may leave the service. Its text comes from this program's own words only: an
// *rpcerr.Error goes out as it is, what the store or the clock says becomes the platform's error for it, and everything
// else is Internal with nothing but the trace id. The original is kept as the cause, for the log.
//
// What another service answered goes out too, since its words are the suite's own, except when it refused this service
// itself: that the caller must sign in is not for a callee to say.
func Map(ctx context.Context, err error) *rpcerr.Error {
	if e, ok := errors.AsType[*rpcerr.Error](err); ok {
		return fromPeer(ctx, e, err)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return rpcerr.Default(codes.Canceled).Because(err)
	case errors.Is(err, context.DeadlineExceeded):
		return rpcerr.Default(codes.DeadlineExceeded).Because(err)
	case errors.Is(err, sqldb.ErrNotFound):
		return rpcerr.Default(codes.NotFound).Because(err)
	case errors.Is(err, sqldb.ErrConflict):
		return rpcerr.Default(codes.Aborted).Because(err)
	case errors.Is(err, sqldb.ErrInvalid):
		return rpcerr.Default(codes.InvalidArgument).Because(err)
	case errors.Is(err, sqldb.ErrBusy), errors.Is(err, sqldb.ErrOutcomeUnknown),
		errors.Is(err, sqldb.ErrDiskFull), errors.Is(err, sqldb.ErrReadOnly):
		return rpcerr.Default(codes.Unavailable).Because(err)
	}
	if _, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err); ok {
		return fromPeer(ctx, rpcerr.From(err), err)
	}
	return internalError(ctx, err)
}

// fromPeer lets pass what may pass. An error made in this process always may.
func fromPeer(ctx context.Context, e *rpcerr.Error, original error) *rpcerr.Error {
	if !e.Remote() {
		if e.Code() == codes.Internal && e.Metadata()["trace_id"] == "" {
			return internalError(ctx, original)
		}
		return e
	}
	platform := e.Reason() == rpcerr.Default(e.Code()).Reason()
	switch e.Code() {
	case codes.Internal, codes.Unknown, codes.DataLoss, codes.Unauthenticated, codes.OK:
		return internalError(ctx, original)
	case codes.PermissionDenied, codes.InvalidArgument:
		if platform {
			return internalError(ctx, original) // this service asked for what it may not, or in a wrong way
		}
	}
	return e
}

// internalError says nothing but where to look: the trace id, or a number of its own when the call is not traced.
func internalError(ctx context.Context, cause error) *rpcerr.Error {
	return rpcerr.Default(codes.Internal).Because(cause).With("trace_id", traceID(ctx))
}

func traceID(ctx context.Context) string {
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		return sc.TraceID().String()
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	return hex.EncodeToString(b[:])
}
