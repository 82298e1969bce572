package practice

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/concord-suite/concord/sim/world"
)

// Shares of a generated practice, in percent of the active clients, that come on top of them.
const (
	archivedShare = 6
	deletedShare  = 2
)

// firstInt is where the integer ids of 3.0 begin: eight digits, like the recorded ones.
const firstInt = 23_000_000

// years is how far back records were made.
const years = 5

// Generate makes a practice with n clients that are neither archived nor deleted, plus some that
// are. The same seed, size and name give the same practice, but for the dates, which lie before now.
func Generate(name string, n int, seed uint64, now time.Time) *Data {
	g := &generator{r: rand.New(rand.NewPCG(seed, uint64(n))), now: now.UTC().Truncate(time.Second)}
	g.Tenant = world.Tenant{ID: g.id(), Name: name, Type: world.TypePractice, Country: "AU", Created: g.past(), NextInt: firstInt}
	g.makeStaff()
	g.makeFields()
	total := n + n*archivedShare/100 + n*deletedShare/100
	for len(g.Clients) < total {
		g.family()
	}
	g.trim(total)
	g.retire(n*archivedShare/100, n*deletedShare/100)
	g.mess()
	return &g.Data
}

type generator struct {
	Data
	r   *rand.Rand
	now time.Time
}

// id makes a UUID from the seed.
func (g *generator) id() string {
	var b [16]byte
	for i := range b {
		b[i] = byte(g.r.UintN(256))
	}
	return world.FormatID(b)
}

func (g *generator) past() time.Time {
	return g.now.Add(-time.Duration(g.r.IntN(years*365*24)) * time.Hour)
}

func (g *generator) makeStaff() {
	for _, first := range []string{"Pelva", "Umbro", "Ixel", "Gralo", "Wexa", "Zindra"} {
		g.Staff = append(g.Staff, &world.Staff{UUID: g.id(), ID: g.nextInt(), Tenant: g.Tenant.ID,
			Name: first + " Fictional", Email: strings.ToLower(first) + "@practice.example"})
	}
}

func (g *generator) makeFields() {
	for _, f := range []world.FieldDefinition{
		{Name: "Portal", Type: "Checkbox", UseClient: true},
		{Name: "Service level", Type: "Dropdown List", Options: "Gold\nSilver\nBronze", UseClient: true},
		{Name: "Reviewed on", Type: "Date", UseClient: true, UseContact: true},
	} {
		f.UUID, f.Tenant = g.id(), g.Tenant.ID
		g.Fields = append(g.Fields, &f)
	}
}

// family makes some people, what they own together, and how it hangs together. The people are
// contacts of several clients: that is what makes a departure interesting.
func (g *generator) family() {
	last := surname(g.r)
	if chance(g.r, 3) {
		last = pick(g.r, accented)[0] + pick(g.r, endings)
	}
	adults := 1 + g.r.IntN(2)
	people := make([]*world.Contact, adults)
	own := make([]*world.Client, adults)
	for i := range people {
		first := pick(g.r, firstNames)
		people[i] = g.contact(first, last)
		own[i] = g.individual(first, last)
		if chance(g.r, 60) {
			g.link(own[i], people[i], "", true)
		}
	}
	members := own
	if adults == 2 && chance(g.r, 70) {
		g.relate(own[0], own[1], "Spouse", "", "")
	}
	add := func(percent int, name, structure, position, relation string) *world.Client {
		if !chance(g.r, percent) {
			return nil
		}
		c := g.entity(name, structure)
		for i, p := range people {
			g.link(c, p, position, i == 0)
			g.relate(own[i], c, relation, shares(relation, adults), percentage(relation, adults))
		}
		members = append(members, c)
		return c
	}
	company := add(60, fmt.Sprintf("%s %s Pty Ltd", last, pick(g.r, trades)), "Company", "Director", "Director")
	trust := add(35, fmt.Sprintf("The %s Family Trust", last), "Trust", "Trustee", "Beneficiary")
	add(18, fmt.Sprintf("%s Superannuation Fund", last), "Superannuation Fund", "Member", "Member")
	if adults == 2 {
		add(14, fmt.Sprintf("%s & %s %s", people[0].Name, people[1].Name, pick(g.r, trades)), "Partnership", "Partner", "Partner")
	}
	if company != nil && trust != nil {
		g.relate(company, trust, "Trustee", "", "")
		trust.BillingClient = company.UUID
	}
	if len(members) > 2 {
		g.group(last+" Group", members)
	}
}

func shares(relation string, owners int) string {
	if relation != "Shareholder" && relation != "Owner" {
		return ""
	}
	return fmt.Sprint(1000 / owners)
}

func percentage(relation string, owners int) string {
	if relation != "Partner" {
		return ""
	}
	return fmt.Sprint(100 / owners)
}

func (g *generator) contact(first, last string) *world.Contact {
	c := &world.Contact{UUID: g.id(), ID: g.nextInt(), Tenant: g.Tenant.ID, Name: first + " " + last, Salutation: first}
	if chance(g.r, 75) {
		c.Email = g.email(first, last)
	}
	if chance(g.r, 60) {
		c.Mobile = pick(g.r, mobiles)
	}
	if chance(g.r, 25) {
		c.Phone = landline(g.r)
		c.Addressee = "Mx " + first[:1] + " " + last
	}
	g.Contacts = append(g.Contacts, c)
	return c
}

// email is unlikely to repeat but may: people do share addresses.
func (g *generator) email(first, last string) string {
	ascii := strings.Map(func(r rune) rune {
		if r > 0x7f {
			return 'x'
		}
		return r
	}, strings.ToLower(first+"."+last))
	return fmt.Sprintf("%s%d@example.com", ascii, g.r.IntN(1000))
}

func (g *generator) client(name, structure string) *world.Client {
	made := g.past()
	c := &world.Client{UUID: g.id(), ID: g.nextInt(), Tenant: g.Tenant.ID, Name: name, Created: made,
		Modified: made.Add(time.Duration(g.r.Int64N(int64(g.now.Sub(made)) + 1))).Truncate(time.Second)}
	g.reach(c)
	g.taxes(c, structure)
	c.AccountManager = pick(g.r, g.Staff).UUID
	if chance(g.r, 70) {
		c.JobManager = pick(g.r, g.Staff).UUID
	}
	if chance(g.r, 50) {
		c.Terms = &world.Terms{Name: "20th of Month", CostMarkup: "30.00", PaymentTerm: "DayOfMonth", PaymentDay: "20"}
	}
	if chance(g.r, 10) {
		c.Notes = []world.Note{{Title: "Simulated note", Text: "Prefers to be phoned\nin the afternoon.",
			Date: made.Format("2006-01-02T15:04:05"), By: pick(g.r, g.Staff).Name}}
	}
	g.fields(c)
	g.Clients = append(g.Clients, c)
	return c
}

func (g *generator) fields(c *world.Client) {
	c.Fields = map[string]string{}
	if chance(g.r, 40) {
		c.Fields[g.Fields[0].UUID] = "true"
	}
	if chance(g.r, 30) {
		c.Fields[g.Fields[1].UUID] = pick(g.r, strings.Split(g.Fields[1].Options, "\n"))
	}
}

// reach fills in phones and addresses, or leaves them out.
func (g *generator) reach(c *world.Client) {
	home := pick(g.r, places)
	if chance(g.r, 80) {
		c.Address, c.City, c.Region, c.PostCode, c.Country = address(g.r), home.city, home.region, home.postCode, "Australia"
	}
	if chance(g.r, 55) {
		c.PostalAddress, c.PostalCity, c.PostalRegion, c.PostalPostCode = poBox(g.r), home.city, home.region, home.postCode
	}
	if chance(g.r, 45) {
		c.Phone = landline(g.r)
	}
	if chance(g.r, 5) {
		c.Fax = landline(g.r)
	}
}

func (g *generator) taxes(c *world.Client, structure string) {
	if chance(g.r, 10) {
		return // the whole block is missing for such clients
	}
	t := &world.Tax{BusinessStructure: structure, AgencyStatus: "Unlinked", BranchNumber: pick(g.r, []string{"", "1"})}
	if chance(g.r, 70) {
		t.TaxNumber = "******" + digits(g.r, 4)[1:]
	}
	if structure == "Company" {
		t.CompanyNumber = digits(g.r, 9)
	}
	if structure != "Individual" || chance(g.r, 20) {
		t.BusinessNumber = digits(g.r, 11)
	}
	if t.GSTRegistered = chance(g.r, 50); t.GSTRegistered {
		t.PrepareGST, t.GSTPeriod, t.GSTBasis = true, "Quarterly", "Invoice"
		t.PrepareActivityStatement = true
	}
	t.PrepareTaxReturn = chance(g.r, 85)
	t.ActiveATOClient = chance(g.r, 60)
	c.Tax = t
}

func (g *generator) individual(first, last string) *world.Client {
	name := last + ", " + first
	if chance(g.r, 50) {
		name = first + " " + last
	}
	c := g.client(name, "Individual")
	c.FirstName, c.LastName = first, last
	if chance(g.r, 20) {
		c.OtherName = pick(g.r, firstNames)
	}
	if chance(g.r, 80) {
		born := time.Date(1935+g.r.IntN(70), time.Month(1+g.r.IntN(12)), 1+g.r.IntN(28), 0, 0, 0, 0, time.UTC)
		c.DateOfBirth = born.Format(time.DateOnly)
	}
	if chance(g.r, 60) {
		c.Email = g.email(first, last)
	}
	return c
}

func (g *generator) entity(name, structure string) *world.Client {
	c := g.client(name, structure)
	if chance(g.r, 55) {
		c.Email = fmt.Sprintf("office%d@example.com", g.r.IntN(100000))
	}
	if structure == "Company" && chance(g.r, 40) {
		c.Website = fmt.Sprintf("https://www.company%d.example", g.r.IntN(100000))
	}
	return c
}

func (g *generator) link(c *world.Client, p *world.Contact, position string, primary bool) {
	if position == "" && chance(g.r, 10) {
		position = "0" // recorded in real answers
	}
	c.Contacts = append(c.Contacts, world.Link{Contact: p.UUID, Primary: primary, Position: position})
}

func (g *generator) relate(from, to *world.Client, kind, shares, percentage string) {
	from.Relationships = append(from.Relationships, world.Relationship{UUID: g.id(), Type: kind, Related: to.UUID,
		Shares: shares, Percentage: percentage})
}

func (g *generator) group(name string, members []*world.Client) {
	row := &world.Group{UUID: g.id(), ID: g.nextInt(), Tenant: g.Tenant.ID, Name: name, Taxable: chance(g.r, 30)}
	g.Groups = append(g.Groups, row)
	for _, c := range members {
		c.Groups = append(c.Groups, row.UUID)
	}
}
