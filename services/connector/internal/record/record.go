// Package record holds a provider's clients and contacts as the provider has them, in one shape for all providers, and
// what can be said of them without asking anybody: whether two readings are the same, and whether a listing held still
// while it was read.
//
// It does not know how a provider writes them down; an adapter does.
package record

import "slices"

// State is what the provider says of a record.
type State int

// The states of a record.
const (
	// Active is in use.
	Active State = iota + 1
	// Archived is archived or closed.
	Archived
	// Deleted is deleted, or unknown to the provider.
	Deleted
)

// Record is a client or a contact; exactly one of the two is set, except for a record that is Deleted because the
// provider does not know it: that one has neither.
type Record struct {
	// ID is the provider's immutable id.
	ID string
	// State is what the provider says of it.
	State State
	// Client is set for a client.
	Client *Client
	// Contact is set for a contact.
	Contact *Contact
	// LegacyID is the integer id it had before OAuth 2, where the answer carries one.
	LegacyID string
	// Outline is set when nothing but name and code was taken of a client: everything else is unknown, not empty, and
	// there is no hash to compare.
	Outline bool
	// OutOfScope is set for a record in use that is of none of the chosen contact types.
	OutOfScope bool
	// Types are the contact types it is of, as they stand in a connection's options. A contact is of its client's.
	Types []string
	// MergedInto is the id of the record that took its place, empty when it was not merged. Such a record is archived.
	MergedInto string
}

// Within returns the record with what the chosen contact types say of it; none chosen means all. A record that is not in
// use is in scope whatever is chosen: that it has left is not to be hidden.
func (r Record) Within(chosen []string) Record {
	r.OutOfScope = r.State == Active && len(chosen) > 0 &&
		!slices.ContainsFunc(r.Types, func(t string) bool { return slices.Contains(chosen, t) })
	return r
}

// Address is a postal or physical address.
type Address struct {
	// Street holds the lines, joined by line feeds.
	Street     string
	City       string
	Region     string
	PostalCode string
	Country    string
}

// Client holds the comparable fields of a client.
type Client struct {
	Name string
	// Code is the practice's own code, often empty.
	Code string
	// EntityType is the provider's word: Individual, Company, Trust.
	EntityType string
	FirstName  string
	LastName   string
	Email      string
	Phone      string
	Mobile     string
	OtherPhone string
	Website    string
	Postal     Address
	Physical   Address
	// TaxNumber is masked when the provider masks it.
	TaxNumber      string
	BusinessNumber string
	CompanyNumber  string
	// BirthDate is YYYY-MM-DD, for individuals only.
	BirthDate string
	// Groups are the names of the client's groups. They mean something only when GroupsRead is true.
	Groups []string
	// GroupsRead tells whether the answer carried groups at all: XPM's page lists do not.
	GroupsRead bool
	// CustomFields are the practice's own fields, by name. They mean something only when CustomFieldsRead is true.
	CustomFields []CustomField
	// CustomFieldsRead tells whether they were asked for.
	CustomFieldsRead bool
	// Relationships are the ties to other clients. They mean something only when RelationshipsRead is true.
	Relationships []Relationship
	// RelationshipsRead tells whether the answer carried relationships at all.
	RelationshipsRead bool
}

// CustomField is a field that the practice defined, with its value.
type CustomField struct {
	// ID is the provider's id of the field.
	ID   string
	Name string
	// Value is text: dates YYYY-MM-DD, true or false for a check box, decimals with a point.
	Value string
}

// Relationship ties a client to another, seen from the one it stands in.
type Relationship struct {
	// Type is the provider's word: Director, Shareholder, Trustee.
	Type string
	// Related is the record id of the other client, RelatedName its name.
	Related, RelatedName string
	// Shares and Percentage are what is held, empty where that makes no sense.
	Shares, Percentage string
	// Start and End are YYYY-MM-DD, empty when open.
	Start, End string
}

// Contact holds the comparable fields of a contact.
type Contact struct {
	Name       string
	Email      string
	Phone      string
	Mobile     string
	Salutation string
	// Links are the clients the contact belongs to.
	Links []Link
}

// Link ties a contact to a client.
type Link struct {
	// Client is the client's record id.
	Client string
	// Position is the contact's role there, for example Director.
	Position string
	// Primary is true for the client's primary contact.
	Primary bool
}
