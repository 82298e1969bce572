package runner

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// settle applies what was kept of contacts, batch by batch. In a full run whose listings of clients and contacts were
// both proven complete it also ends relations that are no longer listed, within the connection's guard.
func (w *Worker) settle(ctx context.Context, r *run.Run) error {
	if err := w.openSettling(ctx, r); err != nil {
		return err
	}
	limit, err := w.endLimit(ctx, r)
	if err != nil {
		return err
	}
	for r.State == run.Running && r.Step == run.Settling && !r.CancelRequested {
		err := w.advance(ctx, r, func(tx *sqldb.Tx, r *run.Run) error {
			mayEnd := max(0, limit-r.ContactsLeft)
			staged, err := store.StagedContacts(tx, r.ID, r.Cursor, w.Batch)
			if err != nil {
				return err
			}
			if len(staged) > 0 {
				r.Cursor = staged[len(staged)-1].Record
				return w.settleBatch(tx, r, staged, mayEnd)
			}
			ended, err := w.endVanished(tx, r, mayEnd)
			if err == nil && ended == 0 {
				r.Enter(r.Next(), w.Now())
			}
			return err
		})
		if err != nil && !errors.Is(err, errMoved) {
			return err
		}
	}
	return nil
}

// errMoved: a client record was linked while the batch was being locked; the batch is done anew, and locks that client too.
var errMoved = errors.New("runner: a client was linked meanwhile")

// openSettling counts what is to be done, once.
func (w *Worker) openSettling(ctx context.Context, r *run.Run) error {
	if r.Total > 0 || r.Cursor != "" {
		return nil
	}
	return w.advance(ctx, r, func(tx *sqldb.Tx, r *run.Run) (err error) {
		r.Total, err = store.CountStagedContacts(tx, r.ID)
		return err
	})
}

// endLimit is how many contacts may lose a relation in this run: what the guard lets through, 0 when the listings prove
// nothing.
func (w *Worker) endLimit(ctx context.Context, r *run.Run) (limit int64, err error) {
	if r.Kind != run.Full || !r.Proven {
		return 0, nil
	}
	err = w.DB.Read(ctx, func(tx *sqldb.Tx) error {
		listing, err := store.ListingOf(tx, r, run.Contacts)
		if err != nil || listing.Unproven() != "" {
			return err
		}
		conn, err := store.Connection(tx, r.Firm, r.Connection)
		if err != nil {
			return err
		}
		linked, err := store.LinkedContacts(tx, r.Connection, r.Tenant)
		limit = conn.Guard.Limit(linked + r.ContactsLeft)
		return err
	})
	return limit, err
}

// batch is a batch of contacts being settled.
type batch struct {
	w         *Worker
	tx        *sqldb.Tx
	r         *run.Run
	mayEnd    int64
	held      map[string]store.HeldContact
	relations map[string][]store.RelationRow // by contact record
	clients   map[string]string              // client ids, by client record
	locked    map[string]client.Client       // by client id; only their state and off-boarding are known
	contacts  map[string]client.Contact      // by contact id
	listed    map[string]bool                // client records listed as active in this run

	made     []store.NewContact
	updates  []store.PersonUpdate
	put      []store.RelationRow // new ones
	replace  []store.RelationRow // changed ones
	drop     []store.RelationRow
	affected map[string]bool // contacts whose relations moved
}

// listedContact is what a listing says of one contact, all its lines taken together.
type listedContact struct {
	record, hash string
	contact      client.RecordContact
	// whole: it stood on one line, so the line has all its relations.
	whole bool
}

// together merges the lines of each contact: the last line's person, everybody's relations.
func together(staged []store.StagedContact) []listedContact {
	var out []listedContact
	for _, s := range staged {
		if n := len(out); n > 0 && out[n-1].record == s.Record {
			last := &out[n-1]
			links := append(last.contact.Links, s.Contact.Links...)
			*last = listedContact{record: s.Record, contact: client.RecordContact{Person: s.Contact.Person, Links: links}.Clean()}
			continue
		}
		out = append(out, listedContact{record: s.Record, hash: s.Hash, contact: s.Contact, whole: true})
	}
	return out
}

func (w *Worker) settleBatch(tx *sqldb.Tx, r *run.Run, staged []store.StagedContact, mayEnd int64) error {
	listed := together(staged)
	b := &batch{w: w, tx: tx, r: r, mayEnd: mayEnd, affected: map[string]bool{}}
	if err := b.load(listed); err != nil {
		return err
	}
	for _, l := range listed {
		b.settle(l)
	}
	r.Done += int64(len(listed))
	return b.commit()
}

// load locks everything the batch is about, clients first, then contacts, each in id order, and reads it behind the locks:
// an off-boarding may have hidden or brought back relations, or a person linked a client, while the locks were waited for.
func (b *batch) load(listed []listedContact) error {
	r := b.r
	records := make([]string, len(listed))
	for i, l := range listed {
		records[i] = l.record
	}
	if err := b.read(listed, records); err != nil {
		return err
	}
	var contactIDs []string
	var err error
	if b.locked, err = store.LockStates(b.tx, r.Firm, slices.Collect(maps.Values(b.clients))); err != nil {
		return err
	}
	for _, h := range b.held {
		contactIDs = append(contactIDs, h.Contact)
	}
	if b.contacts, err = store.LockContacts(b.tx, contactIDs); err != nil {
		return err
	}
	if err := b.read(listed, records); err != nil {
		return err
	}
	for _, id := range b.clients {
		if _, locked := b.locked[id]; !locked {
			return errMoved
		}
	}
	if dropped := b.dropped(listed); len(dropped) > 0 {
		b.listed, err = store.SeenOf(b.tx, r.ID, run.Clients, dropped)
	}
	return err
}

// read reads what is held of the batch's contacts, their relations, and the clients at the other ends.
func (b *batch) read(listed []listedContact, records []string) (err error) {
	r := b.r
	clients := map[string]bool{}
	for _, l := range listed {
		for _, c := range clientRecords(l.contact) {
			clients[c] = true
		}
	}
	if b.held == nil || len(b.held) > 0 { // when there was none, there is none now: only this run makes some of these records
		if b.held, err = store.HeldContactsOf(b.tx, r.Connection, r.Tenant, records); err != nil {
			return err
		}
	}
	var rows []store.RelationRow
	if len(b.held) > 0 { // who has no contact yet has no relations
		if rows, err = store.RelationsOf(b.tx, r.Connection, r.Tenant, records); err != nil {
			return err
		}
	}
	b.relations = map[string][]store.RelationRow{}
	for _, row := range rows {
		b.relations[row.ContactRecord] = append(b.relations[row.ContactRecord], row)
		clients[row.ClientRecord] = true
	}
	b.clients, err = store.LinkedTo(b.tx, r.Connection, r.Tenant, slices.Collect(maps.Keys(clients)))
	return err
}

// dropped returns the client records that contacts of the batch had and are no longer listed with.
func (b *batch) dropped(listed []listedContact) []string {
	out := map[string]bool{}
	for _, l := range listed {
		now := map[string]bool{}
		for _, c := range clientRecords(l.contact) {
			now[c] = true
		}
		for _, row := range b.relations[l.record] {
			if !now[row.ClientRecord] {
				out[row.ClientRecord] = true
			}
		}
	}
	return slices.Collect(maps.Keys(out))
}

// settle decides about one contact.
func (b *batch) settle(l listedContact) {
	held, known := b.held[l.record]
	if !known {
		b.welcome(l)
		return
	}
	k := b.contacts[held.Contact]
	if k.State == client.Deleted {
		return // a person deleted it; it stays away
	}
	hash := held.Hash
	if b.relate(l, k.ID) {
		hash = l.hash
	}
	differs := l.contact.Person != held.Base
	if differs || hash != held.Hash {
		b.updates = append(b.updates, store.PersonUpdate{
			Contact: k.ID, Record: l.record, Hash: hash, Person: l.contact.Person,
			Changed: differs && l.contact.Person != k.Person && k.State != client.Released,
		})
		if differs && k.State.Here() {
			b.r.Counts.ContactsUpdated++
		}
	}
}

// welcome makes a contact of a new record when it belongs to a client in the list.
func (b *batch) welcome(l listedContact) {
	for _, link := range l.contact.Links {
		if c, ok := b.clientOf(link.ClientRecord); ok && c.State.InList() {
			n := store.NewContact{ID: store.NewID(), Record: l.record, Person: l.contact.Person}
			before := len(b.put)
			if b.relate(l, n.ID) {
				n.Hash = l.hash
			}
			for _, row := range b.put[before:] {
				if row.Client != "" && row.LeftWith == "" {
					n.Clients = append(n.Clients, row.Client)
				}
			}
			delete(b.affected, n.ID) // nobody knew it before: it is told of with its making
			b.made = append(b.made, n)
			b.r.Counts.ContactsCreated++
			return
		}
	}
}

func (b *batch) clientOf(record string) (client.Client, bool) {
	c, ok := b.locked[b.clients[record]]
	return c, ok
}

// relate compares the relations of a listed contact with those that are held. It reports whether everything the record
// says is settled with that, so that its hash means "nothing changed" from now on.
func (b *batch) relate(l listedContact, contact string) bool {
	was := map[string]store.RelationRow{}
	for _, row := range b.relations[l.record] {
		was[row.ClientRecord] = row
	}
	for _, link := range l.contact.Links {
		row := store.RelationRow{
			ContactRecord: l.record, ClientRecord: link.ClientRecord, Contact: contact, Position: link.Position, Primary: link.Primary,
		}
		if c, linked := b.clientOf(link.ClientRecord); linked {
			row.Client = c.ID
			if !c.State.InList() {
				row.LeftWith = c.Offboarding // it comes back with its client
			}
		}
		old, there := was[link.ClientRecord]
		delete(was, link.ClientRecord)
		if there {
			row.LeftWith = old.LeftWith
		}
		switch {
		case !there:
			b.put = append(b.put, row)
			b.affected[contact] = true
		case old != row:
			b.replace = append(b.replace, row)
			b.affected[contact] = b.affected[contact] || old.Client != row.Client
		}
	}
	if b.r.Kind != run.Full || !l.whole {
		return false // these may not be all its relations
	}
	return b.end(contact, was)
}

// end drops relations that the listing no longer has, and reports whether none is left over. Only those to clients that
// this run saw in use: what belongs to a client that may be leaving is settled by its off-boarding, so that it can come
// back with it.
func (b *batch) end(contact string, rows map[string]store.RelationRow) bool {
	var ended []store.RelationRow
	for record, row := range rows {
		if b.listed[record] && row.LeftWith == "" {
			ended = append(ended, row)
		}
	}
	switch {
	case len(ended) == 0:
		return len(rows) == 0
	case b.mayEnd <= 0:
		b.r.Message = notSettled
		return false
	}
	b.mayEnd--
	b.r.ContactsLeft++
	b.drop = append(b.drop, ended...)
	b.affected[contact] = true
	return len(ended) == len(rows)
}

const notSettled = "some contacts are no longer listed with their clients and were left as they are: " +
	"the listing proves too little, or too many of them would go at once"

// commit writes what was decided.
func (b *batch) commit() error {
	r, now := b.r, b.w.Now()
	if err := store.InsertContacts(b.tx, r.Firm, r.Connection, r.Tenant, now, b.made); err != nil {
		return err
	}
	if err := store.UpdatePersons(b.tx, r.Connection, r.Tenant, r.ID, now, b.updates); err != nil {
		return err
	}
	if err := store.EndRelations(b.tx, r.Connection, r.Tenant, b.drop); err != nil {
		return err
	}
	if err := store.ReplaceRelations(b.tx, r.Firm, r.Connection, r.Tenant, b.replace); err != nil {
		return err
	}
	if err := store.PutRelations(b.tx, r.Firm, r.Connection, r.Tenant, b.put); err != nil {
		return err
	}
	var moved []string
	for contact, yes := range b.affected {
		if yes {
			moved = append(moved, contact)
		}
	}
	slices.Sort(moved)
	return b.w.resettle(b.tx, r, moved)
}
