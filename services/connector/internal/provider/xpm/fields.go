package xpm

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// client is one Client element.
type client struct {
	uuid, legacy      string
	archived, deleted bool
	fields            record.Client
	contacts          []contact
}

// contact is one Contact element. Position and primary are there only where it stands within a client.
type contact struct {
	id               string
	deleted, primary bool
	position         string
	fields           record.Contact
}

// parts are the elements that a client has one of.
var parts = single("UUID", "ID", "Name", "ExportCode", "BusinessStructure", "FirstName", "LastName", "Email", "Phone", "Fax",
	"Website|WebSite", "TaxNumber", "BusinessNumber", "CompanyNumber", "DateOfBirth", "IsArchived", "IsDeleted", "Contacts", "Groups",
	"Relationships", "Address", "City", "Region", "PostCode|Postcode", "Country",
	"PostalAddress", "PostalCity", "PostalRegion", "PostalPostCode", "PostalCountry")

// client reads the element last opened.
func (r *reader) client() (client, error) {
	var c client
	var there seen
	err := r.each(func(name string) error {
		if there.twice(parts, name) {
			return errTwice
		}
		if target := c.text(name); target != nil {
			v, err := r.value()
			*target = line(v)
			return err
		}
		return r.clientPart(&c, name)
	})
	if err != nil {
		return c, err
	}
	if c.uuid = identifier(c.uuid); c.uuid == "" {
		return c, provider.Errorf(provider.ErrInvalid, "a client in the provider's answer has no valid UUID")
	}
	f := &c.fields
	if f.EntityType == "" && (f.FirstName != "" || f.LastName != "") {
		f.EntityType = "Individual" // only individuals have these elements
	}
	f.BirthDate = birthday(f.BirthDate)
	return c, nil
}

// identifier returns a UUID in lower case, or "" for what is none.
func identifier(v string) string {
	if len(v) != len(uuid.Nil.String()) || uuid.Validate(v) != nil {
		return ""
	}
	return strings.ToLower(v)
}

// text returns where the text of an element belongs, or nil. The provider calls the practice's code ExportCode.
func (c *client) text(name string) *string {
	f := &c.fields
	switch name {
	case "UUID":
		return &c.uuid
	case "ID":
		return &c.legacy
	case "Name":
		return &f.Name
	case "ExportCode":
		return &f.Code
	case "BusinessStructure":
		return &f.EntityType
	case "FirstName":
		return &f.FirstName
	case "LastName":
		return &f.LastName
	case "Email":
		return &f.Email
	case "Phone":
		return &f.Phone
	case "Fax":
		return &f.OtherPhone
	case "Website", "WebSite":
		return &f.Website
	case "TaxNumber":
		return &f.TaxNumber
	case "BusinessNumber":
		return &f.BusinessNumber
	case "CompanyNumber":
		return &f.CompanyNumber
	case "DateOfBirth":
		return &f.BirthDate
	}
	return c.addressText(name)
}

func (c *client) addressText(name string) *string {
	a, part := &c.fields.Physical, name
	if rest, ok := strings.CutPrefix(name, "Postal"); ok {
		a, part = &c.fields.Postal, rest
	}
	switch part {
	case "City":
		return &a.City
	case "Region":
		return &a.Region
	case "PostCode", "Postcode":
		return &a.PostalCode
	case "Country":
		return &a.Country
	}
	return nil
}

// clientPart reads the elements of a client that are not a line of text.
func (r *reader) clientPart(c *client, name string) (err error) {
	switch name {
	case "Address":
		c.fields.Physical.Street, err = r.lines()
	case "PostalAddress":
		c.fields.Postal.Street, err = r.lines()
	case "IsArchived":
		c.archived, err = r.flag(name)
	case "IsDeleted":
		c.deleted, err = r.flag(name)
	case "Contacts":
		c.contacts, err = r.contacts()
		c.contacts = unique(c.contacts)
	case "Groups":
		c.fields.GroupsRead = true
		c.fields.Groups, err = r.groups()
	case "Relationships":
		c.fields.RelationshipsRead = true
		c.fields.Relationships, err = r.relationships()
	}
	return err
}

// contacts reads the Contact elements within the element last opened.
func (r *reader) contacts() (all []contact, err error) {
	err = r.each(func(name string) error {
		if name != "Contact" {
			return nil
		}
		c, err := r.contact()
		all = append(all, c)
		return err
	})
	return all, err
}

// unique leaves out contacts that stand in a list a second time. A contact belongs to a client once.
func unique(list []contact) []contact {
	if len(list) < 2 {
		return list
	}
	there := make(map[string]bool, len(list))
	return slices.DeleteFunc(list, func(c contact) bool {
		before := there[c.id]
		there[c.id] = true
		return before
	})
}

// personParts are the elements that a contact has one of.
var personParts = single("UUID", "ID", "Name", "Salutation", "Mobile", "Email", "Phone", "Position", "IsPrimary", "IsDeleted")

// contact reads the element last opened. In version 3.0 a contact has an integer ID and no UUID.
func (r *reader) contact() (contact, error) {
	var c contact
	var there seen
	var id, legacy string
	err := r.each(func(name string) (err error) {
		target := &c.position
		if there.twice(personParts, name) {
			return errTwice
		}
		switch name {
		case "IsDeleted":
			c.deleted, err = r.flag(name)
			return err
		case "IsPrimary":
			c.primary, err = r.flag(name)
			return err
		case "UUID":
			target = &id
		case "ID":
			target = &legacy
		case "Name":
			target = &c.fields.Name
		case "Salutation":
			target = &c.fields.Salutation
		case "Mobile":
			target = &c.fields.Mobile
		case "Email":
			target = &c.fields.Email
		case "Phone":
			target = &c.fields.Phone
		case "Position":
		default:
			return nil
		}
		v, err := r.value()
		*target = line(v)
		return err
	})
	if c.id = strings.ToLower(id); c.id == "" {
		c.id = legacy
	}
	if c.position == "0" { // recorded where a contact was given none
		c.position = ""
	}
	if err == nil && c.id == "" {
		err = provider.Errorf(provider.ErrInvalid, "a contact in the provider's answer has no identifier")
	}
	return c, err
}

// groups reads the names of the Group elements within the element last opened.
func (r *reader) groups() (names []string, err error) {
	err = r.each(func(string) error {
		return r.each(func(name string) error {
			if name != "Name" {
				return nil
			}
			v, err := r.value()
			names = append(names, line(v))
			return err
		})
	})
	return names, err
}

// flag reads Yes or No. Anything else is an error: whether a client is archived is not guessed.
func (r *reader) flag(name string) (bool, error) {
	v, err := r.value()
	if err != nil {
		return false, err
	}
	switch strings.ToLower(v) {
	case "yes", "true":
		return true, nil
	case "no", "false", "":
		return false, nil
	}
	return false, provider.Errorf(provider.ErrInvalid, "%s in the provider's answer is neither Yes nor No", name)
}

// lines reads a text of several lines without their indentation and without empty ones.
func (r *reader) lines() (string, error) {
	v, err := r.value()
	var kept []string
	for l := range strings.Lines(v) {
		if l = strings.TrimSpace(l); l != "" {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, "\n"), err
}

// line makes one line of a text.
func line(v string) string {
	if strings.ContainsAny(v, "\r\n\t") {
		return strings.Join(strings.Fields(v), " ")
	}
	return v
}

// birthday returns a date of birth as YYYY-MM-DD. A year that nobody was born in, such as the provider's 0001, and a text that
// is no date count as none.
func birthday(v string) string {
	if day, ok := date(v); ok && day >= "1800" {
		return day
	}
	return ""
}

// date returns a day as YYYY-MM-DD. The provider writes it with and without a time.
func date(v string) (string, bool) {
	day, _, _ := strings.Cut(v, "T")
	day, _, _ = strings.Cut(day, " ")
	for _, layout := range []string{time.DateOnly, "20060102"} {
		if at, err := time.Parse(layout, day); err == nil {
			return at.Format(time.DateOnly), true
		}
	}
	return "", false
}

// record returns the client in the shape all providers share.
func (c client) record() record.Record {
	state := record.Active
	switch {
	case c.deleted:
		state = record.Deleted
	case c.archived:
		state = record.Archived
	}
	fields := c.fields
	return record.Record{ID: c.uuid, State: state, Client: &fields, LegacyID: c.integer()}
}

// outline returns what an upgrade knows a client by.
func (c client) outline() record.Record {
	r := c.record()
	r.Outline, r.Client = true, &record.Client{Name: c.fields.Name, Code: c.fields.Code}
	return r
}

// integer returns the id of the time before OAuth 2, "" where there is none. What is no number is none: a client is found by
// it, and nobody's is found by "".
func (c client) integer() string {
	if _, err := strconv.ParseUint(c.legacy, 10, 64); err != nil {
		return ""
	}
	return c.legacy
}

// record returns the contact, tied to the clients given.
func (c contact) record(links []record.Link) record.Record {
	state := record.Active
	if c.deleted {
		state = record.Deleted
	}
	fields := c.fields
	fields.Links = links
	return record.Record{ID: c.id, State: state, Contact: &fields}
}

func (c contact) link(client string) record.Link {
	return record.Link{Client: client, Position: c.position, Primary: c.primary}
}
