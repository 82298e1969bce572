// Package client holds what a client and a contact of a firm are, apart from where they are stored: their comparable
// fields, what differs between two sets of them, and the keys by which lists are sorted and searched.
package client

import (
	"encoding/json"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Fields are the fields of a client that both sides of a link have, as the provider's listing words them. Everything is
// text; what a provider does not say is empty.
type Fields struct {
	Name           string   `json:"name"`
	Code           string   `json:"code,omitempty"`
	EntityType     string   `json:"entity_type,omitempty"`
	FirstName      string   `json:"first_name,omitempty"`
	LastName       string   `json:"last_name,omitempty"`
	Email          string   `json:"email,omitempty"`
	Phone          string   `json:"phone,omitempty"`
	Mobile         string   `json:"mobile,omitempty"`
	OtherPhone     string   `json:"other_phone,omitempty"`
	Website        string   `json:"website,omitempty"`
	Postal         Address  `json:"postal,omitzero"`
	Physical       Address  `json:"physical,omitzero"`
	TaxNumber      string   `json:"tax_number,omitempty"`
	BusinessNumber string   `json:"business_number,omitempty"`
	CompanyNumber  string   `json:"company_number,omitempty"`
	BirthDate      string   `json:"birth_date,omitempty"`
	Groups         []string `json:"groups,omitempty"`
}

// Address is a postal or physical address.
type Address struct {
	Street     string `json:"street,omitempty"`
	City       string `json:"city,omitempty"`
	Region     string `json:"region,omitempty"`
	PostalCode string `json:"postal_code,omitempty"`
	Country    string `json:"country,omitempty"`
}

// Change is one field that differs.
type Change struct {
	// Field is the field's name for people, for example "postal address".
	Field string
	// Old and New are the values; empty for what is better not repeated in a trail: tax numbers.
	Old, New string
}

// Diff returns the fields in which f differs from old, in a fixed order.
func (f Fields) Diff(old Fields) []Change {
	var out []Change
	add := func(name, was, is string) {
		if was != is {
			out = append(out, Change{Field: name, Old: was, New: is})
		}
	}
	add("name", old.Name, f.Name)
	add("code", old.Code, f.Code)
	add("entity type", old.EntityType, f.EntityType)
	add("first name", old.FirstName, f.FirstName)
	add("last name", old.LastName, f.LastName)
	add("e-mail", old.Email, f.Email)
	add("phone", old.Phone, f.Phone)
	add("mobile", old.Mobile, f.Mobile)
	add("other phone", old.OtherPhone, f.OtherPhone)
	add("website", old.Website, f.Website)
	add("postal address", old.Postal.String(), f.Postal.String())
	add("physical address", old.Physical.String(), f.Physical.String())
	if old.TaxNumber != f.TaxNumber {
		out = append(out, Change{Field: "tax number"})
	}
	add("business number", old.BusinessNumber, f.BusinessNumber)
	add("company number", old.CompanyNumber, f.CompanyNumber)
	add("birth date", old.BirthDate, f.BirthDate)
	add("groups", strings.Join(old.Groups, ", "), strings.Join(f.Groups, ", "))
	return out
}

// Clean returns f with text in the form in which it is stored: NFC, without surrounding space and without NUL, which
// one of the databases can not store. Groups are sorted, since their order means nothing.
func (f Fields) Clean() Fields {
	for _, s := range []*string{
		&f.Name, &f.Code, &f.EntityType, &f.FirstName, &f.LastName, &f.Email, &f.Phone, &f.Mobile, &f.OtherPhone,
		&f.Website, &f.TaxNumber, &f.BusinessNumber, &f.CompanyNumber, &f.BirthDate,
	} {
		*s = Text(*s)
	}
	f.Postal, f.Physical = f.Postal.clean(), f.Physical.clean()
	groups := make([]string, 0, len(f.Groups))
	for _, g := range f.Groups {
		if g = Text(g); g != "" {
			groups = append(groups, g)
		}
	}
	slices.Sort(groups)
	f.Groups = slices.Compact(groups)
	return f
}

func (a Address) clean() Address {
	return Address{
		Street: Text(a.Street), City: Text(a.City), Region: Text(a.Region),
		PostalCode: Text(a.PostalCode), Country: Text(a.Country),
	}
}

// String is the address in one line.
func (a Address) String() string {
	var parts []string
	for _, p := range []string{strings.ReplaceAll(a.Street, "\n", ", "), a.City, a.Region, a.PostalCode, a.Country} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ", ")
}

// JSON is f as it is stored. Equal fields have equal JSON.
func (f Fields) JSON() string { return encode(f) }

// ParseFields reads what JSON wrote. Text that is no such thing gives empty fields: it can only come from outside.
func ParseFields(s string) Fields { return decode[Fields](s) }

// Text brings text into the one form in which it is stored and compared.
func Text(s string) string {
	if plain(s) {
		return strings.TrimSpace(s)
	}
	return norm.NFC.String(strings.TrimSpace(strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")))
}

// plain tells whether s is printable ASCII or line breaks, which is NFC already. Most values are.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] == 0 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "{}" // structs of strings always have a JSON form
	}
	return string(text)
}

func decode[T any](s string) T {
	var v T
	if s != "" {
		_ = json.Unmarshal([]byte(s), &v)
	}
	return v
}
