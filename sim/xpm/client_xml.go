package xpm

import (
	"slices"
	"strconv"
	"strings"

	"github.com/concord-suite/concord/sim/world"
)

// detail says how much of a client goes into an answer.
type detail struct {
	contacts bool // Contacts
	full     bool // Notes, Groups, Relationships too
	dateTime bool // DateOfBirth with a time, as the listings write it
}

var (
	inList   = detail{contacts: true, dateTime: true}
	inDetail = detail{contacts: true, full: true, dateTime: true}
	inPage   = detail{dateTime: true}
	inGet    = detail{contacts: true, full: true}
)

// refs resolves what clients refer to. It is filled in one read so that an answer is consistent.
type refs struct {
	contacts map[string]*world.Contact
	names    map[string]string // staff, clients and groups by UUID
	ids      map[string]int    // groups by UUID, for 3.0
	country  string
}

// gather looks up everything the clients refer to.
func (s *Service) gather(tenant string, clients []*world.Client, d detail) refs {
	r := refs{contacts: map[string]*world.Contact{}, names: map[string]string{}, ids: map[string]int{}}
	s.store.View(func(st *world.State) {
		if t := st.Tenants.Get(tenant); t != nil {
			r.country = t.Country
		}
		for _, c := range clients {
			r.gather(st, c, d)
		}
	})
	return r
}

func (r *refs) gather(st *world.State, c *world.Client, d detail) {
	for _, id := range []string{c.AccountManager, c.JobManager} {
		if staff := st.Staff.Get(id); staff != nil {
			r.names[id] = staff.Name
		}
	}
	if other := st.Clients.Get(c.BillingClient); other != nil {
		r.names[other.UUID] = other.Name
	}
	for _, link := range c.Contacts {
		if contact := st.Contacts.Get(link.Contact); contact != nil && d.contacts {
			r.contacts[link.Contact] = contact
		}
	}
	if !d.full {
		return
	}
	for _, id := range c.Groups {
		if group := st.Groups.Get(id); group != nil {
			r.names[id], r.ids[id] = group.Name, group.ID
		}
	}
	for _, rel := range c.Relationships {
		if other := st.Clients.Get(rel.Related); other != nil {
			r.names[rel.Related] = other.Name
		}
	}
}

// client writes one client. The order of the elements is the recorded one of 3.0; elements recorded
// nowhere stand where the documentation of 3.1 has them.
func (w *writer) client(c *world.Client, r refs, d detail) {
	w.open("Client")
	if !w.v30 {
		w.text("UUID", c.UUID)
	} else if c.ID > 0 { // a few records never had one
		w.text("ID", strconv.Itoa(c.ID))
	}
	w.text("Name", c.Name)
	w.person(c, r, d)
	w.addresses(c)
	w.text("ExportCode", c.ExportCode)
	if w.v30 {
		w.yesNo("IsProspect", c.Prospect)
	}
	w.yesNo("IsArchived", c.Archived)
	w.yesNo("IsDeleted", c.Deleted)
	w.managers(c, r)
	if c.Tax != nil {
		w.tax(c.Tax, r.country)
	}
	if d.contacts {
		w.contacts(c, r)
	}
	if d.full {
		w.notes(c.Notes)
		w.groups(c.Groups, r)
		w.relationships(c.Relationships, r)
	}
	if w.v30 {
		w.text("UUID", c.UUID)
	}
	w.close("Client")
}

// person writes what is there for individuals only, and the e-mail, which is missing when empty.
func (w *writer) person(c *world.Client, r refs, d detail) {
	individual := !w.v30 && (c.FirstName != "" || c.LastName != "")
	if individual {
		if r.country == "AU" {
			w.text("Title", c.Title)
			w.text("Gender", c.Gender)
		}
		w.text("FirstName", c.FirstName)
		w.text("LastName", c.LastName)
		w.text("OtherName", c.OtherName)
	}
	w.optional("Email", c.Email)
	if c.DateOfBirth != "" && d.dateTime {
		w.text("DateOfBirth", c.DateOfBirth+"T00:00:00")
	} else {
		w.optional("DateOfBirth", c.DateOfBirth)
	}
}

func (w *writer) addresses(c *world.Client) {
	w.text("Address", c.Address)
	w.text("City", c.City)
	w.text("Region", c.Region)
	w.text("PostCode", c.PostCode)
	w.text("Country", c.Country)
	w.text("PostalAddress", c.PostalAddress)
	w.text("PostalCity", c.PostalCity)
	w.text("PostalRegion", c.PostalRegion)
	w.text("PostalPostCode", c.PostalPostCode)
	w.text("PostalCountry", c.PostalCountry)
	w.text("Phone", c.Phone)
	w.text("Fax", c.Fax)
	w.text("Website", c.Website)
	w.text("ReferralSource", c.ReferralSource)
}

func (w *writer) managers(c *world.Client, r refs) {
	if w.v30 {
		return // none of the recorded 3.0 answers has them
	}
	w.named("AccountManager", c.AccountManager, r)
	w.named("JobManager", c.JobManager, r)
	if t := c.Terms; t != nil {
		w.open("Type")
		w.text("Name", t.Name)
		w.text("CostMarkup", t.CostMarkup)
		w.text("PaymentTerm", t.PaymentTerm)
		w.text("PaymentDay", t.PaymentDay)
		w.close("Type")
	}
	w.named("BillingClient", c.BillingClient, r)
}

func (w *writer) named(element, id string, r refs) {
	if id == "" {
		return
	}
	w.open(element)
	w.text("UUID", id)
	w.text("Name", r.names[id])
	w.close(element)
}

func (w *writer) tax(t *world.Tax, country string) {
	w.text("TaxNumber", t.TaxNumber)
	w.text("CompanyNumber", t.CompanyNumber)
	w.text("BusinessNumber", t.BusinessNumber)
	w.text("BranchNumber", t.BranchNumber)
	if !w.v30 {
		w.optional("BusinessStructure", t.BusinessStructure)
		w.optional("BalanceMonth", t.BalanceMonth)
	}
	w.yesNo("GSTRegistered", t.GSTRegistered)
	w.yesNo("PrepareGST", t.PrepareGST)
	if !w.v30 {
		w.optional("GSTPeriod", t.GSTPeriod)
		w.optional("GSTBasis", t.GSTBasis)
		w.optional("ProvisionalTaxBasis", t.ProvisionalTaxBasis)
		w.optional("ProvisionalTaxRatio", t.ProvisionalTaxRatio)
	}
	w.yesNo("SignedTaxAuthority", t.SignedTaxAuthority)
	if !w.v30 && country == "NZ" {
		w.optional("TaxAgent", t.TaxAgent)
	}
	w.text("AgencyStatus", t.AgencyStatus)
	if !w.v30 && country == "NZ" {
		w.optional("ReturnType", t.ReturnType)
	}
	w.yesNo("PrepareActivityStatement", t.PrepareActivityStatement)
	w.yesNo("PrepareTaxReturn", t.PrepareTaxReturn)
	w.yesNo("ActiveAtoClient", t.ActiveATOClient)
}

// contacts writes the contacts of a client by name, deleted ones left out.
func (w *writer) contacts(c *world.Client, r refs) {
	links := slices.DeleteFunc(slices.Clone(c.Contacts), func(l world.Link) bool {
		contact := r.contacts[l.Contact]
		return contact == nil || contact.Deleted
	})
	slices.SortStableFunc(links, func(a, b world.Link) int {
		return strings.Compare(strings.ToLower(r.contacts[a.Contact].Name), strings.ToLower(r.contacts[b.Contact].Name))
	})
	w.list("Contacts", len(links), func(i int) { w.contact(r.contacts[links[i].Contact], &links[i]) })
}

// contact writes one contact. Primary and position belong to a client's link and are left out
// without one in 3.1; in 3.0 they are always there.
func (w *writer) contact(c *world.Contact, link *world.Link) {
	if link == nil && w.v30 {
		link = &world.Link{}
	}
	w.open("Contact")
	if w.v30 {
		w.text("ID", strconv.Itoa(c.ID))
		w.text("Name", c.Name)
		w.text("Mobile", c.Mobile)
		w.text("Email", c.Email)
		w.text("Phone", c.Phone)
		w.text("Position", link.Position)
		w.text("Salutation", c.Salutation)
		w.text("Addressee", c.Addressee)
		w.yesNo("IsPrimary", link.Primary)
		w.close("Contact")
		return
	}
	w.text("UUID", c.UUID)
	w.text("Name", c.Name)
	w.text("Salutation", c.Salutation)
	w.text("Addressee", c.Addressee)
	w.text("Mobile", c.Mobile)
	w.text("Email", c.Email)
	w.text("Phone", c.Phone)
	w.yesNo("IsDeleted", c.Deleted)
	if link != nil {
		w.yesNo("IsPrimary", link.Primary)
		w.text("Position", link.Position)
	}
	w.close("Contact")
}

func (w *writer) notes(notes []world.Note) {
	w.list("Notes", len(notes), func(i int) {
		n := notes[i]
		w.open("Note")
		w.text("Title", n.Title)
		w.text("Text", n.Text)
		w.text("Folder", n.Folder)
		w.text("Date", n.Date)
		w.text("CreatedBy", n.By)
		w.close("Note")
	})
}

func (w *writer) groups(groups []string, r refs) {
	w.list("Groups", len(groups), func(i int) {
		w.open("Group")
		if w.v30 {
			w.text("ID", strconv.Itoa(r.ids[groups[i]]))
		} else {
			w.text("UUID", groups[i])
		}
		w.text("Name", r.names[groups[i]])
		w.close("Group")
	})
}

func (w *writer) relationships(list []world.Relationship, r refs) {
	w.list("Relationships", len(list), func(i int) {
		rel := list[i]
		w.open("Relationship")
		w.text("UUID", rel.UUID)
		w.text("Type", rel.Type)
		w.named("RelatedClient", rel.Related, r)
		w.optional("NumberOfShares", rel.Shares)
		w.optional("Percentage", rel.Percentage)
		w.optional("StartDate", rel.Start)
		w.optional("EndDate", rel.End)
		w.close("Relationship")
	})
}
