package xpm

import (
	"slices"
	"strings"

	"github.com/concord-suite/concord/sim/world"
	"github.com/concord-suite/concord/sim/xmltree"
)

// maxLinked is how many contacts one request may add to a client.
const maxLinked = 10

// getContact reads a contact. Primary and position are told for the client named by clientUuid, or
// for the contact's only client.
func (s *Service) getContact(c *call) (content, error) {
	var found *world.Contact
	var link *world.Link
	var err error
	s.store.View(func(st *world.State) {
		if found = c.contact(st, c.PathValue("id")); found == nil {
			err = errContact
			return
		}
		link, err = c.linkOf(st, found, c.clientParameter())
	})
	if err != nil {
		return nil, err
	}
	return func(w *writer) { w.contact(found, link) }, nil
}

// clientParameter reads the client a contact request is about; 3.0 calls it client_id.
func (c *call) clientParameter() string {
	if id := c.query("clientUuid"); id != "" || !c.v30 {
		return id
	}
	return c.query("client_id")
}

// linkOf returns the link of a contact to the named client, or to its only client if none is named.
func (c *call) linkOf(st *world.State, contact *world.Contact, client string) (*world.Link, error) {
	if client != "" {
		cl := c.client(st, client)
		if cl == nil || cl.Link(contact.UUID) < 0 {
			return nil, errClient
		}
		return &cl.Contacts[cl.Link(contact.UUID)], nil
	}
	linked := clientsOf(st, contact)
	if len(linked) != 1 {
		return nil, nil
	}
	return &linked[0].Contacts[linked[0].Link(contact.UUID)], nil
}

// clientsOf returns the clients a contact is linked to, deleted ones left out.
func clientsOf(st *world.State, contact *world.Contact) []*world.Client {
	var linked []*world.Client
	for _, cl := range st.Clients.All() {
		if cl.Tenant == contact.Tenant && !cl.Deleted && cl.Link(contact.UUID) >= 0 {
			linked = append(linked, cl)
		}
	}
	return linked
}

func (s *Service) addContact(c *call) (content, error) {
	var link world.Link
	var contact *world.Contact
	_, err := s.change(c, identifier(c.body.Child("Client")), func(tx *world.Tx, cl *world.Client) error {
		if err := c.addContactTo(tx, cl, c.body); err != nil {
			return err
		}
		link = cl.Contacts[len(cl.Contacts)-1]
		contact = tx.Contacts.Get(link.Contact)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return func(w *writer) { w.contact(contact, &link) }, nil
}

// addContactTo makes a contact from a message and links it to the client.
func (c *call) addContactTo(tx *world.Tx, cl *world.Client, n *xmltree.Node) error {
	contact := &world.Contact{UUID: world.NewID(), ID: tx.NextInt(c.tenant), Tenant: c.tenant}
	if err := applyContact(contact, n); err != nil {
		return err
	}
	if contact.Name == "" {
		return fail("The contact name is required")
	}
	tx.Contacts.Put(tx, contact.UUID, contact)
	link := world.Link{Contact: contact.UUID}
	applyLink(cl, &link, n)
	cl.Contacts = append(cl.Contacts, link)
	return nil
}

func applyContact(contact *world.Contact, n *xmltree.Node) error {
	for element, target := range contact.Texts() {
		v, ok := n.Value(element)
		if ok && element == "Name" && v == "" {
			return fail("The contact name is required")
		}
		if ok {
			*target = v
		}
	}
	return nil
}

// applyLink sets position and primary of a link. A client has one primary contact: the last one
// named so.
func applyLink(cl *world.Client, link *world.Link, n *xmltree.Node) {
	if v, ok := n.Value("Position"); ok {
		link.Position = v
	}
	v, ok := n.Value("IsPrimary")
	if !ok {
		return
	}
	link.Primary = strings.EqualFold(v, "yes")
	for i := range cl.Contacts {
		if link.Primary && cl.Contacts[i].Contact != link.Contact {
			cl.Contacts[i].Primary = false
		}
	}
}

// updateContact changes a contact, and its link if the message names the client.
func (s *Service) updateContact(c *call) (content, error) {
	var changed world.Contact
	var link *world.Link
	err := s.store.Update(func(tx *world.Tx) error {
		old := c.contact(tx.State, c.PathValue("id"))
		if old == nil {
			return errContact
		}
		changed = *old
		if err := applyContact(&changed, c.body); err != nil {
			return err
		}
		tx.Contacts.Put(tx, changed.UUID, &changed)
		named := identifier(c.body.Child("Client"))
		if named == "" {
			named = c.clientParameter()
		}
		var err error
		if link, err = c.linkOf(tx.State, old, named); err != nil || named == "" {
			return err
		}
		cl := c.client(tx.State, named).Clone()
		link = &cl.Contacts[cl.Link(old.UUID)]
		applyLink(cl, link, c.body)
		tx.Clients.Put(tx, cl.UUID, cl)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return func(w *writer) { w.contact(&changed, link) }, nil
}

// deleteContact takes a contact from the named client, or from its only one, and deletes it when no
// client is left. Without a name a contact of several clients is not touched.
func (s *Service) deleteContact(c *call) (content, error) {
	var gone world.Contact
	err := s.store.Update(func(tx *world.Tx) error {
		old := c.contact(tx.State, c.PathValue("id"))
		if old == nil {
			return errContact
		}
		gone = *old
		linked := clientsOf(tx.State, old)
		if named := c.clientParameter(); named != "" {
			cl := c.client(tx.State, named)
			if cl == nil || cl.Link(old.UUID) < 0 {
				return errClient
			}
			gone.Deleted = len(linked) == 1
			linked = []*world.Client{cl}
		} else if len(linked) > 1 {
			return fail("The contact belongs to more than one client, specify clientUuid")
		} else {
			gone.Deleted = true
		}
		for _, cl := range linked {
			Unlink(tx, cl, old.UUID)
		}
		tx.Contacts.Put(tx, gone.UUID, &gone)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return func(w *writer) { w.contact(&gone, nil) }, nil
}

// Unlink takes a contact from a client.
func Unlink(tx *world.Tx, cl *world.Client, contact string) {
	n := cl.Clone()
	n.Contacts = slices.DeleteFunc(n.Contacts, func(l world.Link) bool { return l.Contact == contact })
	tx.Clients.Put(tx, n.UUID, n)
}

// linkContacts adds existing contacts to a client.
func (s *Service) linkContacts(c *call) (content, error) {
	var cl *world.Client
	_, err := s.change(c, c.PathValue("id"), func(tx *world.Tx, changed *world.Client) error {
		cl = changed
		list := c.body.Child("Contacts")
		if list == nil || len(list.Children) == 0 || len(list.Children) > maxLinked {
			return fail("Between 1 and 10 contacts can be added")
		}
		for i := range list.Children {
			contact := c.contact(tx.State, identifier(&list.Children[i]))
			if contact == nil {
				return errContact
			}
			at := cl.Link(contact.UUID)
			if at < 0 {
				at = len(cl.Contacts)
				cl.Contacts = append(cl.Contacts, world.Link{Contact: contact.UUID})
			}
			applyLink(cl, &cl.Contacts[at], &list.Children[i])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return func(w *writer) {
		w.open("Client")
		w.text("UUID", cl.UUID)
		w.list("Contacts", len(cl.Contacts), func(i int) {
			w.open("Contact")
			w.text("UUID", cl.Contacts[i].Contact)
			w.text("Position", cl.Contacts[i].Position)
			w.yesNo("IsPrimary", cl.Contacts[i].Primary)
			w.close("Contact")
		})
		w.close("Client")
	}, nil
}
