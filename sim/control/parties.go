package control

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"

	"github.com/concord-suite/concord/sim/practice"
	"github.com/concord-suite/concord/sim/world"
)

// partySelector names parties of an organisation: by id, or N of those that fit, drawn by Seed.
type partySelector struct {
	// Tenant is the organisation; empty means the first one.
	Tenant  string      `json:"tenant"`
	IDs     []string    `json:"ids"`
	N       int         `json:"n"`
	Seed    uint64      `json:"seed"`
	Where   partyFilter `json:"where"`
	Exclude []string    `json:"exclude"` // ids never drawn
}

// partyFilter narrows what is drawn or listed. A member that is not given does not matter.
type partyFilter struct {
	Status   string `json:"status"` // ACTIVE unless said otherwise; "all" for any
	Customer *bool  `json:"customer"`
	Supplier *bool  `json:"supplier"`
	Account  *bool  `json:"account"` // has an account number
	Email    *bool  `json:"email"`
	People   *bool  `json:"people"`
	Group    string `json:"group"` // id
	Query    string `json:"query"` // part of the name, without regard to case
}

func (f partyFilter) fits(p *world.Party) bool {
	is := func(want *bool, got bool) bool { return want == nil || *want == got }
	status := f.Status
	if status == "" {
		status = world.PartyActive
	}
	return (status == "all" || strings.EqualFold(status, p.Status)) && is(f.Customer, p.Customer) && is(f.Supplier, p.Supplier) &&
		is(f.Account, p.Account != "") && is(f.Email, p.Email != "") && is(f.People, len(p.People) > 0) &&
		(f.Group == "" || slices.Contains(p.Groups, strings.ToLower(f.Group))) &&
		strings.Contains(strings.ToLower(p.Name), strings.ToLower(f.Query))
}

// organisation resolves an empty tenant to the first organisation by its creation in the world.
func organisation(s *world.State, id string) (string, error) {
	if id != "" {
		if t := s.Tenants.Get(strings.ToLower(id)); t == nil || t.Type != world.TypeOrganisation {
			return "", missing("no organisation %s", id)
		}
		return strings.ToLower(id), nil
	}
	var first *world.Tenant
	for _, t := range s.Tenants.All() {
		if t.Type == world.TypeOrganisation && (first == nil || t.Order < first.Order) {
			first = t
		}
	}
	if first == nil {
		return "", missing("the world has no organisation")
	}
	return first.ID, nil
}

func (sel partySelector) pick(s *world.State) ([]*world.Party, error) {
	owner, err := organisation(s, sel.Tenant)
	if err != nil {
		return nil, err
	}
	if (len(sel.IDs) > 0) == (sel.N > 0) {
		return nil, bad("give either ids or n")
	}
	var pool []*world.Party
	for _, id := range sel.IDs {
		p, err := partyOf(s, owner, id)
		if err != nil {
			return nil, err
		}
		pool = append(pool, p)
	}
	if len(sel.IDs) > 0 {
		return pool, nil
	}
	for _, p := range s.Parties.All() {
		if p.Tenant == owner && !slices.Contains(sel.Exclude, p.ID) && sel.Where.fits(p) {
			pool = append(pool, p)
		}
	}
	if len(pool) < sel.N {
		return nil, bad("only %d contacts fit, %d were asked for", len(pool), sel.N)
	}
	slices.SortFunc(pool, func(x, y *world.Party) int { return strings.Compare(x.ID, y.ID) })
	rand.New(rand.NewPCG(sel.Seed, 0)).Shuffle(len(pool), func(i, j int) { pool[i], pool[j] = pool[j], pool[i] })
	return pool[:sel.N], nil
}

func partyOf(s *world.State, owner, id string) (*world.Party, error) {
	p := s.Parties.Get(strings.ToLower(id))
	if p == nil || p.Tenant != owner {
		return nil, missing("no contact %s in this organisation", id)
	}
	return p, nil
}

// partyEdit is what staff of an organisation do to contacts; what is not given stays.
type partyEdit struct {
	partySelector
	// Fields are members by the name they have in the JSON, such as AccountNumber.
	Fields map[string]string `json:"fields"`
	// Status archives, brings back, or marks as asked to be erased.
	Status string `json:"status"`
	// People replaces the further people.
	People *[]world.PartyPerson `json:"people"`
	// Customer and Supplier change as invoices would change them: without a new date, told to nobody.
	Customer *bool `json:"customer"`
	Supplier *bool `json:"supplier"`
}

func (a *API) editParties(e partyEdit) (any, error) {
	var changed []*world.Party
	err := a.store.Update(func(tx *world.Tx) error {
		list, err := e.pick(tx.State)
		if err != nil {
			return err
		}
		for _, p := range list {
			n := p.Clone()
			touched, err := e.apply(n)
			if err != nil {
				return err
			}
			changed = append(changed, n)
			if !touched {
				tx.Parties.Put(tx, n.ID, n)
				continue
			}
			if err := store(tx, n); err != nil {
				return err
			}
		}
		return nil
	})
	return map[string]any{"contacts": changed}, err
}

// apply changes a party and says whether it counts as a change to those who ask for what changed.
func (e partyEdit) apply(p *world.Party) (touched bool, err error) {
	if e.Customer != nil {
		p.Customer = *e.Customer
	}
	if e.Supplier != nil {
		p.Supplier = *e.Supplier
	}
	switch status := strings.ToUpper(e.Status); status {
	case "":
	case world.PartyActive, world.PartyArchived, world.PartyErased:
		p.Status, touched = status, true
	default:
		return false, bad("status is ACTIVE, ARCHIVED or GDPRREQUEST")
	}
	if e.People != nil {
		p.People, touched = *e.People, true
	}
	texts := p.Texts()
	for name, value := range e.Fields {
		if texts[name] == nil {
			return false, bad("a contact has no text field %q", name)
		}
		*texts[name], touched = value, true
	}
	if !touched && e.Customer == nil && e.Supplier == nil {
		return false, bad("nothing to change: give fields, status, people, customer or supplier")
	}
	return touched, nil
}

// store puts a party that changed, unless another active one has its name.
func store(tx *world.Tx, p *world.Party) error {
	if p.Name == "" {
		return bad("a contact needs a name")
	}
	old, name := tx.Parties.Get(p.ID), strings.ToLower(p.Name)
	kept := old != nil && old.Status == p.Status && strings.ToLower(old.Name) == name
	if p.Status == world.PartyActive && !kept {
		if other := tx.PartyNames(p.Tenant, map[string]bool{name: true})[name]; other != "" && other != p.ID {
			return problem{http.StatusConflict, "another active contact is called " + p.Name}
		}
	}
	p.Updated = tx.Now
	tx.PutParty(p)
	return nil
}

type partyAddition struct {
	Tenant   string              `json:"tenant"`
	Fields   map[string]string   `json:"fields"`
	People   []world.PartyPerson `json:"people"`
	Customer bool                `json:"customer"`
	Supplier bool                `json:"supplier"`
	Groups   []string            `json:"groups"` // ids
}

func (a *API) addParty(ad partyAddition) (any, error) {
	var added *world.Party
	err := a.store.Update(func(tx *world.Tx) error {
		owner, err := organisation(tx.State, ad.Tenant)
		if err != nil {
			return err
		}
		added = &world.Party{ID: world.NewID(), Tenant: owner, Status: world.PartyActive, Created: tx.Now, People: ad.People,
			Customer: ad.Customer, Supplier: ad.Supplier}
		for _, id := range ad.Groups {
			if g := tx.PartyGroups.Get(strings.ToLower(id)); g == nil || g.Tenant != owner {
				return missing("no group %s in this organisation", id)
			}
			added.Groups = append(added.Groups, strings.ToLower(id))
		}
		texts := added.Texts()
		for name, value := range ad.Fields {
			if texts[name] == nil {
				return bad("a contact has no text field %q", name)
			}
			*texts[name] = value
		}
		return store(tx, added)
	})
	return map[string]any{"contacts": []*world.Party{added}}, err
}

// listParties answers with a part of an organisation's contacts, by name: tenant, query, status, group,
// offset and limit.
func (a *API) listParties(r *http.Request) (any, error) {
	q := r.URL.Query()
	var owner string
	var err error
	a.store.View(func(s *world.State) { owner, err = organisation(s, q.Get("tenant")) })
	if err != nil {
		return nil, err
	}
	offset, limit, err := window(q.Get("offset"), q.Get("limit"))
	if err != nil {
		return nil, err
	}
	f := partyFilter{Status: q.Get("status"), Group: q.Get("group"), Query: q.Get("query")}
	found := []*world.Party{}
	for _, p := range a.store.PartiesBy(owner, "Name", func(p *world.Party) string { return strings.ToLower(p.Name) }) {
		if f.fits(p) {
			found = append(found, p)
		}
	}
	total := len(found)
	return map[string]any{"contacts": found[min(offset, total):min(offset+limit, total)], "total": total}, nil
}

func (a *API) getParty(r *http.Request) (any, error) {
	var found *world.Party
	a.store.View(func(s *world.State) { found = s.Parties.Get(strings.ToLower(r.PathValue("id"))) })
	if found == nil {
		return nil, missing("no contact %s", r.PathValue("id"))
	}
	return found, nil
}

type newOrganisation struct {
	Name     string `json:"name"`
	Contacts int    `json:"contacts"`
	Seed     uint64 `json:"seed"`
	// People are ids of who may connect it.
	People []string `json:"people"`
}

func (a *API) addOrganisation(n newOrganisation) (any, error) {
	if n.Name == "" || n.Contacts < 0 || n.Contacts > maxClients {
		return nil, bad("give a name and 0 to %d contacts", maxClients)
	}
	o := practice.GenerateOrganisation(n.Name, n.Contacts, n.Seed, a.store.Now())
	err := a.store.Update(func(tx *world.Tx) error {
		if tx.Tenants.Get(o.Tenant.ID) != nil {
			return problem{http.StatusConflict, "the organisation " + o.Tenant.ID + " is already there"}
		}
		o.Store(tx)
		for _, id := range n.People {
			old := tx.People.Get(strings.ToLower(id))
			if old == nil {
				return missing("no person %s", id)
			}
			p := *old
			p.Members = append(slices.Clone(old.Members), world.Role{Tenant: o.Tenant.ID})
			tx.People.Put(tx, p.ID, &p)
		}
		return nil
	})
	return o.Tenant, err
}
