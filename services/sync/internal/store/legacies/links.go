// Package legacies is the part of sync's database that holds what was linked before OAuth 2: the links, and the listing in
// which their records are looked for.
package legacies

import (
	"slices"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/legacy"
	"github.com/concord-suite/concord/services/sync/internal/match"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

const columns = `g.id, g.firm, g.connection, g.client, g.display_name, g.legacy_id, g.code, g.state, g.record_id, g.explanation,
	g.candidates, g.decided_by, g.decided_at`

func scan(row func(...any) error) (l legacy.Link, err error) {
	var candidates string
	var decided int64
	err = row(&l.ID, &l.Firm, &l.Connection, &l.Client, &l.Name, &l.LegacyID, &l.Code, &l.State, &l.Record, &l.Explanation,
		&candidates, &l.DecidedBy, &decided)
	l.Candidates, l.DecidedAt = legacy.ParseCandidates(candidates), store.FromMicros(decided)
	return l, err
}

func scanRow(r *sqldb.Rows) (legacy.Link, error) { return scan(r.Scan) }

// All returns the links of a firm's connection.
func All(tx *sqldb.Tx, firm, connection string) ([]legacy.Link, error) {
	return sqldb.Collect(tx, scanRow, `SELECT `+columns+` FROM legacy_links g WHERE g.connection = $1 AND g.firm = $2 ORDER BY g.id`,
		connection, firm)
}

// List returns up to limit links of a firm's connection by name, after a sort key and id; those in a state, when given.
func List(tx *sqldb.Tx, firm, connection string, state legacy.State, afterKey, afterID string, limit int) ([]legacy.Link, error) {
	return sqldb.Collect(tx, scanRow, `SELECT `+columns+` FROM legacy_links g
		WHERE g.connection = $1 AND g.firm = $2 AND ($3 = '' OR g.state = $3) AND (g.sort_key, g.id) > ($4, $5)
		ORDER BY g.sort_key, g.id LIMIT $6`, connection, firm, string(state), afterKey, afterID, limit)
}

// Lock returns a link of a firm's connection, locked until the transaction ends, or sqldb.ErrNotFound.
func Lock(tx *sqldb.Tx, firm, connection, id string) (legacy.Link, error) {
	return scan(tx.QueryRow(`SELECT `+columns+` FROM legacy_links g WHERE g.id = $1 AND g.connection = $2 AND g.firm = $3`+
		tx.Dialect().ForUpdate(), id, connection, firm).Scan)
}

// open is the condition of the links that a run still looks at.
const open = `g.state IN ('PENDING', 'SUGGESTED', 'UNMAPPED')`

// CountOpen counts the links of a connection whose record is still looked for, and those that no run has looked at.
func CountOpen(tx *sqldb.Tx, connection string) (n, pending int64, err error) {
	return n, pending, tx.QueryRow(`SELECT count(*), coalesce(sum(CASE WHEN g.state = 'PENDING' THEN 1 ELSE 0 END), 0)
		FROM legacy_links g WHERE g.connection = $1 AND `+open, connection).Scan(&n, &pending)
}

// LockOpen returns up to limit such links, locked, by id after one.
func LockOpen(tx *sqldb.Tx, connection, after string, limit int) ([]legacy.Link, error) {
	return sqldb.Collect(tx, scanRow, `SELECT `+columns+` FROM legacy_links g WHERE g.connection = $1 AND `+open+` AND g.id > $2
		ORDER BY g.id LIMIT $3`+tx.Dialect().ForUpdate(), connection, after, limit)
}

// Put writes links, new ones and in the place of those with the same id.
func Put(tx *sqldb.Tx, links []legacy.Link) error {
	if len(links) == 0 {
		return nil
	}
	all := make([]string, len(links))
	for i := range links {
		all[i] = links[i].ID
	}
	if _, err := tx.Exec(`DELETE FROM legacy_links WHERE `+store.AnyOf(tx, "id", 1), store.IDs(tx, all)); err != nil {
		return err
	}
	_, err := tx.CopyIn("legacy_links", []string{
		"id", "firm", "connection", "client", "display_name", "sort_key", "legacy_id", "code", "code_key", "state", "record_id",
		"explanation", "candidates", "decided_by", "decided_at",
	}, func(yield func([]any) bool) {
		for i := range links {
			l := &links[i]
			if !yield([]any{
				l.ID, l.Firm, l.Connection, l.Client, l.Name, client.SortKey(l.Name), l.LegacyID, l.Code, match.CodeKey(l.Code),
				string(l.State), l.Record, l.Explanation, legacy.CandidatesJSON(l.Candidates), l.DecidedBy, store.Micros(l.DecidedAt),
			}) {
				return
			}
		}
	})
	return err
}

// Meant returns, for the records that open links of a connection may be, the client of such a link: nobody is made of them
// before somebody has decided.
func Meant(tx *sqldb.Tx, connection string) (map[string]match.Suggestion, error) {
	all, err := sqldb.Collect(tx, scanRow, `SELECT `+columns+` FROM legacy_links g
		WHERE g.connection = $1 AND g.state = 'SUGGESTED' ORDER BY g.id`, connection)
	out := map[string]match.Suggestion{}
	for _, l := range all {
		for _, c := range l.Candidates {
			if _, taken := out[c.Record]; !taken {
				out[c.Record] = match.Suggestion{Client: l.Client, Evidence: append(slices.Clone(c.Evidence),
					"it may be what the legacy connection had as "+l.Name+": somebody decides")}
			}
		}
	}
	return out, err
}

// Settle notes that the client of a link was linked to a record by somebody's word, if it has a link that is not mapped. What
// was kept for decisions goes when nothing is left to decide.
func Settle(tx *sqldb.Tx, connection, clientID, record, how, by string, now time.Time) error {
	n, err := tx.Exec(`UPDATE legacy_links SET state = 'MAPPED', record_id = $3, explanation = $4, candidates = '', decided_by = $5,
		decided_at = $6 WHERE connection = $1 AND client = $2 AND state <> 'MAPPED'`, connection, clientID, record, how, by, store.Micros(now))
	if err != nil || n == 0 {
		return err
	}
	return store.DropDecided(tx, connection)
}

// Known returns the clients of a firm that have one of the codes, by code key, and those that have one of the names, by
// sort key. names are keys of package match.
func Known(tx *sqldb.Tx, firm string, codes, names []string) (byCode, byName map[string][]legacy.Known, err error) {
	byCode, byName = map[string][]legacy.Known{}, map[string][]legacy.Known{}
	for _, by := range []struct {
		key    string
		values []string
		into   func(legacy.Known)
	}{
		{"code_key", codes, func(k legacy.Known) { byCode[k.Code] = append(byCode[k.Code], k) }},
		{"name_key", names, func(k legacy.Known) { byName[k.Name] = append(byName[k.Name], k) }},
	} {
		if len(by.values) == 0 {
			continue
		}
		all, err := sqldb.Collect(tx, func(r *sqldb.Rows) (k legacy.Known, err error) {
			var state client.State
			err = r.Scan(&k.Client, &k.Name, &k.Code, &state)
			k.Left = state == client.Offboarded
			return k, err
		}, `SELECT DISTINCT c.id, c.sort_key, c.code_key, c.state FROM `+store.Lookup(tx, 2, "clients", "c", "id, sort_key, code_key, state",
			"c.firm = $1 AND c."+by.key+" = q.value AND c."+by.key+" <> ''")+` ORDER BY c.id`, firm, store.IDs(tx, by.values))
		if err != nil {
			return nil, nil, err
		}
		for _, k := range all {
			by.into(k)
		}
	}
	return byCode, byName, nil
}

// Existing returns those of the clients that the firm has.
func Existing(tx *sqldb.Tx, firm string, clients []string) (map[string]bool, error) {
	out := map[string]bool{}
	all, err := sqldb.Collect(tx, text, `SELECT id FROM clients WHERE firm = $1 AND `+store.AnyOf(tx, "id", 2), firm, store.IDs(tx, clients))
	for _, id := range all {
		out[id] = true
	}
	return out, err
}

func text(r *sqldb.Rows) (s string, err error) { return s, r.Scan(&s) }
