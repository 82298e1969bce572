// Package access says who calls and what they may do.
//
// A Principal is who acts: a person of a firm, an operator, an Add-In, an agent, a service, or nobody. It travels
// between services as a token that lives two minutes at most, is signed by its issuer's own Ed25519 key and is meant for
// exactly one audience. Only the issuer "auth" vouches for people; every other issuer can only say "I am this service,
// acting for that person", so a stolen service key does not become a person.
//
// A Rule is what an RPC admits, read from the contract (option concord.options.v1.rule). Rules.Enforce compares both
// with the request: kind, service, firm, step-up. It fails closed: what a rule does not name is refused, and a server
// with an RPC without a complete rule does not start (see package serve).
//
// The package does not decide what within a firm belongs to a contact; the service that owns the data does.
package access

import (
	"context"
	"strings"
	"time"

	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

// Kind is the kind of a principal, as the contract numbers it.
type Kind = optionsv1.PrincipalKind

// The kinds of principal, with names short enough to read in a rule.
const (
	Anonymous     = optionsv1.PrincipalKind_PRINCIPAL_KIND_ANONYMOUS
	Operator      = optionsv1.PrincipalKind_PRINCIPAL_KIND_OPERATOR
	Administrator = optionsv1.PrincipalKind_PRINCIPAL_KIND_ADMINISTRATOR
	Staff         = optionsv1.PrincipalKind_PRINCIPAL_KIND_STAFF
	ReadOnlyStaff = optionsv1.PrincipalKind_PRINCIPAL_KIND_READ_ONLY_STAFF
	Contact       = optionsv1.PrincipalKind_PRINCIPAL_KIND_CONTACT
	AddIn         = optionsv1.PrincipalKind_PRINCIPAL_KIND_ADD_IN
	Agent         = optionsv1.PrincipalKind_PRINCIPAL_KIND_AGENT
	Service       = optionsv1.PrincipalKind_PRINCIPAL_KIND_SERVICE
)

// Kinds lists every kind there is, in the order of the contract.
func Kinds() []Kind {
	return []Kind{Anonymous, Operator, Administrator, Staff, ReadOnlyStaff, Contact, AddIn, Agent, Service}
}

// Strength grades how a session was signed in.
type Strength int

// The grades of a sign-in.
const (
	// StrengthNone: no second factor.
	StrengthNone Strength = iota
	// StrengthWeak: a second factor that a mailbox can stand in for.
	StrengthWeak
	// StrengthStrong: passkey, TOTP, or a PIN to a validated mobile.
	StrengthStrong
)

// Principal is who acts.
type Principal struct {
	// Kind decides which of the other fields are set.
	Kind Kind
	// ID is the account, contact login or agent id (a UUID); for a service its name; empty for Anonymous.
	ID string
	// Firm is the id of the one firm the principal belongs to or, for a service, acts in. Empty outside every firm.
	Firm string
	// Session is the id of the session (not its token), empty when there is none.
	Session string
	// Strength is the grade of the session.
	Strength Strength
	// StepUpUntil is until when the session counts as freshly confirmed; zero means it does not.
	StepUpUntil time.Time
	// Limited is true when the person's sign-in does not yet meet the firm's policy: only RPCs about the caller itself
	// (Rule.Self) admit it, so that what is missing can be enrolled.
	Limited bool
	// Address is the network address the person came from, as the gateway saw it.
	Address string
	// ActsFor is set for an AddIn: the member of staff it acts for.
	ActsFor *StaffMember
	// Initiator is set for a Service that acts for somebody: the person, or the service whose schedule started it.
	Initiator *Principal
}

// StaffMember is the person an Add-In acts for.
type StaffMember struct {
	// Account is the id of the account.
	Account string
	// Role is Administrator, Staff or ReadOnlyStaff.
	Role Kind
}

// Nobody is the principal of a caller without an identity.
func Nobody() Principal { return Principal{Kind: Anonymous} }

// ServicePrincipal is a service acting by itself (a schedule, a relay) in a firm, or outside every firm when firm is "".
func ServicePrincipal(name, firm string) Principal {
	return Principal{Kind: Service, ID: name, Firm: firm}
}

// FirmScoped tells whether a kind exists only inside one firm.
func FirmScoped(k Kind) bool {
	switch k {
	case Administrator, Staff, ReadOnlyStaff, Contact, AddIn, Agent:
		return true
	default:
		return false
	}
}

// StaffKind tells whether a kind is a member of a firm's staff.
func StaffKind(k Kind) bool { return k == Administrator || k == Staff || k == ReadOnlyStaff }

// Person tells whether a kind signs in with factors: an operator, staff, a contact.
func Person(k Kind) bool { return StaffKind(k) || k == Operator || k == Contact }

// KindName is the name of a kind without its enum prefix, for example "READ_ONLY_STAFF".
func KindName(k Kind) string { return strings.TrimPrefix(k.String(), "PRINCIPAL_KIND_") }

// SteppedUp tells whether the session is strong and was freshly confirmed at the given time.
func (p Principal) SteppedUp(now time.Time) bool {
	return p.Strength == StrengthStrong && p.StepUpUntil.After(now)
}

// Origin is who or what the act goes back to: the initiator of a service, else the principal itself.
func (p Principal) Origin() Principal {
	if p.Kind == Service && p.Initiator != nil {
		return *p.Initiator
	}
	return p
}

// As is the principal under which the named service calls others on behalf of p: itself, in p's firm, with p (or the
// initiator p already carries) as the initiator. A service that acts for itself, or for nobody known, has no initiator.
func (p Principal) As(service string) Principal {
	out := Principal{Kind: Service, ID: service, Firm: p.Firm}
	switch {
	case p.Kind == Service && p.ID == service:
		out.Initiator = p.Initiator
	case p.Kind == Service && p.Initiator != nil:
		out.Initiator = p.Initiator
	case p == Nobody():
	default:
		origin := p
		origin.Initiator = nil
		out.Initiator = &origin
	}
	return out
}

type principalKey struct{}

// With returns a context that carries the principal.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// From returns the principal of the context; without one it is Nobody.
func From(ctx context.Context) Principal {
	if p, ok := ctx.Value(principalKey{}).(Principal); ok {
		return p
	}
	return Nobody()
}

// Known tells whether the context carries a principal at all, be it Nobody.
func Known(ctx context.Context) bool {
	_, ok := ctx.Value(principalKey{}).(Principal)
	return ok
}

// InFirm returns a context in which the named service acts in another firm than the present principal's, keeping who
// started it: an operator creates a firm, and the service then calls others inside it.
func InFirm(ctx context.Context, service, firm string) context.Context {
	p := From(ctx).As(service)
	p.Firm = firm
	return With(ctx, p)
}
