package filing

import (
	"fmt"
	"time"
)

// System is who filed what the suite itself made.
const System = "system"

// Document is a file with a name, in a folder.
type Document struct {
	ID, Firm, Folder string
	DisplayName      string
	MediaType        string
	// Size is in bytes.
	Size int64
	// SHA256 is the hash of the bytes, 64 hex digits; it names the blob.
	SHA256 string
	// Published is true when the client's contacts see it.
	Published bool
	// FiledBy is the resource name of who filed it, or System.
	FiledBy string
	// Key and Client are set for what the suite filed about a client: filing the key again is filing the same document.
	Key, Client string
	// Revision is how new that is: filing an older one changes nothing. Offboarding is the id of the off-boarding that it
	// goes with when that is aborted; empty when it belongs to none.
	Revision    int64
	Offboarding string
	Created     time.Time

	// SignatureOpen is true when it waits for a signature. It is read with the document and never stored with it.
	SignatureOpen bool
	// Where is the folder's state, read with the document.
	Where FolderState
}

// Upload is a document whose bytes have not arrived.
type Upload struct {
	// ID is the id of the upload and of the document to be.
	ID, Firm, Folder string
	DisplayName      string
	// MediaType may be empty: it is then found from the bytes.
	MediaType string
	Size      int64
	// SHA256 is empty when it was not declared.
	SHA256 string
	Caller Caller
	// Done is true when the document was filed.
	Done    bool
	Created time.Time
	Expires time.Time
}

// Download permits reading one document for a short while.
type Download struct {
	ID, Firm, Document string
	Caller             Caller
	Expires            time.Time
}

// Caller is who asked for a transfer of bytes, as far as the transfer has to know it.
type Caller struct {
	// Name is the resource name of the person.
	Name string
	// Contact is the contact's id when the caller is one, else empty: its scope is looked at again when bytes move.
	Contact string
	// Kind is the kind of the principal, as the contract numbers it, and ID its id.
	Kind int32
	ID   string
	// Session is the id of the caller's session, empty when there is none, and Address where it came from.
	Session, Address string
}

// Names lists, in the order to be tried, the names a folder may take when its own is taken: with the client's code, then
// with the end of an id. The same folder asks for the same names every time. The end of an id is taken because ids made
// within the same minute begin alike.
func Names(display, code, id string) []string {
	if len(display) > maxPlain {
		display = cut(display, maxPlain)
	}
	names := []string{display}
	if code != "" && code != display {
		names = append(names, fmt.Sprintf("%s (%s)", display, cut(code, 40)))
	}
	if len(id) > 8 {
		names = append(names, fmt.Sprintf("%s (%s)", display, id[len(id)-8:]))
	}
	return append(names, fmt.Sprintf("%s (%s)", display, id))
}

// maxPlain leaves room for a suffix within the 500 that the contract allows for a name.
const maxPlain = 440

// cut shortens s to at most n bytes, at the start of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
