package store

import (
	"iter"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/match"
)

const clientColumns = `c.id, c.firm, c.fields, c.state, c.list_source, c.offboarding, c.blockers, c.version, c.event_seq,
	c.history_seq, c.trail_seq, c.created_at, c.updated_at,
	EXISTS (SELECT 1 FROM connections k WHERE k.id = c.list_source AND k.state <> 'DISCONNECTED')`

func scanClient(scan func(...any) error) (c client.Client, err error) {
	var fields, blockers string
	var created, updated int64
	err = scan(&c.ID, &c.Firm, &fields, &c.State, &c.ListSource, &c.Offboarding, &blockers, &c.Version, &c.EventSeq,
		&c.HistorySeq, &c.TrailSeq, &created, &updated, &c.Synced)
	c.Fields, c.Blockers = client.ParseFields(fields), client.ParseBlockers(blockers)
	c.CreatedAt, c.UpdatedAt = fromMicros(created), fromMicros(updated)
	return c, err
}

// Client returns a client of a firm, or sqldb.ErrNotFound.
func Client(tx *sqldb.Tx, firm, id string) (client.Client, error) {
	return scanClient(tx.QueryRow(`SELECT `+clientColumns+` FROM clients c WHERE c.id = $1 AND c.firm = $2`, id, firm).Scan)
}

// LockClient is Client with the row locked until the transaction ends.
func LockClient(tx *sqldb.Tx, firm, id string) (client.Client, error) {
	return scanClient(tx.QueryRow(`SELECT `+clientColumns+` FROM clients c WHERE c.id = $1 AND c.firm = $2`+
		tx.Dialect().ForUpdate(), id, firm).Scan)
}

// LockClients locks clients in id order and returns them by id. Those of other firms and unknown ones are left out.
func LockClients(tx *sqldb.Tx, firm string, clients []string) (map[string]client.Client, error) {
	all, err := sqldb.Collect(tx, func(r *sqldb.Rows) (client.Client, error) { return scanClient(r.Scan) },
		`SELECT `+clientColumns+` FROM clients c WHERE `+anyOf(tx, "c.id", 1)+` ORDER BY c.id`+tx.Dialect().ForUpdate(), ids(tx, clients))
	out := make(map[string]client.Client, len(all))
	for _, c := range all {
		if c.Firm == firm {
			out[c.ID] = c
		}
	}
	return out, err
}

// LockStates is LockClients for who asks only where the clients stand: of each, id, state and off-boarding are known.
func LockStates(tx *sqldb.Tx, firm string, clients []string) (map[string]client.Client, error) {
	out := make(map[string]client.Client, len(clients))
	if len(clients) == 0 {
		return out, nil
	}
	all, err := sqldb.Collect(tx, func(r *sqldb.Rows) (c client.Client, err error) {
		return c, r.Scan(&c.ID, &c.State, &c.Offboarding)
	}, `SELECT c.id, c.state, c.offboarding FROM clients c WHERE `+anyOf(tx, "c.id", 1)+` AND c.firm = $2 ORDER BY c.id`+
		tx.Dialect().ForUpdate(), ids(tx, clients), firm)
	for _, c := range all {
		out[c.ID] = c
	}
	return out, err
}

// ClientFilter says which clients are listed.
type ClientFilter struct {
	Firm string
	// Left lists those that left; otherwise those in the list.
	Left        bool
	BlockedOnly bool
	Query       string
	// Contact, when set, leaves only clients the contact relates to.
	Contact string
}

const clientFilter = ` c.firm = $1 AND (c.state = 'OFFBOARDED') = $2 AND (NOT $3 OR c.blockers <> '')
	AND ($4 = '%' OR c.search LIKE $4 ESCAPE '\')
	AND ($5 = '' OR EXISTS (SELECT 1 FROM relations r WHERE r.contact = $5 AND r.client = c.id AND r.left_with = ''))`

func (f ClientFilter) args() []any {
	return []any{f.Firm, f.Left, f.BlockedOnly, client.SearchPattern(f.Query), f.Contact}
}

// ListClients returns up to limit clients by name, after a sort key and id.
func ListClients(tx *sqldb.Tx, f ClientFilter, afterKey, afterID string, limit int) ([]client.Client, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (client.Client, error) { return scanClient(r.Scan) },
		`SELECT `+clientColumns+` FROM clients c WHERE`+clientFilter+` AND (c.sort_key, c.id) > ($6, $7)
		ORDER BY c.sort_key, c.id LIMIT $8`, append(f.args(), afterKey, afterID, limit)...)
}

// CountClients counts what the filter lets through.
func CountClients(tx *sqldb.Tx, f ClientFilter) (n int64, err error) {
	return n, tx.QueryRow(`SELECT count(*) FROM clients c WHERE`+clientFilter, f.args()...).Scan(&n)
}

// Sees tells whether a contact relates to a client in the list.
func Sees(tx *sqldb.Tx, contact, clientID string) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT count(*) FROM relations r JOIN clients c ON c.id = r.client
		WHERE r.contact = $1 AND r.client = $2 AND r.left_with = '' AND c.state <> 'OFFBOARDED'`, contact, clientID).Scan(&n)
	return n > 0, err
}

// NewClient is a client to be made, with its link when a record is behind it.
type NewClient struct {
	ID     string
	Fields client.Fields
	// ListSource is the connection that decides about it, empty by hand.
	ListSource string
	Link       *NewLink
	// Actor, Summary and Resource are for its first history entry.
	Actor, Summary, Resource string
}

// NewLink ties a record to a client; the fields of the record are the base.
type NewLink struct {
	Connection, Tenant, Record, Hash string
	Base                             client.Fields
	At                               time.Time
}

// InsertClients makes clients with links, history and events, in a handful of statements whatever their number.
func InsertClients(tx *sqldb.Tx, firm string, now time.Time, clients []NewClient) error {
	if len(clients) == 0 {
		return nil
	}
	at := micros(now)
	_, err := tx.CopyIn("clients", []string{
		"id", "firm", "display_name", "code", "fields", "name_key", "code_key", "business_key", "sort_key", "search",
		"state", "list_source", "event_seq", "history_seq", "created_at", "updated_at",
	}, func(yield func([]any) bool) {
		for _, c := range clients {
			k := match.KeysOf(c.Fields)
			if !yield([]any{
				c.ID, firm, c.Fields.Name, c.Fields.Code, c.Fields.JSON(), k.Name, k.Code, k.Business,
				client.SortKey(c.Fields.Name), searchText(c.Fields), string(client.Listed), c.ListSource, int64(1), int64(1), at, at,
			}) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if err := insertLinks(tx, firm, at, clients); err != nil {
		return err
	}
	if err := addHistory(tx, firm, createdEntries(clients, now)); err != nil {
		return err
	}
	return emitCreated(tx, firm, clients)
}

func searchText(f client.Fields) string { return client.SearchText(f.Name, f.Code, f.Email) }

func createdEntries(clients []NewClient, now time.Time) iter.Seq[history.Entry] {
	return func(yield func(history.Entry) bool) {
		for _, c := range clients {
			if !yield(history.Entry{
				Client: c.ID, Seq: 1, At: now, Kind: history.ClientCreated, Actor: c.Actor, Summary: c.Summary, Resource: c.Resource,
			}) {
				return
			}
		}
	}
}

func insertLinks(tx *sqldb.Tx, firm string, at int64, clients []NewClient) error {
	_, err := tx.CopyIn("links", []string{
		"connection", "tenant", "record_id", "firm", "client", "base", "base_hash", "base_at", "linked_at",
	}, func(yield func([]any) bool) {
		for _, c := range clients {
			l := c.Link
			if l != nil && !yield([]any{
				l.Connection, l.Tenant, l.Record, firm, c.ID, l.Base.JSON(), l.Hash, micros(l.At), at,
			}) {
				return
			}
		}
	})
	return err
}

// ClientUpdate takes a record's fields over to a locked client and its link.
type ClientUpdate struct {
	Client client.Client
	Link   NewLink
	// Changes is what differs from the client's own fields; none when only the record's form changed.
	Changes         []client.Change
	Actor, Resource string
}

// UpdateClients applies updates with history and events, in a handful of statements. batch names the caller's work, so
// that two transactions do not meet in the stage.
func UpdateClients(tx *sqldb.Tx, firm, batch string, now time.Time, updates []ClientUpdate) error {
	if len(updates) == 0 {
		return nil
	}
	if err := stageUpdates(tx, batch, updates); err != nil {
		return err
	}
	_, err := tx.Exec(`UPDATE clients SET display_name = s.display_name, code = s.code, fields = s.fields,
			name_key = s.name_key, code_key = s.code_key, business_key = s.business_key, sort_key = s.sort_key,
			search = s.search, version = clients.version + 1, history_seq = clients.history_seq + 1,
			event_seq = clients.event_seq + s.announced, updated_at = $2
		FROM staged_updates s WHERE s.batch = $1 AND clients.id = s.entity AND s.changed = 1`, batch, micros(now))
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE links SET base = s.fields, base_hash = s.hash, base_at = s.seen_at, version = links.version + 1
		FROM `+stagedRecords+` WHERE links.connection = s.connection AND links.tenant = s.tenant
			AND links.record_id = s.record_id`, batch, updates[0].Link.Connection, updates[0].Link.Tenant)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM staged_updates WHERE batch = $1`, batch); err != nil {
		return err
	}
	if err := addHistory(tx, firm, changedEntries(updates, now)); err != nil {
		return err
	}
	return emitUpdated(tx, firm, updates)
}

// stagedRecords are the updates staged in the batch of parameter 1, each with the connection and tenant of parameters 2 and
// 3. The order keeps PostgreSQL from taking the subquery apart: as long as it has not counted what is in a new table, it
// would go through all links of the connection, and through all that is staged for each of them.
const stagedRecords = `(SELECT CAST($2 AS TEXT) AS connection, CAST($3 AS TEXT) AS tenant, u.record_id, u.fields, u.hash, u.seen_at
	FROM staged_updates u WHERE u.batch = $1 ORDER BY u.entity) AS s`

func stageUpdates(tx *sqldb.Tx, batch string, updates []ClientUpdate) error {
	_, err := tx.CopyIn("staged_updates", []string{
		"batch", "entity", "record_id", "display_name", "code", "fields", "name_key", "code_key", "business_key",
		"sort_key", "search", "hash", "seen_at", "changed", "announced",
	}, func(yield func([]any) bool) {
		for _, u := range updates {
			f := u.Link.Base
			k := match.KeysOf(f)
			if !yield([]any{
				batch, u.Client.ID, u.Link.Record, f.Name, f.Code, f.JSON(), k.Name, k.Code, k.Business,
				client.SortKey(f.Name), searchText(f), u.Link.Hash, micros(u.Link.At), sqldb.Flag(len(u.Changes) > 0),
				sqldb.Flag(u.announced()),
			}) {
				return
			}
		}
	})
	return err
}

// announced tells whether the update is an event: name or code of a client in the list changed.
func (u ClientUpdate) announced() bool {
	return u.Client.State.InList() && (u.Client.Fields.Name != u.Link.Base.Name || u.Client.Fields.Code != u.Link.Base.Code)
}

func changedEntries(updates []ClientUpdate, now time.Time) iter.Seq[history.Entry] {
	return func(yield func(history.Entry) bool) {
		for _, u := range updates {
			if len(u.Changes) > 0 && !yield(history.Entry{
				Client: u.Client.ID, Seq: u.Client.HistorySeq + 1, At: now, Kind: history.FieldChanged, Actor: u.Actor,
				Summary: history.FieldsSummary(u.Changes), Resource: u.Resource,
			}) {
				return
			}
		}
	}
}

// SetClientState moves a locked client to a state, with its off-boarding and what blocks it.
func SetClientState(tx *sqldb.Tx, id string, state client.State, offboarding string, blockers []client.Blocker, now time.Time) error {
	return one(tx.Exec(`UPDATE clients SET state = $2, offboarding = $3, blockers = $4, version = version + 1, updated_at = $5
		WHERE id = $1`, id, string(state), offboarding, client.BlockersJSON(blockers), micros(now)))
}

// SetBlockers notes what blocks a client from leaving, without calling that a change of the client.
func SetBlockers(tx *sqldb.Tx, id string, blockers []client.Blocker) error {
	return one(tx.Exec(`UPDATE clients SET blockers = $2 WHERE id = $1`, id, client.BlockersJSON(blockers)))
}
