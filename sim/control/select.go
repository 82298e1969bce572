package control

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/concord-suite/concord/sim/world"
)

// selector names clients: by UUID, or N of those that fit, drawn by Seed.
type selector struct {
	// Tenant is the practice; empty means the first one.
	Tenant string   `json:"tenant"`
	UUIDs  []string `json:"uuids"`
	N      int      `json:"n"`
	Seed   uint64   `json:"seed"`
	Where  filter   `json:"where"`
	// Exclude are UUIDs never drawn.
	Exclude []string `json:"exclude"`
}

// filter narrows what is drawn. A member that is not given does not matter.
type filter struct {
	Shared    *bool  `json:"shared_contacts"` // has a contact some other client has too
	Contacts  *bool  `json:"contacts"`
	Code      *bool  `json:"code"`
	Email     *bool  `json:"email"`
	Structure string `json:"structure"`
	Query     string `json:"query"` // part of the name, without regard to case
}

// tenant resolves an empty tenant to the first practice by its creation in the world.
func tenant(s *world.State, id string) (string, error) {
	if id != "" {
		if s.Tenants.Get(strings.ToLower(id)) == nil {
			return "", missing("no tenant %s", id)
		}
		return strings.ToLower(id), nil
	}
	var first *world.Tenant
	for _, t := range s.Tenants.All() {
		if t.Type == world.TypePractice && (first == nil || t.Order < first.Order) {
			first = t
		}
	}
	if first == nil {
		return "", missing("the world has no practice")
	}
	return first.ID, nil
}

// pick returns the clients a selector names. candidates says who may be drawn when N is used.
func (sel selector) pick(s *world.State, candidates func(*world.Client) bool) ([]*world.Client, error) {
	owner, err := tenant(s, sel.Tenant)
	if err != nil {
		return nil, err
	}
	if (len(sel.UUIDs) > 0) == (sel.N > 0) {
		return nil, bad("give either uuids or n")
	}
	if len(sel.UUIDs) > 0 {
		return named(s, owner, sel.UUIDs)
	}
	links := map[string]int{}
	if sel.Where.Shared != nil {
		links = linkCounts(s)
	}
	var pool []*world.Client
	for _, c := range s.Clients.All() {
		if c.Tenant == owner && candidates(c) && !slices.Contains(sel.Exclude, c.UUID) && sel.Where.fits(c, links) {
			pool = append(pool, c)
		}
	}
	if len(pool) < sel.N {
		return nil, bad("only %d clients fit, %d were asked for", len(pool), sel.N)
	}
	slices.SortFunc(pool, func(x, y *world.Client) int { return strings.Compare(x.UUID, y.UUID) })
	rand.New(rand.NewPCG(sel.Seed, 0)).Shuffle(len(pool), func(i, j int) { pool[i], pool[j] = pool[j], pool[i] })
	return pool[:sel.N], nil
}

func named(s *world.State, owner string, ids []string) ([]*world.Client, error) {
	var list []*world.Client
	for _, id := range ids {
		c := s.Clients.Get(strings.ToLower(id))
		if c == nil || c.Tenant != owner {
			return nil, missing("no client %s in this practice", id)
		}
		list = append(list, c)
	}
	return list, nil
}

// linkCounts counts, per contact, the clients that have it and are not deleted.
func linkCounts(s *world.State) map[string]int {
	links := map[string]int{}
	for _, c := range s.Clients.All() {
		for _, l := range c.Contacts {
			if !c.Deleted {
				links[l.Contact]++
			}
		}
	}
	return links
}

func (f filter) fits(c *world.Client, links map[string]int) bool {
	is := func(want *bool, got bool) bool { return want == nil || *want == got }
	shared := slices.ContainsFunc(c.Contacts, func(l world.Link) bool { return links[l.Contact] > 1 })
	return is(f.Shared, shared) && is(f.Contacts, len(c.Contacts) > 0) &&
		is(f.Code, c.ExportCode != "") && is(f.Email, c.Email != "") &&
		(f.Structure == "" || c.Tax != nil && strings.EqualFold(c.Tax.BusinessStructure, f.Structure)) &&
		strings.Contains(strings.ToLower(c.Name), strings.ToLower(f.Query))
}

// summary is how clients appear in lists.
type summary struct {
	UUID     string   `json:"uuid"`
	ID       int      `json:"id"`
	Name     string   `json:"name"`
	Code     string   `json:"code,omitempty"`
	Archived bool     `json:"archived,omitempty"`
	Deleted  bool     `json:"deleted,omitempty"`
	Contacts []string `json:"contacts,omitempty"` // UUIDs
}

func summarise(list []*world.Client) map[string]any {
	short := make([]summary, len(list))
	for i, c := range list {
		short[i] = summary{UUID: c.UUID, ID: c.ID, Name: c.Name, Code: c.ExportCode, Archived: c.Archived, Deleted: c.Deleted}
		for _, l := range c.Contacts {
			short[i].Contacts = append(short[i].Contacts, l.Contact)
		}
	}
	return map[string]any{"clients": short}
}

// listClients answers with a part of a practice's clients, by name: tenant, query, state (active,
// archived, deleted or all), offset and limit.
func (a *API) listClients(r *http.Request) (any, error) {
	q := r.URL.Query()
	var owner string
	var err error
	a.store.View(func(s *world.State) { owner, err = tenant(s, q.Get("tenant")) })
	if err != nil {
		return nil, err
	}
	states := map[string]func(*world.Client) bool{
		"": (*world.Client).Active, "active": (*world.Client).Active,
		"archived": func(c *world.Client) bool { return c.Archived && !c.Deleted },
		"deleted":  func(c *world.Client) bool { return c.Deleted },
		"all":      func(*world.Client) bool { return true },
	}
	want := states[q.Get("state")]
	if want == nil {
		return nil, bad("state is active, archived, deleted or all")
	}
	offset, limit, err := window(q.Get("offset"), q.Get("limit"))
	if err != nil {
		return nil, err
	}
	var found []*world.Client
	for _, c := range a.store.ClientsByName(owner) {
		if want(c) && (filter{Query: q.Get("query")}).fits(c, nil) {
			found = append(found, c)
		}
	}
	result := summarise(found[min(offset, len(found)):min(offset+limit, len(found))])
	result["total"] = len(found)
	return result, nil
}

// pageLimit is how many clients a list shows unless more are asked for.
const pageLimit = 100

func window(offset, limit string) (int, int, error) {
	from, count := 0, pageLimit
	for text, target := range map[string]*int{"offset=" + offset: &from, "limit=" + limit: &count} {
		name, value, _ := strings.Cut(text, "=")
		if value == "" {
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return 0, 0, bad("%s is a number from 0", name)
		}
		*target = n
	}
	return from, count, nil
}

// getClient answers with everything the world knows of a client.
func (a *API) getClient(r *http.Request) (any, error) {
	var found *world.Client
	a.store.View(func(s *world.State) { found = s.Clients.Get(strings.ToLower(r.PathValue("uuid"))) })
	if found == nil {
		return nil, missing("no client %s", r.PathValue("uuid"))
	}
	return found, nil
}
