package provider

import (
	"context"
	"strings"
	"time"

	"github.com/concord-suite/concord/services/connector/internal/record"
)

// Writer is an Adapter that can change clients.
type Writer interface {
	// Writable returns the longest value a field may have, in characters, and false for one that can't be written. Paths
	// are those of record.Client.Field.
	Writable(path string) (longest int, ok bool)
	// Open reads one client to change it. A client the provider does not know is ErrUnknownRecord.
	Open(ctx context.Context, c Caller, id string) (Document, error)
}

// Document is a client as it was read, with what the provider keeps beside its fields. Its calls are made once, unless the
// provider knows a repetition: when ErrUnavailable comes back, nobody knows whether they had an effect.
type Document interface {
	// Record is the client.
	Record() record.Record
	// At is the provider's clock when it was read.
	At() time.Time
	// Update writes the fields of set that paths name, and returns the client as it is then. The same key means the same
	// change. Values that the provider refuses are ErrValues.
	Update(ctx context.Context, c Caller, key string, set *record.Client, paths []string) (record.Record, time.Time, error)
	// Archive archives the client and returns it as it is then.
	Archive(ctx context.Context, c Caller, key string) (record.Record, time.Time, error)
}

// Typed is an Adapter of a provider whose contacts are of types to choose from.
type Typed interface {
	// ContactTypes asks which there are, in the order to show them.
	ContactTypes(ctx context.Context, c Caller) ([]ContactType, error)
	// Lasting reports whether a contact type is always there, so that nobody needs to be asked.
	Lasting(id string) bool
}

// ContactType is a kind of contact.
type ContactType struct {
	// ID is what stands in a connection's options.
	ID string
	// Name is for people.
	Name string
}

// blames are the words by which providers name a field in a sentence.
var blames = []struct{ words, path string }{
	{"first name", "first_name"}, {"last name", "last_name"}, {"email", "email"}, {"e-mail", "email"},
	{"account number", "code"}, {"export code", "code"}, {"exportcode", "code"}, {"client code", "code"},
	{"company number", "company_number"}, {"business number", "business_number"}, {"tax number", "tax_number"},
	{"date of birth", "birth_date"}, {"website", "website"}, {"mobile", "mobile"},
	{"contact name", "name"}, {"client name", "name"}, {"name must", "name"}, {"name is", "name"},
}

// Blame finds which field a provider's sentence is about, "" when the sentence does not tell. The field that is named first
// counts: what follows may be a value, and a client may be called anything.
func Blame(words string) (path string) {
	words = strings.ToLower(words)
	first := len(words)
	for _, b := range blames {
		if at := strings.Index(words, b.words); at >= 0 && at < first {
			first, path = at, b.path
		}
	}
	return path
}
