// Package record holds a provider's clients and contacts as the provider has them, in one shape for all providers, and
// what can be said of them without asking anybody: whether two readings are the same, and whether a listing held still
// while it was read.
//
// It does not know how a provider writes them down; an adapter does.
package record

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
