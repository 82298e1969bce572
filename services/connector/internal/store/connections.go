package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/connection"
)

// What the provider said last of the calls left today stands beside the budget, since all connections to a tenant share
// it. The app is the grant's.
const connectionColumns = `c.id, c.firm, c.provider, c.tenant_id, c.tenant_name, c.tenant_type, c.upstream_id, c.grant_id, c.state,
	c.reason, c.options, c.created, c.connected_by, c.last_success, c.version, c.removals_suspended, c.failures, c.sample,
	COALESCE((SELECT t.day_left FROM budget_told t JOIN grants g ON g.app = t.app WHERE g.id = c.grant_id AND t.tenant = c.tenant_id), -1)`

func scanConnection(scan func(...any) error) (connection.Connection, error) {
	var c connection.Connection
	var options string
	err := scan(&c.ID, &c.Firm, &c.Provider, &c.TenantID, &c.TenantName, &c.TenantType, &c.UpstreamID, &c.Grant, &c.State,
		&c.Reason, &options, times{&c.Created}, &c.ConnectedBy, times{&c.LastSuccess}, &c.Version, &c.RemovalsSuspended,
		&c.Failures, &c.Sample, &c.DayCallsLeft)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal([]byte(options), &c.Options); err != nil {
		return c, fmt.Errorf("store: options of connection %s: %w", c.ID, err)
	}
	if c.TenantID == c.ID {
		c.TenantID = ""
	}
	return c, nil
}

// tenantOf is what stands in the column for the tenant. A firm has one connection per provider and tenant; a connection
// without a tenant, which a legacy one is, has its own id there, which is nobody's tenant.
func tenantOf(c connection.Connection) string {
	if c.TenantID == "" {
		return c.ID
	}
	return c.TenantID
}

// SaveConnection adds or changes a connection. confirmed is when it was consented to last; zero leaves that as it was.
func SaveConnection(tx *sqldb.Tx, c connection.Connection, confirmed time.Time) error {
	options, err := json.Marshal(c.Options)
	if err != nil {
		return fmt.Errorf("store: options: %w", err)
	}
	_, err = tx.Exec(`INSERT INTO connections (id, firm, provider, tenant_id, tenant_name, tenant_type, upstream_id, grant_id, state,
			reason, options, created, connected_by, last_success, version, removals_suspended, failures, sample, confirmed, probe_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, 0)
		ON CONFLICT (id) DO UPDATE SET tenant_id = excluded.tenant_id, tenant_name = excluded.tenant_name, tenant_type = excluded.tenant_type,
			upstream_id = excluded.upstream_id, grant_id = excluded.grant_id, state = excluded.state, reason = excluded.reason,
			options = excluded.options, connected_by = excluded.connected_by, last_success = excluded.last_success,
			version = excluded.version, removals_suspended = excluded.removals_suspended, failures = excluded.failures,
			probe_at = CASE WHEN excluded.state = 'DEGRADED' THEN connections.probe_at ELSE 0 END,
			sample = excluded.sample, confirmed = CASE WHEN excluded.confirmed > 0 THEN excluded.confirmed ELSE connections.confirmed END`,
		c.ID, c.Firm, string(c.Provider), tenantOf(c), c.TenantName, c.TenantType, c.UpstreamID, c.Grant, string(c.State), c.Reason,
		string(options), micros(c.Created), c.ConnectedBy, micros(c.LastSuccess), c.Version, c.RemovalsSuspended, c.Failures, c.Sample,
		micros(confirmed))
	return err
}

// ConnectionByID reads a connection of a firm.
func ConnectionByID(tx *sqldb.Tx, ref connection.Ref, lock bool) (connection.Connection, error) {
	return scanConnection(tx.QueryRow(`SELECT `+connectionColumns+` FROM connections c WHERE c.firm = $1 AND c.id = $2`+
		locking(tx, lock), ref.Firm, ref.ID).Scan)
}

// ConnectionOfTenant reads a firm's connection to a tenant, whatever its state.
func ConnectionOfTenant(tx *sqldb.Tx, firm string, p connection.Provider, tenant string) (*connection.Connection, error) {
	return optional(scanConnection(tx.QueryRow(`SELECT `+connectionColumns+` FROM connections c
		WHERE c.firm = $1 AND c.provider = $2 AND c.tenant_id = $3`+locking(tx, true), firm, string(p), tenant).Scan))
}

// LeaveTenant takes the tenant from a firm's connection that has ended, so that another one can have it.
func LeaveTenant(tx *sqldb.Tx, firm string, p connection.Provider, tenant string) error {
	_, err := tx.Exec(`UPDATE connections SET tenant_id = id, version = version + 1
		WHERE firm = $1 AND provider = $2 AND tenant_id = $3 AND state = 'DISCONNECTED'`, firm, string(p), tenant)
	return err
}

// LegacyConnections reads the firm's connections of a provider that wait for their upgrade, oldest first.
func LegacyConnections(tx *sqldb.Tx, firm string, p connection.Provider) ([]connection.Connection, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (connection.Connection, error) { return scanConnection(r.Scan) },
		`SELECT `+connectionColumns+` FROM connections c WHERE c.firm = $1 AND c.provider = $2 AND c.state = 'LEGACY' ORDER BY c.created, c.id`,
		firm, string(p))
}

// LastConnection reads the firm's connection of a provider that was consented to last, whatever its state, or nil.
func LastConnection(tx *sqldb.Tx, firm string, p connection.Provider) (*connection.Connection, error) {
	return optional(scanConnection(tx.QueryRow(`SELECT `+connectionColumns+` FROM connections c
		WHERE c.firm = $1 AND c.provider = $2 AND c.confirmed > 0 ORDER BY c.confirmed DESC, c.id DESC LIMIT 1`, firm, string(p)).Scan))
}

func optional(c connection.Connection, err error) (*connection.Connection, error) {
	switch {
	case errors.Is(err, sqldb.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &c, nil
}

// Place is where a page of connections ended.
type Place struct {
	Created time.Time
	ID      string
}

// ListConnections reads connections of a firm, newest first, from a place on; nil begins.
func ListConnections(tx *sqldb.Tx, firm string, after *Place, limit int) ([]connection.Connection, error) {
	where, args := "", []any{firm, limit}
	if after != nil {
		where = ` AND (c.created < $3 OR (c.created = $3 AND c.id < $4))`
		args = append(args, micros(after.Created), after.ID)
	}
	return sqldb.Collect(tx, func(r *sqldb.Rows) (connection.Connection, error) { return scanConnection(r.Scan) },
		`SELECT `+connectionColumns+` FROM connections c WHERE c.firm = $1`+where+` ORDER BY c.created DESC, c.id DESC LIMIT $2`, args...)
}

// ConnectionsOfGrant reads and locks the connections that use a grant.
func ConnectionsOfGrant(tx *sqldb.Tx, grant string) ([]connection.Connection, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (connection.Connection, error) { return scanConnection(r.Scan) },
		`SELECT `+connectionColumns+` FROM connections c WHERE c.grant_id = $1 ORDER BY c.id`+locking(tx, true), grant)
}

// longestProbe is how many times longer than at first the wait between two tries of a degraded connection becomes: half an
// hour instead of two minutes. A day of tries in vain then takes some sixty of the tenant's calls and not seven hundred,
// which are most of what a small tier has.
const longestProbe = 15

// TakeDegraded returns degraded connections whose time to be tried has come, and sets their next time: so long from now
// at first, and later the longer the more tries were in vain.
func TakeDegraded(tx *sqldb.Tx, now time.Time, every time.Duration, limit int) ([]connection.Ref, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (ref connection.Ref, err error) { return ref, r.Scan(&ref.Firm, &ref.ID) },
		`UPDATE connections SET failures = failures + 1, probe_at = $1 + $2 * CASE WHEN failures <= $4 THEN 1
				WHEN failures - $4 >= $5 THEN $5 ELSE failures - $4 END WHERE id IN (
			SELECT id FROM connections WHERE state = 'DEGRADED' AND probe_at <= $1 ORDER BY probe_at LIMIT $3`+tx.Dialect().SkipLocked()+`)
		RETURNING firm, id`, micros(now), every.Microseconds(), limit, connection.DegradedAfter, longestProbe)
}

// NoteSuccess notes the time of a call that worked. It is no change a caller has an etag for.
func NoteSuccess(tx *sqldb.Tx, ref connection.Ref, at time.Time) error {
	_, err := tx.Exec(`UPDATE connections SET last_success = $3, failures = 0 WHERE firm = $1 AND id = $2`, ref.Firm, ref.ID, micros(at))
	return err
}

// NoteSample keeps what a practice is recognised by.
func NoteSample(tx *sqldb.Tx, ref connection.Ref, sample string) error {
	_, err := tx.Exec(`UPDATE connections SET sample = $3 WHERE firm = $1 AND id = $2`, ref.Firm, ref.ID, sample)
	return err
}

// UpstreamShared reports whether another live connection, of any firm, is the same one at the provider.
func UpstreamShared(tx *sqldb.Tx, p connection.Provider, upstreamID, but string) (shared bool, err error) {
	err = tx.QueryRow(`SELECT EXISTS (SELECT 1 FROM connections WHERE provider = $1 AND upstream_id = $2 AND id <> $3 AND state <> 'DISCONNECTED')`,
		string(p), upstreamID, but).Scan(&shared)
	return shared, err
}
