// Package run holds what one execution of a sync is: its states and steps, how far it is, and how long it waits after
// an error. It knows no database and no provider.
package run

import (
	"time"
)

// Kind is how much a run reads.
type Kind string

// The kinds of run.
const (
	// Manual reads what changed since the last time; it adds and updates, and never removes.
	Manual Kind = "MANUAL"
	// Full reads the complete listing; the only kind that removes.
	Full Kind = "FULL"
	// Upgrade maps the links of a legacy connection to the provider's ids of today. It removes nothing and makes nobody.
	Upgrade Kind = "UPGRADE"
)

// State is how a run stands.
type State string

// The states of a run.
const (
	Queued    State = "QUEUED"
	Running   State = "RUNNING"
	Parked    State = "PARKED"
	Succeeded State = "SUCCEEDED"
	// Withheld: did everything but removing.
	Withheld  State = "REMOVALS_WITHHELD"
	Failed    State = "FAILED"
	Cancelled State = "CANCELLED"
)

// Ended tells whether nothing more happens in a run of this state.
func (s State) Ended() bool { return s == Succeeded || s == Withheld || s == Failed || s == Cancelled }

// Step is where a run goes on after a stop. Steps are taken in the order in which they stand here.
type Step string

// The steps of a run.
const (
	// Clients reads the complete listing of clients, and creates and updates page by page: list first.
	Clients Step = "CLIENTS"
	// Contacts reads the complete listing of contacts and keeps what differs.
	Contacts Step = "CONTACTS"
	// Changes reads the clients changed since a time, with their contacts.
	Changes Step = "CHANGES"
	// Legacy reads the complete listing of clients with the ids they had before OAuth 2, archived ones too, and keeps it.
	Legacy Step = "LEGACY"
	// Mapping looks for the record of each legacy link that is open.
	Mapping Step = "MAP"
	// Planning weighs the proof and counts who is absent.
	Planning Step = "PLAN"
	// Writing writes the removals down, in batches.
	Writing Step = "WRITE"
	// Previewing asks what would block those that wait for a person.
	Previewing Step = "PREVIEW"
	// Settling applies what was kept of contacts and relations.
	Settling Step = "SETTLE"
	// Removing confirms each removal by reading its record, and hands it over to off-boarding.
	Removing Step = "REMOVE"
	// Finishing closes the books.
	Finishing Step = "FINISH"
)

// Run is one execution.
type Run struct {
	ID, Firm, Connection string
	Kind                 Kind
	State                State
	Step                 Step
	// Tenant is the provider's tenant the connection used when the run began; every page must come from it.
	Tenant string
	// Selection stands for what of the tenant is listed (the contact types). When it changes, who is missing is out of
	// scope and not absent.
	Selection string
	// First is true when no full run of this connection and tenant was completed before: it never removes.
	First bool

	// PageToken goes on after the last page kept; Since bounds a listing of changes; ServerStart is the provider's clock
	// at the first page.
	PageToken          string
	Since, ServerStart time.Time
	// Cursor is the last key done in a step that works in batches.
	Cursor string

	Done, Total int64
	StepAt      time.Time
	// ListingPage is the number of the last page of the listing under way, ListingMessages how many messages there were:
	// a large page may come in several.
	ListingPage, ListingMessages int64
	Pages, Calls                 int64
	Counts                       Counts
	// Plan is the id of the run's plan; HasPlan says that it was written.
	Plan           string
	HasPlan        bool
	Proven         bool
	UnprovenReason string
	// WithheldReason is set when removals wait for a person, or are left alone.
	WithheldReason string
	Message        string

	// ContactsLeft counts the contacts that lost a relation in this run.
	ContactsLeft int64
	// ListedClients and ListedContacts are how many its listings held, once they were read to the end.
	ListedClients, ListedContacts int64

	// Attempts counts errors since something last worked, Garbled those since the last other one that were answers nobody
	// understood; Restarts how often a listing was begun anew.
	Attempts, Garbled, Restarts int64
	WaitUntil                   time.Time
	CancelRequested             bool
	StartedBy                   string
	// Initiator is the account that asked for the run, empty for schedules.
	Initiator string

	Epoch   int64
	Version int64

	CreatedAt, StartedAt, FirstVisibleAt, EndedAt time.Time
}

// Counts is what a run did.
type Counts struct {
	ClientsCreated, ClientsUpdated, ClientsUnchanged, ClientsRestored int64
	ContactsCreated, ContactsUpdated                                  int64
	Suggestions                                                       int64
	Candidates, Confirmed, Started, Refuted, Blocked, OutOfScope      int64
	LegacyMapped, LegacySuggested, LegacyUnmapped                     int64
}

// FirstStep is where a run begins. A manual run that has no time to go on from reads the complete listing, and removes
// nothing all the same.
func FirstStep(k Kind, since time.Time) Step {
	switch {
	case k == Upgrade:
		return Legacy
	case k == Manual && !since.IsZero():
		return Changes
	}
	return Clients
}

// Next is the step after s.
func (r *Run) Next() Step {
	switch r.Step {
	case Legacy:
		return Mapping
	case Clients:
		return Contacts
	case Contacts:
		if r.Kind == Full {
			return Planning
		}
		return Settling
	case Planning:
		return Writing
	case Writing:
		return Previewing
	case Changes, Previewing:
		return Settling
	case Settling:
		if r.Kind == Full {
			return Removing
		}
		return Finishing
	default:
		return Finishing
	}
}

// Enter moves r to a step at a time, with nothing done of it yet.
func (r *Run) Enter(s Step, now time.Time) {
	r.Step, r.StepAt = s, now
	r.PageToken, r.Cursor, r.Done, r.Total, r.ListingPage, r.ListingMessages = "", "", 0, 0, 0, 0
}

// Listing tells whether s reads pages.
func (s Step) Listing() bool { return s == Clients || s == Contacts || s == Changes || s == Legacy }

// Drafting tells whether the plan of a run in step s may still get removals.
func (s Step) Drafting() bool { return s.Listing() || s == Planning || s == Writing }

// ETA is when the present step ends at the present pace; zero while that is unknown.
func (r *Run) ETA(now time.Time) time.Time {
	if r.State != Running || r.Done <= 0 || r.Total <= r.Done || r.StepAt.IsZero() || !now.After(r.StepAt) {
		return time.Time{}
	}
	perItem := float64(now.Sub(r.StepAt)) / float64(r.Done)
	return now.Add(time.Duration(perItem * float64(r.Total-r.Done)))
}
