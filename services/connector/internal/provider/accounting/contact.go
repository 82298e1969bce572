package accounting

import (
	"strings"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/services/connector/internal/provider"
)

// contact is one element of Contacts: what the provider's accounts call a contact is a client here.
type contact struct {
	id, mergedTo, status             string
	name, firstName, lastName, email string
	account, tax, company, website   string
	customer, supplier               bool
	groups                           []group
	groupsRead                       bool
	people                           []person
	addresses                        []address
	phones                           []phone
}

// group is a contact group; of a contact's own it has no state.
type group struct{ id, name, status string }

// person is one of the people of a contact.
type person struct{ first, last, email string }

// address is an address of a kind, STREET or POBOX. It is written back as it was read, but for what is to change.
type address struct {
	Kind       string `json:"AddressType"`
	Line1      string `json:"AddressLine1"`
	Line2      string `json:"AddressLine2"`
	Line3      string `json:"AddressLine3"`
	Line4      string `json:"AddressLine4"`
	City       string `json:"City"`
	Region     string `json:"Region"`
	PostalCode string `json:"PostalCode"`
	Country    string `json:"Country"`
	Attention  string `json:"AttentionTo"`
}

// phone is a number of a kind: DEFAULT, DDI, MOBILE, FAX or OFFICE. It is written back like an address.
type phone struct {
	Kind    string `json:"PhoneType"`
	Number  string `json:"PhoneNumber"`
	Area    string `json:"PhoneAreaCode"`
	Country string `json:"PhoneCountryCode"`
}

// contact reads the object that comes next.
func (r *reader) contact() (contact, error) {
	var c contact
	err := r.object(func(key string) error {
		if target := c.text(key); target != nil {
			return r.line(target)
		}
		return r.part(&c, key)
	})
	if err != nil {
		return c, err
	}
	if c.id, err = id(c.id, "a contact"); err != nil {
		return c, err
	}
	if c.mergedTo != "" {
		c.mergedTo, err = id(c.mergedTo, "what a contact was merged into")
	}
	switch c.status {
	case active, archived, erased:
		return c, err
	}
	return c, provider.Errorf(provider.ErrInvalid, "a contact in the provider's answer is in no known state") // not guessed
}

// The states of a contact.
const (
	active   = "ACTIVE"
	archived = "ARCHIVED"
	erased   = "GDPRREQUEST"
)

// id returns an identifier in the one spelling that all of them are kept in.
func id(text, whose string) (string, error) {
	if len(text) != len(uuid.Nil.String()) || uuid.Validate(text) != nil {
		return "", provider.Errorf(provider.ErrInvalid, "%s in the provider's answer has no valid identifier", whose)
	}
	return strings.ToLower(text), nil
}

// text returns where the text of a key belongs, or nil.
func (c *contact) text(key string) *string {
	switch key {
	case "ContactID":
		return &c.id
	case "MergedToContactID":
		return &c.mergedTo
	case "ContactStatus":
		return &c.status
	case "Name":
		return &c.name
	case "FirstName":
		return &c.firstName
	case "LastName":
		return &c.lastName
	case "EmailAddress":
		return &c.email
	case "AccountNumber":
		return &c.account
	case "TaxNumber":
		return &c.tax
	case "CompanyNumber":
		return &c.company
	case "Website":
		return &c.website
	}
	return nil
}

// part reads what is not a line of text.
func (r *reader) part(c *contact, key string) (err error) {
	switch key {
	case "IsCustomer":
		c.customer, err = r.flag()
	case "IsSupplier":
		c.supplier, err = r.flag()
	case "ContactGroups":
		c.groupsRead = true
		c.groups, err = r.groups()
	case "ContactPersons":
		err = r.list(func() error {
			var p person
			err := r.fields(map[string]*string{"FirstName": &p.first, "LastName": &p.last, "EmailAddress": &p.email})
			c.people = append(c.people, p)
			return err
		})
	case "Addresses":
		err = r.list(func() error {
			var a address
			err := r.fields(map[string]*string{"AddressType": &a.Kind, "AddressLine1": &a.Line1, "AddressLine2": &a.Line2,
				"AddressLine3": &a.Line3, "AddressLine4": &a.Line4, "City": &a.City, "Region": &a.Region,
				"PostalCode": &a.PostalCode, "Country": &a.Country, "AttentionTo": &a.Attention})
			c.addresses = append(c.addresses, a)
			return err
		})
	case "Phones":
		err = r.list(func() error {
			var p phone
			err := r.fields(map[string]*string{"PhoneType": &p.Kind, "PhoneNumber": &p.Number, "PhoneAreaCode": &p.Area,
				"PhoneCountryCode": &p.Country})
			c.phones = append(c.phones, p)
			return err
		})
	default:
		err = r.skip()
	}
	return err
}

// groups reads the list of groups that comes next.
func (r *reader) groups() (all []group, err error) {
	err = r.list(func() error {
		one, err := r.group()
		all = append(all, one)
		return err
	})
	return all, err
}

// group reads the object that comes next.
func (r *reader) group() (g group, err error) {
	err = r.fields(map[string]*string{"ContactGroupID": &g.id, "Name": &g.name, "Status": &g.status})
	if err == nil {
		g.id, err = id(g.id, "a contact group")
	}
	return g, err
}

// fields reads the object that comes next, whose keys of interest are lines of text.
func (r *reader) fields(targets map[string]*string) error {
	return r.object(func(key string) error {
		if target, known := targets[key]; known {
			return r.line(target)
		}
		return r.skip()
	})
}

// line reads a text as one line without white space around it.
func (r *reader) line(into *string) error {
	text, err := r.text()
	if strings.ContainsAny(text, "\r\n\t") {
		text = strings.Join(strings.Fields(text), " ")
	}
	*into = strings.TrimSpace(text)
	return err
}
