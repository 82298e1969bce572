package xpm

import (
	"slices"
	"strconv"
	"strings"

	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"
)

func (s *Service) listGroups(c *call) (content, error) {
	var groups []*world.Group
	s.store.View(func(st *world.State) {
		for _, g := range st.Groups.All() {
			if g.Tenant == c.tenant {
				groups = append(groups, g)
			}
		}
	})
	slices.SortFunc(groups, func(a, b *world.Group) int {
		return strings.Compare(strings.ToLower(a.Name)+a.UUID, strings.ToLower(b.Name)+b.UUID)
	})
	groups = faults.Rows(c.fault, groups)
	return func(w *writer) {
		w.list("Groups", len(groups), func(i int) { w.group(groups[i], nil) })
	}, nil
}

// group writes a group; members is nil in a listing.
func (w *writer) group(g *world.Group, members *[]*world.Client) {
	w.open("Group")
	if w.v30 {
		w.text("ID", strconv.Itoa(g.ID))
	} else {
		w.text("UUID", g.UUID)
	}
	w.text("Name", g.Name)
	w.yesNo("Taxable", g.Taxable)
	if members != nil {
		list := *members
		w.list("Clients", len(list), func(i int) {
			w.open("Client")
			if w.v30 && list[i].ID > 0 {
				w.text("ID", strconv.Itoa(list[i].ID))
			} else {
				w.text("UUID", list[i].UUID)
			}
			w.text("Name", list[i].Name)
			w.close("Client")
		})
	}
	w.close("Group")
}

func (s *Service) getGroup(c *call) (content, error) {
	var group *world.Group
	s.store.View(func(st *world.State) { group = c.group(st, c.PathValue("id")) })
	if group == nil {
		return nil, errGroup
	}
	return s.groupAnswer(c, group), nil
}

func (s *Service) groupAnswer(c *call, group *world.Group) content {
	members := keep(faults.Rows(c.fault, s.store.ClientsByName(c.tenant)), func(cl *world.Client) bool {
		return !cl.Deleted && slices.Contains(cl.Groups, group.UUID)
	})
	return func(w *writer) { w.group(group, &members) }
}

func (s *Service) addGroup(c *call) (content, error) {
	var group *world.Group
	err := s.store.Update(func(tx *world.Tx) error {
		name, _ := c.body.Value("Name")
		taxable, _ := c.body.Value("Taxable")
		member, named := c.body.Value("ClientUUID")
		if name == "" {
			return fail("The client group name is required")
		}
		group = &world.Group{UUID: world.NewID(), ID: tx.NextInt(c.tenant), Tenant: c.tenant, Name: name,
			Taxable: strings.EqualFold(taxable, "yes")}
		tx.Groups.Put(tx, group.UUID, group)
		if !named || member == "" {
			return nil
		}
		return c.setMember(tx, group.UUID, member, true)
	})
	if err != nil {
		return nil, err
	}
	return s.groupAnswer(c, group), nil
}

// changeMembers reads <add uuid=""/> and <remove uuid=""/>, any number of each.
func (s *Service) changeMembers(c *call) (content, error) {
	var group *world.Group
	err := s.store.Update(func(tx *world.Tx) error {
		if group = c.group(tx.State, identifier(c.body)); group == nil {
			return errGroup
		}
		for _, n := range c.body.Children {
			action := strings.ToLower(n.XMLName.Local)
			if action != "add" && action != "remove" {
				continue
			}
			for _, attr := range n.Attrs {
				if name := strings.ToLower(attr.Name.Local); name != "uuid" && name != "id" {
					continue
				}
				if err := c.setMember(tx, group.UUID, attr.Value, action == "add"); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.groupAnswer(c, group), nil
}

func (c *call) setMember(tx *world.Tx, group, client string, in bool) error {
	old := c.client(tx.State, client)
	if old == nil || old.Deleted {
		return errClient
	}
	cl := old.Clone()
	cl.Groups = slices.DeleteFunc(cl.Groups, func(id string) bool { return id == group })
	if in {
		cl.Groups = append(cl.Groups, group)
	}
	tx.Clients.Put(tx, cl.UUID, cl)
	return nil
}

func (s *Service) deleteGroup(c *call) (content, error) {
	return nil, s.store.Update(func(tx *world.Tx) error {
		group := c.group(tx.State, identifier(c.body))
		if group == nil {
			return errGroup
		}
		for _, cl := range tx.Clients.All() {
			if slices.Contains(cl.Groups, group.UUID) {
				if err := c.setMember(tx, group.UUID, cl.UUID, false); err != nil && !cl.Deleted {
					return err
				}
			}
		}
		tx.Groups.Delete(tx, group.UUID)
		return nil
	})
}
