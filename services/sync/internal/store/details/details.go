// Package details is the part of sync's database that holds what listings leave out of clients, and how far its reading is.
package details

import (
	"errors"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// Expect notes whether the listings of a connection leave something out of clients.
func Expect(tx *sqldb.Tx, firm, connection string, unread bool) error {
	var n int64
	err := tx.QueryRow(`SELECT count(*) FROM detail_work WHERE connection = $1`, connection).Scan(&n)
	switch {
	case err != nil || unread == (n > 0):
		return err
	case unread:
		_, err = tx.Exec(`INSERT INTO detail_work (connection, firm) VALUES ($1, $2) ON CONFLICT DO NOTHING`, connection, firm)
	default:
		_, err = tx.Exec(`DELETE FROM detail_work WHERE connection = $1`, connection)
	}
	return err
}

// Work is the reading of one connection's details.
type Work struct {
	Connection, Firm, Tenant string
	Cursor                   string
	// Attempts counts errors in a row.
	Attempts int64
	// Allowed and Spent are calls until AllowedUntil; Pace is the time from one reading to the next.
	Allowed, Spent int64
	AllowedUntil   time.Time
	Pace           time.Duration
	WaitUntil      time.Time
	Message        string
	Pending        bool
	// AgedAt is when what was read longest ago is due again; zero when nothing is.
	AgedAt time.Time
	// Asked counts how often a reading was asked for.
	Asked, Epoch int64
}

// Claim takes a connection with details that may be read now, the one first that has waited longest, or says
// sqldb.ErrNotFound. Runs come first: while one of a connection is under way, and before a full run has proven what its
// tenant holds, its details wait.
func Claim(tx *sqldb.Tx, owner string, now time.Time, lease time.Duration) (w Work, err error) {
	at := store.Micros(now)
	err = tx.QueryRow(`SELECT w.connection FROM detail_work w WHERE (w.pending OR w.aged_at > 0 AND w.aged_at <= $1)
			AND w.wait_until <= $1 AND w.lease_until < $1
			AND EXISTS (SELECT 1 FROM connections c WHERE c.id = w.connection AND c.state IN ('ACTIVE', 'DEGRADED')
				AND EXISTS (SELECT 1 FROM runs f WHERE f.connection = c.id AND f.tenant = c.tenant AND f.kind = 'FULL' AND f.proven
					AND f.state IN ('SUCCEEDED', 'REMOVALS_WITHHELD')))
			AND NOT EXISTS (SELECT 1 FROM runs a WHERE a.connection = w.connection AND a.state IN ('QUEUED', 'RUNNING', 'PARKED'))
		ORDER BY w.wait_until, w.connection LIMIT 1`+tx.Dialect().SkipLocked(), at).Scan(&w.Connection)
	if err != nil {
		return w, err
	}
	if _, err := tx.Exec(`UPDATE detail_work SET lease_owner = $2, lease_until = $3, epoch = epoch + 1 WHERE connection = $1`,
		w.Connection, owner, store.Micros(now.Add(lease))); err != nil {
		return w, err
	}
	var until, pace, wait, aged int64
	err = tx.QueryRow(`SELECT w.firm, c.tenant, w.step_cursor, w.attempts, w.allowed, w.spent, w.allowed_until, w.pace, w.wait_until,
			w.message, w.pending, w.asked, w.epoch, w.aged_at
		FROM detail_work w JOIN connections c ON c.id = w.connection WHERE w.connection = $1`, w.Connection).
		Scan(&w.Firm, &w.Tenant, &w.Cursor, &w.Attempts, &w.Allowed, &w.Spent, &until, &pace, &wait, &w.Message, &w.Pending, &w.Asked, &w.Epoch,
			&aged)
	w.AgedAt = store.FromMicros(aged)
	w.AllowedUntil, w.WaitUntil, w.Pace = store.FromMicros(until), store.FromMicros(wait), time.Duration(pace)*time.Microsecond
	return w, err
}

// Release writes a claimed work back and lets go of it, or says store.ErrLeaseLost. When a reading was asked for meanwhile, it
// begins anew.
func Release(tx *sqldb.Tx, w Work) error {
	n, err := tx.Exec(`UPDATE detail_work SET attempts = $3, allowed = $4, spent = $5, allowed_until = $6, pace = $7, wait_until = $8,
			message = $9, aged_at = $13, lease_owner = '', lease_until = 0,
			pending = CASE WHEN asked = $12 THEN $10 ELSE pending END,
			step_cursor = CASE WHEN asked = $12 THEN $11 ELSE step_cursor END
		WHERE connection = $1 AND epoch = $2`,
		w.Connection, w.Epoch, w.Attempts, w.Allowed, w.Spent, store.Micros(w.AllowedUntil), w.Pace.Microseconds(),
		store.Micros(w.WaitUntil), w.Message, w.Pending, w.Cursor, w.Asked, store.Micros(w.AgedAt))
	if err == nil && n != 1 {
		err = store.ErrLeaseLost
	}
	return err
}

const due = ` FROM links l JOIN clients c ON c.id = l.client WHERE l.connection = $1 AND l.tenant = $2 AND l.base_hash <> ''
	AND l.base_hash <> l.detail_hash AND l.presence = 'PRESENT' AND NOT l.out_of_scope AND c.state <> 'OFFBOARDED' AND l.record_id > $3`

// aged are those that were read for the hash they have, up to a time.
const aged = ` FROM client_details d JOIN links l ON l.connection = d.connection AND l.tenant = d.tenant AND l.record_id = d.record_id
		JOIN clients c ON c.id = l.client
	WHERE d.connection = $1 AND d.tenant = $2 AND l.base_hash = l.detail_hash AND l.presence = 'PRESENT' AND NOT l.out_of_scope
		AND c.state <> 'OFFBOARDED'`

// Task is a record whose details are to be read, with its listed hash.
type Task struct {
	Record, Hash string
	// Again: they were read for this hash, and that is long ago.
	Again bool
}

// Next returns the next record after the work's cursor whose details are not those of its listed hash; else, of those that
// were read before a time, the one that was read longest ago; else sqldb.ErrNotFound.
func Next(tx *sqldb.Tx, w Work, before time.Time) (t Task, err error) {
	err = tx.QueryRow(`SELECT l.record_id, l.base_hash`+due+` ORDER BY l.record_id LIMIT 1`, w.Connection, w.Tenant, w.Cursor).
		Scan(&t.Record, &t.Hash)
	if !errors.Is(err, sqldb.ErrNotFound) || before.IsZero() {
		return t, err
	}
	t.Again = true
	return t, tx.QueryRow(`SELECT l.record_id, l.base_hash`+aged+` AND d.read_at < $3 ORDER BY d.read_at, d.record_id LIMIT 1`,
		w.Connection, w.Tenant, store.Micros(before)).Scan(&t.Record, &t.Hash)
}

// Due counts the records whose details are to be read, those that were read before a time with them.
func Due(tx *sqldb.Tx, w Work, before time.Time) (n int64, err error) {
	var again int64
	if err := tx.QueryRow(`SELECT count(*)`+due, w.Connection, w.Tenant, w.Cursor).Scan(&n); err != nil || before.IsZero() {
		return n, err
	}
	err = tx.QueryRow(`SELECT count(*)`+aged+` AND d.read_at < $3`, w.Connection, w.Tenant, store.Micros(before)).Scan(&again)
	return n + again, err
}

// Oldest returns when those details were read that were read longest ago, zero when there are none.
func Oldest(tx *sqldb.Tx, w Work) (time.Time, error) {
	var at int64
	err := tx.QueryRow(`SELECT coalesce(min(d.read_at), 0)`+aged, w.Connection, w.Tenant).Scan(&at)
	return store.FromMicros(at), err
}

// Unsettle has a record wait for the next time round whose details could not be read again.
func Unsettle(tx *sqldb.Tx, w Work, record string) error {
	_, err := tx.Exec(`UPDATE links SET detail_hash = '' WHERE connection = $1 AND tenant = $2 AND record_id = $3`,
		w.Connection, w.Tenant, record)
	return err
}

// Save keeps the details of a record, read for a listed hash. A record that is linked to nobody any more has none.
func Save(tx *sqldb.Tx, w Work, record, hash string, d client.Details, now time.Time) error {
	n, err := tx.Exec(`UPDATE links SET detail_hash = $4 WHERE connection = $1 AND tenant = $2 AND record_id = $3`,
		w.Connection, w.Tenant, record, hash)
	if err != nil || n == 0 {
		return err
	}
	var before string
	err = tx.QueryRow(`SELECT details FROM client_details WHERE connection = $1 AND tenant = $2 AND record_id = $3`,
		w.Connection, w.Tenant, record).Scan(&before)
	at := store.Micros(now)
	switch text := d.JSON(); {
	case errors.Is(err, sqldb.ErrNotFound):
		_, err = tx.Exec(`INSERT INTO client_details (connection, tenant, record_id, firm, details, read_at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (connection, tenant, record_id) DO UPDATE SET details = excluded.details, read_at = excluded.read_at`,
			w.Connection, w.Tenant, record, w.Firm, text, at)
	case err != nil:
	case text == before:
		_, err = tx.Exec(`UPDATE client_details SET read_at = $4 WHERE connection = $1 AND tenant = $2 AND record_id = $3`,
			w.Connection, w.Tenant, record, at)
	default:
		_, err = tx.Exec(`UPDATE client_details SET details = $5, read_at = $4 WHERE connection = $1 AND tenant = $2 AND record_id = $3`,
			w.Connection, w.Tenant, record, at, text)
	}
	return err
}

// Skip notes that there is nothing to read of a record for its listed hash: it is gone. What was read of it before stands.
func Skip(tx *sqldb.Tx, w Work, record, hash string, now time.Time) error {
	if _, err := tx.Exec(`UPDATE links SET detail_hash = $4 WHERE connection = $1 AND tenant = $2 AND record_id = $3`,
		w.Connection, w.Tenant, record, hash); err != nil {
		return err
	}
	_, err := tx.Exec(`UPDATE client_details SET read_at = $4 WHERE connection = $1 AND tenant = $2 AND record_id = $3`,
		w.Connection, w.Tenant, record, store.Micros(now))
	return err
}

// Of returns the details of clients as their list sources have them, by client, with the clients that relationships lead to.
func Of(tx *sqldb.Tx, firm string, clients []string) (map[string]client.Details, error) {
	type place struct{ connection, tenant string }
	out := map[string]client.Details{}
	if len(clients) == 0 {
		return out, nil
	}
	others := map[place]map[string]bool{} // records at the other ends
	at := map[string]place{}
	rows, err := tx.Query(`SELECT c.id, d.connection, d.tenant, d.details, d.read_at FROM clients c
			JOIN links l ON l.client = c.id AND l.connection = c.list_source
			JOIN client_details d ON d.connection = l.connection AND d.tenant = l.tenant AND d.record_id = l.record_id
		WHERE c.firm = $1 AND `+store.AnyOf(tx, "c.id", 2), firm, store.IDs(tx, clients))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, text string
		var p place
		var read int64
		if err := rows.Scan(&id, &p.connection, &p.tenant, &text, &read); err != nil {
			return nil, err
		}
		d := client.ParseDetails(text)
		d.ReadAt = store.FromMicros(read)
		out[id], at[id] = d, p
		for _, r := range d.Relationships {
			if others[p] == nil {
				others[p] = map[string]bool{}
			}
			others[p][r.Record] = true
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	linked := map[place]map[string]string{}
	for p, records := range others {
		all := make([]string, 0, len(records))
		for r := range records {
			all = append(all, r)
		}
		if linked[p], err = listed(tx, p.connection, p.tenant, all); err != nil {
			return nil, err
		}
	}
	for id, d := range out {
		for i := range d.Relationships {
			d.Relationships[i].Client = linked[at[id]][d.Relationships[i].Record]
		}
	}
	return out, nil
}

// listed returns the clients in the list that records are linked to, by record.
func listed(tx *sqldb.Tx, connection, tenant string, records []string) (map[string]string, error) {
	type pair struct{ record, client string }
	all, err := sqldb.Collect(tx, func(r *sqldb.Rows) (p pair, err error) { return p, r.Scan(&p.record, &p.client) },
		`SELECT l.record_id, l.client FROM `+store.Lookup(tx, 3, "links", "l", "record_id, client",
			"l.connection = $1 AND l.tenant = $2 AND l.record_id = q.value")+`
			JOIN clients c ON c.id = l.client WHERE c.state <> 'OFFBOARDED'`, connection, tenant, store.IDs(tx, records))
	out := make(map[string]string, len(all))
	for _, p := range all {
		out[p.record] = p.client
	}
	return out, err
}
