package access

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/rpcerr"
)

var (
	errUnauthenticated = rpcerr.Default(codes.Unauthenticated)
	errDenied          = rpcerr.Default(codes.PermissionDenied)
	errStepUp          = rpcerr.New(codes.PermissionDenied, rpcerr.StepUpRequired,
		"confirm who you are once more, with a strong factor")
	errEnrolment = rpcerr.New(codes.PermissionDenied, rpcerr.EnrolmentRequired,
		"your firm asks for another way to sign in; enrol one, then sign in with it")
	// errNotFound is the answer to another firm's name and to a name of no firm: the caller cannot tell which.
	errNotFound = rpcerr.Default(codes.NotFound)
)

// Enforce decides whether the principal of ctx may make this call with this request, and returns the id of the firm it
// concerns ("" outside every firm). The error is an *rpcerr.Error:
//
//   - UNAUTHENTICATED: nobody is signed in, and the rule does not admit nobody.
//   - PERMISSION_DENIED: the rule does not admit the kind, the service, or the role an Add-In acts for.
//   - ENROLMENT_REQUIRED: the person has yet to enrol a factor that the firm's policy accepts, and the RPC is about more
//     than the caller itself.
//   - INVALID_REQUEST: the firm field does not hold a name that starts with "firms/{firm}".
//   - NOT_FOUND: the request names another firm than the principal's, in the firm field or anywhere else. It is the same error for firms that exist and
//     firms that do not.
//   - STEP_UP_REQUIRED: the session is not strong, or not freshly confirmed. A service is not asked: the RPC by which
//     the person started it was, and a saga outlives the minutes of a step-up.
func (s *RuleSet) Enforce(ctx context.Context, method string, req proto.Message, now time.Time) (string, error) {
	p := From(ctx)
	r := s.Rule(method)
	if r == nil {
		return "", errDenied // no server starts with such an RPC; fail closed all the same
	}
	if err := r.AdmitCaller(p); err != nil {
		return "", err
	}
	return r.AdmitRequest(p, req, now)
}

// AdmitCaller is the part of Enforce that needs no request: may this kind of caller use the RPC at all?
func (r *Rule) AdmitCaller(p Principal) error {
	switch {
	case !r.Admits(p.Kind) && p.Kind == Anonymous:
		return errUnauthenticated
	case !r.Admits(p.Kind):
		return errDenied
	case p.Kind == Service && !slices.Contains(r.Services, p.ID):
		return errDenied
	case p.Kind == AddIn && !r.admitsAddInOf(p):
		return errDenied
	case p.Limited && !r.Self:
		return errEnrolment
	}
	return nil
}

// admitsAddInOf keeps an Add-In from doing what the person it acts for may not do: when the RPC names kinds of staff, the
// person's own kind must be among them. An RPC made for Add-Ins alone admits them for all staff.
func (r *Rule) admitsAddInOf(p Principal) bool {
	return p.ActsFor != nil && (r.Admits(p.ActsFor.Role) || !slices.ContainsFunc(r.Allow, StaffKind))
}

// AdmitRequest is the part of Enforce that looks at the request: firm and step-up. It returns the firm's id.
func (r *Rule) AdmitRequest(p Principal, req proto.Message, now time.Time) (string, error) {
	firm, err := r.firm(p, req)
	if err != nil {
		return "", err
	}
	if r.StepUp && p.Kind != Service && !p.SteppedUp(now) {
		return "", errStepUp
	}
	return firm, nil
}

func (r *Rule) firm(p Principal, req proto.Message) (string, error) {
	if r.FirmField == "" {
		return p.Firm, nil
	}
	value, ok := valueAt(req, r.FirmField)
	if !ok {
		return "", errDenied // the message is not the one the rule was read from
	}
	firm, err := names.Firm(value)
	if err != nil {
		return "", rpcerr.Default(codes.InvalidArgument).Field(r.FirmField, "resource_name", err.Error())
	}
	switch {
	case p.Kind == Service && p.Firm == "":
		return "", errDenied // a service acting in no firm; says nothing about the firm named
	case (FirmScoped(p.Kind) || p.Kind == Service) && p.Firm != firm:
		return "", errNotFound
	}
	if foreignName(req.ProtoReflect(), firm, maxDepth) {
		return "", errNotFound
	}
	return firm, nil
}

// maxDepth bounds the search for names in nested messages; the contract's requests nest three deep.
const maxDepth = 16

// foreignName tells whether any text in the message is a resource name of another firm. A request names its firm in one
// field and other resources in others ("firm" and "connection"), and a handler that looks up the second by itself must
// not be led into another firm.
func foreignName(m protoreflect.Message, firm string, depth int) bool {
	found := false
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, e protoreflect.Value) bool {
				found = foreignValue(f.MapValue(), e, firm, depth)
				return !found
			})
		case f.IsList():
			for i := 0; i < v.List().Len() && !found; i++ {
				found = foreignValue(f, v.List().Get(i), firm, depth)
			}
		default:
			found = foreignValue(f, v, firm, depth)
		}
		return !found
	})
	return found
}

func foreignValue(f protoreflect.FieldDescriptor, v protoreflect.Value, firm string, depth int) bool {
	switch f.Kind() {
	case protoreflect.StringKind:
		named, err := names.Firm(v.String())
		return err == nil && named != firm
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return depth == 0 || foreignName(v.Message(), firm, depth-1)
	default:
		return false
	}
}

// AdmitNext checks a later message of a client stream: it may leave the firm field out, but not name another firm.
func (r *Rule) AdmitNext(firm string, req proto.Message) error {
	if r.FirmField == "" {
		return nil
	}
	value, ok := valueAt(req, r.FirmField)
	if !ok {
		return errDenied
	}
	if named, err := names.Firm(value); value != "" && (err != nil || named != firm) {
		return errNotFound
	}
	if foreignName(req.ProtoReflect(), firm, maxDepth) {
		return errNotFound
	}
	return nil
}
