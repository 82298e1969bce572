package control

import (
	"slices"
	"strings"
	"time"

	"github.com/concord-suite/concord/sim/world"
)

// edit changes every client a selector names and answers with them. touch moves their modification
// time, as saving the record upstream would.
func (a *API) edit(sel selector, candidates func(*world.Client) bool, touch bool, f func(*world.Tx, *world.Client) error) (any, error) {
	var changed []*world.Client
	err := a.store.Update(func(tx *world.Tx) error {
		list, err := sel.pick(tx.State, candidates)
		if err != nil {
			return err
		}
		for _, c := range list {
			n := c.Clone()
			if err := f(tx, n); err != nil {
				return err
			}
			if touch {
				n.Modified = tx.Now
			}
			tx.Clients.Put(tx, n.UUID, n)
			changed = append(changed, n)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return summarise(changed), nil
}

// archive returns the endpoint that archives, or brings back, clients. Like the real thing it leaves
// the modification time alone: a listing of what changed does not show it.
func (a *API) archive(archived bool) func(selector) (any, error) {
	return func(sel selector) (any, error) {
		candidates := func(c *world.Client) bool { return !c.Deleted && c.Archived != archived }
		return a.edit(sel, candidates, false, func(_ *world.Tx, c *world.Client) error {
			if c.Deleted {
				return bad("client %s is deleted", c.UUID)
			}
			c.Archived = archived
			return nil
		})
	}
}

type deletion struct {
	selector
	// Purge removes the record for good: reading it is an error from then on. Without it the record
	// stays readable with IsDeleted Yes.
	Purge bool `json:"purge"`
}

func (a *API) delete(d deletion) (any, error) {
	return a.edit(d.selector, (*world.Client).Active, false, func(_ *world.Tx, c *world.Client) error {
		c.Deleted, c.Purged = true, d.Purge
		return nil
	})
}

// dropIDs takes the integer ids of clients away: their 3.0 answers carry the UUID alone from then on.
func (a *API) dropIDs(sel selector) (any, error) {
	return a.edit(sel, func(c *world.Client) bool { return !c.Deleted && c.ID > 0 }, false, func(_ *world.Tx, c *world.Client) error {
		c.ID = 0
		return nil
	})
}

type fieldValues struct {
	selector
	// Values are custom field values by the name of the field; an empty one clears it.
	Values map[string]string `json:"values"`
}

// setFields sets custom field values, which moves no modification time.
func (a *API) setFields(v fieldValues) (any, error) {
	if len(v.Values) == 0 {
		return nil, bad("values is empty")
	}
	return a.edit(v.selector, (*world.Client).Active, false, func(tx *world.Tx, c *world.Client) error {
		for name, value := range v.Values {
			f := fieldNamed(tx, c.Tenant, name)
			switch {
			case f == nil:
				return missing("no custom field %q for clients", name)
			case value == "":
				delete(c.Fields, f.UUID)
			case !f.Takes(value):
				return bad("%q is no value of %s", value, name)
			default:
				c.Fields[f.UUID] = value
			}
		}
		return nil
	})
}

func fieldNamed(tx *world.Tx, tenant, name string) *world.FieldDefinition {
	for _, f := range tx.Fields.All() {
		if f.Tenant == tenant && f.UseClient && f.Name == name {
			return f
		}
	}
	return nil
}

type renaming struct {
	Tenant string `json:"tenant"`
	UUID   string `json:"uuid"`
	Name   string `json:"name"`
}

func (a *API) rename(r renaming) (any, error) {
	return a.update(changes{selector: selector{Tenant: r.Tenant, UUIDs: []string{r.UUID}}, Fields: map[string]string{"Name": r.Name}})
}

type changes struct {
	selector
	// Fields are elements by the name they have in the XML, such as Email or ExportCode.
	Fields map[string]string `json:"fields"`
}

func (a *API) update(ch changes) (any, error) {
	if len(ch.Fields) == 0 {
		return nil, bad("fields is empty")
	}
	return a.edit(ch.selector, (*world.Client).Active, true, func(_ *world.Tx, c *world.Client) error {
		return set(c, ch.Fields)
	})
}

// set writes fields by their XML name.
func set(c *world.Client, fields map[string]string) error {
	texts := c.Texts()
	texts["DateOfBirth"] = &c.DateOfBirth
	for name, value := range fields {
		target := texts[name]
		if target == nil {
			if c.Tax == nil {
				c.Tax = &world.Tax{AgencyStatus: "Unlinked"}
			}
			target = c.Tax.Texts()[name]
		}
		switch {
		case target == nil:
			return bad("a client has no text field %q", name)
		case name == "Name" && value == "":
			return bad("a client needs a name")
		case name == "DateOfBirth" && value != "":
			if _, err := time.Parse(time.DateOnly, value); err != nil {
				return bad("DateOfBirth is yyyy-MM-dd")
			}
		}
		*target = value
	}
	return nil
}

type merging struct {
	Tenant string `json:"tenant"`
	From   string `json:"from"`
	Into   string `json:"into"`
}

// merge moves contacts, groups and relationships of one client to another and deletes it. Neither
// modification time moves, as practices report.
func (a *API) merge(m merging) (any, error) {
	if m.From == m.Into {
		return nil, bad("from and into are the same client")
	}
	var result any
	err := a.store.Update(func(tx *world.Tx) error {
		owner, err := tenant(tx.State, m.Tenant)
		if err != nil {
			return err
		}
		pair, err := named(tx.State, owner, []string{m.From, m.Into})
		if err != nil {
			return err
		}
		from, into := pair[0].Clone(), pair[1].Clone()
		if from.Deleted || into.Deleted {
			return bad("a deleted client cannot be merged")
		}
		join(from, into)
		from.Deleted, from.Contacts, from.Groups, from.Relationships = true, nil, nil, nil
		tx.Clients.Put(tx, from.UUID, from)
		tx.Clients.Put(tx, into.UUID, into)
		for id, c := range tx.Clients.All() {
			if slices.ContainsFunc(c.Relationships, func(r world.Relationship) bool { return r.Related == from.UUID }) {
				n := c.Clone()
				repoint(n, from.UUID, into.UUID)
				tx.Clients.Put(tx, id, n)
			}
		}
		result = summarise([]*world.Client{from, into})
		return nil
	})
	return result, err
}

func join(from, into *world.Client) {
	for _, l := range from.Contacts {
		if into.Link(l.Contact) < 0 {
			l.Primary = false
			into.Contacts = append(into.Contacts, l)
		}
	}
	for _, g := range from.Groups {
		if !slices.Contains(into.Groups, g) {
			into.Groups = append(into.Groups, g)
		}
	}
	into.Relationships = append(into.Relationships, from.Relationships...)
	repoint(into, from.UUID, into.UUID)
}

// repoint makes relationships to one client point to another and drops those that would point home.
func repoint(c *world.Client, from, into string) {
	for i := range c.Relationships {
		if c.Relationships[i].Related == from {
			c.Relationships[i].Related = into
		}
	}
	c.Relationships = slices.DeleteFunc(c.Relationships, func(r world.Relationship) bool { return r.Related == c.UUID })
}

type addition struct {
	Tenant string            `json:"tenant"`
	Fields map[string]string `json:"fields"`
	// Contacts are UUIDs of existing contacts; the first is the primary one.
	Contacts []string `json:"contacts"`
}

func (a *API) add(ad addition) (any, error) {
	var added *world.Client
	err := a.store.Update(func(tx *world.Tx) error {
		owner, err := tenant(tx.State, ad.Tenant)
		if err != nil {
			return err
		}
		added = &world.Client{UUID: world.NewID(), ID: tx.NextInt(owner), Tenant: owner, Created: tx.Now, Modified: tx.Now}
		if err := set(added, ad.Fields); err != nil {
			return err
		}
		if added.Name == "" {
			return bad("a client needs a name")
		}
		for i, id := range ad.Contacts {
			contact, err := contactOf(tx.State, owner, id)
			if err != nil {
				return err
			}
			added.Contacts = append(added.Contacts, world.Link{Contact: contact.UUID, Primary: i == 0})
		}
		tx.Clients.Put(tx, added.UUID, added)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return summarise([]*world.Client{added}), nil
}

func contactOf(s *world.State, owner, id string) (*world.Contact, error) {
	c := s.Contacts.Get(strings.ToLower(id))
	if c == nil || c.Tenant != owner {
		return nil, missing("no contact %s in this practice", id)
	}
	return c, nil
}
