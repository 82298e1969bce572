package control

import (
	"net/http"
	"slices"
	"strings"

	"github.com/concord-suite/concord/sim/world"
)

type partyGrouping struct {
	Tenant string `json:"tenant"`
	// Group is the id of a group; empty with Name makes one.
	Group  string   `json:"group"`
	Name   string   `json:"name"`
	Add    []string `json:"add"`    // ids of contacts
	Remove []string `json:"remove"` // ids of contacts
	Delete bool     `json:"delete"`
}

// changePartyGroup makes, renames or deletes a group and changes its members, none of which moves a date
// of a contact.
func (a *API) changePartyGroup(ch partyGrouping) (any, error) {
	var group *world.PartyGroup
	err := a.store.Update(func(tx *world.Tx) error {
		owner, err := organisation(tx.State, ch.Tenant)
		if err != nil {
			return err
		}
		if group, err = ch.group(tx, owner); err != nil {
			return err
		}
		tx.PartyGroups.Put(tx, group.ID, group)
		for in, ids := range map[bool][]string{true: ch.Add, false: ch.Remove} {
			for _, id := range ids {
				p, err := partyOf(tx.State, owner, id)
				if err != nil {
					return err
				}
				n := p.Clone()
				n.Groups = slices.DeleteFunc(n.Groups, func(g string) bool { return g == group.ID })
				if in {
					n.Groups = append(n.Groups, group.ID)
				}
				tx.Parties.Put(tx, n.ID, n)
			}
		}
		return nil
	})
	return group, err
}

func (ch partyGrouping) group(tx *world.Tx, owner string) (*world.PartyGroup, error) {
	g := world.PartyGroup{ID: world.NewID(), Tenant: owner}
	if ch.Group != "" {
		old := tx.PartyGroups.Get(strings.ToLower(ch.Group))
		if old == nil || old.Tenant != owner {
			return nil, missing("no group %s in this organisation", ch.Group)
		}
		g = *old
	}
	if ch.Name != "" {
		g.Name = ch.Name
	}
	if g.Name == "" {
		return nil, bad("a group needs a name")
	}
	g.Deleted = ch.Delete
	return &g, nil
}

// listPartyGroups answers with the groups of an organisation, deleted ones too, by name.
func (a *API) listPartyGroups(r *http.Request) (any, error) {
	list := []*world.PartyGroup{}
	var err error
	a.store.View(func(s *world.State) {
		var owner string
		if owner, err = organisation(s, r.URL.Query().Get("tenant")); err != nil {
			return
		}
		for _, g := range s.PartyGroups.All() {
			if g.Tenant == owner {
				list = append(list, g)
			}
		}
	})
	slices.SortFunc(list, func(x, y *world.PartyGroup) int { return strings.Compare(x.Name+x.ID, y.Name+y.ID) })
	return map[string]any{"groups": list}, err
}
