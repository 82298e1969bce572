package store

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"

	"github.com/concord-suite/concord/services/connector/internal/connection"
)

// GrantStatus is what a grant is good for.
type GrantStatus string

// The statuses of a grant.
const (
	// GrantActive can be used.
	GrantActive GrantStatus = "ACTIVE"
	// GrantDead was refused by the provider; the person must consent again.
	GrantDead GrantStatus = "NEEDS_REAUTH"
	// GrantClosing has no connection left; it is used once more, to tell the provider.
	GrantClosing GrantStatus = "CLOSING"
	// GrantClosed holds nothing.
	GrantClosed GrantStatus = "CLOSED"
)

// Grant is a row of grants: what one person consented to, for one firm.
type Grant struct {
	ID, Firm, App, Subject string
	// Person is a name to show for the subject, empty when the provider gives none.
	Person string
	Scopes []string
	Status GrantStatus
	// Reason says in words why it is dead.
	Reason string
	// Generation grows with every refresh token. It is the fence: whoever saves an answer names the generation it spent.
	Generation int64
	// Refresh and Access are sealed for the columns "refresh" and "access".
	Refresh, Access             Sealed
	AccessIssued, AccessExpires time.Time
	LeaseOwner                  string
	LeaseUntil                  time.Time
	Attempt                     string
	AttemptStarted              time.Time
	Committed                   string
	Spare                       Sealed
	SpareUntil                  time.Time
	Failures                    int
	RetryAt                     time.Time
	Created, Refreshed          time.Time
}

// Row is where a secret of the grant is sealed for: "refresh", "access" or "spare".
func (g Grant) Row(column string) vault.Row {
	return vault.Row{Firm: g.Firm, Table: "grants", ID: g.ID, Column: column}
}

// Usable reports whether tokens of the grant may still be asked for.
func (g Grant) Usable() bool { return g.Status == GrantActive || g.Status == GrantClosing }

// Close puts the grant into a status that holds no tokens.
func (g *Grant) Close(s GrantStatus, reason string) {
	g.Status, g.Reason = s, reason
	g.Refresh, g.Access, g.Spare = Sealed{}, Sealed{}, Sealed{}
	g.LeaseOwner, g.LeaseUntil, g.Attempt, g.AttemptStarted = "", time.Time{}, "", time.Time{}
}

const grantColumns = `id, firm, app, subject, scopes, status, reason, generation, refresh_sealed, refresh_key, access_sealed, access_key,
	access_issued, access_expires, lease_owner, lease_until, attempt, attempt_started, committed, spare_sealed, spare_key, spare_until,
	failures, retry_at, created, refreshed, person`

func (g Grant) values() []any {
	return []any{g.ID, g.Firm, g.App, g.Subject, strings.Join(g.Scopes, " "), string(g.Status), g.Reason, g.Generation,
		g.Refresh.Text, string(g.Refresh.Key), g.Access.Text, string(g.Access.Key), micros(g.AccessIssued), micros(g.AccessExpires),
		g.LeaseOwner, micros(g.LeaseUntil), g.Attempt, micros(g.AttemptStarted), g.Committed, g.Spare.Text, string(g.Spare.Key),
		micros(g.SpareUntil), g.Failures, micros(g.RetryAt), micros(g.Created), micros(g.Refreshed), g.Person}
}

func scanGrant(scan func(...any) error) (Grant, error) {
	var g Grant
	var scopes string
	err := scan(&g.ID, &g.Firm, &g.App, &g.Subject, &scopes, &g.Status, &g.Reason, &g.Generation, &g.Refresh.Text, &g.Refresh.Key,
		&g.Access.Text, &g.Access.Key, times{&g.AccessIssued}, times{&g.AccessExpires}, &g.LeaseOwner, times{&g.LeaseUntil},
		&g.Attempt, times{&g.AttemptStarted}, &g.Committed, &g.Spare.Text, &g.Spare.Key, times{&g.SpareUntil}, &g.Failures,
		times{&g.RetryAt}, times{&g.Created}, times{&g.Refreshed}, &g.Person)
	g.Scopes = strings.Fields(scopes)
	return g, err
}

// InsertGrant adds a grant.
func InsertGrant(tx *sqldb.Tx, g Grant) error {
	_, err := tx.Exec(`INSERT INTO grants (`+grantColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
		$15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27)`, g.values()...)
	return err
}

// UpdateGrant writes a grant that was read and locked in the same transaction, if it still has the generation given. It
// reports whether it had.
func UpdateGrant(tx *sqldb.Tx, g Grant, generation int64) (bool, error) {
	n, err := tx.Exec(`UPDATE grants SET firm = $2, app = $3, subject = $4, scopes = $5, status = $6, reason = $7, generation = $8,
		refresh_sealed = $9, refresh_key = $10, access_sealed = $11, access_key = $12, access_issued = $13, access_expires = $14,
		lease_owner = $15, lease_until = $16, attempt = $17, attempt_started = $18, committed = $19, spare_sealed = $20, spare_key = $21,
		spare_until = $22, failures = $23, retry_at = $24, created = $25, refreshed = $26, person = $27 WHERE id = $1 AND generation = $28`,
		append(g.values(), generation)...)
	return n == 1, err
}

// GrantByID reads a grant, and locks it in a write transaction.
func GrantByID(tx *sqldb.Tx, id string, lock bool) (Grant, error) {
	return scanGrant(tx.QueryRow(`SELECT `+grantColumns+` FROM grants WHERE id = $1`+locking(tx, lock), id).Scan)
}

// GrantOfSubject reads and locks the firm's grant of one person that can still be used or revived, or nil.
func GrantOfSubject(tx *sqldb.Tx, firm, app, subject string) (*Grant, error) {
	g, err := scanGrant(tx.QueryRow(`SELECT `+grantColumns+` FROM grants WHERE app = $2 AND subject = $3 AND firm = $1
		AND status IN ('ACTIVE', 'NEEDS_REAUTH') ORDER BY created DESC, id DESC LIMIT 1`+locking(tx, true), firm, app, subject).Scan)
	if errors.Is(err, sqldb.ErrNotFound) {
		return nil, nil
	}
	return &g, err
}

// ScopesOfPerson returns the scopes of the grants that a person of a firm connected with and that are not closed, each
// once. A grant whose consent was withdrawn counts: it is revived by a consent that covers it.
func ScopesOfPerson(tx *sqldb.Tx, firm, app, person string) ([]string, error) {
	rows, err := sqldb.Collect(tx, func(r *sqldb.Rows) (s string, err error) { return s, r.Scan(&s) },
		`SELECT DISTINCT g.scopes FROM connections c JOIN grants g ON g.id = c.grant_id
			WHERE c.firm = $1 AND c.connected_by = $3 AND g.app = $2 AND g.status IN ('ACTIVE', 'NEEDS_REAUTH')`, firm, app, person)
	all := strings.Fields(strings.Join(rows, " "))
	slices.Sort(all)
	return slices.Compact(all), err
}

// ConsentsOf returns whose consents a firm's connections of a provider use.
func ConsentsOf(tx *sqldb.Tx, firm string, p connection.Provider) ([]connection.Consent, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (c connection.Consent, err error) {
		return c, r.Scan(&c.Tenant, &c.Subject, &c.Person)
	}, `SELECT c.tenant_id, g.subject, g.person FROM connections c JOIN grants g ON g.id = c.grant_id
		WHERE c.firm = $1 AND c.provider = $2 ORDER BY c.id`, firm, string(p))
}

// SubjectGranted reports whether a person has another live grant in any firm. The provider may end all of a person's
// grants when one is revoked.
func SubjectGranted(tx *sqldb.Tx, app, subject, but string) (granted bool, err error) {
	err = tx.QueryRow(`SELECT EXISTS (SELECT 1 FROM grants WHERE app = $1 AND subject = $2 AND id <> $3 AND status = 'ACTIVE')`,
		app, subject, but).Scan(&granted)
	return granted, err
}

// PendingGrants returns the grants whose refresh began and has not ended, and whose time to be tried again has come, or
// lies beyond a time up to which there is a reason to wait. Somebody may be at it.
func PendingGrants(tx *sqldb.Tx, now, beyond time.Time, limit int) ([]string, error) {
	return ids(tx, `SELECT id FROM grants WHERE attempt <> '' AND (retry_at <= $1 OR retry_at > $2)
		AND status IN ('ACTIVE', 'CLOSING') ORDER BY attempt_started LIMIT $3`, micros(now), micros(beyond), limit)
}

// IdleGrants returns the active grants not refreshed since a time, or after one that has not come, with the same bounds as
// PendingGrants.
func IdleGrants(tx *sqldb.Tx, before, after, now, beyond time.Time, limit int) ([]string, error) {
	return ids(tx, `SELECT id FROM grants WHERE status = 'ACTIVE' AND (refreshed <= $1 OR refreshed > $5) AND (retry_at <= $2 OR retry_at > $3)
		ORDER BY refreshed LIMIT $4`, micros(before), micros(now), micros(beyond), limit, micros(after))
}

func ids(tx *sqldb.Tx, query string, args ...any) ([]string, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (id string, err error) { return id, r.Scan(&id) }, query, args...)
}
