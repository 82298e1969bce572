package rpcerr

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// From turns an error of a gRPC call into an *Error, so that the client can ask errors.Is and read the violations. An
// error that is an *Error already, or wraps one, is returned as that. A status that does not carry the suite's ErrorInfo
// (the network, a proxy) gets the reason of its code from Default. From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	if e := find(err); e != nil {
		return e
	}
	st, ok := status.FromError(err)
	if !ok {
		return Default(status.FromContextError(err).Code()).Because(err)
	}
	e := &Error{code: st.Code(), message: st.Message(), remote: true}
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == Domain {
				e.reason, e.metadata = d.GetReason(), d.GetMetadata()
			}
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				e.violations = append(e.violations, Violation{
					Field: v.GetField(), Rule: v.GetReason(), Description: v.GetDescription(),
				})
			}
		}
	}
	if e.reason == "" {
		d := Default(st.Code())
		d.remote, d.cause = true, err
		return d
	}
	return e
}

// Text is a reason that belongs to no service: the platform's own answers.
type Text string

// String returns the reason as it travels.
func (t Text) String() string { return string(t) }

// The reasons the platform itself gives.
const (
	// NotFound: the resource does not exist for this caller. Also the answer to another firm's resource.
	NotFound Text = "NOT_FOUND"
	// Unauthenticated: no identity, or one that is not valid (any more).
	Unauthenticated Text = "UNAUTHENTICATED"
	// PermissionDenied: the caller is known and may not do this.
	PermissionDenied Text = "PERMISSION_DENIED"
	// StepUpRequired: the caller may do this after confirming who they are once more, with a strong factor.
	StepUpRequired Text = "STEP_UP_REQUIRED"
	// EnrolmentRequired: the firm's policy asks for a factor that the person does not have yet. Until it is enrolled, only
	// what is about the person's own sign-in works.
	EnrolmentRequired Text = "ENROLMENT_REQUIRED"
	// InvalidRequest: the request breaks a rule of the contract; the violations say which.
	InvalidRequest Text = "INVALID_REQUEST"
	// RequestIDReused: the request_id was used before for another payload.
	RequestIDReused Text = "REQUEST_ID_REUSED"
	// RequestInProgress: the same request is being worked on, or its outcome is not known yet.
	RequestInProgress Text = "REQUEST_IN_PROGRESS"
	// Conflict: somebody else changed the same thing; read again and retry.
	Conflict Text = "CONFLICT"
	// Unavailable: a part is not available at the moment; retrying later is right.
	Unavailable Text = "UNAVAILABLE"
	// DeadlineExceeded: the time the caller gave was not enough.
	DeadlineExceeded Text = "DEADLINE_EXCEEDED"
	// Canceled: the caller went away.
	Canceled Text = "CANCELED"
	// Exhausted: a limit was reached.
	Exhausted Text = "RESOURCE_EXHAUSTED"
	// Precondition: the state of things does not permit it.
	Precondition Text = "FAILED_PRECONDITION"
	// AlreadyExists: what should be created is there.
	AlreadyExists Text = "ALREADY_EXISTS"
	// Unimplemented: there is no such RPC.
	Unimplemented Text = "UNIMPLEMENTED"
	// Internal: a fault of ours; the trace id leads to it.
	Internal Text = "INTERNAL"
)

var defaults = map[codes.Code]*Error{
	codes.Canceled:           New(codes.Canceled, Canceled, "the call was cancelled"),
	codes.InvalidArgument:    New(codes.InvalidArgument, InvalidRequest, "the request is not valid"),
	codes.DeadlineExceeded:   New(codes.DeadlineExceeded, DeadlineExceeded, "the time given to the call ran out"),
	codes.NotFound:           New(codes.NotFound, NotFound, "not found"),
	codes.AlreadyExists:      New(codes.AlreadyExists, AlreadyExists, "it exists already"),
	codes.PermissionDenied:   New(codes.PermissionDenied, PermissionDenied, "not permitted"),
	codes.ResourceExhausted:  New(codes.ResourceExhausted, Exhausted, "a limit is reached; try again later"),
	codes.FailedPrecondition: New(codes.FailedPrecondition, Precondition, "not possible in the present state"),
	codes.Aborted:            New(codes.Aborted, Conflict, "changed by somebody else at the same time; try again"),
	codes.OutOfRange:         New(codes.OutOfRange, InvalidRequest, "out of range"),
	codes.Unimplemented:      New(codes.Unimplemented, Unimplemented, "there is no such method"),
	codes.Unavailable:        New(codes.Unavailable, Unavailable, "not available at the moment; try again"),
	codes.Unauthenticated:    New(codes.Unauthenticated, Unauthenticated, "sign in first"),
}

var internal = New(codes.Internal, Internal, "something went wrong on our side")

// Default is the error with the platform's reason and words for a code; codes that tell a caller nothing (Unknown,
// Internal, DataLoss) become Internal.
func Default(code codes.Code) *Error {
	e, ok := defaults[code]
	if !ok {
		e = internal
	}
	c := *e
	return &c
}
