package store

import (
	"slices"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
)

const contactColumns = `k.id, k.firm, k.person, k.state, k.has_login, k.version, k.event_seq, k.created_at, k.updated_at`

func scanContact(scan func(...any) error) (c client.Contact, err error) {
	var person string
	var created, updated int64
	err = scan(&c.ID, &c.Firm, &person, &c.State, &c.HasLogin, &c.Version, &c.EventSeq, &created, &updated)
	c.Person = client.ParsePerson(person)
	c.CreatedAt, c.UpdatedAt = fromMicros(created), fromMicros(updated)
	return c, err
}

func scanContactRow(r *sqldb.Rows) (client.Contact, error) { return scanContact(r.Scan) }

// Contact returns a contact of a firm with its relations, or sqldb.ErrNotFound. One that was removed or deleted is not
// found.
func Contact(tx *sqldb.Tx, firm, id string) (client.Contact, error) {
	c, err := scanContact(tx.QueryRow(`SELECT `+contactColumns+` FROM contacts k
		WHERE k.id = $1 AND k.firm = $2 AND k.state IN ('ACTIVE', 'RELEASED')`, id, firm).Scan)
	if err != nil {
		return c, err
	}
	all := []client.Contact{c}
	err = addRelations(tx, all)
	return all[0], err
}

// LockContact is Contact with the row locked until the transaction ends.
func LockContact(tx *sqldb.Tx, firm, id string) (client.Contact, error) {
	if err := lockRows(tx, []string{id}); err != nil {
		return client.Contact{}, err
	}
	return Contact(tx, firm, id)
}

// LockContacts locks contacts in id order and returns them by id, removed and deleted ones too, without relations.
func LockContacts(tx *sqldb.Tx, contacts []string) (map[string]client.Contact, error) {
	if len(contacts) == 0 {
		return nil, nil
	}
	all, err := sqldb.Collect(tx, scanContactRow, `SELECT `+contactColumns+` FROM contacts k WHERE `+
		anyOf(tx, "k.id", 1)+` ORDER BY k.id`+tx.Dialect().ForUpdate(), ids(tx, contacts))
	out := make(map[string]client.Contact, len(all))
	for _, c := range all {
		out[c.ID] = c
	}
	return out, err
}

func lockRows(tx *sqldb.Tx, contacts []string) error {
	_, err := sqldb.Collect(tx, scanString, `SELECT k.id FROM contacts k WHERE `+anyOf(tx, "k.id", 1)+
		` ORDER BY k.id`+tx.Dialect().ForUpdate(), ids(tx, contacts))
	return err
}

// ContactFilter says which contacts are listed.
type ContactFilter struct {
	Firm, Client, Query string
	ReleasedOnly        bool
}

// ListContacts returns up to limit contacts by name, with relations, after a sort key and id.
func ListContacts(tx *sqldb.Tx, f ContactFilter, afterKey, afterID string, limit int) ([]client.Contact, error) {
	all, err := sqldb.Collect(tx, scanContactRow, `SELECT `+contactColumns+` FROM contacts k
		WHERE k.firm = $1 AND k.state IN ('ACTIVE', 'RELEASED') AND (NOT $2 OR k.state = 'RELEASED')
			AND ($3 = '%' OR k.search LIKE $3 ESCAPE '\')
			AND ($4 = '' OR EXISTS (SELECT 1 FROM relations r JOIN clients c ON c.id = r.client
				WHERE r.contact = k.id AND r.client = $4 AND r.left_with = '' AND c.state <> 'OFFBOARDED'))
			AND (k.sort_key, k.id) > ($5, $6)
		ORDER BY k.sort_key, k.id LIMIT $7`,
		f.Firm, f.ReleasedOnly, client.SearchPattern(f.Query), f.Client, afterKey, afterID, limit)
	if err != nil {
		return nil, err
	}
	return all, addRelations(tx, all)
}

// addRelations puts the relations to clients in the list to their contacts, one per client.
func addRelations(tx *sqldb.Tx, contacts []client.Contact) error {
	at := make(map[string]int, len(contacts))
	var all []string
	for i, c := range contacts {
		at[c.ID], all = i, append(all, c.ID)
	}
	rows, err := tx.Query(`SELECT r.contact, r.client, c.display_name, max(r.position), max(CASE WHEN r.is_primary THEN 1 ELSE 0 END)
		FROM relations r JOIN clients c ON c.id = r.client
		WHERE `+anyOf(tx, "r.contact", 1)+` AND r.left_with = '' AND c.state <> 'OFFBOARDED'
		GROUP BY r.contact, r.client, c.display_name, c.sort_key ORDER BY r.contact, c.sort_key, r.client`, ids(tx, all))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var contact string
		var r client.Relation
		var primary int64
		if err := rows.Scan(&contact, &r.Client, &r.ClientName, &r.Position, &primary); err != nil {
			return err
		}
		r.Primary = primary == 1
		c := &contacts[at[contact]]
		c.Relations = append(c.Relations, r)
	}
	return rows.Err()
}

// UpdatePerson changes the fields of a contact that was read at a version, or says ErrMoved.
func UpdatePerson(tx *sqldb.Tx, id string, p client.Person, version int64, now time.Time) error {
	return one(tx.Exec(`UPDATE contacts SET display_name = $2, person = $3, sort_key = $4, search = $5,
		version = version + 1, updated_at = $6 WHERE id = $1 AND version = $7`,
		id, p.Name, p.JSON(), client.SortKey(p.Name), personSearch(p), micros(now), version))
}

func personSearch(p client.Person) string { return client.SearchText(p.Name, p.Email) }

// SetContactState moves contacts to a state, and tells about those that are removed or released.
func SetContactState(tx *sqldb.Tx, firm string, contacts []string, state client.ContactState, now time.Time) error {
	if len(contacts) == 0 {
		return nil
	}
	if _, err := tx.Exec(`UPDATE contacts SET state = $2, version = version + 1, updated_at = $3 WHERE `+
		anyOf(tx, "id", 1), ids(tx, contacts), string(state), micros(now)); err != nil {
		return err
	}
	if state == client.Active {
		return nil
	}
	return emitContacts(tx, firm, contacts, state == client.Released)
}

// SetLogin takes over whether a contact has a login, unless something newer was said before. A contact that was removed
// because nobody knew of its login is there again, released. An unknown contact is sqldb.ErrNotFound.
func SetLogin(tx *sqldb.Tx, firm, id string, has bool, seq int64, now time.Time) error {
	if err := lockRows(tx, []string{id}); err != nil {
		return err
	}
	var state client.ContactState
	var last int64
	err := tx.QueryRow(`SELECT state, login_seq FROM contacts WHERE id = $1 AND firm = $2`, id, firm).Scan(&state, &last)
	if err != nil || seq <= last {
		return err
	}
	if _, err := tx.Exec(`UPDATE contacts SET has_login = $2, login_seq = $3 WHERE id = $1`, id, has, seq); err != nil {
		return err
	}
	if has && state == client.Removed {
		return SetContactState(tx, firm, []string{id}, client.Released, now)
	}
	return nil
}

// LoginsOf tells which of the contacts have a login, as far as auth has told.
func LoginsOf(tx *sqldb.Tx, contacts []string) (map[string]bool, error) {
	return set(sqldb.Collect(tx, scanString, `SELECT id FROM contacts WHERE has_login AND `+anyOf(tx, "id", 1), ids(tx, contacts)))
}

// NewContact is a contact to be made of a record.
type NewContact struct {
	ID, Record, Hash string
	Person           client.Person
	// Clients are the ids of the clients in the list that it relates to from the beginning.
	Clients []string
}

// InsertContacts makes contacts with their links, and tells which clients they relate to; the caller writes the relations.
func InsertContacts(tx *sqldb.Tx, firm, connection, tenant string, now time.Time, contacts []NewContact) error {
	if len(contacts) == 0 {
		return nil
	}
	at := micros(now)
	_, err := tx.CopyIn("contacts", []string{
		"id", "firm", "display_name", "person", "sort_key", "search", "state", "relations_seq", "created_at", "updated_at",
	}, func(yield func([]any) bool) {
		for _, c := range contacts {
			p := c.Person
			if !yield([]any{
				c.ID, firm, p.Name, p.JSON(), client.SortKey(p.Name), personSearch(p), string(client.Active),
				sqldb.Flag(len(c.Clients) > 0), at, at,
			}) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	_, err = tx.CopyIn("contact_links", []string{
		"connection", "tenant", "record_id", "firm", "contact", "base", "base_hash",
	}, func(yield func([]any) bool) {
		for _, c := range contacts {
			if !yield([]any{connection, tenant, c.Record, firm, c.ID, c.Person.JSON(), c.Hash}) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	var sets []relationSet
	for _, c := range contacts {
		if len(c.Clients) > 0 {
			sets = append(sets, relationSet{contact: c.ID, seq: 1, clients: clientNames(firm, c.Clients)})
		}
	}
	return emitRelationSets(tx, firm, sets)
}

func clientNames(firm string, clients []string) []string {
	out := make([]string, len(clients))
	for i, id := range slices.Sorted(slices.Values(clients)) {
		out[i] = Name(firm, "clients", id)
	}
	return out
}

// PersonUpdate takes a record over to a contact and its link.
type PersonUpdate struct {
	Contact, Record, Hash string
	Person                client.Person
	// Changed is true when the contact's own fields change; otherwise only the link learns the record.
	Changed bool
}

// UpdatePersons applies updates to contacts in a handful of statements. batch names the caller's work.
func UpdatePersons(tx *sqldb.Tx, connection, tenant, batch string, now time.Time, updates []PersonUpdate) error {
	if len(updates) == 0 {
		return nil
	}
	_, err := tx.CopyIn("staged_updates", []string{
		"batch", "entity", "record_id", "display_name", "code", "fields", "name_key", "code_key", "business_key",
		"sort_key", "search", "hash", "seen_at", "changed", "announced",
	}, func(yield func([]any) bool) {
		for _, u := range updates {
			p := u.Person
			if !yield([]any{
				batch, u.Contact, u.Record, p.Name, "", p.JSON(), "", "", "", client.SortKey(p.Name), personSearch(p), u.Hash,
				int64(0), sqldb.Flag(u.Changed), int64(0),
			}) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE contacts SET display_name = s.display_name, person = s.fields, sort_key = s.sort_key,
			search = s.search, version = contacts.version + 1, updated_at = $2
		FROM staged_updates s WHERE s.batch = $1 AND contacts.id = s.entity AND s.changed = 1`, batch, micros(now)); err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE contact_links SET base = s.fields, base_hash = s.hash FROM `+stagedRecords+`
		WHERE contact_links.connection = s.connection AND contact_links.tenant = s.tenant
			AND contact_links.record_id = s.record_id`, batch, connection, tenant); err != nil {
		return err
	}
	_, err = tx.Exec(`DELETE FROM staged_updates WHERE batch = $1`, batch)
	return err
}

// HeldContact is what is held of a contact's record.
type HeldContact struct {
	Contact, Hash string
	Base          client.Person
}

// HeldContactsOf returns what is held of contact records, by record id.
func HeldContactsOf(tx *sqldb.Tx, connection, tenant string, records []string) (map[string]HeldContact, error) {
	out := map[string]HeldContact{}
	rows, err := tx.Query(`SELECT l.record_id, l.contact, l.base_hash, l.base FROM `+lookup(tx, 3, "contact_links", "l",
		"record_id, contact, base_hash, base", "l.connection = $1 AND l.tenant = $2 AND l.record_id = q.value"),
		connection, tenant, ids(tx, records))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var record, base string
		var h HeldContact
		if err := rows.Scan(&record, &h.Contact, &h.Hash, &base); err != nil {
			return nil, err
		}
		h.Base = client.ParsePerson(base)
		out[record] = h
	}
	return out, rows.Err()
}

// LinkedContacts counts the active contacts a connection's tenant keeps in step.
func LinkedContacts(tx *sqldb.Tx, connection, tenant string) (n int64, err error) {
	return n, tx.QueryRow(`SELECT count(*) FROM contact_links l JOIN contacts k ON k.id = l.contact
		WHERE l.connection = $1 AND l.tenant = $2 AND k.state = 'ACTIVE'`, connection, tenant).Scan(&n)
}
