package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// AddFences keeps logins from being made for contacts until the saga's fence is lifted. Repeating it changes nothing, and
// once the fence was lifted it fences nobody any more: the request was on its way when its saga ended.
func AddFences(tx *sqldb.Tx, firm, saga string, contacts []string, now time.Time) error {
	var lifted int
	err := tx.QueryRow(`SELECT count(*) FROM lifted_fences WHERE firm = $1 AND saga = $2`, firm, saga).Scan(&lifted)
	if err != nil || lifted > 0 {
		return err
	}
	for _, c := range contacts {
		if _, err := tx.Exec(`INSERT INTO login_fences (firm, saga, contact, created_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (firm, contact, saga) DO NOTHING`, firm, saga, c, micros(now)); err != nil {
			return err
		}
	}
	return nil
}

// LiftFences ends the fence of a saga for good, also one that was never put up.
func LiftFences(tx *sqldb.Tx, firm, saga string, now time.Time) error {
	if _, err := tx.Exec(`INSERT INTO lifted_fences (firm, saga, lifted_at) VALUES ($1, $2, $3)
		ON CONFLICT (firm, saga) DO NOTHING`, firm, saga, micros(now)); err != nil {
		return err
	}
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

// Word is something sync said about a contact.
type Word struct {
	Firm, Contact string
	// Sequence counts the words of one kind about the contact: sets of clients, or removals and releases.
	Sequence int64
	// At is when sync's database recorded it.
	At time.Time
}

// gone decides whether a contact is removed. Its removals and its sets of clients are counted apart, so which of the two
// came first is not told by their sequences. Sync records a removal together with the empty set that follows from it, and
// a contact that comes back with the set it comes back to. So a contact is there again when its newest set holds a client
// and was not recorded before its newest removal. When the clock of sync's database says "at the same moment" the set
// decides: an empty one follows every removal. The answer depends on the newest word of each kind alone, and therefore
// not on the order in which they arrive.
const gone = `(contacts.gone AND (NOT contacts.related OR contacts.relations_at < contacts.removal_at))`

// PutRelations notes whether a contact relates to any client, unless a newer set was noted before. It answers true when
// it was noted and the contact is removed.
func PutRelations(tx *sqldb.Tx, w Word, related bool) (removed bool, err error) {
	return noted(tx, `INSERT INTO contacts (firm, contact, gone, relations_sequence, relations_at, related)
		VALUES ($1, $2, FALSE, $3, $4, $5) ON CONFLICT (firm, contact) DO UPDATE SET
		relations_sequence = excluded.relations_sequence, relations_at = excluded.relations_at, related = excluded.related
		WHERE contacts.relations_sequence < excluded.relations_sequence`, w, related)
}

// PutRemoval notes that a contact was removed, or released, which takes a removal back, unless something newer of these
// was noted before. It answers true when it was noted and the contact is removed.
func PutRemoval(tx *sqldb.Tx, w Word, removed bool) (bool, error) {
	return noted(tx, `INSERT INTO contacts (firm, contact, removal_sequence, removal_at, gone)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT (firm, contact) DO UPDATE SET
		removal_sequence = excluded.removal_sequence, removal_at = excluded.removal_at, gone = excluded.gone
		WHERE contacts.removal_sequence < excluded.removal_sequence`, w, removed)
}

func noted(tx *sqldb.Tx, upsert string, w Word, is bool) (bool, error) {
	n, err := tx.Exec(upsert, w.Firm, w.Contact, w.Sequence, micros(w.At), is)
	if err != nil || n == 0 {
		return false, err
	}
	return ContactRemoved(tx, w.Firm, w.Contact)
}

// ContactRemoved tells whether a contact is removed, by what sync said last.
func ContactRemoved(tx *sqldb.Tx, firm, contact string) (bool, error) {
	all, err := sqldb.Collect(tx, func(r *sqldb.Rows) (removed bool, err error) { return removed, r.Scan(&removed) },
		`SELECT `+gone+` FROM contacts WHERE firm = $1 AND contact = $2`, firm, contact)
	return first(all), err
}
