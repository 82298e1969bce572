package provider

import (
	"errors"
	"fmt"
	"time"
)

// What can go wrong with a call, to be asked with errors.Is.
var (
	// ErrUnavailable: not reached, not answered, cut off, or answered with an error of the provider's own. Try again.
	ErrUnavailable = errors.New("the provider is not available")
	// ErrInvalid: answered, and not understood. Nothing was taken from it.
	ErrInvalid = errors.New("the provider's answer is not valid")
	// ErrRefused: understood and refused, in the provider's words.
	ErrRefused = errors.New("the provider refused")
	// ErrValues: understood, and values refused; the *Error says which.
	ErrValues = errors.New("the provider refused values")
	// ErrUnknownRecord: the provider does not know the record.
	ErrUnknownRecord = errors.New("the provider does not know the record")
	// ErrToken: the access token is not accepted (any more).
	ErrToken = errors.New("the access token is not accepted")
	// ErrScope: the token's scopes, or the app's tier, do not cover the call.
	ErrScope = errors.New("the consent does not cover the call")
	// ErrForbidden: the person may not use this tenant, or not in this way.
	ErrForbidden = errors.New("the person may not use the tenant")
	// ErrNoAccess: with ErrForbidden, when it is not about what the person may do in the tenant but that they may not in.
	ErrNoAccess = errors.New("the person may not into the tenant")
	// ErrLimit: a call limit is used up; the *Error says which and for how long.
	ErrLimit = errors.New("a call limit is used up")
	// ErrGrant: the code or refresh token is not accepted (invalid_grant).
	ErrGrant = errors.New("the grant is not accepted")
	// ErrClient: the identity service does not accept this installation (invalid_client and the like): its settings are
	// wrong, the grant is not.
	ErrClient = errors.New("the identity service does not accept this installation")
)

// Error is what a provider did not do, and why.
type Error struct {
	// Kind is one of the Err values.
	Kind error
	// Text is for people: the provider's words for ErrRefused, ours for the rest. It holds no secret and no client data.
	Text string
	// Limit names the used-up limit of ErrLimit: minute, day, concurrent, appminute.
	Limit string
	// RetryAfter is how long the provider asks to wait, 0 when it does not say.
	RetryAfter time.Duration
	// Values are the values that ErrValues is about.
	Values []Value
	// Cause is what was found, for logs.
	Cause error
}

// Value is a value that a provider refused.
type Value struct {
	// Path is the field as the contract spells it within a client, for example "postal_address.city"; "" when the
	// provider's words do not tell.
	Path string
	// Text is why, in the provider's words.
	Text string
}

// Errorf makes an *Error with a text.
func Errorf(kind error, format string, args ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// Error returns kind, text and cause.
func (e *Error) Error() string {
	text := e.Kind.Error()
	if e.Text != "" {
		text += ": " + e.Text
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

// Text returns what an error of this package says for people, or "".
func Text(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Text
	}
	return ""
}
