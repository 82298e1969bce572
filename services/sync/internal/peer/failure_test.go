package peer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/rpcerr"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/peer"
)

func TestFailureOf(t *testing.T) {
	now := time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)
	from := func(code codes.Code, reason connectorv1.ErrorReason) *rpcerr.Error {
		return rpcerr.New(code, reason, "in the provider's words")
	}
	limit := from(codes.ResourceExhausted, connectorv1.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED)
	refused := from(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_REFUSED)
	for name, c := range map[string]struct {
		err     error
		resumed bool
		want    peer.Remedy
		words   string
	}{
		"unavailable":      {from(codes.Unavailable, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_UNAVAILABLE), false, peer.Retry, "in the provider's words"},
		"not understood":   {from(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_ANSWER_INVALID), false, peer.RetryFew, "in the provider's words"},
		"limit":            {limit, false, peer.Wait, "in the provider's words"},
		"reauth":           {from(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_NEEDS_REAUTH), true, peer.GiveUp, "in the provider's words"},
		"unknown":          {from(codes.NotFound, connectorv1.ErrorReason_ERROR_REASON_NOT_FOUND), true, peer.GiveUp, "in the provider's words"},
		"scope missing":    {from(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_SCOPE_MISSING), true, peer.GiveUp, "in the provider's words"},
		"no such listing":  {from(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_NOT_SUPPORTED), false, peer.GiveUp, "in the provider's words"},
		"refused":          {refused, false, peer.GiveUp, "in the provider's words"},
		"refused, resumed": {refused, true, peer.Restart, "in the provider's words"},
		"bad token":        {rpcerr.Default(codes.InvalidArgument).Field("page_token", "x", "y"), true, peer.Restart, "the request is not valid"},
		"too slow":         {context.DeadlineExceeded, false, peer.Retry, "the answer took too long"},
		"our own":          {errors.New("nil pointer in row 42 of 'Smith'"), false, peer.Retry, "something went wrong inside the suite; the log has it"},
	} {
		f := peer.FailureOf(c.err, c.resumed, now)
		require.Equal(t, c.want, f.Remedy, name)
		require.Equal(t, c.words, f.Words, name)
	}
	require.Equal(t, now.Add(time.Minute), peer.FailureOf(limit, false, now).Until, "without a word, a minute")
	until := now.Add(3 * time.Hour)
	require.Equal(t, until, peer.FailureOf(limit.With("until", until.Format(time.RFC3339Nano)), false, now).Until)
	require.Equal(t, now.Add(time.Minute), peer.FailureOf(limit.With("until", now.Add(-time.Hour).Format(time.RFC3339Nano)), false, now).Until)
}

func TestWhoStandsBehindWork(t *testing.T) {
	admin := access.Principal{Kind: access.Administrator, ID: "a", Firm: "f", Session: "s"}
	kept := peer.InitiatorOf(admin)
	p := access.From(peer.InFirm(context.Background(), "f", kept))
	require.Equal(t, access.Service, p.Kind)
	require.Equal(t, "sync", p.ID)
	require.Equal(t, "f", p.Firm)
	require.Equal(t, &access.Principal{Kind: access.Administrator, ID: "a", Firm: "f"}, p.Initiator)
	require.Equal(t, kept, peer.AdministratorOf("firms/f/staff/a"))
	require.Empty(t, peer.AdministratorOf("schedule"))
	require.Empty(t, peer.InitiatorOf(access.ServicePrincipal("sync", "f")))
	require.Nil(t, access.From(peer.InFirm(context.Background(), "f", "")).Initiator)
}
