package control

import (
	"net/http"
	"strings"

	"github.com/concord-suite/concord/sim/world"
)

// contactState is a contact with the clients it belongs to, which the provider's own listing lacks.
type contactState struct {
	world.Contact
	Clients []string `json:"clients"` // UUIDs, deleted clients left out
}

func (a *API) getContact(r *http.Request) (any, error) {
	var found *contactState
	a.store.View(func(s *world.State) {
		if c := s.Contacts.Get(strings.ToLower(r.PathValue("uuid"))); c != nil {
			found = describe(s, c)
		}
	})
	if found == nil {
		return nil, missing("no contact %s", r.PathValue("uuid"))
	}
	return found, nil
}

func describe(s *world.State, c *world.Contact) *contactState {
	d := &contactState{Contact: *c, Clients: []string{}}
	for id, cl := range s.Clients.All() {
		if !cl.Deleted && cl.Link(c.UUID) >= 0 {
			d.Clients = append(d.Clients, id)
		}
	}
	return d
}

type contactChange struct {
	Tenant string            `json:"tenant"`
	UUID   string            `json:"uuid"` // none when adding
	Fields map[string]string `json:"fields"`
	// Client links a new contact.
	Client string `json:"client"`
}

// changeContact stores what f makes of a contact and answers with it.
func (a *API) changeContact(ch contactChange, f func(tx *world.Tx, owner string) (*world.Contact, error)) (any, error) {
	var result any
	err := a.store.Update(func(tx *world.Tx) error {
		owner, err := tenant(tx.State, ch.Tenant)
		if err != nil {
			return err
		}
		c, err := f(tx, owner)
		if err != nil {
			return err
		}
		for name, value := range ch.Fields {
			target := c.Texts()[name]
			if target == nil {
				return bad("a contact has no text field %q", name)
			}
			*target = value
		}
		if c.Name == "" {
			return bad("a contact needs a name")
		}
		tx.Contacts.Put(tx, c.UUID, c)
		result = describe(tx.State, c)
		return nil
	})
	return result, err
}

func (a *API) addContact(ch contactChange) (any, error) {
	return a.changeContact(ch, func(tx *world.Tx, owner string) (*world.Contact, error) {
		c := &world.Contact{UUID: world.NewID(), ID: tx.NextInt(owner), Tenant: owner}
		if ch.Client == "" {
			return c, nil
		}
		return c, connect(tx, owner, linking{Client: ch.Client, Contact: c.UUID})
	})
}

// updateContact changes a contact and not its clients, whose modification time stays: that is how
// contact edits escape a listing of what changed.
func (a *API) updateContact(ch contactChange) (any, error) {
	return a.changeContact(ch, func(tx *world.Tx, owner string) (*world.Contact, error) {
		old, err := contactOf(tx.State, owner, ch.UUID)
		if err != nil {
			return nil, err
		}
		c := *old
		return &c, nil
	})
}

type linking struct {
	Tenant   string `json:"tenant"`
	Client   string `json:"client"`
	Contact  string `json:"contact"`
	Position string `json:"position"`
	Primary  bool   `json:"primary"`
}

func connect(tx *world.Tx, owner string, l linking) error {
	list, err := named(tx.State, owner, []string{l.Client})
	if err != nil {
		return err
	}
	c := list[0].Clone()
	link := world.Link{Contact: strings.ToLower(l.Contact), Primary: l.Primary, Position: l.Position}
	if at := c.Link(link.Contact); at >= 0 {
		c.Contacts[at] = link
	} else {
		c.Contacts = append(c.Contacts, link)
	}
	tx.Clients.Put(tx, c.UUID, c)
	return nil
}

func (a *API) linkContact(l linking) (any, error) {
	return a.relink(l, func(tx *world.Tx, owner string, _ *world.Client) error { return connect(tx, owner, l) })
}

func (a *API) unlinkContact(l linking) (any, error) {
	return a.relink(l, func(tx *world.Tx, _ string, c *world.Client) error {
		n := c.Clone()
		at := n.Link(strings.ToLower(l.Contact))
		if at < 0 {
			return missing("this client has no such contact")
		}
		n.Contacts = append(n.Contacts[:at], n.Contacts[at+1:]...)
		tx.Clients.Put(tx, n.UUID, n)
		return nil
	})
}

func (a *API) relink(l linking, f func(*world.Tx, string, *world.Client) error) (any, error) {
	var result any
	err := a.store.Update(func(tx *world.Tx) error {
		owner, err := tenant(tx.State, l.Tenant)
		if err != nil {
			return err
		}
		contact, err := contactOf(tx.State, owner, l.Contact)
		if err != nil {
			return err
		}
		list, err := named(tx.State, owner, []string{l.Client})
		if err != nil {
			return err
		}
		if err := f(tx, owner, list[0]); err != nil {
			return err
		}
		result = describe(tx.State, contact)
		return nil
	})
	return result, err
}
