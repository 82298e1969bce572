package client

import (
	"slices"
	"time"
)

// ContactState is where a contact stands.
type ContactState string

// The states of a contact.
const (
	// Active: related to a client, kept in step by a connection.
	Active ContactState = "ACTIVE"
	// Released: has a login and no client; people may edit and delete it.
	Released ContactState = "RELEASED"
	// Removed: had no login and no client; comes back with its client.
	Removed ContactState = "REMOVED"
	// Deleted: a person deleted it. It stays away.
	Deleted ContactState = "DELETED"
)

// Here tells whether a contact of this state can be seen.
func (s ContactState) Here() bool { return s == Active || s == Released }

// Person are the fields of a contact that both sides have.
type Person struct {
	Name       string `json:"name"`
	Email      string `json:"email,omitempty"`
	Phone      string `json:"phone,omitempty"`
	Mobile     string `json:"mobile,omitempty"`
	Salutation string `json:"salutation,omitempty"`
}

// Clean returns p with text in the form in which it is stored.
func (p Person) Clean() Person {
	return Person{
		Name: Text(p.Name), Email: Text(p.Email), Phone: Text(p.Phone), Mobile: Text(p.Mobile),
		Salutation: Text(p.Salutation),
	}
}

// JSON is p as it is stored.
func (p Person) JSON() string { return encode(p) }

// ParsePerson reads what JSON wrote.
func ParsePerson(s string) Person { return decode[Person](s) }

// Contact is a person related to clients.
type Contact struct {
	ID, Firm string
	Person   Person
	State    ContactState
	HasLogin bool
	// Version changes with every change of its fields or state; EventSeq counts the events about it.
	Version, EventSeq    int64
	CreatedAt, UpdatedAt time.Time
	Relations            []Relation
}

// Relation ties a contact to a client in the client list.
type Relation struct {
	Client, ClientName string
	Position           string
	Primary            bool
}

// RecordContact is a contact as a listing has it, with the records of the clients it belongs to.
type RecordContact struct {
	Person Person       `json:"person"`
	Links  []RecordLink `json:"links,omitempty"`
}

// RecordLink ties a contact's record to a client's record.
type RecordLink struct {
	ClientRecord string `json:"client"`
	Position     string `json:"position,omitempty"`
	Primary      bool   `json:"primary,omitempty"`
}

// Clean returns r with clean text, and one link per client record: the last one wins, primary when any was.
func (r RecordContact) Clean() RecordContact {
	out := RecordContact{Person: r.Person.Clean()}
	at := map[string]int{}
	for _, l := range r.Links {
		l.Position = Text(l.Position)
		if i, seen := at[l.ClientRecord]; seen {
			l.Primary = l.Primary || out.Links[i].Primary
			out.Links[i] = l
			continue
		}
		at[l.ClientRecord] = len(out.Links)
		out.Links = append(out.Links, l)
	}
	slices.SortFunc(out.Links, func(a, b RecordLink) int {
		switch {
		case a.ClientRecord < b.ClientRecord:
			return -1
		case a.ClientRecord > b.ClientRecord:
			return 1
		}
		return 0
	})
	return out
}

// JSON is r as it is stored.
func (r RecordContact) JSON() string { return encode(r) }

// ParseRecordContact reads what JSON wrote.
func ParseRecordContact(s string) RecordContact { return decode[RecordContact](s) }
