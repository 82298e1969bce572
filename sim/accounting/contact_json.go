package accounting

import (
	"fmt"
	"time"

	"github.com/concord-suite/concord/sim/world"
)

// envelope is around every answer. The order of the members is the published one.
type envelope struct {
	ID            string `json:"Id"`
	Status        string
	ProviderName  string
	DateTimeUTC   string
	Pagination    *pagination     `json:"pagination,omitempty"`
	Contacts      *[]contact      `json:",omitempty"`
	ContactGroups *[]group        `json:",omitempty"`
	Organisations *[]organisation `json:",omitempty"`
}

type pagination struct {
	Page      int `json:"page"`
	PageSize  int `json:"pageSize"`
	PageCount int `json:"pageCount"`
	ItemCount int `json:"itemCount"`
}

// contact is a contact in an answer. Members that are pointers or may be left out are not in every form.
type contact struct {
	ContactID          string
	MergedToContactID  string  `json:",omitempty"`
	ContactNumber      string  `json:",omitempty"`
	AccountNumber      string  `json:",omitempty"`
	ContactStatus      string  `json:",omitempty"`
	Name               string  `json:",omitempty"`
	FirstName          string  `json:",omitempty"`
	LastName           string  `json:",omitempty"`
	CompanyNumber      string  `json:",omitempty"`
	EmailAddress       *string `json:",omitempty"`
	BankAccountDetails *string `json:",omitempty"`
	TaxNumber          string  `json:",omitempty"`
	Addresses          []address
	Phones             []phone
	UpdatedDateUTC     string `json:",omitempty"`
	ContactGroups      []group
	IsSupplier         *bool     `json:",omitempty"`
	IsCustomer         *bool     `json:",omitempty"`
	SalesDefault       string    `json:"SalesDefaultLineAmountType,omitempty"`
	PurchasesDefault   string    `json:"PurchasesDefaultLineAmountType,omitempty"`
	DefaultCurrency    string    `json:",omitempty"`
	Website            string    `json:",omitempty"`
	Balances           *balances `json:",omitempty"`
	ContactPersons     []person
	HasAttachments     *bool `json:",omitempty"`

	StatusAttributeString string `json:",omitempty"`
	HasValidationErrors   bool
	ValidationErrors      []message `json:",omitempty"`
}

type address struct {
	AddressType                                            string
	AddressLine1, AddressLine2, AddressLine3, AddressLine4 string `json:",omitempty"`
	City, Region, PostalCode, Country                      string
	AttentionTo                                            string `json:",omitempty"`
}

type phone struct {
	PhoneType, PhoneNumber, PhoneAreaCode, PhoneCountryCode string
}

type person struct {
	FirstName       string `json:",omitempty"`
	LastName        string `json:",omitempty"`
	EmailAddress    string `json:",omitempty"`
	IncludeInEmails bool
}

type balances struct {
	AccountsReceivable, AccountsPayable struct{ Outstanding, Overdue float64 }
}

type message struct{ Message string }

// form says how much of a contact goes into an answer.
type form int

const (
	whole   form = iota // one contact, or a page
	unpaged             // a listing without a page leaves out what takes time to find
	summary             // and so does one with summaryOnly, but for people and defaults
)

// stamp is the provider's form of a time.
func stamp(t time.Time) string { return fmt.Sprintf("/Date(%d+0000)/", t.UnixMilli()) }

// show writes a contact. groups are the names of the tenant's groups that are not deleted.
func show(p *world.Party, groups map[string]string, f form) contact {
	c := contact{ContactID: p.ID, ContactNumber: p.Number, AccountNumber: p.Account, ContactStatus: p.Status, Name: p.Name,
		FirstName: p.FirstName, LastName: p.LastName, CompanyNumber: p.CompanyNumber, EmailAddress: &p.Email,
		BankAccountDetails: &p.Bank, TaxNumber: p.TaxNumber, Addresses: addresses(p), Phones: phones(p),
		UpdatedDateUTC: stamp(p.Updated), ContactGroups: []group{}, ContactPersons: []person{}}
	for _, id := range p.Groups {
		if name, there := groups[id]; there {
			c.ContactGroups = append(c.ContactGroups, group{ContactGroupID: id, Name: name, Status: "ACTIVE", Contacts: []contact{}})
		}
	}
	if f != summary {
		c.IsSupplier, c.IsCustomer = &p.Supplier, &p.Customer
	}
	if f == unpaged {
		return c
	}
	c.SalesDefault, c.PurchasesDefault = "INCLUSIVE", "INCLUSIVE"
	c.MergedToContactID, c.DefaultCurrency, c.Website = p.MergedTo, p.Currency, p.Website
	for _, o := range p.People {
		c.ContactPersons = append(c.ContactPersons, person{o.FirstName, o.LastName, o.Email, o.Included})
	}
	if f == whole {
		c.HasAttachments = new(bool)
		c.Balances = owing(p)
	}
	return c
}

func owing(p *world.Party) *balances {
	if !p.Customer && !p.Supplier {
		return nil
	}
	var b balances
	const cents = 100
	b.AccountsReceivable.Outstanding = float64(p.Owes) / cents
	b.AccountsPayable.Outstanding = float64(p.Owed) / cents
	return &b
}

// addresses writes both kinds, whether or not there is one.
func addresses(p *world.Party) []address {
	var list []address
	for _, kind := range addressKinds {
		a := address{AddressType: kind}
		if at := p.Address(kind); at >= 0 {
			o := p.Addresses[at]
			a = address{kind, o.Lines[0], o.Lines[1], o.Lines[2], o.Lines[3], o.City, o.Region, o.PostCode, o.Country, o.Attention}
		}
		list = append(list, a)
	}
	return list
}

// phones writes four kinds, whether or not there is one, and the office's if there is.
func phones(p *world.Party) []phone {
	var list []phone
	for _, kind := range phoneKinds {
		n := phone{PhoneType: kind}
		at := p.Phone(kind)
		if at >= 0 {
			o := p.Phones[at]
			n = phone{kind, o.Number, o.Area, o.Country}
		}
		if at >= 0 || kind != "OFFICE" {
			list = append(list, n)
		}
	}
	return list
}

var (
	addressKinds = []string{"STREET", "POBOX"}
	phoneKinds   = []string{"DDI", "DEFAULT", "FAX", "MOBILE", "OFFICE"}
)

// brief is a contact where another resource only names it.
func brief(p *world.Party) contact {
	return contact{ContactID: p.ID, Name: p.Name, Addresses: []address{}, Phones: []phone{}, ContactGroups: []group{}, ContactPersons: []person{}}
}
