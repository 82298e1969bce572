// Package chain is the ledger's SQL: entries in their places, found and walked, and the keys that sign copies of them.
//
// Every function works inside the caller's transaction. Nothing here changes or deletes an entry, and the database refuses
// who tries. Times are UTC microseconds.
package chain

import (
	"strconv"
	"strings"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/ledger"
)

// Entry is an audit entry in its place. The fields beside Payload are for finding it; they say what Payload says.
type Entry struct {
	Sequence int64
	ID       string
	Occurred time.Time
	Actor    string
	Action   string
	Resource string
	// Succeeded is false for what failed, and for entries from before this was noted.
	Succeeded bool
	Payload   []byte
	Hash      []byte
}

// Append puts entries at the end of a chain, in their order, and leaves out those that the ledger has already. It answers
// how many it added. Those who append to the same chain take turns at its head, also for its first entry, and so take the
// head once for all their entries.
func Append(tx *sqldb.Tx, chain string, entries []Entry) (added int, err error) {
	if entries, err = unknown(tx, entries); err != nil || len(entries) == 0 {
		return 0, err
	}
	head, err := take(tx, chain)
	if err != nil {
		return 0, err
	}
	for len(entries) > 0 {
		part := entries[:min(len(entries), rowsAtOnce)]
		entries = entries[len(part):]
		if head, err = insert(tx, chain, head, part); err != nil {
			return 0, err
		}
		added += len(part)
	}
	_, err = tx.Exec(`UPDATE ledger_heads SET sequence = $2, hash = $3 WHERE chain = $1`, chain, head.Sequence, head.Hash)
	return added, err
}

// take locks the head of a chain. Whoever waited for it begins anew, by the rules of package sqldb, and so sees what the
// one in front added.
func take(tx *sqldb.Tx, chain string) (ledger.Head, error) {
	heads, err := heads(tx, chain, tx.Dialect().ForUpdate())
	if err != nil || len(heads) > 0 {
		return first(heads), err
	}
	_, err = tx.Exec(`INSERT INTO ledger_heads (chain, sequence, hash) VALUES ($1, 0, $2)`, chain, []byte{})
	return ledger.Head{}, err
}

// rowsAtOnce is how many entries one statement adds: a batch of views has as many at most.
const rowsAtOnce = 100

// unknown leaves out entries that the ledger has, or that come twice.
func unknown(tx *sqldb.Tx, entries []Entry) ([]Entry, error) {
	known := map[string]bool{}
	for rest := entries; len(rest) > 0; {
		part := rest[:min(len(rest), rowsAtOnce)]
		rest = rest[len(part):]
		ids := make([]string, len(part))
		for i, e := range part {
			ids[i] = e.ID
		}
		d := tx.Dialect()
		have, err := sqldb.Collect(tx, func(r *sqldb.Rows) (id string, err error) { return id, r.Scan(&id) },
			`SELECT entry_id FROM ledger_entries WHERE `+d.AnyOf("entry_id", 1), sqldb.List(d, ids))
		if err != nil {
			return nil, err
		}
		for _, id := range have {
			known[id] = true
		}
	}
	var out []Entry
	for _, e := range entries {
		if !known[e.ID] {
			known[e.ID] = true
			out = append(out, e)
		}
	}
	return out, nil
}

const columns = `sequence, entry_id, occurred_at, actor, action, resource, succeeded, payload, hash`

func insert(tx *sqldb.Tx, chain string, head ledger.Head, entries []Entry) (ledger.Head, error) {
	var text strings.Builder
	text.WriteString(`INSERT INTO ledger_entries (chain, ` + columns + `) VALUES `)
	var args []any
	for i, e := range entries {
		head = head.Next(chain, e.Payload)
		succeeded := int64(0)
		if e.Succeeded {
			succeeded = 1
		}
		for j, v := range []any{chain, head.Sequence, e.ID, sqldb.Micros(e.Occurred), e.Actor, e.Action, e.Resource, succeeded,
			e.Payload, head.Hash} {
			switch {
			case j > 0:
				text.WriteString(", ")
			case i > 0:
				text.WriteString("), (")
			default:
				text.WriteString("(")
			}
			args = append(args, v)
			if tx.Dialect() == sqldb.Postgres {
				text.WriteString("$" + strconv.Itoa(len(args)))
			} else {
				text.WriteString("?") // SQLite's driver takes the square of their number for parameters with names
			}
		}
	}
	_, err := tx.Exec(text.String()+")", args...)
	return head, err
}

// Head returns the end of a chain, the zero value when it is empty.
func Head(tx *sqldb.Tx, chain string) (ledger.Head, error) {
	heads, err := heads(tx, chain, "")
	return first(heads), err
}

func heads(tx *sqldb.Tx, chain, lock string) ([]ledger.Head, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (h ledger.Head, err error) { return h, r.Scan(&h.Sequence, &h.Hash) },
		`SELECT sequence, hash FROM ledger_heads WHERE chain = $1`+lock, chain)
}

func first(heads []ledger.Head) (h ledger.Head) {
	if len(heads) > 0 {
		return heads[0]
	}
	return h
}

// Named is the end of a chain with its name.
type Named struct {
	Chain string
	ledger.Head
}

// Heads returns the ends of all chains, by name.
func Heads(tx *sqldb.Tx) ([]Named, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (n Named, err error) { return n, r.Scan(&n.Chain, &n.Sequence, &n.Hash) },
		`SELECT chain, sequence, hash FROM ledger_heads ORDER BY chain`)
}
