package store

import (
	"encoding/json"
	"errors"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/documents/internal/departure"
)

const clientColumns = `firm, id, display_name, code, state, named, listing, trail, folder, fence`

func scanClient(s scanner) (c departure.Client, err error) {
	return c, s.Scan(&c.Firm, &c.ID, &c.DisplayName, &c.Code, &c.State, &c.Named, &c.Listing, &c.Trail, &c.Folder, &c.Fence)
}

// ClientOf reads a client.
func ClientOf(tx *sqldb.Tx, firm, id string) (departure.Client, error) {
	c, err := scanClient(tx.QueryRow(`SELECT `+clientColumns+` FROM clients WHERE firm = $1 AND id = $2`, firm, id))
	return c, missing(err)
}

// LockClient is ClientOf, holding the row.
func LockClient(tx *sqldb.Tx, firm, id string) (departure.Client, error) {
	c, err := scanClient(tx.QueryRow(`SELECT `+clientColumns+` FROM clients WHERE firm = $1 AND id = $2`+
		tx.Dialect().ForUpdate(), firm, id))
	return c, missing(err)
}

// EnsureClient is LockClient for the word of the client list, which may come before the client was heard of: the row is
// made when there is none.
func EnsureClient(tx *sqldb.Tx, firm, id string) (departure.Client, error) {
	if _, err := tx.Exec(`INSERT INTO clients (firm, id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, firm, id); err != nil {
		return departure.Client{}, err
	}
	return LockClient(tx, firm, id)
}

// SaveClient writes everything about a locked client but its trail.
func SaveClient(tx *sqldb.Tx, c departure.Client) error {
	return changed(tx.Exec(`UPDATE clients SET display_name = $3, code = $4, state = $5, named = $6, listing = $7, folder = $8,
		fence = $9 WHERE firm = $1 AND id = $2`,
		c.Firm, c.ID, c.DisplayName, c.Code, c.State, c.Named, c.Listing, c.Folder, c.Fence))
}

// NextTrail takes the next place among the events about a client. It holds the client's row, so places have no gaps: who
// rolls back gives the place back.
func NextTrail(tx *sqldb.Tx, firm, client string) (n int64, err error) {
	err = tx.QueryRow(`UPDATE clients SET trail = trail + 1 WHERE firm = $1 AND id = $2 RETURNING trail`, firm, client).Scan(&n)
	return n, missing(err)
}

// OffboardingOf reads an off-boarding; one that was never heard of is departure.Unknown, of the client given.
func OffboardingOf(tx *sqldb.Tx, firm, id, client string) (departure.Offboarding, error) {
	o := departure.Offboarding{Firm: firm, ID: id, Client: client}
	var missed string
	err := tx.QueryRow(`SELECT client, state, removed, missing FROM offboardings WHERE firm = $1 AND id = $2`, firm, id).
		Scan(&o.Client, &o.State, &o.Removed, &missed)
	if errors.Is(err, sqldb.ErrNotFound) {
		return o, nil
	}
	if err == nil && missed != "[]" {
		err = json.Unmarshal([]byte(missed), &o.Missing)
	}
	return o, err
}

// LastOffboarding reads the last off-boarding by which a client left.
func LastOffboarding(tx *sqldb.Tx, firm, client string) (departure.Offboarding, error) {
	var id string
	err := tx.QueryRow(`SELECT id FROM offboardings WHERE firm = $1 AND client = $2 AND state = 'COMMITTED'
		ORDER BY changed DESC, id DESC LIMIT 1`, firm, client).Scan(&id)
	if err != nil {
		return departure.Offboarding{}, missing(err)
	}
	return OffboardingOf(tx, firm, id, client)
}

// SaveOffboarding writes an off-boarding. The caller holds its client.
func SaveOffboarding(tx *sqldb.Tx, o departure.Offboarding, nowMicros int64) error {
	missed, err := json.Marshal(append([]string{}, o.Missing...))
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO offboardings (firm, id, client, state, removed, missing, changed)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (firm, id) DO UPDATE SET state = excluded.state,
		removed = excluded.removed, missing = excluded.missing, changed = excluded.changed`,
		o.Firm, o.ID, o.Client, o.State, o.Removed, string(missed), nowMicros)
	return err
}

// Scope is what a contact relates to.
type Scope struct {
	Firm, Contact string
	// Clients are the ids of the clients in the client list.
	Clients []string
}

// ReplaceScope takes over the full set of clients a contact relates to, unless a newer one was taken over before.
func ReplaceScope(tx *sqldb.Tx, s Scope, sequence int64) error {
	n, err := tx.Exec(`INSERT INTO contacts (firm, id, sequence) VALUES ($1, $2, $3)
		ON CONFLICT (firm, id) DO UPDATE SET sequence = excluded.sequence WHERE contacts.sequence < excluded.sequence`,
		s.Firm, s.Contact, sequence)
	if err != nil || n == 0 {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM contact_clients WHERE firm = $1 AND contact = $2`, s.Firm, s.Contact); err != nil {
		return err
	}
	for _, client := range s.Clients {
		if _, err := tx.Exec(`INSERT INTO contact_clients (firm, contact, client) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			s.Firm, s.Contact, client); err != nil {
			return err
		}
	}
	return nil
}

// Relates reports whether a contact relates to a client that is in the client list.
func Relates(tx *sqldb.Tx, firm, contact, client string) (bool, error) {
	var n int
	err := tx.QueryRow(`SELECT count(*) FROM contact_clients r JOIN clients c ON c.firm = r.firm AND c.id = r.client
		WHERE r.firm = $1 AND r.contact = $2 AND r.client = $3 AND c.state = 'LISTED'`, firm, contact, client).Scan(&n)
	return n > 0, err
}
