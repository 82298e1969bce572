package accounting

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/concord-suite/concord/sim/world"
)

// word is text in a request. Like the provider it takes numbers and booleans for text.
type word string

// UnmarshalJSON reads a string, a number or a boolean.
func (w *word) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(w))
	}
	if len(b) > 0 && (b[0] == '{' || b[0] == '[') {
		return fmt.Errorf("unexpected character encountered while parsing value: %c", b[0])
	}
	*w = word(b)
	return nil
}

// contactIn is a contact in a request. What is absent or null stays as it is; empty text clears.
type contactIn struct {
	ContactID, ContactStatus, Name, ContactNumber, AccountNumber, FirstName, LastName *word
	CompanyNumber, EmailAddress, BankAccountDetails, TaxNumber, DefaultCurrency       *word
	ContactPersons                                                                    *[]personIn
	Addresses                                                                         []addressIn
	Phones                                                                            []phoneIn
}

type personIn struct {
	FirstName, LastName, EmailAddress word
	IncludeInEmails                   bool
}

type addressIn struct {
	AddressType                                            word
	AddressLine1, AddressLine2, AddressLine3, AddressLine4 *word
	City, Region, PostalCode, Country, AttentionTo         *word
}

type phoneIn struct {
	PhoneType                                    word
	PhoneNumber, PhoneAreaCode, PhoneCountryCode *word
}

// decode reads a body. Members nobody knows are ignored, as the provider does.
func decode(c *call, into any) error {
	if len(bytes.TrimSpace(c.body)) == 0 {
		return errNoData("Contact")
	}
	if err := json.Unmarshal(c.body, into); err != nil {
		return except(badPost, "JSON for post data was invalid,"+err.Error())
	}
	return nil
}

func errNoData(what string) error {
	return except(nothingDone, "No data has been processed for this endpoint. This endpoint is expecting "+what+" data to be specifed in the request body.")
}

// contacts reads {"Contacts":[…]} or one contact alone.
func (c *call) contacts() ([]contactIn, error) {
	var body struct {
		Contacts *[]contactIn
		contactIn
	}
	if err := decode(c, &body); err != nil {
		return nil, err
	}
	switch {
	case body.Contacts != nil && len(*body.Contacts) > 0:
		return *body.Contacts, nil
	case body.Contacts == nil && (body.Name != nil || body.ContactID != nil || body.ContactNumber != nil || c.PathValue("id") != ""):
		return []contactIn{body.contactIn}, nil
	}
	return nil, errNoData("Contact")
}

// id returns the ContactID of a request; one of zeros alone names nobody.
func (in *contactIn) id() string {
	if in.ContactID == nil || strings.Trim(string(*in.ContactID), "0-") == "" {
		return ""
	}
	return strings.ToLower(string(*in.ContactID))
}

// wrongs collects what is wrong with an element, in words.
type wrongs []message

func (w *wrongs) add(format string, args ...any) {
	*w = append(*w, message{fmt.Sprintf(format, args...)})
}

// set writes a value over another if it is there and not too long.
func (w *wrongs) set(name string, in *word, target *string, most int) {
	switch {
	case in == nil:
	case utf8.RuneCountInString(string(*in)) > most:
		w.add("The length of %s must not exceed %d characters.", name, most)
	default:
		*target = string(*in)
	}
}

// Longest values, in characters, as published.
const (
	long    = 255
	short   = 50
	line    = 500
	area    = 10
	country = 20
	// people is the most further people of a contact.
	people = 5
	// bank is not published; no account number is longer.
	bank = 100
)

// email is what the provider takes for an address: no umlauts, no spaces.
var email = regexp.MustCompile(`^[!-?A-~]+@[!-?A-~]+\.[!-?A-~]+$`)

// apply writes a request over a contact and says what is wrong with it.
func (in *contactIn) apply(p *world.Party) (w wrongs) {
	w.set("Name", in.Name, &p.Name, long)
	w.set("ContactNumber", in.ContactNumber, &p.Number, short)
	w.set("AccountNumber", in.AccountNumber, &p.Account, short)
	w.set("FirstName", in.FirstName, &p.FirstName, long)
	w.set("LastName", in.LastName, &p.LastName, long)
	w.set("CompanyNumber", in.CompanyNumber, &p.CompanyNumber, short)
	w.set("EmailAddress", in.EmailAddress, &p.Email, long)
	w.set("BankAccountDetails", in.BankAccountDetails, &p.Bank, bank)
	w.set("TaxNumber", in.TaxNumber, &p.TaxNumber, short)
	w.set("DefaultCurrency", in.DefaultCurrency, &p.Currency, len("AUD"))
	if strings.TrimSpace(p.Name) == "" {
		w.add("The contact Name is required.")
	}
	if in.EmailAddress != nil && p.Email != "" && !email.MatchString(p.Email) {
		w.add("EmailAddress: email address must be valid.")
	}
	in.applyStatus(p, &w)
	in.applyPeople(p, &w)
	for _, a := range in.Addresses {
		a.apply(p, &w)
	}
	for _, n := range in.Phones {
		n.apply(p, &w)
	}
	return w
}

func (in *contactIn) applyStatus(p *world.Party, w *wrongs) {
	if p.Status == world.PartyErased {
		w.add("The contact asked to be erased and cannot be changed.")
	}
	if in.ContactStatus == nil || string(*in.ContactStatus) == p.Status {
		return
	}
	switch status := string(*in.ContactStatus); {
	case status == world.PartyArchived:
		p.Status = status
	case status == world.PartyActive:
		w.add("ContactStatus: an archived contact cannot be made active through the API.")
	default:
		w.add("ContactStatus: '%s' is not valid.", status)
	}
}

func (in *contactIn) applyPeople(p *world.Party, w *wrongs) {
	if in.ContactPersons == nil {
		return
	}
	if len(*in.ContactPersons) > people {
		w.add("ContactPersons: a contact can have %d people at most.", people)
		return
	}
	p.People = nil
	for _, o := range *in.ContactPersons {
		n := world.PartyPerson{Included: o.IncludeInEmails}
		w.set("ContactPersons.FirstName", &o.FirstName, &n.FirstName, long)
		w.set("ContactPersons.LastName", &o.LastName, &n.LastName, long)
		w.set("ContactPersons.EmailAddress", &o.EmailAddress, &n.Email, long)
		if n.Email != "" && !email.MatchString(n.Email) {
			w.add("ContactPersons.EmailAddress: email address must be valid.")
		}
		p.People = append(p.People, n)
	}
}

// letters is all that may be in the name of a country.
var letters = regexp.MustCompile(`^[A-Za-z ]*$`)

func (a *addressIn) apply(p *world.Party, w *wrongs) {
	kind := strings.ToUpper(string(a.AddressType))
	if !slices.Contains(addressKinds, kind) {
		w.add("Addresses: the AddressType '%s' is not valid.", a.AddressType)
		return
	}
	at := p.Address(kind)
	if at < 0 {
		at = len(p.Addresses)
		p.Addresses = append(p.Addresses, world.PartyAddress{Kind: kind})
	}
	n := &p.Addresses[at]
	for i, in := range []*word{a.AddressLine1, a.AddressLine2, a.AddressLine3, a.AddressLine4} {
		w.set(fmt.Sprintf("AddressLine%d", i+1), in, &n.Lines[i], line)
	}
	w.set("City", a.City, &n.City, long)
	w.set("Region", a.Region, &n.Region, long)
	w.set("PostalCode", a.PostalCode, &n.PostCode, short)
	w.set("Country", a.Country, &n.Country, short)
	w.set("AttentionTo", a.AttentionTo, &n.Attention, long)
	if a.Country != nil && !letters.MatchString(n.Country) {
		w.add("Country: only letters are allowed.")
	}
}

func (n *phoneIn) apply(p *world.Party, w *wrongs) {
	kind := strings.ToUpper(string(n.PhoneType))
	if !slices.Contains(phoneKinds, kind) {
		w.add("Phones: the PhoneType '%s' is not valid.", n.PhoneType)
		return
	}
	at := p.Phone(kind)
	if at < 0 {
		at = len(p.Phones)
		p.Phones = append(p.Phones, world.PartyPhone{Kind: kind})
	}
	w.set("PhoneNumber", n.PhoneNumber, &p.Phones[at].Number, short)
	w.set("PhoneAreaCode", n.PhoneAreaCode, &p.Phones[at].Area, area)
	w.set("PhoneCountryCode", n.PhoneCountryCode, &p.Phones[at].Country, country)
}
