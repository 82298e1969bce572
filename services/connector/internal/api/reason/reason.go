// Package reason holds the errors of the connector's RPCs: code, reason and words, and what a provider's error becomes.
package reason

import (
	"errors"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/budget"
	"github.com/concord-suite/concord/services/connector/internal/provider/upstream"
)

// The errors of the connector.
var (
	NotFound = rpcerr.New(codes.NotFound, connectorv1.ErrorReason_ERROR_REASON_NOT_FOUND, "not found")
	// ForeignState also answers a state that was never given out.
	ForeignState = rpcerr.New(codes.NotFound, connectorv1.ErrorReason_ERROR_REASON_NOT_FOUND,
		"this answer belongs to no attempt to connect; start again from Concord")
	AttemptEnded = rpcerr.New(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_ATTEMPT_ENDED,
		"this attempt to connect is over; start again")
	AttemptExpired    = AttemptEnded.Messagef("more than five minutes passed; start again")
	AttemptSuperseded = AttemptEnded.Messagef("a newer attempt took its place; go on with that one")
	AttemptNotReady   = AttemptEnded.Messagef("consent has not been given yet, or its answer is still on the way")
	BrowserMismatch   = rpcerr.New(codes.PermissionDenied, connectorv1.ErrorReason_ERROR_REASON_BROWSER_MISMATCH,
		"the answer came from another browser than the one that asked; start again in this one")
	ConsentDenied = rpcerr.New(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_CONSENT_DENIED,
		"access was not allowed at the provider; start again and allow it there")
	PrivilegeMissing = rpcerr.New(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_PRIVILEGE_MISSING,
		"the person who authorised lacks a privilege at the provider")
	ScopeMissing = rpcerr.New(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_SCOPE_MISSING,
		"the consent does not cover what is needed; connect again and allow all of it")
	TenantUnknown = rpcerr.New(codes.InvalidArgument, connectorv1.ErrorReason_ERROR_REASON_TENANT_UNKNOWN,
		"this one was not among those that access was allowed to")
	TenantDiffers = rpcerr.New(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_TENANT_DIFFERS,
		"another one than the last time was chosen; acknowledge that to go on, removals then wait for review")
	NeedsReauth = rpcerr.New(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_NEEDS_REAUTH,
		"the consent is no longer valid; an administrator has to connect again")
	BudgetExhausted = rpcerr.New(codes.ResourceExhausted, connectorv1.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED,
		"the provider's call limit is used up")
	ProviderUnavailable = rpcerr.New(codes.Unavailable, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_UNAVAILABLE,
		"the provider can't be reached or has an error of its own; try again")
	// AnswerInvalid has no code that asks to try again: the same question gives the same answer.
	AnswerInvalid = rpcerr.New(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_ANSWER_INVALID,
		"the provider's answer can't be understood; nothing was taken from it")
	ProviderRefused = rpcerr.New(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_REFUSED,
		"the provider refused")
	EtagMismatch = rpcerr.New(codes.Aborted, connectorv1.ErrorReason_ERROR_REASON_ETAG_MISMATCH,
		"the connection was changed since it was read; read it again")
	Inactive = rpcerr.New(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_CONNECTION_INACTIVE,
		"the connection is not active")
	NotConfigured = rpcerr.New(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_NOT_CONFIGURED,
		"this provider is not configured in this installation")
	NotLegacy = rpcerr.New(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_NOT_LEGACY,
		"this is no connection from before OAuth 2 of this provider; there is nothing to upgrade")
	// TenantConnected asks for a decision that nobody can take for the firm.
	TenantConnected = rpcerr.New(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_TENANT_CONNECTED,
		"this one is connected already, by another connection; disconnect that one to upgrade to it, or drop the imported one")
	NotSupported = rpcerr.New(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_NOT_SUPPORTED,
		"the provider can't do this")
	// RecordInvalid carries the fields and the provider's words for each.
	RecordInvalid = rpcerr.New(codes.InvalidArgument, connectorv1.ErrorReason_ERROR_REASON_RECORD_INVALID,
		"the provider does not take these values")
	RecordMoved = rpcerr.New(codes.Aborted, connectorv1.ErrorReason_ERROR_REASON_RECORD_MOVED,
		"the record is not as it was read; read it again")
	SignatureInvalid = rpcerr.New(codes.PermissionDenied, connectorv1.ErrorReason_ERROR_REASON_SIGNATURE_INVALID,
		"the signature does not fit the notice")
)

// Of turns what a call to a provider returned into an error of the RPC. nil and errors that are no provider's pass
// through; a missing row becomes NotFound.
func Of(err error) error {
	if known, ok := errors.AsType[*rpcerr.Error](err); ok {
		return known
	}
	if used, ok := errors.AsType[*budget.Exhausted](err); ok {
		return BudgetExhausted.With("limit", used.Limit).With("until", used.Until.UTC().Format(time.RFC3339Nano)).Because(err)
	}
	text := provider.Text(err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sqldb.ErrNotFound):
		return NotFound.Because(err)
	case upstream.Dead(err):
		return NeedsReauth.Because(err)
	case errors.Is(err, provider.ErrForbidden):
		return PrivilegeMissing.Because(err)
	case errors.Is(err, provider.ErrScope):
		return worded(ScopeMissing, text).Because(err)
	case errors.Is(err, provider.ErrLimit):
		return BudgetExhausted.Because(err)
	case errors.Is(err, provider.ErrInvalid):
		return worded(AnswerInvalid, text).Because(err)
	case errors.Is(err, provider.ErrValues):
		return invalid(err)
	case errors.Is(err, provider.ErrRefused), errors.Is(err, provider.ErrUnknownRecord):
		return worded(ProviderRefused, "the provider refused: "+text).Because(err)
	case errors.Is(err, provider.ErrUnavailable), errors.Is(err, provider.ErrToken), errors.Is(err, provider.ErrClient):
		return worded(ProviderUnavailable, text).Because(err)
	}
	return err
}

// invalid names the values that a provider refused, as fields of the request's client. The provider's words stand with the
// fields and nowhere else: they may quote what a client is called, and messages and causes are logged.
func invalid(err error) error {
	e := RecordInvalid.Because(provider.ErrValues)
	if refused, ok := errors.AsType[*provider.Error](err); ok {
		for _, v := range refused.Values {
			field := "client"
			if v.Path != "" {
				field += "." + v.Path
			}
			e = e.Field(field, rpcerr.Refused, v.Text)
		}
	}
	return e
}

func worded(e *rpcerr.Error, text string) *rpcerr.Error {
	if text == "" {
		return e
	}
	return e.Messagef("%s", text)
}

// failures are the errors of attempts that failed.
var failures = map[connection.Failure]*rpcerr.Error{
	connection.ConsentDenied:       ConsentDenied,
	connection.TenantUnknown:       TenantUnknown,
	connection.ProviderRefused:     ProviderRefused,
	connection.ProviderInvalid:     AnswerInvalid,
	connection.ProviderUnavailable: ProviderUnavailable,
	connection.ScopeMissing:        ScopeMissing,
}

// OfAttempt is why nobody can go on with an attempt in this state.
func OfAttempt(a connection.Attempt, state connection.AttemptState) error {
	switch state {
	case connection.Failed:
		if e, known := failures[a.Failure]; known {
			return worded(e, a.Error)
		}
		return worded(AttemptEnded, a.Error)
	case connection.Expired:
		return AttemptExpired
	case connection.Superseded:
		return AttemptSuperseded
	case connection.Waiting, connection.Exchanging, connection.Listing:
		return AttemptNotReady
	}
	return AttemptEnded
}
