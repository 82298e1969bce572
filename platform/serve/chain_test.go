package serve_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/serve"
	"github.com/concord-suite/concord/platform/sqldb"
)

var (
	staff  = accesstest.Of(access.Staff, accesstest.FirmA)
	admin  = accesstest.SteppedUp(accesstest.Of(access.Administrator, accesstest.FirmA), time.Now().Add(time.Hour))
	thing  = "firms/" + accesstest.FirmA + "/things/1"
	ofName = map[string]string{"name": thing}
)

// answers makes the unary handler return an error.
func (h *house) answers(err error) {
	h.Unary = func(context.Context, string, *dynamicpb.Message) (*dynamicpb.Message, error) {
		return h.Response(""), err
	}
}

func TestAHandlerSeesWhoCalls(t *testing.T) {
	h := start(t)
	var got access.Principal
	var firm string
	h.Unary = func(ctx context.Context, _ string, _ *dynamicpb.Message) (*dynamicpb.Message, error) {
		got, firm = access.From(ctx), serve.CallFrom(ctx).Firm()
		return h.Response("hello"), nil
	}
	text, err := h.Call(h.as(t, staff), h.conn, "GetThing", ofName)
	require.NoError(t, err)
	require.Equal(t, "hello", text)
	require.Equal(t, staff, got)
	require.Equal(t, accesstest.FirmA, firm)
}

func TestATokenThatDoesNotHoldIsNeverNobody(t *testing.T) {
	h := start(t)
	elsewhere := h.mint.Token(staff, "documents")
	for name, pairs := range map[string][]string{
		"nonsense":         {"authorization", "Bearer nonsense"},
		"another audience": {"authorization", "Bearer " + elsewhere},
		"empty":            {"authorization", ""},
		"another scheme":   {"authorization", "Basic " + h.mint.Token(staff, "things")},
		"twice": {"authorization", "Bearer " + h.mint.Token(staff, "things"),
			"authorization", "Bearer " + h.mint.Token(admin, "things")},
	} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), pairs...)
		for _, method := range []string{"Ping", "GetThing"} { // Ping admits nobody, and still
			_, err := h.Call(ctx, h.conn, method, ofName)
			require.Equal(t, codes.Unauthenticated, status.Code(err), "%s %s", name, method)
		}
	}
	_, err := h.Call(t.Context(), h.conn, "Ping", nil)
	require.NoError(t, err)
}

func TestARevokedSessionIsRefusedAtOnce(t *testing.T) {
	h := start(t)
	ctx := h.as(t, staff)
	_, err := h.Call(ctx, h.conn, "GetThing", ofName)
	require.NoError(t, err)
	h.revoked.Add(staff.Session)
	_, err = h.Call(ctx, h.conn, "GetThing", ofName)
	require.Equal(t, codes.Unauthenticated, status.Code(err))
}

func TestKeysThatCannotBeHadAreNotAWrongToken(t *testing.T) {
	down := access.NewFetched(access.FetcherFunc(func(context.Context) (*access.Trust, error) {
		return nil, errors.New("down")
	}), time.Now, access.AuthIssuer)
	h := start(t, func(_ *serve.Config, d *serve.Deps) { d.Verifier = access.NewVerifier("things", down, time.Now) })
	_, err := h.Call(h.as(t, staff), h.conn, "GetThing", ofName)
	require.Equal(t, codes.Unavailable, status.Code(err))
}

func TestNoTextOfOursButOurOwnWordsGetsOut(t *testing.T) {
	var log syncBuffer
	h := start(t, func(_ *serve.Config, d *serve.Deps) { d.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	secret := "SELECT password FROM accounts"
	own := rpcerr.New(codes.FailedPrecondition, rpcerr.Text("THING_LOCKED"), "the thing is locked").Because(errors.New(secret))
	remote := func(code codes.Code, reason rpcerr.Text) error {
		return rpcerr.From(rpcerr.New(code, reason, "said by a peer").GRPCStatus().Err())
	}
	for name, c := range map[string]struct {
		err    error
		code   codes.Code
		reason string
	}{
		"unknown":                {errors.New(secret), codes.Internal, "INTERNAL"},
		"own":                    {own, codes.FailedPrecondition, "THING_LOCKED"},
		"own, wrapped":           {fmt.Errorf("%s: %w", secret, own), codes.FailedPrecondition, "THING_LOCKED"},
		"not found":              {fmt.Errorf("%s: %w", secret, sqldb.ErrNotFound), codes.NotFound, "NOT_FOUND"},
		"conflict":               {fmt.Errorf("%s: %w", secret, sqldb.ErrConflict), codes.Aborted, "CONFLICT"},
		"invalid":                {fmt.Errorf("%s: %w", secret, sqldb.ErrInvalid), codes.InvalidArgument, "INVALID_REQUEST"},
		"busy":                   {fmt.Errorf("%s: %w", secret, sqldb.ErrBusy), codes.Unavailable, "UNAVAILABLE"},
		"outcome unknown":        {fmt.Errorf("%s: %w", secret, sqldb.ErrOutcomeUnknown), codes.Unavailable, "UNAVAILABLE"},
		"disk full":              {fmt.Errorf("%s: %w", secret, sqldb.ErrDiskFull), codes.Unavailable, "UNAVAILABLE"},
		"read-only":              {fmt.Errorf("%s: %w", secret, sqldb.ErrReadOnly), codes.Unavailable, "UNAVAILABLE"},
		"cancelled":              {fmt.Errorf("%s: %w", secret, context.Canceled), codes.Canceled, "CANCELED"},
		"timed out":              {fmt.Errorf("%s: %w", secret, context.DeadlineExceeded), codes.DeadlineExceeded, "DEADLINE_EXCEEDED"},
		"bare status":            {status.Error(codes.AlreadyExists, secret), codes.AlreadyExists, "ALREADY_EXISTS"},
		"bare internal":          {status.Error(codes.Internal, secret), codes.Internal, "INTERNAL"},
		"peer refuses":           {remote(codes.FailedPrecondition, "PEER_SAYS_NO"), codes.FailedPrecondition, "PEER_SAYS_NO"},
		"peer does not know us":  {remote(codes.Unauthenticated, "UNAUTHENTICATED"), codes.Internal, "INTERNAL"},
		"peer denies us":         {remote(codes.PermissionDenied, "PERMISSION_DENIED"), codes.Internal, "INTERNAL"},
		"peer denies the person": {remote(codes.PermissionDenied, "NOT_YOUR_CLIENT"), codes.PermissionDenied, "NOT_YOUR_CLIENT"},
		"peer broke":             {remote(codes.Internal, "INTERNAL"), codes.Internal, "INTERNAL"},
	} {
		h.answers(c.err)
		_, err := h.Call(h.as(t, staff), h.conn, "GetThing", ofName)
		e := rpcerr.From(err)
		require.Equal(t, c.code, e.Code(), name)
		require.Equal(t, c.reason, e.Reason(), name)
		require.NotContains(t, e.Error(), secret, name)
		if c.code == codes.Internal {
			require.Len(t, e.Metadata()["trace_id"], 32, name)
			require.Contains(t, log.String(), e.Metadata()["trace_id"], "the log can be searched by it")
		}
	}
	require.Contains(t, log.String(), secret, "the log has the cause")
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestAPanicIsAnAnswerAndTheServerLives(t *testing.T) {
	h := start(t)
	h.Unary = func(context.Context, string, *dynamicpb.Message) (*dynamicpb.Message, error) { panic("boom") }
	_, err := h.Call(h.as(t, staff), h.conn, "GetThing", ofName)
	require.Equal(t, codes.Internal, status.Code(err))
	require.NotContains(t, err.Error(), "boom")
	require.Equal(t, codes.Internal, rpcerr.From((<-h.audits.ended).err).Code(), "audit saw the failure")
	h.answers(nil)
	_, err = h.Call(h.as(t, staff), h.conn, "GetThing", ofName)
	require.NoError(t, err)
}

func TestARequestIsHeldToTheContract(t *testing.T) {
	h := start(t)
	called := false
	h.Unary = func(context.Context, string, *dynamicpb.Message) (*dynamicpb.Message, error) {
		called = true
		return h.Response(""), nil
	}
	_, err := h.Call(h.as(t, staff), h.conn, "GetThing", map[string]string{"name": thing, "text": "more than ten"})
	e := rpcerr.From(err)
	require.Equal(t, codes.InvalidArgument, e.Code())
	require.Equal(t, "INVALID_REQUEST", e.Reason())
	require.Equal(t, "text", e.Violations()[0].Field)
	require.Equal(t, "string.max_len", e.Violations()[0].Rule)
	require.False(t, called)
	require.Equal(t, codes.InvalidArgument, rpcerr.From((<-h.audits.ended).err).Code(), "an attempt is recorded")
}

func TestPermissionComesBeforeValidation(t *testing.T) {
	h := start(t)
	_, err := h.Call(h.as(t, accesstest.Of(access.Staff, accesstest.FirmB)), h.conn, "GetThing",
		map[string]string{"name": thing, "text": "more than ten"})
	require.Equal(t, codes.NotFound, status.Code(err), "a stranger learns no rules")
	denied := <-h.audits.denied
	require.Equal(t, "/concord.test.v1.ThingService/GetThing", denied.method)
	require.Empty(t, h.audits.ended)
}

func TestADeadlineLeavesTimeToSaySo(t *testing.T) {
	h := start(t, func(c *serve.Config, _ *serve.Deps) { c.Deadline = 3 * time.Second })
	left := make(chan time.Duration, 1)
	h.Unary = func(ctx context.Context, _ string, _ *dynamicpb.Message) (*dynamicpb.Message, error) {
		deadline, _ := ctx.Deadline()
		left <- time.Until(deadline)
		return h.Response(""), nil
	}
	raw := h.client(t, dial.Options{Timeout: time.Hour}) // more than gRPC would be given
	ctx, cancel := context.WithTimeout(h.as(t, staff), time.Minute)
	defer cancel()
	deadline, _ := ctx.Deadline()
	_, err := h.Call(ctx, raw, "GetThing", ofName)
	require.NoError(t, err)
	got := <-left
	require.LessOrEqual(t, got, time.Until(deadline)+time.Second)
	require.LessOrEqual(t, got, 3*time.Second, "the server's own bound holds, however patient the caller")

	ctx, cancel = context.WithTimeout(h.as(t, staff), 90*time.Millisecond)
	defer cancel()
	_, err = h.Call(ctx, raw, "GetThing", ofName)
	require.Equal(t, codes.DeadlineExceeded, status.Code(err))
	require.Empty(t, left, "work that cannot end in time is not begun")
}

func TestACallWithoutADeadlineGetsOne(t *testing.T) {
	h := start(t, func(c *serve.Config, _ *serve.Deps) { c.Deadline = 150 * time.Millisecond })
	h.Unary = func(ctx context.Context, _ string, _ *dynamicpb.Message) (*dynamicpb.Message, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	// A client that is not of package dial, and gives no deadline.
	conn := plainClient(t, h.lis)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+h.mint.Token(staff, "things"))
	_, err := h.Call(ctx, conn, "GetThing", ofName)
	require.Equal(t, codes.DeadlineExceeded, status.Code(err))
	require.Equal(t, "DEADLINE_EXCEEDED", rpcerr.Reason(err), "the server said it, not the client's clock")
}

func TestATraceGoesFromTheClientIntoTheServer(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	h := start(t, func(_ *serve.Config, d *serve.Deps) { d.Tracer, d.Propagator = tracer, propagation.TraceContext{} })
	conn := h.client(t, dial.Options{Tracer: tracer, Propagator: propagation.TraceContext{}})
	h.answers(errors.New("broken"))
	_, err := h.Call(h.as(t, staff), conn, "GetThing", ofName)
	id := rpcerr.From(err).Metadata()["trace_id"]
	require.Eventually(t, func() bool { return len(spans.GetSpans()) == 2 }, time.Minute, time.Millisecond)
	for _, s := range spans.GetSpans() {
		require.Equal(t, id, s.SpanContext.TraceID().String(), "one trace, and its id is in the answer")
	}
}

func TestTheLogLineOfAFailureSaysWhoAndWhatAndNotWhy(t *testing.T) {
	var log syncBuffer
	h := start(t, func(_ *serve.Config, d *serve.Deps) { d.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	_, err := h.Call(h.as(t, staff), h.conn, "GetThing", map[string]string{"name": thing, "text": strings.Repeat("secret", 9)})
	require.Error(t, err)
	require.Eventually(t, func() bool { return log.String() != "" }, time.Minute, time.Millisecond)
	for _, want := range []string{"method=/concord.test.v1.ThingService/GetThing", "code=InvalidArgument", "reason=INVALID_REQUEST",
		"caller_kind=STAFF", "caller=" + staff.ID, "firm=" + accesstest.FirmA, "level=INFO"} {
		require.Contains(t, log.String(), want)
	}
	require.NotContains(t, log.String(), "secretsecret")
}

func TestMessagesAreBounded(t *testing.T) {
	h := start(t, func(c *serve.Config, _ *serve.Deps) { c.MaxMessage = 1 << 10 })
	_, err := h.Call(h.as(t, staff), h.conn, "GetThing", map[string]string{"name": thing, "password": strings.Repeat("x", 2<<10)})
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
}

func TestStreamsAreCheckedBeforeTheHandlerSeesAMessage(t *testing.T) {
	h := start(t)
	handled := make(chan error, 10)
	h.Stream = func(_ string, s servetestStream) error {
		for {
			_, err := s.Recv()
			handled <- err
			if errors.Is(err, io.EOF) {
				return s.Send("done")
			}
			if err != nil {
				return fmt.Errorf("wrapped by the handler: %w", errors.New("hidden"))
			}
		}
	}
	open := func(p access.Principal, messages ...map[string]string) error {
		s, err := h.Open(h.as(t, p), h.conn, "UploadThing")
		require.NoError(t, err)
		for _, m := range messages {
			if s.SendMsg(h.Request(m)) != nil {
				break
			}
		}
		require.NoError(t, s.CloseSend())
		return s.RecvMsg(h.Response(""))
	}
	parent := map[string]string{"parent": "firms/" + accesstest.FirmA}
	stranger := accesstest.Of(access.Staff, accesstest.FirmB)

	require.NoError(t, open(staff, parent, map[string]string{"text": "piece"}))
	require.Equal(t, record{"/concord.test.v1.ThingService/UploadThing", accesstest.FirmA, parent["parent"], nil}, <-h.audits.ended)

	require.Equal(t, codes.NotFound, status.Code(open(stranger, parent)))
	require.Equal(t, codes.NotFound, rpcerr.From((<-h.audits.denied).err).Code())
	require.Equal(t, codes.InvalidArgument, status.Code(open(staff, map[string]string{"text": "no firm"})))
	require.Equal(t, codes.NotFound, status.Code(open(staff, parent, map[string]string{"parent": "firms/" + accesstest.FirmB})),
		"a later message must not change the firm")
	err := open(staff, parent, map[string]string{"text": "more than ten"})
	require.Equal(t, codes.InvalidArgument, status.Code(err), "whatever the handler made of it: %v", err)
	require.Equal(t, codes.PermissionDenied, status.Code(open(accesstest.Of(access.Contact, accesstest.FirmA), parent)))
}

func TestAHandlerMayNotAnswerBeforeItsCallerWasChecked(t *testing.T) {
	h := start(t)
	h.Stream = func(_ string, s servetestStream) error { return s.Send("leak") }
	s, err := h.Open(h.as(t, accesstest.Of(access.Staff, accesstest.FirmB)), h.conn, "UploadThing")
	require.NoError(t, err)
	require.Equal(t, codes.Internal, status.Code(s.RecvMsg(h.Response(""))))
}

func TestAViewByStreamIsRecordedWhenItIsShown(t *testing.T) {
	h := start(t)
	over := make(chan struct{})
	h.Stream = func(_ string, s servetestStream) error {
		if _, err := s.Recv(); err != nil {
			return err
		}
		for range 3 {
			if err := s.Send("x"); err != nil {
				return err
			}
		}
		<-over
		return errors.New("broke later")
	}
	s, err := h.Open(h.as(t, staff), h.conn, "WatchThing")
	require.NoError(t, err)
	require.NoError(t, s.SendMsg(h.Request(ofName)))
	require.NoError(t, s.CloseSend())
	require.NoError(t, s.RecvMsg(h.Response("")))
	require.Equal(t, record{"/concord.test.v1.ThingService/WatchThing", accesstest.FirmA, thing, nil}, <-h.audits.ended)
	close(over)
	require.Empty(t, h.audits.ended, "once")
}

func TestAnOpenStreamEndsWithItsSession(t *testing.T) {
	h := start(t)
	h.Stream = func(_ string, s servetestStream) error {
		if _, err := s.Recv(); err != nil {
			return err
		}
		if err := s.Send("open"); err != nil {
			return err
		}
		<-s.Context().Done()
		return nil
	}
	s, err := h.Open(h.as(t, staff), h.conn, "WatchThing")
	require.NoError(t, err)
	require.NoError(t, s.SendMsg(h.Request(ofName)))
	require.NoError(t, s.CloseSend())
	require.NoError(t, s.RecvMsg(h.Response("")))
	h.revoked.Add(staff.Session)
	require.Equal(t, codes.Unauthenticated, status.Code(s.RecvMsg(h.Response(""))))
}
