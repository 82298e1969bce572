package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/connection"
)

// Waiting is a chore that waits, without what is secret of it.
type Waiting struct {
	Kind    ChoreKind
	Created time.Time
	Tries   int
	Error   string
}

// WaitingChores reads what is still to be told of a connection, the oldest first.
func WaitingChores(tx *sqldb.Tx, ref connection.Ref) ([]Waiting, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (w Waiting, err error) {
		return w, r.Scan(&w.Kind, times{&w.Created}, &w.Tries, &w.Error)
	}, `SELECT kind, created, tries, error FROM chores WHERE firm = $1 AND connection = $2 ORDER BY created, id`, ref.Firm, ref.ID)
}

// TenantShared counts the other usable connections to a tenant, of any firm: they use the same limits.
func TenantShared(tx *sqldb.Tx, p connection.Provider, tenant, but string) (n int, err error) {
	err = tx.QueryRow(`SELECT COUNT(*) FROM connections WHERE provider = $1 AND tenant_id = $2 AND id <> $3
		AND state IN ('ACTIVE', 'DEGRADED')`, string(p), tenant, but).Scan(&n)
	return n, err
}

// ConnectionsAfter reads connections of all firms, or of one unless firm is empty, in the order of their ids, from one on.
func ConnectionsAfter(tx *sqldb.Tx, firm, after string, limit int) ([]connection.Ref, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (ref connection.Ref, err error) { return ref, r.Scan(&ref.Firm, &ref.ID) },
		`SELECT firm, id FROM connections WHERE id > $1 AND ($2 = '' OR firm = $2) ORDER BY id LIMIT $3`, after, firm, limit)
}

// ConnectionOf finds a connection by its id, of a firm unless that is empty.
func ConnectionOf(tx *sqldb.Tx, firm, id string) ([]connection.Ref, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (ref connection.Ref, err error) { return ref, r.Scan(&ref.Firm, &ref.ID) },
		`SELECT firm, id FROM connections WHERE id = $1 AND ($2 = '' OR firm = $2)`, id, firm)
}
