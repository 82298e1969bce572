package store

import (
	"fmt"
	"strings"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/webhook"
)

// WebhookTopic is what a worker watches to hear of new events at once.
const WebhookTopic = "connector.webhooks"

// KeepEvents puts events into the inbox and returns how many were new. A notice of a thousand events takes ten statements
// of a few sizes: over a network a statement for each would take too long for who waits.
func KeepEvents(tx *sqldb.Tx, p connection.Provider, all []webhook.Event, now time.Time) (fresh int64, err error) {
	for size := 100; size > 0; size /= 10 {
		for len(all) >= size {
			n, err := keepEvents(tx, p, all[:size], now)
			if err != nil {
				return fresh, err
			}
			fresh += n
			all = all[size:]
		}
	}
	if fresh > 0 {
		tx.Notify(WebhookTopic)
	}
	return fresh, nil
}

func keepEvents(tx *sqldb.Tx, p connection.Provider, all []webhook.Event, now time.Time) (int64, error) {
	args := []any{string(p), micros(now)}
	rows := make([]string, len(all))
	for i, e := range all {
		n := len(args)
		rows[i] = fmt.Sprintf("($%d, $1, $%d, $%d, $%d, $2, 0, '')", n+1, n+2, n+3, n+4)
		args = append(args, e.ID, e.Tenant, e.Record, micros(e.At))
	}
	return tx.Exec(`INSERT INTO webhook_events (id, provider, tenant, record, at, received, settled, outcome)
		VALUES `+strings.Join(rows, ", ")+` ON CONFLICT (id) DO NOTHING`, args...)
}

// TakeEvents reads and locks events of a provider that wait, the oldest first.
func TakeEvents(tx *sqldb.Tx, p connection.Provider, limit int) ([]webhook.Event, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (e webhook.Event, err error) {
		return e, r.Scan(&e.ID, &e.Tenant, &e.Record, times{&e.At})
	}, `SELECT id, tenant, record, at FROM webhook_events WHERE settled = 0 AND provider = $1 ORDER BY received, id LIMIT $2`+
		tx.Dialect().SkipLocked(), string(p), limit)
}

// Outcome is what became of an event.
type Outcome string

// The outcomes.
const (
	// Told was told to the suite, once for each connection to the tenant.
	Told Outcome = "TOLD"
	// Nobody has a connection to the tenant.
	Nobody Outcome = "NOBODY"
)

// SettleEvents notes what became of events.
func SettleEvents(tx *sqldb.Tx, ids []string, o Outcome, now time.Time) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := tx.Exec(`UPDATE webhook_events SET settled = $2, outcome = $3 WHERE `+tx.Dialect().AnyOf("id", 1),
		sqldb.List(tx.Dialect(), ids), micros(now), string(o))
	return err
}

// PurgeEvents deletes events that were settled before a time.
func PurgeEvents(tx *sqldb.Tx, before time.Time) error {
	_, err := tx.Exec(`DELETE FROM webhook_events WHERE settled > 0 AND settled < $1`, micros(before))
	return err
}

// ConnectionsOfTenant reads the connections of all firms to a tenant that are still there. It is asked on behalf of
// nobody but the service itself.
func ConnectionsOfTenant(tx *sqldb.Tx, p connection.Provider, tenant string) ([]connection.Connection, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (connection.Connection, error) { return scanConnection(r.Scan) },
		`SELECT `+connectionColumns+` FROM connections c WHERE c.provider = $1 AND lower(c.tenant_id) = $2
			AND c.state NOT IN ('DISCONNECTED', 'LEGACY') ORDER BY c.id`, string(p), tenant)
}
