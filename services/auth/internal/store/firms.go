package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
)

const firmColumns = `id, display_name, created_at, enforced_at, email_pin, revision`

func scanFirm(r *sqldb.Rows) (account.Firm, error) {
	var f account.Firm
	err := r.Scan(&f.ID, &f.DisplayName, when{&f.Created}, when{&f.Enforced}, &f.EmailPIN, &f.Revision)
	return f, err
}

// InsertFirm adds a firm.
func InsertFirm(tx *sqldb.Tx, f account.Firm) error {
	_, err := tx.Exec(`INSERT INTO firms (`+firmColumns+`) VALUES ($1, $2, $3, $4, $5, $6)`,
		f.ID, f.DisplayName, micros(f.Created), micros(f.Enforced), f.EmailPIN, f.Revision)
	return err
}

// Firm returns a firm, or ErrNotFound.
func Firm(tx *sqldb.Tx, id string) (account.Firm, error) {
	return one(tx, scanFirm, `SELECT `+firmColumns+` FROM firms WHERE id = $1`, id)
}

// FirmOf is Firm, and a firm without enforcement and without a name for what belongs to none.
func FirmOf(tx *sqldb.Tx, id string) (account.Firm, error) {
	if id == "" {
		return account.Firm{EmailPIN: true}, nil
	}
	return Firm(tx, id)
}

// FirmCursor is the last row of a page of firms.
type FirmCursor struct{ DisplayName, ID string }

// ListFirms returns firms by name, after the cursor.
func ListFirms(tx *sqldb.Tx, after FirmCursor, limit int) ([]account.Firm, error) {
	return sqldb.Collect(tx, scanFirm, `SELECT `+firmColumns+` FROM firms
		WHERE (display_name, id) > ($1, $2) ORDER BY display_name, id LIMIT $3`, after.DisplayName, after.ID, limit)
}

// UpdatePolicy writes the policy of a firm, under a new revision. It answers false when the revision is not the one
// given any more.
func UpdatePolicy(tx *sqldb.Tx, f account.Firm, revision int64) (bool, error) {
	return changedOne(tx.Exec(`UPDATE firms SET enforced_at = $2, email_pin = $3, revision = $4
		WHERE id = $1 AND revision = $5`, f.ID, micros(f.Enforced), f.EmailPIN, f.Revision, revision))
}

// Requirements lists the connections that require a second factor in a firm, in the order of their names.
func Requirements(tx *sqldb.Tx, firm string) ([]string, error) {
	return sqldb.Collect(tx, scanText, `SELECT connection FROM two_factor_requirements
		WHERE firm = $1 ORDER BY created_at, connection`, firm)
}

// AddRequirement notes that a connection requires a second factor. It answers false when that was noted.
func AddRequirement(tx *sqldb.Tx, firm, connection string, now time.Time) (bool, error) {
	return changedOne(tx.Exec(`INSERT INTO two_factor_requirements (firm, connection, created_at) VALUES ($1, $2, $3)
		ON CONFLICT (firm, connection) DO NOTHING`, firm, connection, micros(now)))
}

// DropRequirement forgets it. It answers false when there was nothing to forget.
func DropRequirement(tx *sqldb.Tx, firm, connection string) (bool, error) {
	return changedOne(tx.Exec(`DELETE FROM two_factor_requirements WHERE firm = $1 AND connection = $2`, firm, connection))
}

func scanText(r *sqldb.Rows) (s string, err error) { return s, r.Scan(&s) }

// one returns the first row of a query, or ErrNotFound.
func one[T any](tx *sqldb.Tx, scan func(*sqldb.Rows) (T, error), query string, args ...any) (T, error) {
	all, err := sqldb.Collect(tx, scan, query, args...)
	if err != nil || len(all) > 0 {
		return first(all), err
	}
	return first(all), sqldb.ErrNotFound
}

func first[T any](all []T) (zero T) {
	if len(all) > 0 {
		return all[0]
	}
	return zero
}
