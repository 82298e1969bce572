// Package offboard holds the saga by which a client leaves: its states and steps, and what becomes of a contact that
// the client leaves behind. It knows no database and calls nobody.
package offboard

import (
	"time"

	"github.com/concord-suite/concord/services/sync/internal/client"
)

// State is how far an off-boarding is.
type State string

// The states of an off-boarding.
const (
	// Preparing: running, cancellable.
	Preparing State = "PREPARING"
	// Blocked: something blocks it; it starts again by itself when that is gone.
	Blocked State = "BLOCKED"
	// Securing: the client has left; the rest runs forward.
	Securing State = "SECURING"
	// Done: finished.
	Done State = "DONE"
	// Cancelled: stopped before the client left.
	Cancelled State = "CANCELLED"
	// Reversing: the inverse is running.
	Reversing State = "REVERSING"
	// Reversed: the client is back.
	Reversed State = "REVERSED"
)

// Open tells whether a client with an off-boarding of this state can have no other.
func (s State) Open() bool {
	return s == Preparing || s == Blocked || s == Securing || s == Reversing
}

// Step is where an off-boarding goes on after a stop.
type Step string

// The steps of an off-boarding. Each is idempotent, so that one cut off in the middle is done again.
const (
	// Begin fences the client at documents, or learns what blocks it.
	Begin Step = "BEGIN"
	// Fence keeps auth from giving logins to the client's contacts, and learns who has one.
	Fence Step = "FENCE"
	// File waits for the trail, exports client history and files it.
	File Step = "FILE"
	// Leave takes the client out of the list, in one transaction. From here on it runs forward.
	Leave Step = "LEAVE"
	// Commit lets documents turn the folder, and auth lift its fence.
	Commit Step = "COMMIT"
	// Abort lifts the fences of an off-boarding that was cancelled.
	Abort Step = "ABORT"
	// ReverseFolder makes the folder the client's again.
	ReverseFolder Step = "REVERSE_FOLDER"
	// Return puts the client back into the list, in one transaction.
	Return Step = "RETURN"
	// None: there is nothing to do.
	None Step = ""
)

// Origin says who decided that the client leaves.
type Origin string

// The origins.
const (
	// ByHand: a person, here.
	ByHand Origin = "HAND"
	// Upstream: the provider no longer has the client.
	Upstream Origin = "UPSTREAM"
)

// Offboarding is the saga of one client, with its receipt.
type Offboarding struct {
	ID, Firm, Client, ClientName string
	State                        State
	Step                         Step
	Origin                       Origin
	Reason, StartedBy            string
	// Initiator is the account behind it; empty when none is.
	Initiator string
	Override  bool
	// Plan and Change are what it came from; empty by hand.
	Plan, Change string
	// ProofAt is the provider's clock when it said that the record is gone.
	ProofAt  time.Time
	Blockers []client.Blocker
	// TrailSeq is the last event about the client that documents had emitted when it fenced the client, or filed its
	// history: what has to be in the history before the client leaves.
	TrailSeq int64
	// FiledSeq is up to where client history stands in the filed CSV; -1 before it is filed.
	FiledSeq        int64
	HistoryDocument string
	Folder          string
	FolderRemoved   bool
	DocumentCount   int64
	// Fenced are the contacts whose logins are fenced, Logins those of them that have one.
	Fenced, Logins                                  []string
	ContactsRemoved, ContactsReleased, ContactsKept int64
	Missing                                         []string
	CancelRequested, ReverseRequested               bool
	Attempts                                        int64
	LastError                                       string
	NextAt                                          time.Time
	Epoch                                           int64
	// Woken counts what should have it looked at at once: a signature, an event it waits for, a person.
	Woken                          int64
	CreatedAt, ArchivedAt, EndedAt time.Time
	Steps                          []Line
}

// Line is one line of the receipt.
type Line struct {
	At   time.Time
	Text string
}

// Cancellable tells whether the client is still here and may stay.
func (o *Offboarding) Cancellable() bool { return o.State == Preparing || o.State == Blocked }

// Fate is what becomes of a contact that a client leaves behind.
type Fate string

// The fates.
const (
	// Kept: related to another client in the list.
	Kept Fate = "KEPT"
	// ReleasedFate: has a login and no other client; people may edit and delete it.
	ReleasedFate Fate = "RELEASED"
	// RemovedFate: neither login nor client.
	RemovedFate Fate = "REMOVED"
)

// FateOf decides by whether the contact has a login and how many other clients in the list it relates to.
func FateOf(hasLogin bool, otherClients int) Fate {
	switch {
	case otherClients > 0:
		return Kept
	case hasLogin:
		return ReleasedFate
	default:
		return RemovedFate
	}
}

const (
	// recheck is how long a blocked off-boarding waits before it asks again by itself. What unblocks it is an event
	// that comes at once; this covers what has no event, such as an upload that was given up.
	recheck = 10 * time.Minute
	// maxWait bounds the wait after an error. The saga never gives up: a client half gone is nobody's wish, and the
	// error stands on the off-boarding for people to read.
	maxWait = time.Minute
)

// RecheckAt is when a blocked off-boarding asks again.
func RecheckAt(now time.Time) time.Time { return now.Add(recheck) }

// RetryAt is when an off-boarding goes on after the n-th error in a row.
func RetryAt(now time.Time, n int64) time.Time {
	if n < 1 {
		n = 1
	}
	if n > 8 {
		return now.Add(maxWait)
	}
	return now.Add(min(250*time.Millisecond<<(n-1), maxWait))
}
