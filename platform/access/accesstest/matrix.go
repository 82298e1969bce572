package accesstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/rpcerr"
)

// Verdict is what permission says of a call.
type Verdict string

// The verdicts.
const (
	// Admitted: whatever the call then answers, permission let it pass.
	Admitted Verdict = "admitted"
	// Unauthenticated: sign in first.
	Unauthenticated Verdict = "unauthenticated"
	// Denied: this caller may not.
	Denied Verdict = "denied"
	// NotFound: the other firm's resource does not exist for this caller.
	NotFound Verdict = "not found"
	// StepUp: confirm who you are first.
	StepUp Verdict = "step up"
	// Enrol: enrol a factor first.
	Enrol Verdict = "enrol"
)

// Case is one cell of the matrix.
type Case struct {
	// Name says who calls what, for the test's name.
	Name string
	// Rule is the RPC's rule.
	Rule *access.Rule
	// Principal is who calls.
	Principal access.Principal
	// Request names FirmA in the rule's firm field and nothing else.
	Request proto.Message
	// Want is the verdict the contract demands.
	Want Verdict
}

// Cases makes the matrix of services: every RPC with every kind of principal, of the firm that the request names (FirmA)
// and of another one (FirmB), with and without step-up, with every service and a stranger, with Add-Ins of all roles.
// What is wanted is worked out from the contract here, not by the code under test.
func Cases(services []protoreflect.ServiceDescriptor, now time.Time) ([]Case, error) {
	rules, err := access.Rules(services...)
	if err != nil {
		return nil, err
	}
	var out []Case
	for _, r := range rules.All() {
		for _, k := range access.Kinds() {
			for _, p := range variants(k, r, now) {
				name := fmt.Sprintf("%s/%s", strings.TrimPrefix(r.Method, "/"), describe(p, now))
				out = append(out, Case{Name: name, Rule: r, Principal: p, Request: request(r), Want: want(r, p, now)})
			}
		}
	}
	return out, nil
}

// variants are the principals of a kind worth trying on a rule.
func variants(k access.Kind, r *access.Rule, now time.Time) []access.Principal {
	if k == access.Anonymous {
		return []access.Principal{access.Nobody()}
	}
	var out []access.Principal
	for _, firm := range []string{FirmA, FirmB} {
		p := Of(k, firm)
		switch k {
		case access.Operator:
			if firm == FirmB {
				continue // an operator belongs to no firm
			}
			out = append(out, p, SteppedUp(p, now), limited(p, now))
		case access.Service:
			for _, name := range append(slices.Clone(r.Services), "stranger") {
				out = append(out, access.ServicePrincipal(name, firm))
			}
		case access.AddIn:
			for _, role := range []access.Kind{access.Administrator, access.Staff, access.ReadOnlyStaff} {
				q := SteppedUp(p, now)
				q.ActsFor = &access.StaffMember{Account: id(role), Role: role}
				out = append(out, q)
			}
		default:
			weak := SteppedUp(p, now)
			weak.Strength = access.StrengthWeak
			out = append(out, p, SteppedUp(p, now), weak)
			if access.Person(k) {
				out = append(out, limited(p, now))
			}
		}
	}
	if k == access.Service {
		for _, name := range r.Services {
			out = append(out, access.ServicePrincipal(name, ""))
		}
	}
	return out
}

// limited is the principal as it is while it has yet to enrol a factor, were it as strong as can be.
func limited(p access.Principal, now time.Time) access.Principal {
	p = SteppedUp(p, now)
	p.Limited = true
	return p
}

func describe(p access.Principal, now time.Time) string {
	words := []string{access.KindName(p.Kind)}
	if p.Kind == access.Service {
		words = append(words, p.ID)
	}
	if p.ActsFor != nil {
		words = append(words, "for", access.KindName(p.ActsFor.Role))
	}
	switch {
	case p.Firm == FirmA:
		words = append(words, "own firm")
	case p.Firm == FirmB:
		words = append(words, "other firm")
	}
	switch {
	case p.Limited:
		words = append(words, "limited")
	case p.SteppedUp(now):
		words = append(words, "stepped up")
	case p.Strength == access.StrengthWeak:
		words = append(words, "weak")
	}
	return strings.Join(words, " ")
}

// want reads the verdict off the contract.
func want(r *access.Rule, p access.Principal, now time.Time) Verdict {
	listed := slices.Contains(r.Allow, p.Kind)
	anyStaff := slices.Contains(r.Allow, access.Administrator) || slices.Contains(r.Allow, access.Staff) ||
		slices.Contains(r.Allow, access.ReadOnlyStaff)
	switch {
	case !listed && p.Kind == access.Anonymous:
		return Unauthenticated
	case !listed:
		return Denied
	case p.Kind == access.Service && !slices.Contains(r.Services, p.ID):
		return Denied
	case p.Kind == access.AddIn && anyStaff && !slices.Contains(r.Allow, p.ActsFor.Role):
		return Denied
	case p.Limited && !r.Self:
		return Enrol
	case p.Kind == access.Service && r.FirmField != "" && p.Firm == "":
		return Denied
	case r.FirmField != "" && p.Firm == FirmB:
		return NotFound
	case r.StepUp && p.Kind != access.Service && !p.SteppedUp(now):
		return StepUp
	}
	return Admitted
}

// request makes a request that names FirmA where the rule looks for the firm. Most requests want more than that, so an
// admitted call ends at validation and changes nothing.
func request(r *access.Rule) proto.Message {
	m := dynamicpb.NewMessage(r.Input())
	if r.FirmField == "" {
		return m
	}
	var at protoreflect.Message = m
	path := strings.Split(r.FirmField, ".")
	for _, name := range path[:len(path)-1] {
		at = at.Mutable(at.Descriptor().Fields().ByName(protoreflect.Name(name))).Message()
	}
	last := at.Descriptor().Fields().ByName(protoreflect.Name(path[len(path)-1]))
	at.Set(last, protoreflect.ValueOfString("firms/"+FirmA))
	return m
}

// Of reads the verdict off the answer to a call.
func (c Case) Of(err error) Verdict {
	switch reason := rpcerr.Reason(err); {
	case reason == rpcerr.Unauthenticated.String():
		return Unauthenticated // a service that finds a session ended, or a password wrong, has a reason of its own
	case reason == rpcerr.StepUpRequired.String():
		return StepUp
	case reason == rpcerr.EnrolmentRequired.String():
		return Enrol
	case reason == rpcerr.PermissionDenied.String():
		return Denied
	case reason == rpcerr.NotFound.String() && c.Want != Admitted:
		return NotFound
	}
	return Admitted
}

// Caller makes one call of the matrix and returns its error.
type Caller func(ctx context.Context, c Case) error

// callTimeout bounds one call of the matrix; a stream that is admitted may stay open.
const callTimeout = 5 * time.Second

// Matrix tries every case of the services with call and requires the verdict of the contract.
func Matrix(t *testing.T, services []protoreflect.ServiceDescriptor, call Caller) {
	t.Helper()
	cases, err := Cases(services, time.Now())
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
			defer cancel()
			err := call(ctx, c)
			var got Verdict = Admitted
			if err != nil {
				got = c.Of(err)
			}
			require.Equal(t, c.Want, got, "answered %v", err)
		})
	}
}

// Over makes calls through a connection, with tokens of the mint for the audience. The connection must have been made by
// package dial.
func Over(conn grpc.ClientConnInterface, mint *Mint, audience string) Caller {
	return func(ctx context.Context, c Case) error {
		if token := mint.Token(c.Principal, audience); token != "" {
			ctx = dial.WithToken(ctx, token)
		}
		answer := dynamicpb.NewMessage(c.Rule.Output())
		if !c.Rule.ClientStream && !c.Rule.ServerStream {
			return conn.Invoke(ctx, c.Rule.Method, c.Request, answer)
		}
		desc := &grpc.StreamDesc{ClientStreams: c.Rule.ClientStream, ServerStreams: c.Rule.ServerStream}
		s, err := conn.NewStream(ctx, desc, c.Rule.Method)
		if err != nil {
			return err
		}
		// A refused stream may be over before its first message is sent; RecvMsg then has the reason.
		if err := s.SendMsg(c.Request); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err := s.CloseSend(); err != nil {
			return err
		}
		if err := s.RecvMsg(answer); !errors.Is(err, io.EOF) {
			return err
		}
		return nil
	}
}
