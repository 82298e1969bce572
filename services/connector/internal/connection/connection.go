// Package connection holds what a connection, an attempt to make one, and their options are, and the rules between them:
// when an attempt is over, which tenant to pre-select, what to warn of, what the defaults are.
//
// It knows no provider's protocol, no database and no clock of its own.
package connection

import "time"

// Provider is the kind of system a firm keeps its clients in.
type Provider string

// The providers.
const (
	Xero        Provider = "XERO"
	XPM         Provider = "XPM"
	WorkflowMax Provider = "WORKFLOWMAX"
	MyobAE      Provider = "MYOB_AE"
)

// State is the health of a connection.
type State string

// The states of a connection.
const (
	// Active works.
	Active State = "ACTIVE"
	// Degraded can't be used for now; it is tried again by itself.
	Degraded State = "DEGRADED"
	// NeedsReauth has a dead grant; an administrator must connect again. Nothing is lost.
	NeedsReauth State = "NEEDS_REAUTH"
	// Disconnected was removed by an administrator.
	Disconnected State = "DISCONNECTED"
	// Legacy was imported from the time before OAuth 2. It waits for its upgrade and can do nothing.
	Legacy State = "LEGACY"
)

// Ref names a row of a firm. The two always go together: nothing is ever looked up by id alone on behalf of a person.
type Ref struct {
	// Firm is the id of the firm.
	Firm string
	// ID is the id of the row.
	ID string
}

// Connection is a firm's use of one tenant through a grant.
type Connection struct {
	Ref
	Provider Provider
	// TenantID, TenantName and TenantType are the provider's words for what is connected. Of a legacy connection only the
	// name is known.
	TenantID, TenantName, TenantType string
	// UpstreamID is the provider's id of the connection itself, which is not the tenant's.
	UpstreamID string
	// Grant is the id of the grant it uses, empty once disconnected.
	Grant string
	State State
	// Reason says in words why it is not active.
	Reason  string
	Options Options
	// Created is when it became active first; ConnectedBy is who connected it last.
	Created     time.Time
	ConnectedBy string
	// LastSuccess is the last call that worked, at most a minute old; zero when none did.
	LastSuccess time.Time
	// Version grows with every change a caller can see. It is the etag and the sequence of the events.
	Version int64
	// RemovalsSuspended is set while the tenant is another than the last time and nobody has reviewed it.
	RemovalsSuspended bool
	// Failures counts calls in a row that found the provider not available.
	Failures int
	// Sample is what is kept of the last complete listing to recognise the practice by; see record.Sample.
	Sample string
	// DayCallsLeft is what the provider said last, -1 when it said nothing.
	DayCallsLeft int
}

// Live reports whether the connection exists for the firm: everything but disconnected.
func (c Connection) Live() bool { return c.State != Disconnected }

// Usable reports whether calls may be tried.
func (c Connection) Usable() bool { return c.State == Active || c.State == Degraded }

// DegradedAfter is how many calls in a row must find the provider not available before a connection is called degraded:
// one lost answer is no state.
const DegradedAfter = 3
