// Package plan holds what a run found to do, and the two questions that stand between a client and its removal: is the
// listing a proof, and are these too many to go by themselves.
package plan

import (
	"time"

	"github.com/concord-suite/concord/services/sync/internal/client"
)

// State is how a plan stands.
type State string

// The states of a plan.
const (
	// Settled: nothing waits for a decision.
	Settled State = "SETTLED"
	// Waiting: removals wait for an administrator.
	Waiting State = "WAITING"
	// Superseded: a newer full run took its place.
	Superseded State = "SUPERSEDED"
)

// Plan is what one run found.
type Plan struct {
	ID, Firm, Run, Connection, Tenant string
	State                             State
	WithheldReason                    string
	// Waiting is how many removals wait; Linked how many clients the connection decided about when the plan was made.
	Waiting, Linked int64
	// WaitUntil is when a removal approved before may be tried again, after a limit or an error, and Message says in words
	// what it waits for.
	WaitUntil time.Time
	Message   string
	Attempts  int64
	Epoch     int64
	Version   int64
	CreatedAt time.Time
}

// Kind is what a change does.
type Kind string

// The kinds of change.
const (
	Create  Kind = "CREATE"
	Update  Kind = "UPDATE"
	Link    Kind = "LINK"
	Archive Kind = "ARCHIVE"
	Restore Kind = "RESTORE"
	New     Kind = "NEW"
)

// ChangeState is how a change stands.
type ChangeState string

// The states of a change.
const (
	ChangeWaiting  ChangeState = "WAITING"
	ChangeApproved ChangeState = "APPROVED"
	ChangeApplied  ChangeState = "APPLIED"
	ChangeRejected ChangeState = "REJECTED"
	ChangeStale    ChangeState = "STALE"
	ChangeBlocked  ChangeState = "BLOCKED"
	ChangeRefuted  ChangeState = "REFUTED"
)

// Policy decided what no person had to: it stands in the place of one in Change.DecidedBy.
const Policy = "policy"

// Change is one line of a plan.
type Change struct {
	ID, Plan, Firm, Connection, Tenant string
	Kind                               Kind
	State                              ChangeState
	Client, DisplayName, RecordID      string
	// Record and Hash are the fields of the record, kept while a person may still decide to make a client of it.
	Record, Hash string
	RecordAt     time.Time
	Evidence     []string
	Blockers     []client.Blocker
	// LinkVersion and ClientVersion are what the change was made on. When either moved, the change is stale.
	LinkVersion, ClientVersion int64
	// Confirmed is true once reading the record itself proved the removal.
	Confirmed   bool
	DecidedBy   string
	DecidedAt   time.Time
	Offboarding string
}
