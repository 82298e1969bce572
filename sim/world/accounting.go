package world

import (
	"slices"
	"strings"
	"time"
)

// States of a party.
const (
	PartyActive   = "ACTIVE"
	PartyArchived = "ARCHIVED"
	PartyErased   = "GDPRREQUEST"
)

// Party is what an organisation's books call a contact: a customer, a supplier, both or neither. (A
// Contact is a person at the clients of a practice.)
type Party struct {
	ID     string `json:"id"`
	Tenant string `json:"tenant"`
	Name   string `json:"name"` // unique among active parties of the tenant, without regard to case
	Status string `json:"status"`
	// Number can be set by programs only; Account is the account number people edit.
	Number   string `json:"number,omitempty"`
	Account  string `json:"account,omitempty"`
	MergedTo string `json:"merged_to,omitempty"` // the party this one became part of

	FirstName     string `json:"first_name,omitempty"`
	LastName      string `json:"last_name,omitempty"`
	CompanyNumber string `json:"company_number,omitempty"`
	Email         string `json:"email,omitempty"`
	Bank          string `json:"bank,omitempty"`
	TaxNumber     string `json:"tax_number,omitempty"`
	Website       string `json:"website,omitempty"`
	Currency      string `json:"currency,omitempty"` // ISO 4217

	People    []PartyPerson  `json:"people,omitempty"`
	Addresses []PartyAddress `json:"addresses,omitempty"` // at most one of a kind
	Phones    []PartyPhone   `json:"phones,omitempty"`    // at most one of a kind
	Groups    []string       `json:"groups,omitempty"`    // ids

	// Customer and Supplier follow from invoices: nobody sets them in the provider's API.
	Customer bool `json:"customer,omitempty"`
	Supplier bool `json:"supplier,omitempty"`
	// Owes and Owed are what the party owes and is owed, in cents.
	Owes int64 `json:"owes,omitempty"`
	Owed int64 `json:"owed,omitempty"`

	Created time.Time `json:"created"`
	// Updated is what If-Modified-Since looks at. Invoices and the membership in groups leave it alone.
	Updated time.Time `json:"updated"`
}

// PartyPerson is one of the further people of a party.
type PartyPerson struct {
	FirstName string `json:"first_name,omitempty"`
	LastName  string `json:"last_name,omitempty"`
	Email     string `json:"email,omitempty"`
	Included  bool   `json:"included,omitempty"` // in e-mails with invoices
}

// PartyAddress is an address of a kind, STREET or POBOX.
type PartyAddress struct {
	Kind      string    `json:"kind"`
	Lines     [4]string `json:"lines"`
	City      string    `json:"city,omitempty"`
	Region    string    `json:"region,omitempty"`
	PostCode  string    `json:"post_code,omitempty"`
	Country   string    `json:"country,omitempty"`
	Attention string    `json:"attention,omitempty"`
}

// PartyPhone is a number of a kind: DEFAULT, DDI, MOBILE, FAX or OFFICE.
type PartyPhone struct {
	Kind    string `json:"kind"`
	Number  string `json:"number,omitempty"`
	Area    string `json:"area,omitempty"`
	Country string `json:"country,omitempty"`
}

// PartyGroup is a group of parties; its members are the parties that name it.
type PartyGroup struct {
	ID      string `json:"id"`
	Tenant  string `json:"tenant"`
	Name    string `json:"name"`
	Deleted bool   `json:"deleted,omitempty"`
}

// Remembered is the answer to a request that carried an idempotency key.
type Remembered struct {
	Request string    `json:"request"` // hash of method, path, query and body
	Status  int       `json:"status"`
	Body    []byte    `json:"body"`
	At      time.Time `json:"at"`
}

// Clone returns a copy whose slices can be changed.
func (p *Party) Clone() *Party {
	n := *p
	n.People, n.Addresses = slices.Clone(p.People), slices.Clone(p.Addresses)
	n.Phones, n.Groups = slices.Clone(p.Phones), slices.Clone(p.Groups)
	return &n
}

// Address returns the place of the address of a kind, or -1.
func (p *Party) Address(kind string) int {
	return slices.IndexFunc(p.Addresses, func(a PartyAddress) bool { return a.Kind == kind })
}

// Phone returns the place of the number of a kind, or -1.
func (p *Party) Phone(kind string) int {
	return slices.IndexFunc(p.Phones, func(n PartyPhone) bool { return n.Kind == kind })
}

// Texts returns the party's plain text elements by the name they have in requests and answers.
func (p *Party) Texts() map[string]*string {
	return map[string]*string{
		"Name": &p.Name, "ContactNumber": &p.Number, "AccountNumber": &p.Account, "FirstName": &p.FirstName,
		"LastName": &p.LastName, "CompanyNumber": &p.CompanyNumber, "EmailAddress": &p.Email,
		"BankAccountDetails": &p.Bank, "TaxNumber": &p.TaxNumber, "Website": &p.Website, "DefaultCurrency": &p.Currency,
	}
}

// PutParty stores a party and notes the change for whoever is told of changes by webhook.
func (tx *Tx) PutParty(p *Party) {
	kind := HookUpdate
	if tx.Parties.Get(p.ID) == nil {
		kind = HookCreate
	}
	tx.Parties.Put(tx, p.ID, p)
	tx.note(p.Tenant, p.ID, kind)
}

// PartyNames returns which of some names, given in lower case, are taken by active parties of a tenant, and
// by whom. A name that is taken more than once, which the API prevents, has one of them.
func (s *State) PartyNames(tenant string, among map[string]bool) map[string]string {
	names := map[string]string{}
	for id, p := range s.Parties.All() {
		if p.Tenant != tenant || p.Status != PartyActive {
			continue
		}
		if name := strings.ToLower(p.Name); among[name] {
			names[name] = id
		}
	}
	return names
}

// PartiesBy returns all parties of a tenant in the order of key and then of their ids. order names the
// key. The slice is shared: do not change it.
func (s *Store) PartiesBy(tenant, order string, key func(*Party) string) []*Party {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.sorted.mu.Lock()
	defer s.sorted.mu.Unlock()
	if s.sorted.parties == nil {
		s.sorted.parties = map[string]view[Party]{}
	}
	return sortedRows(s.state.Parties, s.sorted.parties, order+" "+tenant, tenant,
		func(p *Party) (string, string) { return p.Tenant, key(p) + "\x00" + p.ID })
}
