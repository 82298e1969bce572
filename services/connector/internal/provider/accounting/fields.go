package accounting

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/concord-suite/concord/services/connector/internal/record"
)

// The contact types that every organisation has. A group is a type of its own: groupType and its id.
const (
	customers = "CUSTOMERS"
	suppliers = "SUPPLIERS"
	groupType = "GROUP:"
)

// The kinds of addresses and phones that have a field.
const (
	street, postBox             = "STREET", "POBOX"
	mainPhone, direct, cellular = "DEFAULT", "DDI", "MOBILE"
)

// record returns the contact in the shape that all providers share. The provider's account number is the client's code;
// its tax number is the ABN, GST, VAT or tax number as the organisation's country has it.
func (c contact) record() record.Record {
	r := record.Record{ID: c.id, State: c.state(), MergedInto: c.mergedTo, Types: c.types(), Client: &record.Client{
		Name: c.name, Code: c.account, FirstName: c.firstName, LastName: c.lastName, Email: c.email, Website: c.website,
		Phone: c.phone(mainPhone).text(), OtherPhone: c.phone(direct).text(), Mobile: c.phone(cellular).text(),
		Postal: c.address(postBox).fields(), Physical: c.address(street).fields(),
		TaxNumber: c.tax, CompanyNumber: c.company, GroupsRead: c.groupsRead,
		CustomFieldsRead: true, RelationshipsRead: true, // the provider has none: there is nothing left to read
	}}
	for _, g := range c.groups {
		if g.name != "" && g.status != "DELETED" {
			r.Client.Groups = append(r.Client.Groups, g.name)
		}
	}
	return r
}

// state is archived also for a contact that was merged into another, and for one whose data were erased on request.
func (c contact) state() record.State {
	if c.status == active && c.mergedTo == "" {
		return record.Active
	}
	return record.Archived
}

// types returns the contact types it is of, as they stand in a connection's options.
func (c contact) types() []string {
	var all []string
	if c.customer {
		all = append(all, customers)
	}
	if c.supplier {
		all = append(all, suppliers)
	}
	for _, g := range c.groups {
		all = append(all, groupType+g.id)
	}
	return all
}

func (c contact) address(kind string) address {
	for _, a := range c.addresses {
		if strings.EqualFold(a.Kind, kind) {
			return a
		}
	}
	return address{Kind: kind}
}

func (c contact) phone(kind string) phone {
	for _, p := range c.phones {
		if strings.EqualFold(p.Kind, kind) {
			return p
		}
	}
	return phone{Kind: kind}
}

func (a address) fields() record.Address {
	var lines []string
	for _, line := range []string{a.Line1, a.Line2, a.Line3, a.Line4} {
		if line != "" {
			lines = append(lines, line)
		}
	}
	return record.Address{Street: strings.Join(lines, "\n"), City: a.City, Region: a.Region, PostalCode: a.PostalCode, Country: a.Country}
}

// text returns the number as one would write it down: country code with a plus, area code, number. A number that is
// written back stands in one piece, and reads the same.
func (p phone) text() string {
	if p.Number == "" {
		return "" // codes without a number are no number
	}
	country := p.Country
	if country != "" && !strings.HasPrefix(country, "+") && !strings.HasPrefix(country, "00") {
		country = "+" + country
	}
	return strings.Join(strings.Fields(country+" "+p.Area+" "+p.Number), " ")
}

// contacts returns the contact's people. The provider has no ids for them, so a person's is made of the contact's and of
// what one is told apart by: the e-mail address, or the name of who has none. Somebody who stands there twice is one.
func (c contact) contacts() []record.Record {
	var all []record.Record
	seen := map[string]bool{}
	for _, p := range c.people {
		name := strings.TrimSpace(p.first + " " + p.last)
		key := "e-mail:" + strings.ToLower(p.email)
		if p.email == "" {
			key = "name:" + strings.ToLower(name)
		}
		if name == "" && p.email == "" || seen[key] {
			continue
		}
		seen[key] = true
		sum := sha256.Sum256([]byte(key))
		all = append(all, record.Record{ID: c.id + "/" + hex.EncodeToString(sum[:16]), State: record.Active, Types: c.types(),
			Contact: &record.Contact{Name: name, Email: p.email, Links: []record.Link{{Client: c.id}}}})
	}
	return all
}
