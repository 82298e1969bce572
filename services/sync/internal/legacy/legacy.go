// Package legacy holds what a practice had linked before OAuth 2, when integer ids, codes or names were the keys: how such
// links are read from a file, and which record of today each of them means.
package legacy

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/concord-suite/concord/services/sync/internal/client"
)

// State is what became of a link.
type State string

// The states of a link.
const (
	// Pending: no run has looked at it yet.
	Pending State = "PENDING"
	// Mapped: its client is linked to a record.
	Mapped State = "MAPPED"
	// Suggested: records may be it; somebody decides.
	Suggested State = "SUGGESTED"
	// Unmapped: no record fits.
	Unmapped State = "UNMAPPED"
	// Dismissed: somebody said that it has no record.
	Dismissed State = "DISMISSED"
)

// Open tells whether a run still looks for the record of a link in this state.
func (s State) Open() bool { return s == Pending || s == Suggested || s == Unmapped }

// Link is a client with the keys it had at a legacy connection.
type Link struct {
	ID, Firm, Connection, Client string
	// Name and Code are the client's when it was imported; LegacyID is the integer id it had. The last two may be empty.
	Name, LegacyID, Code string
	State                State
	// Record is what it is mapped to; Explanation says in words how, or why not.
	Record, Explanation string
	// Candidates are the records it may be, best first.
	Candidates []Candidate
	DecidedBy  string
	DecidedAt  time.Time
}

// Same tells whether nothing is to be written to make a link of other.
func (l *Link) Same(other *Link) bool {
	return l.State == other.State && l.Record == other.Record && l.Explanation == other.Explanation &&
		CandidatesJSON(l.Candidates) == CandidatesJSON(other.Candidates)
}

// Candidate is a record that a link may be.
type Candidate struct {
	Record string `json:"record"`
	Name   string `json:"name"`
	Code   string `json:"code,omitempty"`
	// Evidence says why, in words.
	Evidence []string `json:"evidence,omitempty"`
}

// CandidatesJSON is candidates as they are stored; none is "".
func CandidatesJSON(all []Candidate) string {
	if len(all) == 0 {
		return ""
	}
	text, err := json.Marshal(all)
	if err != nil {
		return "" // strings always have a JSON form
	}
	return string(text)
}

// ParseCandidates reads what CandidatesJSON wrote.
func ParseCandidates(text string) []Candidate {
	var all []Candidate
	if text != "" {
		_ = json.Unmarshal([]byte(text), &all)
	}
	return all
}

// Record is a client's record as the listing of an UPGRADE run has it. What the listing does not carry is empty.
type Record struct {
	ID, LegacyID, Hash string
	Fields             client.Fields
	Archived           bool
	// At is the provider's clock when it answered the page.
	At time.Time
}

// IntegerID brings an integer id into the one form in which ids are compared: without leading zeros.
func IntegerID(id string) string {
	id = strings.TrimSpace(id)
	if trimmed := strings.TrimLeft(id, "0"); trimmed != "" || id == "" {
		return trimmed
	}
	return "0"
}
