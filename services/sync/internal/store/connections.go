package store

import (
	"errors"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/run"
)

const connectionColumns = `c.id, c.firm, c.provider, c.tenant, c.state, c.state_reason, c.selection, c.review_new,
	c.review_removals, c.guard_permille, c.guard_floor, c.full_every_days, c.removals_suspended, c.established_at,
	c.full_wanted, c.wanted_by, c.suspended_at, c.manual_wanted`

func scanConnection(scan func(...any) error, more ...any) (c run.Connection, err error) {
	var established, suspended int64
	err = scan(append([]any{
		&c.ID, &c.Firm, &c.Provider, &c.Tenant, &c.State, &c.StateReason, &c.Selection, &c.ReviewNew, &c.ReviewRemovals,
		&c.Guard.Permille, &c.Guard.Floor, &c.FullEveryDays, &c.RemovalsSuspended, &established, &c.FullWanted, &c.WantedBy, &suspended,
		&c.ManualWanted,
	}, more...)...)
	c.EstablishedAt, c.SuspendedAt = fromMicros(established), fromMicros(suspended)
	return c, err
}

// Connection returns a connection of a firm, or sqldb.ErrNotFound; so is one of which nothing but its state was told.
func Connection(tx *sqldb.Tx, firm, id string) (run.Connection, error) {
	row := tx.QueryRow(`SELECT `+connectionColumns+` FROM connections c WHERE c.id = $1 AND c.firm = $2 AND c.event_seq >= 0`, id, firm)
	return scanConnection(row.Scan)
}

// PutConnection takes over what connector said of a connection, each part unless something newer was said of it before:
// its state is told by other events too. seq is the sequence of the event; 0 for what was asked and not told, which only
// fills a gap.
func PutConnection(tx *sqldb.Tx, c run.Connection, seq int64) error {
	_, err := tx.Exec(`INSERT INTO connections (id, firm, provider, tenant, state, state_reason, selection, review_new,
			review_removals, guard_permille, guard_floor, full_every_days, removals_suspended, event_seq, state_seq,
			established_at, suspended_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, $15, $16)
		ON CONFLICT (id) DO UPDATE SET provider = excluded.provider, tenant = excluded.tenant, selection = excluded.selection, review_new = excluded.review_new,
			review_removals = excluded.review_removals, guard_permille = excluded.guard_permille,
			guard_floor = excluded.guard_floor, full_every_days = excluded.full_every_days,
			removals_suspended = excluded.removals_suspended, event_seq = excluded.event_seq,
			established_at = excluded.established_at,
			suspended_at = CASE WHEN connections.removals_suspended AND connections.tenant = excluded.tenant
				THEN connections.suspended_at ELSE excluded.suspended_at END
		WHERE connections.event_seq < excluded.event_seq`,
		c.ID, c.Firm, c.Provider, c.Tenant, c.State, c.StateReason, c.Selection, c.ReviewNew, c.ReviewRemovals,
		c.Guard.Permille, c.Guard.Floor, c.FullEveryDays, c.RemovalsSuspended, seq, micros(c.EstablishedAt),
		micros(c.SuspendedAt))
	if err != nil {
		return err
	}
	return SetConnectionState(tx, c.Firm, c.ID, c.State, c.StateReason, seq)
}

// SetConnectionState takes over a change of state, unless something newer was said before. What is said of a connection
// that was not told of yet is kept until it is: the events of a connection may come in any order.
func SetConnectionState(tx *sqldb.Tx, firm, id string, state run.ConnectionState, reason string, seq int64) error {
	n, err := tx.Exec(`INSERT INTO connections (id, firm, provider, tenant, state, state_reason, event_seq, state_seq)
		VALUES ($1, $2, '', '', $3, $4, -1, $5)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, state_reason = excluded.state_reason, state_seq = excluded.state_seq
		WHERE connections.firm = excluded.firm AND connections.state_seq < excluded.state_seq`, id, firm, string(state), reason, seq)
	if err == nil && n > 0 && state == run.ConnectionDisconnected {
		// Nobody can decide from the listing of an upgrade any more.
		_, err = tx.Exec(`DELETE FROM legacy_records WHERE connection = $1`, id)
	}
	if err != nil || n == 0 || !state.Usable() {
		return err
	}
	if err := wakePlans(tx, id); err != nil || state != run.ConnectionActive {
		return err
	}
	return wakeRuns(tx, id)
}

// wakeRuns lets runs of a connection go on at once that wait because something went wrong: it works again, and the errors
// from before that count as one. Who waits for a limit waits on.
func wakeRuns(tx *sqldb.Tx, connection string) error {
	n, err := tx.Exec(`UPDATE runs SET wait_until = 0, attempts = 1, version = version + 1
		WHERE connection = $1 AND state = 'PARKED' AND attempts > 0`, connection)
	if n > 0 {
		tx.Notify(TopicRuns)
	}
	return err
}

// WantFull asks for a full run of a connection as soon as none is under way.
func WantFull(tx *sqldb.Tx, id, by string) error {
	_, err := tx.Exec(`UPDATE connections SET full_wanted = TRUE, wanted_by = $2 WHERE id = $1`, id, by)
	tx.Notify(TopicRuns)
	return err
}

// WantManual asks for a manual run of a connection as soon as it may have one, unless one is queued, which reads what is
// to be read.
func WantManual(tx *sqldb.Tx, firm, id string) error {
	_, err := tx.Exec(`UPDATE connections SET manual_wanted = TRUE WHERE id = $1 AND firm = $2 AND NOT manual_wanted
		AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.connection = connections.id AND r.state = 'QUEUED' AND r.kind <> 'UPGRADE')`, id, firm)
	tx.Notify(TopicRuns)
	return err
}

// adopted are the tables whose rows belong to a connection, with what is there once for it.
var adopted = []struct{ table, once string }{
	{"links", "n.record_id = o.record_id OR n.client = o.client"},
	{"contact_links", "n.record_id = o.record_id"},
	{"relations", "n.contact_record = o.contact_record AND n.client_record = o.client_record"},
	{"ignored_records", "n.record_id = o.record_id"},
	{"client_details", "n.record_id = o.record_id"},
}

// AdoptLinks gives a new connection the links of a removed one to the same tenant: clients and links stay when an
// administrator disconnects and connects again. What the new one has itself by now stands. So it is with what was linked
// before OAuth 2; what waits for a decision is looked at anew. It tells whether there was one.
func AdoptLinks(tx *sqldb.Tx, c run.Connection) (bool, error) {
	var former string
	err := tx.QueryRow(`SELECT c.id FROM connections c WHERE c.firm = $1 AND c.provider = $2 AND c.tenant = $3
			AND c.id <> $4 AND c.state = 'DISCONNECTED' AND (EXISTS (SELECT 1 FROM links l WHERE l.connection = c.id)
				OR EXISTS (SELECT 1 FROM legacy_links g WHERE g.connection = c.id))
		ORDER BY c.established_at DESC, c.id DESC LIMIT 1`, c.Firm, c.Provider, c.Tenant, c.ID).Scan(&former)
	if errors.Is(err, sqldb.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, a := range adopted {
		if _, err := tx.Exec(`UPDATE `+a.table+` AS o SET connection = $2 WHERE o.connection = $1 AND o.tenant = $3 AND NOT EXISTS (
			SELECT 1 FROM `+a.table+` n WHERE n.connection = $2 AND n.tenant = $3 AND (`+a.once+`))`, former, c.ID, c.Tenant); err != nil {
			return false, err
		}
	}
	if _, err := tx.Exec(`UPDATE clients SET list_source = $2 WHERE firm = $3 AND list_source = $1`, former, c.ID, c.Firm); err != nil {
		return false, err
	}
	if err := adoptLegacy(tx, former, c.ID); err != nil {
		return false, err
	}
	// Who has a client now needs no suggestion.
	_, err = tx.Exec(`UPDATE changes SET state = 'STALE', record = '' WHERE connection = $1 AND tenant = $2 AND state = 'WAITING'
		AND kind IN ('LINK', 'NEW') AND record_id IN (SELECT l.record_id FROM links l WHERE l.connection = $1 AND l.tenant = $2)`,
		c.ID, c.Tenant)
	return true, err
}

// adoptLegacy gives a connection the legacy links of another. Those that wait for a decision are looked at again, since the
// listing to decide from is gone; nobody has to wait for those that nothing fitted.
func adoptLegacy(tx *sqldb.Tx, from, to string) error {
	if _, err := tx.Exec(`UPDATE legacy_links SET state = 'PENDING', explanation = '', candidates = ''
		WHERE connection = $1 AND state = 'SUGGESTED'`, from); err != nil {
		return err
	}
	_, err := tx.Exec(`UPDATE legacy_links AS o SET connection = $2 WHERE o.connection = $1 AND NOT EXISTS (SELECT 1 FROM legacy_links n
		WHERE n.connection = $2 AND (n.client = o.client OR o.legacy_id <> '' AND n.legacy_id = o.legacy_id))`, from, to)
	return err
}

// Heirs are the usable connections to the tenant of a removed one.
func Heirs(tx *sqldb.Tx, firm, removed string) ([]run.Connection, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (run.Connection, error) { return scanConnection(r.Scan) },
		`SELECT `+connectionColumns+` FROM connections f JOIN connections c ON c.firm = f.firm AND c.provider = f.provider
			AND c.tenant = f.tenant AND c.id <> f.id AND c.state IN ('ACTIVE', 'DEGRADED') AND c.event_seq >= 0
		WHERE f.id = $2 AND f.firm = $1 AND f.state = 'DISCONNECTED' AND f.event_seq >= 0 ORDER BY c.established_at DESC, c.id DESC`,
		firm, removed)
}

// Idle is a connection without a run under way, and how its runs ended.
type Idle struct {
	Connection run.Connection
	// Proven is when the last full run ended that read the whole of the tenant and proved it, zero when there was none.
	Proven time.Time
	// Vain is how many full runs ended since without that, and LastVain when the last of them did.
	Vain     int64
	LastVain time.Time
	// Unmapped: it has legacy links that no UPGRADE run has looked at. VainUpgrades is how many of these runs failed or were
	// cancelled since the last that went well, LastVainUpgrade when the last of them did.
	Unmapped        bool
	VainUpgrades    int64
	LastVainUpgrade time.Time
	// Read is when the last run ended well that read the tenant, changes or all; Began when the last run of any kind was
	// asked for.
	Read, Began time.Time
}

const provenFull = `f.connection = c.id AND f.tenant = c.tenant AND f.kind = 'FULL'
	AND f.proven AND f.state IN ('SUCCEEDED', 'REMOVALS_WITHHELD')`

const vainFull = `v.connection = c.id AND v.tenant = c.tenant AND v.kind = 'FULL'
	AND v.created_at > coalesce((SELECT max(f.created_at) FROM runs f WHERE ` + provenFull + `), 0)`

const vainUpgrade = `u.connection = c.id AND u.tenant = c.tenant AND u.kind = 'UPGRADE' AND u.state IN ('FAILED', 'CANCELLED')
	AND u.created_at > coalesce((SELECT max(g.created_at) FROM runs g WHERE g.connection = c.id AND g.tenant = c.tenant
		AND g.kind = 'UPGRADE' AND g.state = 'SUCCEEDED'), 0)`

// IdleConnections returns up to limit usable connections, after the id given, that want runs, now or by schedule, and have
// none under way.
func IdleConnections(tx *sqldb.Tx, after string, limit int) ([]Idle, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (i Idle, err error) {
		var proven, vain, upgrade, read, began int64
		i.Connection, err = scanConnection(r.Scan, &proven, &i.Vain, &vain, &i.Unmapped, &i.VainUpgrades, &upgrade, &read, &began)
		i.Proven, i.LastVain, i.LastVainUpgrade = fromMicros(proven), fromMicros(vain), fromMicros(upgrade)
		i.Read, i.Began = fromMicros(read), fromMicros(began)
		return i, err
	}, `SELECT `+connectionColumns+`,
			coalesce((SELECT max(f.ended_at) FROM runs f WHERE `+provenFull+`), 0),
			(SELECT count(*) FROM runs v WHERE `+vainFull+`),
			coalesce((SELECT max(v.ended_at) FROM runs v WHERE `+vainFull+`), 0),
			EXISTS (SELECT 1 FROM legacy_links p WHERE p.connection = c.id AND p.state = 'PENDING'),
			(SELECT count(*) FROM runs u WHERE `+vainUpgrade+`),
			coalesce((SELECT max(u.ended_at) FROM runs u WHERE `+vainUpgrade+`), 0),
			coalesce((SELECT max(g.ended_at) FROM runs g WHERE g.connection = c.id AND g.tenant = c.tenant
				AND g.kind <> 'UPGRADE' AND g.state IN ('SUCCEEDED', 'REMOVALS_WITHHELD')), 0),
			coalesce((SELECT max(b.created_at) FROM runs b WHERE b.connection = c.id), 0)
		FROM connections c
		WHERE c.id > $1 AND c.state IN ('ACTIVE', 'DEGRADED') AND (c.full_wanted OR c.full_every_days > 0 OR c.manual_wanted)
			AND NOT EXISTS (SELECT 1 FROM runs a WHERE a.connection = c.id AND a.state IN ('QUEUED', 'RUNNING', 'PARKED'))
		ORDER BY c.id LIMIT $2`, after, limit)
}

// Unmapped counts the legacy links of a connection that no UPGRADE run has looked at, and tells whether the last of these
// runs failed: then nobody has to wait for one.
func Unmapped(tx *sqldb.Tx, c run.Connection) (n int64, failed bool, err error) {
	var vain int64
	err = tx.QueryRow(`SELECT (SELECT count(*) FROM legacy_links p WHERE p.connection = c.id AND p.state = 'PENDING'),
			(SELECT count(*) FROM runs u WHERE `+vainUpgrade+` AND u.state = 'FAILED')
		FROM connections c WHERE c.id = $1`, c.ID).Scan(&n, &vain)
	return n, vain > 0, err
}

// Expected is what the next run of a connection's tenant will find, as far as is known.
type Expected struct {
	// Clients and Contacts are how many the last full listing held, FullAt when that run ended; zero when there was none.
	Clients, Contacts int64
	FullAt            time.Time
	// Removals is how many records that run read to confirm that they are gone.
	Removals int64
	// ChangedClients is how many clients the last listing of changes held, ManualAt when that run ended.
	ChangedClients, ChangedContacts int64
	ManualAt                        time.Time
	// LinkedClients and LinkedContacts are those that are linked to records; Legacy the legacy links that are open.
	LinkedClients, LinkedContacts, Legacy int64
	// Changes: a manual run would read only what changed.
	Changes bool
}

// ExpectedOf returns what the next run of a connection will find.
func ExpectedOf(tx *sqldb.Tx, c run.Connection) (e Expected, err error) {
	since, _, err := before(tx, c)
	if err != nil {
		return e, err
	}
	e.Changes = !since.IsZero()
	var at int64
	err = tx.QueryRow(`SELECT r.listed_clients, r.listed_contacts, r.ended_at, (SELECT count(*) FROM changes h
			WHERE h.plan = r.plan AND h.kind = 'ARCHIVE' AND h.state IN ('APPLIED', 'BLOCKED', 'REFUTED'))
		FROM runs r WHERE r.connection = $1 AND r.tenant = $2 AND r.kind = 'FULL' AND r.listed_clients > 0
			AND r.state IN ('SUCCEEDED', 'REMOVALS_WITHHELD') ORDER BY r.created_at DESC LIMIT 1`, c.ID, c.Tenant).
		Scan(&e.Clients, &e.Contacts, &at, &e.Removals)
	if err != nil && !errors.Is(err, sqldb.ErrNotFound) {
		return e, err
	}
	e.FullAt, at = fromMicros(at), 0
	err = tx.QueryRow(`SELECT r.listed_clients, r.listed_contacts, r.ended_at FROM runs r WHERE r.connection = $1 AND r.tenant = $2
			AND r.kind = 'MANUAL' AND r.since > 0 AND r.state = 'SUCCEEDED' ORDER BY r.created_at DESC LIMIT 1`, c.ID, c.Tenant).
		Scan(&e.ChangedClients, &e.ChangedContacts, &at)
	if err != nil && !errors.Is(err, sqldb.ErrNotFound) {
		return e, err
	}
	e.ManualAt = fromMicros(at)
	return e, tx.QueryRow(`SELECT (SELECT count(*) FROM links l WHERE l.connection = $1 AND l.tenant = $2),
			(SELECT count(*) FROM contact_links k WHERE k.connection = $1 AND k.tenant = $2),
			(SELECT count(*) FROM legacy_links g WHERE g.connection = $1 AND g.state IN ('PENDING', 'SUGGESTED', 'UNMAPPED'))`,
		c.ID, c.Tenant).Scan(&e.LinkedClients, &e.LinkedContacts, &e.Legacy)
}
