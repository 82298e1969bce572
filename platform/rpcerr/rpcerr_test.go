package rpcerr_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/rpcerr"
)

// enum stands for a service's generated ErrorReason.
type enum string

func (e enum) String() string { return string(e) }

var errRevoked = rpcerr.New(codes.FailedPrecondition, enum("ERROR_REASON_CONNECTION_REVOKED"), "connect again")

func TestAnErrorCrossesTheWireWhole(t *testing.T) {
	sent := errRevoked.With("connection", "c1").With("provider", "xpm").
		Field("name", "string.uuid", "must be a UUID").Because(errors.New("driver text"))
	received := rpcerr.From(status.ErrorProto(sent.GRPCStatus().Proto()))

	require.True(t, received.Remote())
	require.Equal(t, codes.FailedPrecondition, received.Code())
	require.Equal(t, "CONNECTION_REVOKED", received.Reason())
	require.Equal(t, "connect again", received.Message())
	require.Equal(t, map[string]string{"connection": "c1", "provider": "xpm"}, received.Metadata())
	require.Equal(t, []rpcerr.Violation{{Field: "name", Rule: "string.uuid", Description: "must be a UUID"}}, received.Violations())
	require.ErrorIs(t, received, errRevoked)
	require.NotContains(t, received.Error(), "driver text")
}

func TestWordsAboutRefusedValuesTravelAndAreNotLogged(t *testing.T) {
	sent := errRevoked.Field("client.name", rpcerr.Refused, "the name Alpine Growers is taken").Field("page", "int32.gt", "must be positive")
	received := rpcerr.From(status.ErrorProto(sent.GRPCStatus().Proto()))
	require.Equal(t, "the name Alpine Growers is taken", received.Violations()[0].Description)
	for _, err := range []error{sent, received} {
		require.NotContains(t, err.Error(), "Alpine")
		require.Contains(t, err.Error(), "client.name: refused; page: must be positive")
	}
}

func TestTheWireFormatIsTheOneOfGoogleRPC(t *testing.T) {
	st := errRevoked.Field("a.b", "r", "d").GRPCStatus()
	info, ok := st.Details()[0].(*errdetails.ErrorInfo)
	require.True(t, ok)
	require.Equal(t, "CONNECTION_REVOKED", info.GetReason())
	require.Equal(t, "concord", info.GetDomain())
	bad, ok := st.Details()[1].(*errdetails.BadRequest)
	require.True(t, ok)
	require.Equal(t, "a.b", bad.GetFieldViolations()[0].GetField())
	require.Equal(t, "r", bad.GetFieldViolations()[0].GetReason())
}

func TestADeclaredErrorIsNeverChanged(t *testing.T) {
	first := errRevoked.With("k", "1").Field("f", "r", "d")
	second := first.With("k", "2").Field("g", "r", "d").Messagef("for %d", 7).Because(errors.New("x"))
	require.Nil(t, errRevoked.Metadata())
	require.Empty(t, errRevoked.Violations())
	require.Equal(t, map[string]string{"k": "1"}, first.Metadata())
	require.Len(t, first.Violations(), 1)
	require.Equal(t, "connect again", first.Message())
	require.Len(t, second.Violations(), 2)
	require.Equal(t, "for 7", second.Message())
}

func TestReasonsAreComparedWhateverWrapsThem(t *testing.T) {
	wrapped := fmt.Errorf("disconnecting: %w", errRevoked.With("k", "v"))
	require.ErrorIs(t, wrapped, errRevoked)
	require.True(t, rpcerr.Has(wrapped, enum("CONNECTION_REVOKED")))
	require.True(t, rpcerr.Has(wrapped, enum("ERROR_REASON_CONNECTION_REVOKED")))
	require.NotErrorIs(t, wrapped, rpcerr.New(codes.FailedPrecondition, enum("OTHER"), "connect again"))
	require.Empty(t, rpcerr.Reason(errors.New("something else")))
	require.Empty(t, rpcerr.Reason(nil))
	require.Equal(t, "CONNECTION_REVOKED", rpcerr.Reason(errRevoked.GRPCStatus().Err()))
}

func TestACauseCanBeAskedForAndIsNotSent(t *testing.T) {
	cause := errors.New("password=hunter2")
	err := errRevoked.Because(cause)
	require.ErrorIs(t, err, cause)
	require.Contains(t, err.Error(), "hunter2")
	require.NotContains(t, err.GRPCStatus().String(), "hunter2")
}

func TestWhatTheNetworkSaysGetsTheReasonOfItsCode(t *testing.T) {
	e := rpcerr.From(status.Error(codes.Unavailable, "dial tcp 10.1.2.3:7000: connection refused"))
	require.Equal(t, codes.Unavailable, e.Code())
	require.Equal(t, "UNAVAILABLE", e.Reason())
	require.NotContains(t, e.Message(), "10.1.2.3")
	require.True(t, e.Remote())

	for err, code := range map[error]codes.Code{
		context.Canceled: codes.Canceled, context.DeadlineExceeded: codes.DeadlineExceeded, errors.New("x"): codes.Internal,
		status.Error(codes.Unknown, "x"): codes.Internal, status.Error(codes.DataLoss, "x"): codes.Internal,
	} {
		require.Equal(t, code, rpcerr.From(err).Code(), "%v", err)
	}
	require.Nil(t, rpcerr.From(nil))
}

func TestAForeignDomainIsNotOurReason(t *testing.T) {
	st, err := status.New(codes.NotFound, "x").WithDetails(&errdetails.ErrorInfo{Reason: "THEIRS", Domain: "example.com"})
	require.NoError(t, err)
	require.Equal(t, "NOT_FOUND", rpcerr.Reason(st.Err()))
}

func TestEveryCodeHasADefault(t *testing.T) {
	for c := codes.Canceled; c <= codes.Unauthenticated; c++ {
		e := rpcerr.Default(c)
		require.NotEmpty(t, e.Reason(), "%s", c)
		require.NotEmpty(t, e.Message(), "%s", c)
	}
	require.NotSame(t, rpcerr.Default(codes.NotFound), rpcerr.Default(codes.NotFound))
}

// Words that are not valid UTF-8, such as a provider's that were cut in the middle of a letter, don't cost an error its
// reason on the way.
func TestBrokenWordsKeepTheReason(t *testing.T) {
	broken := "caf\xc3"
	e := rpcerr.New(codes.Unavailable, rpcerr.Text("PROVIDER_UNAVAILABLE"), "x").Messagef("%s", broken).With("said", broken).Field("f", "r", broken)
	b, err := proto.Marshal(e.GRPCStatus().Proto())
	if err != nil {
		t.Fatal(err)
	}
	var back spb.Status
	if err := proto.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if got := rpcerr.Reason(status.FromProto(&back).Err()); got != "PROVIDER_UNAVAILABLE" {
		t.Errorf("reason %q", got)
	}
}
