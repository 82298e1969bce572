// Package problem writes errors as RFC 9457 problem documents.
//
// A problem carries the HTTP status, the gRPC code by name, the reason a program can act on, a sentence for people, the
// trace to ask the operator about, and for bad input one line per field.
package problem

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concord-suite/concord/platform/rpcerr"
)

// Problem is one problem document.
type Problem struct {
	// Type is "about:blank": the reason says more than a page would.
	Type string `json:"type"`
	// Title is the HTTP status in words.
	Title string `json:"title"`
	// Status is the HTTP status.
	Status int `json:"status"`
	// Detail is one sentence for people.
	Detail string `json:"detail"`
	// Code is the gRPC code by name, for example FAILED_PRECONDITION.
	Code string `json:"code,omitempty"`
	// Reason is the machine-readable reason.
	Reason string `json:"reason,omitempty"`
	// Metadata belongs to the reason: when to try again, what blocks.
	Metadata map[string]string `json:"metadata,omitempty"`
	// TraceID is what to quote when asking for help.
	TraceID string `json:"trace_id,omitempty"`
	// Fields are the rules a request broke, one per field.
	Fields []Field `json:"fields,omitempty"`
}

// Field is one broken rule.
type Field struct {
	// Field is the path of the field in the request, in camelCase as in its JSON: "recipients[0].displayName".
	Field string `json:"field"`
	// Rule is the id of the rule, when it has one.
	Rule string `json:"rule,omitempty"`
	// Detail says what is wrong with it.
	Detail string `json:"detail"`
}

// New makes a problem of the gateway's own.
func New(httpStatus int, reason, detail string) *Problem {
	return &Problem{
		Type: "about:blank", Title: http.StatusText(httpStatus), Status: httpStatus, Detail: detail, Reason: reason,
	}
}

// Invalid makes the problem of a request that was not taken because of these fields.
func Invalid(fields ...Field) *Problem {
	p := New(http.StatusBadRequest, rpcerr.InvalidRequest.String(), "the request is not valid")
	p.Code, p.Fields = names[codes.InvalidArgument], fields
	return p
}

// FromError turns a gRPC error into a problem. Fields are named as the JSON of the request spells them.
func FromError(err error) *Problem {
	st := status.Convert(err)
	p := New(runtime.HTTPStatusFromCode(st.Code()), "", st.Message())
	if st.Code() == codes.Canceled {
		// The standard mapping says 499, which is nobody's registered status.
		p.Status, p.Title = http.StatusRequestTimeout, http.StatusText(http.StatusRequestTimeout)
	}
	p.Code = names[st.Code()]
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			p.Reason, p.Metadata = d.GetReason(), d.GetMetadata()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				p.Fields = append(p.Fields, Field{Field: JSONName(v.GetField()), Rule: v.GetReason(), Detail: v.GetDescription()})
			}
		}
	}
	if p.Reason == "" {
		p.Reason = p.Code
	}
	return p
}

// Write answers the problem. A retry_after in the metadata, in seconds, becomes the Retry-After header.
func Write(w http.ResponseWriter, r *http.Request, p *Problem) {
	if p.TraceID == "" {
		if sc := trace.SpanContextFromContext(r.Context()); sc.HasTraceID() {
			p.TraceID = sc.TraceID().String()
		}
	}
	if s, ok := p.Metadata["retry_after"]; ok {
		if _, err := strconv.Atoi(s); err == nil {
			w.Header().Set("Retry-After", s)
		}
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="concord"`)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

// WriteError answers a gRPC error.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	p := FromError(err)
	if body, _ := r.Context().Value(bodyKey{}).(string); body != "" {
		for i, f := range p.Fields {
			p.Fields[i].Field = strings.TrimPrefix(f.Field, JSONName(body)+".")
		}
	}
	Write(w, r, p)
}

// names are the codes as google.rpc.Code spells them.
var names = map[codes.Code]string{
	codes.OK: "OK", codes.Canceled: "CANCELLED", codes.Unknown: "UNKNOWN", codes.InvalidArgument: "INVALID_ARGUMENT",
	codes.DeadlineExceeded: "DEADLINE_EXCEEDED", codes.NotFound: "NOT_FOUND", codes.AlreadyExists: "ALREADY_EXISTS",
	codes.PermissionDenied: "PERMISSION_DENIED", codes.ResourceExhausted: "RESOURCE_EXHAUSTED",
	codes.FailedPrecondition: "FAILED_PRECONDITION", codes.Aborted: "ABORTED", codes.OutOfRange: "OUT_OF_RANGE",
	codes.Unimplemented: "UNIMPLEMENTED", codes.Internal: "INTERNAL", codes.Unavailable: "UNAVAILABLE",
	codes.DataLoss: "DATA_LOSS", codes.Unauthenticated: "UNAUTHENTICATED",
}
