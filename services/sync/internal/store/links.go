package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/match"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
)

const heldColumns = `l.record_id, l.client, l.base_hash, l.base_at, l.gone_at, l.gone_run, l.presence, l.out_of_scope, l.refuted_at <> 0, l.version,
	c.state, c.version, c.list_source, c.offboarding, coalesce(o.origin, ''), coalesce(o.state, '')`

func scanHeld(scan func(...any) error) (h plan.Held, err error) {
	var baseAt, goneAt int64
	var origin, state string
	err = scan(&h.Record, &h.Client, &h.Hash, &baseAt, &goneAt, &h.GoneRun, &h.Presence, &h.OutOfScope, &h.Refuted, &h.LinkVersion,
		&h.ClientState, &h.ClientVersion, &h.ListSource, &h.Offboarding, &origin, &state)
	h.BaseAt, h.GoneAt = fromMicros(baseAt), fromMicros(goneAt)
	h.Hand, h.OpenHere = origin == "HAND", state == "PREPARING" || state == "BLOCKED"
	return h, err
}

// HeldOf returns what is held of records of a connection's tenant, by record id. Records linked to nobody are left out.
func HeldOf(tx *sqldb.Tx, connection, tenant string, records []string) (map[string]plan.Held, error) {
	all, err := sqldb.Collect(tx, func(r *sqldb.Rows) (plan.Held, error) { return scanHeld(r.Scan) },
		`SELECT `+heldColumns+` FROM `+lookup(tx, 3, "links", "l",
			"record_id, client, base_hash, base_at, gone_at, gone_run, presence, out_of_scope, refuted_at, version",
			"l.connection = $1 AND l.tenant = $2 AND l.record_id = q.value")+`
			JOIN clients c ON c.id = l.client LEFT JOIN offboardings o ON o.id = c.offboarding AND c.offboarding <> ''`,
		connection, tenant, ids(tx, records))
	out := make(map[string]plan.Held, len(all))
	for _, h := range all {
		out[h.Record] = h
	}
	return out, err
}

// LinkedTo returns the ids of the clients that records are linked to, by record id.
func LinkedTo(tx *sqldb.Tx, connection, tenant string, records []string) (map[string]string, error) {
	out := make(map[string]string, len(records))
	if len(records) == 0 {
		return out, nil
	}
	err := pairs(tx, func(record, clientID string) { out[record] = clientID },
		`SELECT l.record_id, l.client FROM `+lookup(tx, 3, "links", "l", "record_id, client",
			"l.connection = $1 AND l.tenant = $2 AND l.record_id = q.value"), connection, tenant, ids(tx, records))
	return out, err
}

// ListedOf returns those of the records that are linked to a client in the list.
func ListedOf(tx *sqldb.Tx, connection, tenant string, records []string) (map[string]bool, error) {
	if len(records) == 0 {
		return nil, nil
	}
	return set(sqldb.Collect(tx, scanString, `SELECT l.record_id FROM `+lookup(tx, 3, "links", "l", "record_id, client",
		"l.connection = $1 AND l.tenant = $2 AND l.record_id = q.value")+`
		JOIN clients c ON c.id = l.client WHERE c.state <> 'OFFBOARDED'`, connection, tenant, ids(tx, records)))
}

// Ignored returns those of the records that a person said to leave alone.
func Ignored(tx *sqldb.Tx, connection, tenant string, records []string) (map[string]bool, error) {
	return set(sqldb.Collect(tx, scanString, `SELECT i.record_id FROM `+lookup(tx, 3, "ignored_records", "i", "record_id",
		"i.connection = $1 AND i.tenant = $2 AND i.record_id = q.value"), connection, tenant, ids(tx, records)))
}

func set(items []string, err error) (map[string]bool, error) {
	out := make(map[string]bool, len(items))
	for _, i := range items {
		out[i] = true
	}
	return out, err
}

// Ignore leaves a record alone from now on.
func Ignore(tx *sqldb.Tx, firm, connection, tenant, record, by string, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO ignored_records (connection, tenant, record_id, firm, decided_by, decided_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`, connection, tenant, record, firm, by, micros(now))
	return err
}

// Candidates returns the clients of a firm without a link to the tenant, or that left through it, which share a key
// with one of the records. They come by key, since one client may fit several records.
func Candidates(tx *sqldb.Tx, firm, connection, tenant string, keys []match.Keys) ([]match.Candidate, error) {
	var names, codes, numbers []string
	for _, k := range keys {
		names, codes, numbers = appendKey(names, k.Name), appendKey(codes, k.Code), appendKey(numbers, k.Business)
	}
	// Three lookups by index and not one with OR, of which a planner may make a scan.
	by := func(key string, n int) string {
		return `SELECT c.id, c.fields, c.state FROM ` + lookup(tx, n, "clients", "c", "id, fields, state",
			"c.firm = $1 AND c."+key+" = q.value AND c."+key+" <> ''") + `
			WHERE c.state = 'OFFBOARDED' OR NOT EXISTS (
				SELECT 1 FROM links l WHERE l.client = c.id AND l.connection = $2 AND l.tenant = $3)`
	}
	return sqldb.Collect(tx, func(r *sqldb.Rows) (c match.Candidate, err error) {
		var fields string
		var state client.State
		err = r.Scan(&c.Client, &fields, &state)
		c.Fields, c.Left = client.ParseFields(fields), state == client.Offboarded
		return c, err
	}, `SELECT id, fields, state FROM (`+by("name_key", 4)+` UNION `+by("code_key", 5)+` UNION `+by("business_key", 6)+`) AS f
		ORDER BY id`, firm, connection, tenant, ids(tx, names), ids(tx, codes), ids(tx, numbers))
}

func appendKey(keys []string, k string) []string {
	if k == "" {
		return keys
	}
	return append(keys, k)
}

// PutLink ties a record to an existing client, in place of the client's former link to the same tenant, if any: a
// record that was archived and made anew upstream is another record of the same client.
func PutLink(tx *sqldb.Tx, firm, clientID string, l NewLink, now time.Time) error {
	_, err := tx.Exec(`DELETE FROM links WHERE client = $1 AND connection = $2 AND tenant = $3`, clientID, l.Connection, l.Tenant)
	if err != nil {
		return err
	}
	return insertLinks(tx, firm, micros(now), []NewClient{{ID: clientID, Link: &l}})
}

// Linking ties a record to a client that is locked and has no link to the tenant yet.
type Linking struct {
	Client client.Client
	Link   NewLink
	// Actor, Summary and Resource are for the client's history.
	Actor, Summary, Resource string
}

// LinkClients ties records to clients in a handful of statements, whatever their number. Fields of clients do not change:
// where a link's base has no hash, the next listing that holds the record brings what differs. Suggestions for the records
// are stale then, and contacts that waited for them are tied.
func LinkClients(tx *sqldb.Tx, firm, connection, tenant string, now time.Time, all []Linking) error {
	if len(all) == 0 {
		return nil
	}
	clients, records, links := make([]string, len(all)), make([]string, len(all)), make([]NewClient, len(all))
	for i := range all {
		l := &all[i]
		clients[i], records[i], links[i] = l.Client.ID, l.Link.Record, NewClient{ID: l.Client.ID, Link: &l.Link}
	}
	if err := insertLinks(tx, firm, micros(now), links); err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE clients SET version = version + 1, history_seq = history_seq + 1, updated_at = $3,
			list_source = CASE WHEN EXISTS (SELECT 1 FROM connections k WHERE k.id = clients.list_source AND k.state <> 'DISCONNECTED')
				THEN list_source ELSE $2 END
		WHERE `+anyOf(tx, "id", 1), ids(tx, clients), connection, micros(now)); err != nil {
		return err
	}
	if err := addHistory(tx, firm, func(yield func(history.Entry) bool) {
		for i := range all {
			l := &all[i]
			if !yield(history.Entry{
				Client: l.Client.ID, Seq: l.Client.HistorySeq + 1, At: now, Kind: history.ClientLinked, Actor: l.Actor,
				Summary: l.Summary, Resource: l.Resource,
			}) {
				return
			}
		}
	}); err != nil {
		return err
	}
	if err := DropSuggestions(tx, connection, tenant, records); err != nil {
		return err
	}
	return TieRelations(tx, firm, connection, tenant, records, now)
}

// LinkedElsewhere tells whether a client is linked to a record of a connection's tenant.
func LinkedElsewhere(tx *sqldb.Tx, clientID, connection, tenant string) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT count(*) FROM links WHERE client = $1 AND connection = $2 AND tenant = $3`,
		clientID, connection, tenant).Scan(&n)
	return n > 0, err
}

// TakeListSource lets a connection decide about a client that no connection decided about, or only a removed one.
func TakeListSource(tx *sqldb.Tx, clientID, connection string) error {
	_, err := tx.Exec(`UPDATE clients SET list_source = $2, version = version + 1 WHERE id = $1 AND NOT EXISTS (
		SELECT 1 FROM connections k WHERE k.id = clients.list_source AND k.state <> 'DISCONNECTED')`, clientID, connection)
	return err
}

// SetPresence notes what is known of linked records at their provider, by its clock at, and which of the connection's runs is
// under way or was the last: what any other reads from now on was asked for after this.
func SetPresence(tx *sqldb.Tx, connection, tenant string, records []string, p plan.Presence, at time.Time) error {
	if len(records) == 0 {
		return nil
	}
	_, err := tx.Exec(`UPDATE links SET presence = $4, gone_at = $5, out_of_scope = FALSE, refuted_at = 0, version = version + 1,
			gone_run = coalesce((SELECT r.id FROM runs r WHERE r.connection = $1 ORDER BY
				CASE WHEN r.state IN ('QUEUED', 'RUNNING', 'PARKED') THEN 0 ELSE 1 END, r.created_at DESC, r.id DESC LIMIT 1), '')
		WHERE connection = $1 AND tenant = $2 AND `+anyOf(tx, "record_id", 3),
		connection, tenant, ids(tx, records), string(p), micros(at))
	return err
}

// SetRefuted remembers that a record was in use when it was read, although the listing did not hold it. It is no candidate
// for removal then, until it was listed again, is listed as archived, or RecallRefuted has it asked about once more.
func SetRefuted(tx *sqldb.Tx, connection, tenant, record string, now time.Time) error {
	return one(tx.Exec(`UPDATE links SET refuted_at = $4 WHERE connection = $1 AND tenant = $2 AND record_id = $3`,
		connection, tenant, record, micros(now)))
}

// RecallRefuted makes records candidates again that were refuted, or put out of scope, before a time, and that a complete
// listing still does not hold: those first that were known of longest ago, as many as the recall wants. It returns how many.
// Their time is kept, as a negative one, to say since when they were not asked about.
func RecallRefuted(tx *sqldb.Tx, r *run.Run, now time.Time, want plan.Recall) (int64, error) {
	if want.Limit <= 0 {
		return 0, nil
	}
	due := func(which, limit string) string {
		return `SELECT * FROM (SELECT l.refuted_at, l.record_id` + missing + which + ` AND l.refuted_at > 0 AND l.refuted_at < $4
			AND NOT ` + there(tx, "l.record_id", run.Clients) + ` ORDER BY l.refuted_at, l.record_id LIMIT ` + limit + `) AS d`
	}
	return tx.Exec(`UPDATE links SET refuted_at = -refuted_at WHERE connection = $1 AND tenant = $2 AND record_id IN (
			SELECT u.record_id FROM (`+due("NOT l.out_of_scope", "$5")+` UNION ALL `+due("l.out_of_scope", "$6")+`) AS u
			ORDER BY u.refuted_at, u.record_id LIMIT $5)`,
		r.Connection, r.Tenant, r.ID, micros(now.Add(-want.After)), want.Limit, want.OutOfScope)
}

// LeaveScope notes of linked records that are in use and of none of the chosen contact types that they are out of scope, and
// returns of how many that is news. Their clients stay as they are.
func LeaveScope(tx *sqldb.Tx, connection, tenant string, records []string, now time.Time) (int64, error) {
	if len(records) == 0 {
		return 0, nil
	}
	return tx.Exec(`UPDATE links SET out_of_scope = TRUE, version = version + 1,
			refuted_at = CASE WHEN refuted_at > 0 THEN refuted_at ELSE $4 END
		WHERE connection = $1 AND tenant = $2 AND presence = 'PRESENT' AND NOT out_of_scope AND `+anyOf(tx, "record_id", 3),
		connection, tenant, ids(tx, records), micros(now))
}

// ForgetRefuted makes records candidates again that are listed as archived or deleted now: that they are listed says that
// they are in scope, too.
func ForgetRefuted(tx *sqldb.Tx, connection, tenant string, records []string) error {
	if len(records) == 0 {
		return nil
	}
	_, err := tx.Exec(`UPDATE links SET refuted_at = 0, out_of_scope = FALSE WHERE connection = $1 AND tenant = $2
		AND (refuted_at <> 0 OR out_of_scope) AND `+anyOf(tx, "record_id", 3), connection, tenant, ids(tx, records))
	return err
}

// KeepClient notes that a person keeps a client although its list source no longer has it. It reports false when the
// list source has it.
func KeepClient(tx *sqldb.Tx, clientID string) (bool, error) {
	n, err := tx.Exec(`UPDATE links SET presence = 'KEPT', version = version + 1 WHERE client = $1 AND presence = 'GONE'
		AND connection = (SELECT c.list_source FROM clients c WHERE c.id = $1)`, clientID)
	return n > 0, err
}

// LinkedClients counts the clients in the list that a connection's tenant decides about.
func LinkedClients(tx *sqldb.Tx, connection, tenant string) (n int64, err error) {
	return n, tx.QueryRow(`SELECT count(*) FROM links l JOIN clients c ON c.id = l.client
		WHERE l.connection = $1 AND l.tenant = $2 AND c.list_source = $1 AND c.state <> 'OFFBOARDED'`, connection, tenant).Scan(&n)
}
