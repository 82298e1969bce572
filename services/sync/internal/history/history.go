// Package history is the dated trail of a client: what its entries are, and how they become a CSV that any spreadsheet
// opens and none executes.
package history

import (
	"fmt"
	"strings"
	"time"

	"github.com/concord-suite/concord/services/sync/internal/client"
)

// The kinds of entry, as words for programs.
const (
	ClientCreated     = "CLIENT_CREATED"
	FieldChanged      = "FIELD_CHANGED"
	ClientLinked      = "CLIENT_LINKED"
	OffboardBlocked   = "OFFBOARDING_BLOCKED"
	OffboardStarted   = "OFFBOARDING_STARTED"
	OffboardCancelled = "OFFBOARDING_CANCELLED"
	ClientOffboarded  = "CLIENT_OFFBOARDED"
	ClientRestored    = "CLIENT_RESTORED"
	DocumentFiled     = "DOCUMENT_FILED"
	DocumentsArchived = "DOCUMENTS_ARCHIVED"
	EmailJobSent      = "EMAIL_JOB_SENT"
	SignatureComplete = "SIGNATURE_COMPLETED"
)

// SystemActor is who did what no person did.
const SystemActor = "system"

// Entry is one event in the life of a client.
type Entry struct {
	Client string
	// Seq is the place in the client's history, from 1, without gaps.
	Seq      int64
	At       time.Time
	Kind     string
	Actor    string
	Summary  string
	Resource string
	// TrailSeq is the place in documents' own trail, 0 for what sync itself wrote.
	TrailSeq int64
}

// OwnFiling tells whether e says that the suite itself filed a document. Such an entry does not make a filed history
// incomplete: it is the filing.
func (e Entry) OwnFiling() bool { return e.Kind == DocumentFiled && e.Actor == SystemActor }

// maxValue is how much of a value a summary repeats: an address fits, a pasted letter does not.
const maxValue = 200

// FieldsSummary says which fields changed, from what to what.
func FieldsSummary(changes []client.Change) string {
	parts := make([]string, 0, len(changes))
	for _, c := range changes {
		switch {
		case c.Old == "" && c.New == "":
			parts = append(parts, c.Field+" changed")
		case c.Old == "":
			parts = append(parts, fmt.Sprintf("%s set to %q", c.Field, clip(c.New)))
		case c.New == "":
			parts = append(parts, fmt.Sprintf("%s %q removed", c.Field, clip(c.Old)))
		default:
			parts = append(parts, fmt.Sprintf("%s changed from %q to %q", c.Field, clip(c.Old), clip(c.New)))
		}
	}
	return strings.Join(parts, "; ")
}

func clip(s string) string {
	if r := []rune(s); len(r) > maxValue {
		return string(r[:maxValue]) + "…"
	}
	return s
}
