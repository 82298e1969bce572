// Package rpcerr is the one shape an error has when it leaves a service: a gRPC code for machines that know gRPC, a
// reason for machines that know Concord, a sentence for people, and field violations for forms.
//
// An *Error is a value to be declared once and completed at the place of failure:
//
//	var errRevoked = rpcerr.New(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_CONNECTION_REVOKED,
//		"the provider withdrew access; connect again")
//
//	return nil, errRevoked.With("connection_id", id)
//
// On the wire it is a google.rpc.Status with ErrorInfo{reason, domain "concord", metadata} and, if there are violations,
// BadRequest. A client gets it back with From, and errors.Is compares reasons on both sides of the wire.
//
// The package does not decide what an unknown error becomes; package serve does, and lets none of its text out.
package rpcerr

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
)

// Domain is the domain of every ErrorInfo the suite sends; reasons are unique within it.
const Domain = "concord"

// enumPrefix is what the lint rule ENUM_VALUE_PREFIX makes every service's ErrorReason values start with. It says
// nothing, so it does not travel: ERROR_REASON_CONNECTION_REVOKED is CONNECTION_REVOKED on the wire.
const enumPrefix = "ERROR_REASON_"

// Violation names one field of a request and the rule it broke.
type Violation struct {
	// Field is the path in the request message by proto names, for example "client.contacts[2].email".
	Field string
	// Rule is the identifier of the rule, for example "string.email"; machines may branch on it.
	Rule string
	// Description says what is wrong in words.
	Description string
}

// Refused is the rule of a value that somebody outside refused. Its description is their words, which may quote what a
// client is called: it travels to who wrote the value, and into no log.
const Refused = "refused"

// Error is an error with a gRPC code and a reason. The zero value is of no use; make one with New. Its methods return
// changed copies, so a package-level Error is never modified.
type Error struct {
	code       codes.Code
	reason     string
	message    string
	metadata   map[string]string
	violations []Violation
	cause      error
	remote     bool
}

// New declares an error. The reason is a value of the service's ErrorReason enum or one of the Text constants here; the
// message is a sentence for people and must hold no data that the caller may not see.
func New(code codes.Code, reason fmt.Stringer, message string) *Error {
	return &Error{code: code, reason: Normalize(reason), message: message}
}

// Normalize returns the reason as it travels: the enum's name without the ERROR_REASON_ prefix.
func Normalize(reason fmt.Stringer) string {
	return strings.TrimPrefix(reason.String(), enumPrefix)
}

// With returns a copy that carries one more metadata entry, for example the id of what it is about. Never secrets.
func (e *Error) With(key, value string) *Error {
	c := *e
	c.metadata = maps.Clone(e.metadata)
	if c.metadata == nil {
		c.metadata = make(map[string]string, 1)
	}
	c.metadata[key] = value
	return &c
}

// Field returns a copy with one more field violation.
func (e *Error) Field(path, rule, description string) *Error {
	c := *e
	c.violations = append(slices.Clone(e.violations), Violation{Field: path, Rule: rule, Description: description})
	return &c
}

// Messagef returns a copy with another sentence, for reasons whose words need a value.
func (e *Error) Messagef(format string, args ...any) *Error {
	c := *e
	c.message = fmt.Sprintf(format, args...)
	return &c
}

// Because returns a copy that remembers what caused it. The cause is for logs and errors.Is; it is never sent.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// Code is the gRPC code.
func (e *Error) Code() codes.Code { return e.code }

// Reason is the reason as it travels, for example "CONNECTION_REVOKED".
func (e *Error) Reason() string { return e.reason }

// Message is the sentence for people.
func (e *Error) Message() string { return e.message }

// Metadata returns a copy of the metadata; it may be nil.
func (e *Error) Metadata() map[string]string { return maps.Clone(e.metadata) }

// Violations returns a copy of the field violations; it may be empty.
func (e *Error) Violations() []Violation { return slices.Clone(e.violations) }

// Remote tells whether the error was received from another service rather than made in this process.
func (e *Error) Remote() bool { return e.remote }

// Error returns code, reason, message and cause in one line, for logs.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s %s: %s", e.code, e.reason, e.message)
	for _, v := range e.violations {
		words := v.Description
		if v.Rule == Refused {
			words = v.Rule
		}
		s += fmt.Sprintf("; %s: %s", v.Field, words)
	}
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Unwrap returns the cause given to Because.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is an *Error with the same reason, whatever code, words and metadata they have.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.reason == e.reason
}

// GRPCStatus is the status that travels. It makes *Error an error the gRPC library sends as it is.
func (e *Error) GRPCStatus() *status.Status {
	info := &errdetails.ErrorInfo{Reason: e.reason, Domain: Domain, Metadata: make(map[string]string, len(e.metadata))}
	for k, v := range e.metadata {
		info.Metadata[k] = clean(v)
	}
	details := []protoadapt.MessageV1{protoadapt.MessageV1Of(info)}
	if len(e.violations) > 0 {
		bad := &errdetails.BadRequest{}
		for _, v := range e.violations {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Field: v.Field, Reason: v.Rule, Description: clean(v.Description),
			})
		}
		details = append(details, protoadapt.MessageV1Of(bad))
	}
	st := status.New(e.code, clean(e.message))
	if full, err := st.WithDetails(details...); err == nil {
		return full
	}
	return st // only code OK has no details, and New with OK is a mistake that a caller sees at once
}

// clean makes text that can travel: a provider's words, cut or broken, must not cost an error its reason.
func clean(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// Has reports whether err is, or wraps, an *Error with this reason. It also looks into a status received from a peer.
func Has(err error, reason fmt.Stringer) bool { return Reason(err) == Normalize(reason) }

// Reason returns the reason of an *Error or of a received status, and "" for every other error.
func Reason(err error) string {
	if e := find(err); e != nil {
		return e.reason
	}
	if e := From(err); e != nil && e.remote {
		return e.reason
	}
	return ""
}

func find(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return nil
}
