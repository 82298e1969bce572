// Package departure knows how a client leaves the client list and comes back, as far as its documents are concerned.
//
// The client list belongs to another service, and its word arrives twice: as a call and as an event, in any order, more
// than once, late. So every change is decided from two rows alone: the client, which has at most one fence, and the
// off-boarding, whose state only moves forward: FENCED or ABORTED, then COMMITTED, then REVERSED. What would move it
// back is old news and changes nothing.
package departure

import (
	"errors"
	"fmt"
)

// What a step of an off-boarding can be refused for.
var (
	// ErrFenced: the client is leaving, by this or another off-boarding.
	ErrFenced = errors.New("departure: the client is leaving")
	// ErrGone: the client has left.
	ErrGone = errors.New("departure: the client has left")
	// ErrCommitted: the off-boarding was committed; it can be reversed, not aborted.
	ErrCommitted = errors.New("departure: committed")
	// ErrAborted: the off-boarding was aborted, for good; another one can begin.
	ErrAborted = errors.New("departure: aborted")
	// ErrOtherClient: the off-boarding is that of another client.
	ErrOtherClient = errors.New("departure: the off-boarding is another client's")
)

// ClientState is whether a client is in the client list.
type ClientState string

// The states of a client.
const (
	// Listed is in the client list.
	Listed ClientState = "LISTED"
	// Departed has left it.
	Departed ClientState = "DEPARTED"
)

// Client is what documents knows of a client.
type Client struct {
	Firm, ID          string
	DisplayName, Code string
	State             ClientState
	// Named and Listing are the sequences of the last events of the client list that were followed for the client's name
	// and for whether it is listed. They are two, since events overtake each other: a change of name that arrives before
	// the return it follows must not hide the return.
	Named, Listing int64
	// Trail is the sequence of the last event about this client.
	Trail int64
	// Folder is the id of its folder; empty before it has one.
	Folder string
	// Fence is the id of the off-boarding that holds it; empty when none does.
	Fence string
}

// Open says why nothing new may be begun with the client, or nil.
func (c Client) Open() error {
	switch {
	case c.State != Listed:
		return ErrGone
	case c.Fence != "":
		return ErrFenced
	}
	return nil
}

// State is how far an off-boarding is.
type State string

// The states of an off-boarding, in the order in which they follow each other.
const (
	// Unknown was never heard of.
	Unknown State = ""
	// Fenced holds the client.
	Fenced State = "FENCED"
	// Aborted let it go and never holds it again: a request to begin that comes after it was on its way when the saga
	// was cancelled. A saga that was only blocked was never fenced, and tries again under the same name.
	Aborted State = "ABORTED"
	// Committed saw the client leave.
	Committed State = "COMMITTED"
	// Reversed saw it come back.
	Reversed State = "REVERSED"
)

// Offboarding is one departure.
type Offboarding struct {
	Firm, ID, Client string
	State            State
	// Removed is true when the folder held nothing.
	Removed bool
	// Missing names what could not be brought back.
	Missing []string
}

// Begin decides about a fence. done is true when there is nothing to do: it stands, or the client has left by it.
func Begin(c Client, o Offboarding) (done bool, err error) {
	switch {
	case o.Client != c.ID:
		return false, ErrOtherClient
	case o.State == Committed, o.State == Reversed:
		return true, nil
	case o.State == Aborted:
		return false, ErrAborted
	case c.Fence == o.ID:
		return true, nil
	case c.Fence != "":
		return false, ErrFenced
	case c.State == Departed:
		return false, ErrGone
	}
	return false, nil
}

// Abort decides about giving an off-boarding up. done is true when that is written down already; one that was never heard
// of is written down too, so that it can't begin later.
func Abort(c Client, o Offboarding) (done bool, err error) {
	switch {
	case o.Client != c.ID:
		return false, ErrOtherClient
	case o.State == Committed, o.State == Reversed:
		return false, ErrCommitted
	}
	return o.State == Aborted, nil
}

// File decides whether the history may be filed for an off-boarding: not when it was aborted, since its history was taken
// away then. One that was never heard of may: its word is on its way.
func File(c Client, o Offboarding) error {
	switch {
	case o.Client != c.ID:
		return ErrOtherClient
	case o.State == Aborted:
		return ErrAborted
	}
	return nil
}

// Commit decides about the client's leaving. done is true when it was seen already, or was reversed before it was seen.
func Commit(c Client, o Offboarding) (done bool, err error) {
	switch {
	case o.Client != c.ID:
		return false, ErrOtherClient
	case o.State == Committed, o.State == Reversed:
		return true, nil
	}
	return false, nil
}

// Reverse decides about the client's return. done is true when it was seen already.
func Reverse(c Client, o Offboarding) (done bool, err error) {
	if o.Client != c.ID {
		return false, ErrOtherClient
	}
	return o.State == Reversed, nil
}

// Destroyed is the sentence for a folder whose documents can not be brought back.
func Destroyed(folder string, documents int64, date string) string {
	what := fmt.Sprintf("its %d documents were", documents)
	if documents == 1 {
		what = "its one document was"
	}
	return fmt.Sprintf("the folder %q was deleted by hand; %s destroyed on %s", folder, what, date)
}
