package practice

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/concord-suite/concord/sim/world"
)

// Shares of a generated organisation, in percent of its active parties, that come on top of them.
const (
	archivedParties = 8
	erasedParties   = 1
)

// Organisation is an organisation with the parties it trades with, ready to be put into a world.
type Organisation struct {
	Tenant  world.Tenant
	Parties []*world.Party
	Groups  []*world.PartyGroup
}

// Store puts the organisation into the world.
func (o *Organisation) Store(tx *world.Tx) {
	tenant := o.Tenant
	tenant.Order = tx.Tenants.Len()
	tx.Tenants.Put(tx, tenant.ID, &tenant)
	for _, row := range o.Groups {
		tx.PartyGroups.Put(tx, row.ID, row)
	}
	for _, row := range o.Parties {
		tx.Parties.Put(tx, row.ID, row)
	}
}

// GenerateOrganisation makes an organisation with n active parties, plus some that are archived or
// asked to be erased. The same seed, size and name give the same parties, but for the dates, which lie
// before now.
//
// It has the mess real ones have: parties without e-mail, account numbers that are missing or occur
// twice, names that archived parties share with active ones, and parties that are neither customer nor
// supplier.
func GenerateOrganisation(name string, n int, seed uint64, now time.Time) *Organisation {
	g := &generator{r: rand.New(rand.NewPCG(seed, uint64(n)+1<<32)), now: now.UTC().Truncate(time.Second)}
	o := &Organisation{Tenant: world.Tenant{ID: g.id(), Name: name, Type: world.TypeOrganisation, Country: "AU", Created: g.past()}}
	for _, group := range []string{"Preferred", "Wholesale", "Newsletter", "Nobody yet"} {
		o.Groups = append(o.Groups, &world.PartyGroup{ID: g.id(), Tenant: o.Tenant.ID, Name: group})
	}
	taken := map[string]int{}
	for range n {
		o.Parties = append(o.Parties, g.party(o, taken))
	}
	for range n * archivedParties / 100 {
		p := g.party(o, taken)
		p.Status = world.PartyArchived
		if chance(g.r, 40) {
			p.Name = pick(g.r, o.Parties[:n]).Name // which only archived ones may
		}
		o.Parties = append(o.Parties, p)
	}
	for range n * erasedParties / 100 {
		p := g.party(o, taken)
		*p = world.Party{ID: p.ID, Tenant: p.Tenant, Status: world.PartyErased, Created: p.Created, Updated: p.Updated,
			Name: "Erased on request " + p.ID[:8]}
		o.Parties = append(o.Parties, p)
	}
	return o
}

// party makes an active party with a name nobody of the organisation has.
func (g *generator) party(o *Organisation, taken map[string]int) *world.Party {
	made := g.past()
	p := &world.Party{ID: g.id(), Tenant: o.Tenant.ID, Status: world.PartyActive, Created: made,
		Updated: made.Add(time.Duration(g.r.Int64N(int64(g.now.Sub(made)) + 1))).Truncate(time.Millisecond)}
	first, last := pick(g.r, firstNames), surname(g.r)
	if chance(g.r, 3) {
		last = pick(g.r, accented)[0] + pick(g.r, endings)
	}
	p.Name = first + " " + last
	company := chance(g.r, 55)
	if company {
		p.Name = last + " " + pick(g.r, trades)
	}
	if chance(g.r, 2) {
		p.Name += ` & "Co" <Simulated>`
	}
	key := strings.ToLower(p.Name)
	if taken[key]++; taken[key] > 1 {
		p.Name = fmt.Sprintf("%s %d", p.Name, taken[key])
		taken[strings.ToLower(p.Name)]++
	}
	if !company || chance(g.r, 50) {
		p.FirstName, p.LastName = first, last
	}
	if chance(g.r, 72) {
		p.Email = g.email(first, last)
	}
	g.trade(p)
	g.account(o, p)
	g.find(p, company)
	for range g.r.IntN(3) {
		if company && len(p.People) < 5 {
			p.People = append(p.People, g.further(last))
		}
	}
	for _, group := range o.Groups[:3] {
		if chance(g.r, 15) {
			p.Groups = append(p.Groups, group.ID)
		}
	}
	return p
}

// trade makes a party a customer, a supplier, both or neither.
func (g *generator) trade(p *world.Party) {
	p.Customer, p.Supplier = chance(g.r, 60), chance(g.r, 35)
	if p.Customer && chance(g.r, 50) {
		p.Owes = g.r.Int64N(5_000_00)
	}
	if p.Supplier && chance(g.r, 50) {
		p.Owed = g.r.Int64N(5_000_00)
	}
}

// account gives most parties an account number; some share one, as people who type them make happen.
func (g *generator) account(o *Organisation, p *world.Party) {
	switch {
	case chance(g.r, 30):
	case chance(g.r, 4) && len(o.Parties) > 0:
		p.Account = pick(g.r, o.Parties).Account
	default:
		p.Account = fmt.Sprintf("%s%04d", strings.ToUpper(string([]rune(p.Name)[:1])), len(o.Parties)+1)
	}
	if chance(g.r, 10) {
		p.Number = "EXT-" + p.ID[:8]
	}
}

// find says where a party is to be found.
func (g *generator) find(p *world.Party, company bool) {
	home := pick(g.r, places)
	if chance(g.r, 60) {
		p.Addresses = append(p.Addresses, world.PartyAddress{Kind: "STREET", Lines: [4]string{fmt.Sprintf("%d %s", 1+g.r.IntN(299), pick(g.r, streets))},
			City: home.city, Region: home.region, PostCode: home.postCode, Country: "Australia"})
	}
	if chance(g.r, 50) {
		p.Addresses = append(p.Addresses, world.PartyAddress{Kind: "POBOX", Lines: [4]string{poBox(g.r)}, City: home.city,
			Region: home.region, PostCode: home.postCode, Attention: "Accounts"})
	}
	if chance(g.r, 50) {
		p.Phones = append(p.Phones, world.PartyPhone{Kind: "DEFAULT", Number: "5550 " + digits(g.r, 5)[1:], Area: "02", Country: "61"})
	}
	if chance(g.r, 40) {
		p.Phones = append(p.Phones, world.PartyPhone{Kind: "MOBILE", Number: strings.TrimPrefix(pick(g.r, mobiles), "+61")})
	}
	if company && chance(g.r, 60) {
		p.TaxNumber, p.CompanyNumber = digits(g.r, 11), digits(g.r, 9)
	}
	if company && chance(g.r, 30) {
		p.Website = fmt.Sprintf("https://www.party%d.example", g.r.IntN(100000))
	}
	if slices.Contains([]string{"NSW", "VIC"}, home.region) && chance(g.r, 20) {
		p.Currency = "AUD"
	}
}

func (g *generator) further(last string) world.PartyPerson {
	first := pick(g.r, firstNames)
	o := world.PartyPerson{FirstName: first, LastName: last, Included: chance(g.r, 50)}
	if chance(g.r, 80) {
		o.Email = g.email(first, last)
	}
	return o
}
