package store

import (
	"strings"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
)

const policyColumns = `enforced_at, email_pin, forbidden, email_stands_in, contacts_exempt, passkey_alone_forbidden`

const firmColumns = `id, display_name, created_at, revision, ` + policyColumns

func scanFirm(r *sqldb.Rows) (account.Firm, error) {
	var f account.Firm
	var forbidden string
	err := r.Scan(append([]any{&f.ID, &f.DisplayName, when{&f.Created}, &f.Revision}, policyDest(&f, &forbidden)...)...)
	f.Forbidden = factorsOf(forbidden)
	return f, err
}

func policyDest(f *account.Firm, forbidden *string) []any {
	return []any{when{&f.Enforced}, &f.EmailPIN, forbidden, &f.EmailStandsIn, &f.ContactsExempt, &f.PasskeyAloneForbidden}
}

// policyArgs are the values of policyColumns.
func policyArgs(f account.Firm) []any {
	var forbidden []string
	for _, k := range f.Forbidden {
		forbidden = append(forbidden, string(k))
	}
	return []any{
		micros(f.Enforced), f.EmailPIN, strings.Join(forbidden, " "), f.EmailStandsIn, f.ContactsExempt, f.PasskeyAloneForbidden,
	}
}

func factorsOf(text string) (out []account.Factor) {
	for _, k := range strings.Fields(text) {
		out = append(out, account.Factor(k))
	}
	return out
}

// InsertFirm adds a firm, and begins the history of its policy.
func InsertFirm(tx *sqldb.Tx, f account.Firm, by PolicyChange) error {
	_, err := tx.Exec(`INSERT INTO firms (`+firmColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		append([]any{f.ID, f.DisplayName, micros(f.Created), f.Revision}, policyArgs(f)...)...)
	if err != nil {
		return err
	}
	return remember(tx, f, by)
}

// Firm returns a firm, or ErrNotFound.
func Firm(tx *sqldb.Tx, id string) (account.Firm, error) {
	return one(tx, scanFirm, `SELECT `+firmColumns+` FROM firms WHERE id = $1`, id)
}

// FirmOf is Firm, and a firm without enforcement and without a name for what belongs to none.
func FirmOf(tx *sqldb.Tx, id string) (account.Firm, error) {
	if id == "" {
		return account.Firm{EmailPIN: true, EmailStandsIn: true}, nil
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

// The causes of a change of policy.
const (
	// PolicyMade: the firm was made.
	PolicyMade = "MADE"
	// PolicyChanged: an administrator changed it.
	PolicyChanged = "CHANGED"
	// PolicyRequired: a connection requires two factors from now on.
	PolicyRequired = "REQUIRED"
	// PolicyReleased: a connection does not any more.
	PolicyReleased = "RELEASED"
)

// PolicyChange says when, why and by whom a policy was changed.
type PolicyChange struct {
	At time.Time
	// Cause is one of the causes above.
	Cause string
	// ActorKind is the name of a kind of principal, such as "ADMINISTRATOR"; Actor is its id.
	ActorKind, Actor string
	// Connection is the id of the connection, for PolicyRequired and PolicyReleased.
	Connection string
}

// UpdatePolicy writes the policy of a firm, under a new revision, and the state into its history. It answers false when
// the revision is not the one given any more.
func UpdatePolicy(tx *sqldb.Tx, f account.Firm, revision int64, by PolicyChange) (bool, error) {
	ok, err := changedOne(tx.Exec(`UPDATE firms SET enforced_at = $1, email_pin = $2, forbidden = $3, email_stands_in = $4,
		contacts_exempt = $5, passkey_alone_forbidden = $6, revision = $7 WHERE id = $8 AND revision = $9`,
		append(policyArgs(f), f.Revision, f.ID, revision)...))
	if err != nil || !ok {
		return ok, err
	}
	return true, remember(tx, f, by)
}

func remember(tx *sqldb.Tx, f account.Firm, by PolicyChange) error {
	_, err := tx.Exec(`INSERT INTO policy_history (firm, revision, changed_at, cause, actor_kind, actor, connection, `+policyColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		append([]any{f.ID, f.Revision, micros(by.At), by.Cause, by.ActorKind, by.Actor, by.Connection}, policyArgs(f)...)...)
	return err
}

// PolicyState is one state a firm's policy was in, and how it came about. Of the firm it has the id and the policy.
type PolicyState struct {
	PolicyChange
	Firm account.Firm
}

// PolicyHistory returns the states of a firm's policy after a revision (0 for all), oldest first.
func PolicyHistory(tx *sqldb.Tx, firm string, after int64, limit int) ([]PolicyState, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (s PolicyState, err error) {
		var forbidden string
		err = r.Scan(append([]any{&s.Firm.ID, &s.Firm.Revision, when{&s.At}, &s.Cause, &s.ActorKind, &s.Actor, &s.Connection},
			policyDest(&s.Firm, &forbidden)...)...)
		s.Firm.Forbidden = factorsOf(forbidden)
		return s, err
	}, `SELECT firm, revision, changed_at, cause, actor_kind, actor, connection, `+policyColumns+` FROM policy_history
		WHERE firm = $1 AND revision > $2 ORDER BY revision LIMIT $3`, firm, after, limit)
}

// Requirements lists the connections that require a second factor in a firm, in the order in which they began to.
func Requirements(tx *sqldb.Tx, firm string) ([]string, error) {
	return sqldb.Collect(tx, scanText, `SELECT connection FROM two_factor_requirements
		WHERE firm = $1 AND released_at = 0 ORDER BY created_at, connection`, firm)
}

// RequirementTimes returns when a connection required a second factor last and when it stopped to; zero for never.
func RequirementTimes(tx *sqldb.Tx, firm, connection string) (required, released time.Time, err error) {
	type times struct{ required, released time.Time }
	all, err := sqldb.Collect(tx, func(r *sqldb.Rows) (t times, err error) {
		return t, r.Scan(when{&t.required}, when{&t.released})
	}, `SELECT required_at, released_at FROM two_factor_requirements WHERE firm = $1 AND connection = $2`, firm, connection)
	return first(all).required, first(all).released, err
}

// AddRequirement notes that a connection requires a second factor. It answers false when that was noted.
func AddRequirement(tx *sqldb.Tx, firm, connection string, now time.Time) (bool, error) {
	required, released, err := RequirementTimes(tx, firm, connection)
	if err != nil {
		return false, err
	}
	_, err = tx.Exec(`INSERT INTO two_factor_requirements (firm, connection, created_at, required_at)
		VALUES ($1, $2, $3, $3) ON CONFLICT (firm, connection) DO UPDATE SET released_at = 0, required_at = $3`,
		firm, connection, micros(latest(now, required, released)))
	return required.IsZero() || !released.IsZero(), err
}

// DropRequirement notes that it does not any more. It answers false when that was noted, or it never did.
func DropRequirement(tx *sqldb.Tx, firm, connection string, now time.Time) (bool, error) {
	required, released, err := RequirementTimes(tx, firm, connection)
	if err != nil {
		return false, err
	}
	_, err = tx.Exec(`INSERT INTO two_factor_requirements (firm, connection, created_at, released_at)
		VALUES ($1, $2, $3, $3) ON CONFLICT (firm, connection) DO UPDATE SET released_at = $3`,
		firm, connection, micros(latest(now, required, released)))
	return !required.IsZero() && released.IsZero(), err
}

// latest keeps the order of what was noted, whatever the clocks of two replicas say.
func latest(t time.Time, others ...time.Time) time.Time {
	for _, o := range others {
		if o.After(t) {
			t = o
		}
	}
	return t
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
