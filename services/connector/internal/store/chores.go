package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"

	"github.com/concord-suite/concord/services/connector/internal/connection"
)

// ChoreKind is what is to be told, and to whom.
type ChoreKind string

// The kinds of chores.
const (
	// RemoveTenant tells the provider to forget a connection.
	RemoveTenant ChoreKind = "REMOVE_TENANT"
	// Revoke tells the provider to end a grant.
	Revoke ChoreKind = "REVOKE"
	// ReleaseTwoFactor tells auth that a connection no longer asks for two-factor sign-in.
	ReleaseTwoFactor ChoreKind = "RELEASE_TWO_FACTOR"
)

// Chore is something the outside is still to be told after a change that took effect here at once. It is tried until it
// is done.
type Chore struct {
	ID, Firm string
	// Connection is the id of the connection it is about, empty when it is about none.
	Connection string
	Kind       ChoreKind
	Provider   connection.Provider
	// Grant is the grant whose token is used, or which is ended.
	Grant string
	// UpstreamID is the provider's id of the connection to forget.
	UpstreamID string
	// Subject is whose grant is ended.
	Subject string
	// Token is a refresh token that no grant holds, sealed for the column "token".
	Token Sealed
	// After is the chore that must be done before, empty for none.
	After string
	Due   time.Time
	Tries int
	// Error is why the last try failed.
	Error      string
	ClaimOwner string
	ClaimUntil time.Time
	Created    time.Time
}

// Row is where the chore's token is sealed for.
func (c Chore) Row() vault.Row {
	return vault.Row{Firm: c.Firm, Table: "chores", ID: c.ID, Column: "token"}
}

const choreColumns = `id, firm, connection, kind, provider, grant_id, upstream_id, subject, sealed, sealed_key, after, due, tries, error,
	claim_owner, claim_until, created`

// InsertChore adds a chore.
func InsertChore(tx *sqldb.Tx, c Chore) error {
	_, err := tx.Exec(`INSERT INTO chores (`+choreColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
		c.ID, c.Firm, c.Connection, string(c.Kind), string(c.Provider), c.Grant, c.UpstreamID, c.Subject, c.Token.Text, string(c.Token.Key),
		c.After, micros(c.Due), c.Tries, c.Error, c.ClaimOwner, micros(c.ClaimUntil), micros(c.Created))
	return err
}

// ClaimChores takes chores that are due and whose chore before is done, for owner until a time.
func ClaimChores(tx *sqldb.Tx, owner string, now, until time.Time, limit int) ([]Chore, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (Chore, error) {
		var c Chore
		return c, r.Scan(&c.ID, &c.Firm, &c.Connection, &c.Kind, &c.Provider, &c.Grant, &c.UpstreamID, &c.Subject, &c.Token.Text,
			&c.Token.Key, &c.After, times{&c.Due}, &c.Tries, &c.Error, &c.ClaimOwner, times{&c.ClaimUntil}, times{&c.Created})
	}, `UPDATE chores SET claim_owner = $1, claim_until = $3 WHERE id IN (
			SELECT w.id FROM chores w WHERE w.due <= $2 AND w.claim_until <= $2
			AND NOT EXISTS (SELECT 1 FROM chores b WHERE b.id = w.after)
			ORDER BY w.due, w.id LIMIT $4`+skipLockedOf(tx, "w")+`)
		RETURNING `+choreColumns, owner, micros(now), micros(until), limit)
}

// skipLockedOf locks the rows of one table of a query.
func skipLockedOf(tx *sqldb.Tx, table string) string {
	if tx.Dialect() == sqldb.Postgres {
		return ` FOR UPDATE OF ` + table + ` SKIP LOCKED`
	}
	return ""
}

// DoneChore removes a chore that owner claimed.
func DoneChore(tx *sqldb.Tx, id, owner string) error {
	_, err := tx.Exec(`DELETE FROM chores WHERE id = $1 AND claim_owner = $2`, id, owner)
	return err
}

// PostponeChore gives a claimed chore back whose try failed, to be tried again at a time.
func PostponeChore(tx *sqldb.Tx, id, owner string, due time.Time, why string) error {
	_, err := tx.Exec(`UPDATE chores SET due = $3, error = $4, tries = tries + 1, claim_owner = '', claim_until = 0
		WHERE id = $1 AND claim_owner = $2`, id, owner, micros(due), why)
	return err
}

// PutOffChore gives a claimed chore back that has to wait for something else until a time.
func PutOffChore(tx *sqldb.Tx, id, owner string, due time.Time) error {
	_, err := tx.Exec(`UPDATE chores SET due = $3, claim_owner = '', claim_until = 0 WHERE id = $1 AND claim_owner = $2`,
		id, owner, micros(due))
	return err
}

// CancelChores drops what is still to be told of a connection, because it is wanted again. It reports false, and drops
// nothing that can still be dropped, when somebody is telling it right now.
func CancelChores(tx *sqldb.Tx, ref connection.Ref, now time.Time) (bool, error) {
	var busy bool
	err := tx.QueryRow(`SELECT EXISTS (SELECT 1 FROM chores WHERE firm = $1 AND connection = $2 AND claim_until > $3)`,
		ref.Firm, ref.ID, micros(now)).Scan(&busy)
	if err != nil || busy {
		return false, err
	}
	_, err = tx.Exec(`DELETE FROM chores WHERE firm = $1 AND connection = $2`, ref.Firm, ref.ID)
	return true, err
}
