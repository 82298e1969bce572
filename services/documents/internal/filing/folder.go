// Package filing knows folders and documents: what they are, where they stand, who sees them, and the sentences people
// read about them.
//
// Where a folder stands is a fact of the folder alone. Its documents have no state of their own, so archiving, deleting
// and restoring any number of them changes one row, and a document can never disagree with its folder.
package filing

import (
	"errors"
	"fmt"
	"time"
)

// What an operation on folders and documents can be refused for.
var (
	// ErrNotFound: it does not exist, or not for the one who asks.
	ErrNotFound = errors.New("filing: not found")
	// ErrClientFolder: a client folder goes with its client, never by itself.
	ErrClientFolder = errors.New("filing: a client folder")
	// ErrCountChanged: the folder holds another number of documents than was confirmed.
	ErrCountChanged = errors.New("filing: the number of documents changed")
	// ErrNotArchived: it is not in the archive, nor in the recoverable period.
	ErrNotArchived = errors.New("filing: not archived")
	// ErrSignatureOpen: a document waits for a signature.
	ErrSignatureOpen = errors.New("filing: a signature is open")
	// ErrNameTaken: a folder of this name stands there.
	ErrNameTaken = errors.New("filing: the name is taken")
	// ErrNotPublishable: only documents in the folder of a client in the client list are shown to contacts.
	ErrNotPublishable = errors.New("filing: not publishable")
	// ErrNotReceiving: nothing can be put into this folder.
	ErrNotReceiving = errors.New("filing: the folder takes no documents")
)

// FolderKind is what a folder is.
type FolderKind string

// The kinds of folder.
const (
	// Client is the folder of a client in the client list.
	Client FolderKind = "CLIENT"
	// Business is a folder of the firm.
	Business FolderKind = "BUSINESS"
	// Orphaned is what an off-boarded client left: a business folder that remembers its client.
	Orphaned FolderKind = "ORPHANED_BUSINESS"
)

// FolderState is where a folder stands.
type FolderState string

// The states of a folder.
const (
	// Active is in use.
	Active FolderState = "ACTIVE"
	// Archived is in the document archive, with all documents.
	Archived FolderState = "ARCHIVED"
	// Deleted can be restored until its purge time.
	Deleted FolderState = "DELETED"
	// Removed held nothing when its client left.
	Removed FolderState = "REMOVED"
	// Purged had its documents destroyed. Nobody sees it; it is kept to say so when its client comes back.
	Purged FolderState = "PURGED"
)

// Folder is a place for documents. Its id never changes, whatever becomes of its client.
type Folder struct {
	ID, Firm string
	Kind     FolderKind
	State    FolderState
	// Client is the client's id; empty for a business folder.
	Client      string
	DisplayName string
	// Documents is how many it holds, and System how many of them the suite itself filed.
	Documents, System int64
	Created           time.Time
	// Gone is when it was archived, deleted, removed or purged; zero while active.
	Gone time.Time
	// Purge is when a deleted folder's documents are destroyed.
	Purge   time.Time
	Version int64
}

// Color is the color people know the kind by.
func (f Folder) Color() string {
	switch f.Kind {
	case Client:
		return "yellow"
	case Orphaned:
		return "green"
	default:
		return "blue"
	}
}

// Held is how many documents it holds that people put there. The history that the suite filed when the client left does
// not keep a folder alive.
func (f Folder) Held() int64 { return f.Documents - f.System }

// Shown reports whether staff can look at the folder and its documents.
func (f Folder) Shown() bool { return f.State == Active || f.State == Archived || f.State == Deleted }

// Deletable says why the folder can not be deleted, or nil.
func (f Folder) Deletable() error {
	switch {
	case f.State != Active:
		return ErrNotFound
	case f.Kind == Client:
		return ErrClientFolder
	}
	return nil
}

// Delete is the folder after it was deleted at the time now: archived when the firm has the document archive, else
// recoverable for the period given.
func (f Folder) Delete(archive bool, now time.Time, recoverable time.Duration) Folder {
	f.State, f.Gone, f.Purge = Archived, now, time.Time{}
	if !archive {
		f.State, f.Purge = Deleted, now.Add(recoverable)
	}
	return f
}

// Restore is the folder taken back out of the archive, out of the recoverable period, or from nothing.
func (f Folder) Restore() Folder {
	f.State, f.Gone, f.Purge = Active, time.Time{}, time.Time{}
	return f
}

// Warning is the sentence that deleting n documents must be confirmed by.
func Warning(n int64, archive bool, recoverable time.Duration) string {
	if archive {
		return fmt.Sprintf("%s will be archived and the folder deleted", Count(n))
	}
	return fmt.Sprintf("%s and the folder will be deleted; they can be restored for %s, then they are destroyed", Count(n), days(recoverable))
}

// Count says a number of documents in words.
func Count(n int64) string {
	if n == 1 {
		return "1 document"
	}
	return fmt.Sprintf("%d documents", n)
}

func days(d time.Duration) string {
	switch n := int64(d / (24 * time.Hour)); n {
	case 0:
		return d.String()
	case 1:
		return "1 day"
	default:
		return fmt.Sprintf("%d days", n)
	}
}
