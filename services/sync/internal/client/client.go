package client

import (
	"strings"
	"time"
)

// State is where a client stands.
type State string

// The states of a client.
const (
	// Listed: in the client list.
	Listed State = "LISTED"
	// Leaving: in the client list, with an off-boarding under way.
	Leaving State = "LEAVING"
	// Offboarded: left; restorable.
	Offboarded State = "OFFBOARDED"
)

// InList tells whether a client of this state shows in the client list.
func (s State) InList() bool { return s == Listed || s == Leaving }

// Client is a client entity of a firm. Its id never changes, whatever is renamed, merged or un-archived.
type Client struct {
	ID, Firm string
	Fields   Fields
	State    State
	// ListSource is the id of the connection that decides whether it is a client; empty when none does.
	ListSource string
	// Synced is true while that connection exists.
	Synced bool
	// Offboarding is the id of its last off-boarding.
	Offboarding string
	Blockers    []Blocker
	// Version changes with every change of fields or state.
	Version int64
	// HistorySeq is the number of its last history entry; TrailSeq up to where the trail of documents was seen without
	// a gap.
	HistorySeq, TrailSeq int64
	// EventSeq counts the events about it.
	EventSeq int64

	CreatedAt, UpdatedAt time.Time
}

// Blocker is a named reason why a client can't leave yet.
type Blocker struct {
	// Kind is a word for programs: SIGNATURE_OPEN, UPLOAD_OPEN.
	Kind string `json:"kind"`
	// Description is one sentence for people.
	Description string `json:"description"`
	// Resource is the name of what blocks.
	Resource string `json:"resource,omitempty"`
}

// SortKey orders a list by name without regard to case.
func SortKey(name string) string { return strings.ToLower(Text(name)) }

// SearchText is what a query is looked for in, in lower case.
func SearchText(parts ...string) string { return strings.ToLower(strings.Join(parts, "\n")) }

// SearchPattern is the LIKE pattern (escape character \) that finds query anywhere in a SearchText; empty finds all.
func SearchPattern(query string) string {
	if query = strings.ToLower(Text(query)); query == "" {
		return "%"
	}
	return "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(query) + "%"
}

// BlockersJSON is blockers as they are stored; none is "".
func BlockersJSON(b []Blocker) string {
	if len(b) == 0 {
		return ""
	}
	return encode(b)
}

// ParseBlockers reads what BlockersJSON wrote.
func ParseBlockers(s string) []Blocker { return decode[[]Blocker](s) }
