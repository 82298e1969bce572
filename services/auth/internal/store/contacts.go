package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// AddFences keeps logins from being made for contacts until the saga's fence is lifted. Repeating it changes nothing.
func AddFences(tx *sqldb.Tx, firm, saga string, contacts []string, now time.Time) error {
	for _, c := range contacts {
		if _, err := tx.Exec(`INSERT INTO login_fences (firm, saga, contact, created_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (firm, contact, saga) DO NOTHING`, firm, saga, c, micros(now)); err != nil {
			return err
		}
	}
	return nil
}

// LiftFences ends the fence of a saga.
func LiftFences(tx *sqldb.Tx, firm, saga string) error {
	_, err := tx.Exec(`DELETE FROM login_fences WHERE firm = $1 AND saga = $2`, firm, saga)
	return err
}

// Fenced tells whether any saga fences a contact.
func Fenced(tx *sqldb.Tx, firm, contact string) (bool, error) {
	var n int
	err := tx.QueryRow(`SELECT count(*) FROM login_fences WHERE firm = $1 AND contact = $2`, firm, contact).Scan(&n)
	return n > 0, err
}

// WithLogin returns which of the contacts have a login that is not disabled, in no particular order.
func WithLogin(tx *sqldb.Tx, firm string, contacts []string) ([]string, error) {
	d := tx.Dialect()
	return sqldb.Collect(tx, scanText, `SELECT contact FROM accounts WHERE firm = $1 AND kind = 'CONTACT'
		AND state <> 'DISABLED' AND `+d.AnyOf("contact", 2), firm, sqldb.List(d, contacts))
}

// PutContact notes what sync said about a contact. It answers false when something newer was said before. That a contact
// is gone counts as newer than its relations of the same moment.
func PutContact(tx *sqldb.Tx, firm, contact string, sequence int64, removed bool) (bool, error) {
	return changedOne(tx.Exec(`INSERT INTO contacts (firm, contact, sequence, removed) VALUES ($1, $2, $3, $4)
		ON CONFLICT (firm, contact) DO UPDATE SET sequence = excluded.sequence, removed = excluded.removed
		WHERE contacts.sequence < excluded.sequence
		OR (contacts.sequence = excluded.sequence AND excluded.removed)`, firm, contact, sequence, removed))
}

// ContactRemoved tells whether sync said last that a contact is gone.
func ContactRemoved(tx *sqldb.Tx, firm, contact string) (bool, error) {
	all, err := sqldb.Collect(tx, func(r *sqldb.Rows) (removed bool, err error) { return removed, r.Scan(&removed) },
		`SELECT removed FROM contacts WHERE firm = $1 AND contact = $2`, firm, contact)
	return first(all), err
}
