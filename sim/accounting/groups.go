package accounting

import (
	"slices"
	"strings"

	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"
)

// maxGroups is the most groups an organisation can have, in the provider's words a limit one reaches.
const maxGroups = 100

// group is a contact group in an answer, or where a contact names it.
type group struct {
	ContactGroupID string
	Name           string
	Status         string
	Contacts       []contact

	HasValidationErrors bool
	ValidationErrors    []message `json:",omitempty"`
}

type groupIn struct {
	ContactGroupID, Name, Status *word
}

// groupNames returns the names of a tenant's groups that are not deleted, by id.
func groupNames(st *world.State, tenant string) map[string]string {
	names := map[string]string{}
	for id, g := range st.PartyGroups.All() {
		if g.Tenant == tenant && !g.Deleted {
			names[id] = g.Name
		}
	}
	return names
}

func showGroup(g *world.PartyGroup) group {
	status := "ACTIVE"
	if g.Deleted {
		status = "DELETED"
	}
	return group{ContactGroupID: g.ID, Name: g.Name, Status: status, Contacts: []contact{}}
}

// listGroups lists the groups that are not deleted, by name and without their members.
func (s *Service) listGroups(c *call) (reply, error) {
	list := []group{}
	s.store.View(func(st *world.State) {
		for _, g := range st.PartyGroups.All() {
			if g.Tenant == c.tenant && !g.Deleted {
				list = append(list, showGroup(g))
			}
		}
	})
	slices.SortFunc(list, func(a, b group) int {
		return strings.Compare(strings.ToLower(a.Name)+a.ContactGroupID, strings.ToLower(b.Name)+b.ContactGroupID)
	})
	if strings.EqualFold(c.query("order"), "Name DESC") {
		slices.Reverse(list)
	}
	list = append([]group{}, faults.Rows(c.fault, list)...)
	return reply{envelope: envelope{ContactGroups: &list}}, nil
}

// getGroup reads one group with the ids and names of its members, archived ones left out.
func (s *Service) getGroup(c *call) (reply, error) {
	var found *world.PartyGroup
	s.store.View(func(st *world.State) { found = findGroup(st, c) })
	if found == nil {
		return reply{}, errNotFound
	}
	shown := showGroup(found)
	for _, p := range faults.Rows(c.fault, s.store.PartiesBy(c.tenant, "Name", members["name"].key)) {
		if p.Status == world.PartyActive && slices.Contains(p.Groups, found.ID) {
			shown.Contacts = append(shown.Contacts, brief(p))
		}
	}
	return reply{envelope: envelope{ContactGroups: &[]group{shown}}}, nil
}

// findGroup returns the group a path names unless it is deleted.
func findGroup(st *world.State, c *call) *world.PartyGroup {
	g := st.PartyGroups.Get(strings.ToLower(c.PathValue("id")))
	if g == nil || g.Tenant != c.tenant || g.Deleted {
		return nil
	}
	return g
}

// groups reads {"ContactGroups":[…]} or one group alone.
func (c *call) groups() ([]groupIn, error) {
	var body struct {
		ContactGroups []groupIn
		groupIn
	}
	if err := decode(c, &body); err != nil {
		return nil, err
	}
	if body.ContactGroups == nil && (body.Name != nil || body.Status != nil) {
		return []groupIn{body.groupIn}, nil
	}
	if len(body.ContactGroups) == 0 {
		return nil, errNoData("ContactGroup")
	}
	return body.ContactGroups, nil
}

// check says what is wrong with a group that is to be stored.
func checkGroup(tx *world.Tx, g *world.PartyGroup) (w wrongs) {
	names := groupNames(tx.State, g.Tenant)
	if _, there := names[g.ID]; !there && len(names) >= maxGroups {
		w.add("You’ve reached the limit of %d contact groups.", maxGroups)
	}
	if strings.TrimSpace(g.Name) == "" {
		w.add("The contact group Name is required.")
	}
	for id, name := range names {
		if id != g.ID && !g.Deleted && strings.EqualFold(name, g.Name) {
			w.add("The contact group name %s is already in use.", g.Name)
		}
	}
	return w
}

func createGroups(tx *world.Tx, c *call) (reply, error) {
	list, err := c.groups()
	if err != nil {
		return reply{}, err
	}
	var made, wrong []group
	for _, in := range list {
		g := &world.PartyGroup{ID: world.NewID(), Tenant: c.tenant}
		w := storeGroup(tx, g, in)
		shown := showGroup(g)
		if len(w) > 0 {
			shown.ContactGroupID, shown.HasValidationErrors, shown.ValidationErrors = "00000000-0000-0000-0000-000000000000", true, w
			wrong = append(wrong, shown)
			continue
		}
		made = append(made, shown)
	}
	if len(wrong) > 0 {
		return reply{}, rejected(wrong) // which also takes back those stored before
	}
	return reply{envelope: envelope{ContactGroups: &made}}, nil
}

// storeGroup writes a request over a group and stores it, unless something is wrong.
func storeGroup(tx *world.Tx, g *world.PartyGroup, in groupIn) (w wrongs) {
	w.set("Name", in.Name, &g.Name, long)
	if in.Status != nil {
		switch strings.ToUpper(string(*in.Status)) {
		case "ACTIVE":
		case "DELETED":
			g.Deleted = true
		default:
			w.add("Status: '%s' is not valid.", *in.Status)
		}
	}
	if w = append(w, checkGroup(tx, g)...); len(w) == 0 {
		tx.PartyGroups.Put(tx, g.ID, g)
	}
	return w
}

func updateGroup(tx *world.Tx, c *call) (reply, error) {
	old := findGroup(tx.State, c)
	if old == nil {
		return reply{}, errNotFound
	}
	list, err := c.groups()
	if err != nil {
		return reply{}, err
	}
	g := *old
	w := storeGroup(tx, &g, list[0])
	shown := showGroup(&g)
	if len(w) > 0 {
		shown.HasValidationErrors, shown.ValidationErrors = true, w
		return reply{}, rejected([]group{shown})
	}
	return reply{envelope: envelope{ContactGroups: &[]group{shown}}}, nil
}

// addMembers puts contacts into a group, all of them or none.
func addMembers(tx *world.Tx, c *call) (reply, error) {
	g := findGroup(tx.State, c)
	if g == nil {
		return reply{}, errNotFound
	}
	list, err := c.contacts()
	if err != nil {
		return reply{}, err
	}
	var shown, wrong []contact
	for i := range list {
		id := list[i].id()
		p := tx.Parties.Get(id)
		if p == nil || p.Tenant != c.tenant || p.Status != world.PartyActive {
			one := brief(&world.Party{ID: id})
			one.HasValidationErrors, one.ValidationErrors = true, []message{{"ContactID: the contact " + id + " does not exist or is archived."}}
			wrong = append(wrong, one)
			continue
		}
		SetMember(tx, p, g.ID, true)
		one := brief(p)
		one.Name = ""
		shown = append(shown, one)
	}
	if len(wrong) > 0 {
		return reply{}, rejected(wrong)
	}
	return reply{envelope: envelope{Contacts: &shown}}, nil
}

// SetMember puts a party into a group or takes it out. Neither counts as a change of the party: it moves
// no date and no webhook tells of it.
func SetMember(tx *world.Tx, p *world.Party, group string, in bool) {
	n := p.Clone()
	n.Groups = slices.DeleteFunc(n.Groups, func(id string) bool { return id == group })
	if in {
		n.Groups = append(n.Groups, group)
	}
	tx.Parties.Put(tx, n.ID, n)
}

// removeMembers takes one contact, or all, out of a group.
func removeMembers(tx *world.Tx, c *call) (reply, error) {
	g := findGroup(tx.State, c)
	if g == nil {
		return reply{}, errNotFound
	}
	each := strings.ToLower(c.PathValue("each"))
	gone := false
	for id, p := range tx.Parties.All() {
		if slices.Contains(p.Groups, g.ID) && (each == "" || each == id) {
			SetMember(tx, p, g.ID, false)
			gone = true
		}
	}
	if each != "" && !gone {
		return reply{}, errNotFound
	}
	return reply{status: 204}, nil
}
