package accounting

import (
	"strings"

	"github.com/concord-suite/concord/sim/world"
)

// batch is the contacts of one request on their way into the world: nothing is stored before all of
// them were looked at.
type batch struct {
	tx      *world.Tx
	tenant  string
	pending map[string]*world.Party
	names   map[string]string // ids of active contacts by those names, in lower case, that the request gives
	numbers map[string]string // ids by those ContactNumbers
	groups  map[string]string
	rows    []*world.Party // in the order of the request; nil where something is wrong
	shown   []contact
	wrong   int
}

// newBatch looks up who has the names and numbers that a request gives. A contact that keeps its own has
// a right to it.
func newBatch(tx *world.Tx, c *call, list []contactIn) *batch {
	names, numbers := map[string]bool{}, map[string]bool{}
	for _, in := range list {
		if in.Name != nil {
			names[strings.ToLower(string(*in.Name))] = true
		}
		if in.ContactNumber != nil {
			numbers[string(*in.ContactNumber)] = true
		}
	}
	b := &batch{tx: tx, tenant: c.tenant, pending: map[string]*world.Party{}, names: tx.PartyNames(c.tenant, names),
		numbers: map[string]string{}, groups: groupNames(tx.State, c.tenant)}
	for id, p := range tx.Parties.All() {
		if p.Tenant == c.tenant && p.Number != "" && numbers[p.Number] {
			b.numbers[p.Number] = id
		}
	}
	return b
}

// find returns the contact with an id, as this request has left it so far.
func (b *batch) find(id string) *world.Party {
	if p := b.pending[id]; p != nil {
		return p
	}
	if p := b.tx.Parties.Get(id); p != nil && p.Tenant == b.tenant {
		return p
	}
	return nil
}

// add takes a contact in: old with the request's values, or a new one if old is nil.
func (b *batch) add(in *contactIn, old *world.Party, w wrongs) {
	var p *world.Party
	if old != nil {
		p = old.Clone()
	} else {
		p = &world.Party{ID: world.NewID(), Tenant: b.tenant, Status: world.PartyActive, Created: b.tx.Now}
	}
	w = append(w, in.apply(p)...)
	p.Updated = b.tx.Now
	name := strings.ToLower(p.Name)
	if other := b.names[name]; other != "" && other != p.ID && p.Status == world.PartyActive {
		w.add("The contact name %s is already assigned to another contact. The contact name must be unique across all active contacts.", p.Name)
	}
	if other := b.numbers[p.Number]; p.Number != "" && other != "" && other != p.ID {
		w.add("The contact number %s is already assigned to another contact. The contact number must be unique across all contacts.", p.Number)
	}
	shown := show(p, b.groups, whole)
	if len(w) > 0 {
		if old == nil {
			shown.ContactID = "00000000-0000-0000-0000-000000000000"
		}
		shown.HasValidationErrors, shown.ValidationErrors, shown.StatusAttributeString = true, w, "ERROR"
		b.wrong++
		p = nil
	} else {
		b.reserve(old, p)
	}
	b.rows, b.shown = append(b.rows, p), append(b.shown, shown)
}

// reserve takes the names of a contact for the rest of the request.
func (b *batch) reserve(old, p *world.Party) {
	if old != nil && b.names[strings.ToLower(old.Name)] == p.ID {
		delete(b.names, strings.ToLower(old.Name))
	}
	if old != nil && old.Number != "" {
		delete(b.numbers, old.Number)
	}
	if p.Status == world.PartyActive {
		b.names[strings.ToLower(p.Name)] = p.ID
	}
	if p.Number != "" {
		b.numbers[p.Number] = p.ID
	}
	b.pending[p.ID] = p
}

// store puts everything into the world that nothing is wrong with, unless one wrong contact stops all.
func (b *batch) store(c *call) (reply, error) {
	each := strings.EqualFold(c.query("summarizeErrors"), "false")
	if b.wrong > 0 && !each {
		var elements []contact
		for i, p := range b.rows {
			if p == nil {
				b.shown[i].StatusAttributeString = ""
				elements = append(elements, b.shown[i])
			}
		}
		return reply{}, rejected(elements)
	}
	for i, p := range b.rows {
		if p != nil {
			b.tx.PutParty(p)
			if each {
				b.shown[i].StatusAttributeString = "OK"
			}
		}
	}
	return reply{envelope: envelope{Contacts: &b.shown}}, nil
}

// createContacts makes a new contact of each of the request's, whatever ids they carry.
func createContacts(tx *world.Tx, c *call) (reply, error) {
	list, err := c.contacts()
	if err != nil {
		return reply{}, err
	}
	b := newBatch(tx, c, list)
	for i := range list {
		b.add(&list[i], nil, nil)
	}
	return b.store(c)
}

// saveContacts changes the contacts named by ContactID or else by ContactNumber, and makes the others.
func saveContacts(tx *world.Tx, c *call) (reply, error) {
	list, err := c.contacts()
	if err != nil {
		return reply{}, err
	}
	b := newBatch(tx, c, list)
	for i := range list {
		in := &list[i]
		id := in.id()
		var w wrongs
		if id == "" && in.ContactNumber != nil {
			id = b.numbers[string(*in.ContactNumber)]
		}
		old := b.find(id)
		if id != "" && old == nil {
			w.add("ContactID: the contact %s does not exist.", id)
		}
		b.add(in, old, w)
	}
	return b.store(c)
}

// updateContact changes the contact the path names, whatever the body says of its id.
func updateContact(tx *world.Tx, c *call) (reply, error) {
	old := lookup(tx.State, c.tenant, c.PathValue("id"))
	if old == nil {
		return reply{}, errNotFound
	}
	list, err := c.contacts()
	if err != nil {
		return reply{}, err
	}
	if len(list) > 1 {
		return reply{}, invalid("The request names one contact and carries several.")
	}
	b := newBatch(tx, c, list)
	b.add(&list[0], old, nil)
	return b.store(c)
}
