package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
)

// RelationRow ties a contact to a client by their records.
type RelationRow struct {
	ContactRecord, ClientRecord string
	Contact, Client             string
	Position                    string
	Primary                     bool
	// LeftWith is the off-boarding that hides it.
	LeftWith string
}

func scanRelation(r *sqldb.Rows) (x RelationRow, err error) {
	return x, r.Scan(&x.ContactRecord, &x.ClientRecord, &x.Contact, &x.Client, &x.Position, &x.Primary, &x.LeftWith)
}

const relationColumns = `r.contact_record, r.client_record, r.contact, r.client, r.position, r.is_primary, r.left_with`

// RelationsOf returns the relations of contact records, hidden ones too.
func RelationsOf(tx *sqldb.Tx, connection, tenant string, contactRecords []string) ([]RelationRow, error) {
	return sqldb.Collect(tx, scanRelation, `SELECT `+relationColumns+` FROM `+lookup(tx, 3, "relations", "r",
		"contact_record, client_record, contact, client, position, is_primary, left_with",
		"r.connection = $1 AND r.tenant = $2 AND r.contact_record = q.value"), connection, tenant, ids(tx, contactRecords))
}

// PutRelations writes relations between records that have none.
func PutRelations(tx *sqldb.Tx, firm, connection, tenant string, rows []RelationRow) error {
	if len(rows) == 0 {
		return nil
	}
	_, err := tx.CopyIn("relations", []string{
		"connection", "tenant", "contact_record", "client_record", "firm", "contact", "client", "position", "is_primary", "left_with",
	}, func(yield func([]any) bool) {
		for _, r := range rows {
			if !yield([]any{
				connection, tenant, r.ContactRecord, r.ClientRecord, firm, r.Contact, r.Client, r.Position, r.Primary, r.LeftWith,
			}) {
				return
			}
		}
	})
	return err
}

// ReplaceRelations writes relations in the place of those between the same records.
func ReplaceRelations(tx *sqldb.Tx, firm, connection, tenant string, rows []RelationRow) error {
	if err := deleteRelations(tx, connection, tenant, rows, ""); err != nil {
		return err
	}
	return PutRelations(tx, firm, connection, tenant, rows)
}

// EndRelations ends relations between records. One that an off-boarding hid meanwhile stays, to come back with it.
func EndRelations(tx *sqldb.Tx, connection, tenant string, rows []RelationRow) error {
	return deleteRelations(tx, connection, tenant, rows, ` AND left_with = ''`)
}

func deleteRelations(tx *sqldb.Tx, connection, tenant string, rows []RelationRow, more string) error {
	if len(rows) == 0 {
		return nil
	}
	contacts, clients := make([]string, len(rows)), make([]string, len(rows))
	for i, r := range rows {
		contacts[i], clients[i] = r.ContactRecord, r.ClientRecord
	}
	_, err := tx.Exec(`DELETE FROM relations WHERE connection = $1 AND tenant = $2
		AND (contact_record, client_record) IN (SELECT q.a, q.b FROM `+pairsAmong(tx, 3)+`)`+more,
		connection, tenant, ids(tx, contacts), ids(tx, clients))
	return err
}

// TieRelations ties relations that waited for a client's record to the client it is linked to now, brings back contacts
// that had nobody left, and tells about the contacts concerned. What belongs to a client that left stays hidden with it.
func TieRelations(tx *sqldb.Tx, firm, connection, tenant string, clientRecords []string, now time.Time) error {
	contacts, err := sqldb.Collect(tx, scanString, `SELECT DISTINCT r.contact FROM `+lookup(tx, 3, "relations", "r", "contact",
		"r.connection = $1 AND r.tenant = $2 AND r.client = '' AND r.client_record = q.value"),
		connection, tenant, ids(tx, clientRecords))
	if err != nil || len(contacts) == 0 {
		return err
	}
	locked, err := LockContacts(tx, contacts)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE relations SET client = l.client,
			left_with = CASE WHEN c.state = 'OFFBOARDED' THEN c.offboarding ELSE '' END
		FROM links l JOIN clients c ON c.id = l.client
		WHERE relations.connection = $1 AND relations.tenant = $2 AND relations.client = '' AND `+
		anyOf(tx, "relations.client_record", 3)+` AND l.connection = $1 AND l.tenant = $2
			AND l.record_id = relations.client_record`, connection, tenant, ids(tx, clientRecords))
	if err != nil {
		return err
	}
	counts, err := ClientsCounted(tx, contacts, "")
	if err != nil {
		return err
	}
	var revived []string
	for id, n := range counts {
		if s := locked[id].State; n > 0 && (s == client.Removed || s == client.Released) {
			revived = append(revived, id)
		}
	}
	if err := SetContactState(tx, firm, revived, client.Active, now); err != nil {
		return err
	}
	return EmitRelations(tx, firm, contacts)
}

// ContactsOf returns the contacts that relate to a client, in id order.
func ContactsOf(tx *sqldb.Tx, clientID string) ([]string, error) {
	return sqldb.Collect(tx, scanString, `SELECT DISTINCT r.contact FROM relations r JOIN contacts k ON k.id = r.contact
		WHERE r.client = $1 AND r.left_with = '' AND k.state IN ('ACTIVE', 'RELEASED') ORDER BY r.contact`, clientID)
}

// ClientsCounted returns how many clients in the list each contact relates to, other than one client.
func ClientsCounted(tx *sqldb.Tx, contacts []string, except string) (map[string]int, error) {
	out := make(map[string]int, len(contacts))
	rows, err := tx.Query(`SELECT r.contact, count(DISTINCT r.client) FROM relations r JOIN clients c ON c.id = r.client
		WHERE `+anyOf(tx, "r.contact", 1)+` AND r.client <> $2 AND r.left_with = '' AND c.state <> 'OFFBOARDED'
		GROUP BY r.contact`, ids(tx, contacts), except)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var contact string
		var n int
		if err := rows.Scan(&contact, &n); err != nil {
			return nil, err
		}
		out[contact] = n
	}
	return out, rows.Err()
}

// HideRelations hides a client's relations with the off-boarding it leaves through.
func HideRelations(tx *sqldb.Tx, clientID, offboarding string) error {
	_, err := tx.Exec(`UPDATE relations SET left_with = $2 WHERE client = $1 AND left_with = ''`, clientID, offboarding)
	return err
}

// ShowRelations brings back what an off-boarding hid.
func ShowRelations(tx *sqldb.Tx, clientID, offboarding string) error {
	_, err := tx.Exec(`UPDATE relations SET left_with = '' WHERE client = $1 AND left_with = $2`, clientID, offboarding)
	return err
}

// HiddenContacts returns the contacts whose relations an off-boarding hid, in id order.
func HiddenContacts(tx *sqldb.Tx, clientID, offboarding string) ([]string, error) {
	return sqldb.Collect(tx, scanString, `SELECT DISTINCT contact FROM relations
		WHERE client = $1 AND left_with = $2 ORDER BY contact`, clientID, offboarding)
}

// EmitRelations tells, for each of the contacts, the full set of clients in the list it relates to now. The caller has
// locked the contacts, so the sets of one contact are counted in the order in which they were true.
func EmitRelations(tx *sqldb.Tx, firm string, contacts []string) error {
	if len(contacts) == 0 {
		return nil
	}
	sets := map[string][]string{}
	if err := pairs(tx, func(contact, clientID string) {
		sets[contact] = append(sets[contact], Name(firm, "clients", clientID))
	}, `SELECT DISTINCT r.contact, r.client FROM relations r JOIN clients c ON c.id = r.client
			JOIN contacts k ON k.id = r.contact
		WHERE `+anyOf(tx, "r.contact", 1)+` AND r.left_with = '' AND c.state <> 'OFFBOARDED'
			AND k.state IN ('ACTIVE', 'RELEASED') ORDER BY r.contact, r.client`, ids(tx, contacts)); err != nil {
		return err
	}
	all, err := sqldb.Collect(tx, func(r *sqldb.Rows) (s relationSet, err error) { return s, r.Scan(&s.contact, &s.seq) },
		`UPDATE contacts SET relations_seq = relations_seq + 1 WHERE `+anyOf(tx, "id", 1)+` RETURNING id, relations_seq`,
		ids(tx, contacts))
	if err != nil {
		return err
	}
	for i := range all {
		all[i].clients = sets[all[i].contact]
	}
	return emitRelationSets(tx, firm, all)
}

func pairs(tx *sqldb.Tx, each func(a, b string), query string, args ...any) error {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var a, b string
		if err := rows.Scan(&a, &b); err != nil {
			return err
		}
		each(a, b)
	}
	return rows.Err()
}
