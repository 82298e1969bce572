package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/ledger"
)

// LedgerEntry is an audit entry in its place. The columns beside Payload are for finding it; they say what Payload says.
type LedgerEntry struct {
	Sequence int64
	EntryID  string
	Occurred time.Time
	Actor    string
	Action   string
	Resource string
	Payload  []byte
	Hash     []byte
}

// AppendLedger puts an entry at the end of a chain. It answers false when the ledger has the entry already. Those who
// append to the same chain take turns at its head, also for its first entry.
func AppendLedger(tx *sqldb.Tx, chain string, e LedgerEntry) (bool, error) {
	if _, err := tx.Exec(`INSERT INTO ledger_heads (chain, sequence, hash) VALUES ($1, 0, $2) ON CONFLICT (chain) DO NOTHING`,
		chain, []byte{}); err != nil {
		return false, err
	}
	head, err := ledgerHead(tx, chain, tx.Dialect().ForUpdate())
	if err != nil {
		return false, err
	}
	next := head.Next(chain, e.Payload)
	added, err := changedOne(tx.Exec(`INSERT INTO ledger_entries (chain, sequence, entry_id, occurred_at, actor, action,
		resource, payload, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (entry_id) DO NOTHING`, chain,
		next.Sequence, e.EntryID, micros(e.Occurred), e.Actor, e.Action, e.Resource, e.Payload, next.Hash))
	if err != nil || !added {
		return false, err
	}
	_, err = tx.Exec(`UPDATE ledger_heads SET sequence = $2, hash = $3 WHERE chain = $1`, chain, next.Sequence, next.Hash)
	return true, err
}

// ledgerHead returns the end of a chain, the zero value when it is empty.
func ledgerHead(tx *sqldb.Tx, chain, lock string) (ledger.Head, error) {
	all, err := sqldb.Collect(tx, func(r *sqldb.Rows) (h ledger.Head, err error) { return h, r.Scan(&h.Sequence, &h.Hash) },
		`SELECT sequence, hash FROM ledger_heads WHERE chain = $1`+lock, chain)
	return first(all), err
}

// LedgerFilter narrows a list; empty fields do not.
type LedgerFilter struct{ Actor, Action, Resource string }

const ledgerColumns = `sequence, entry_id, occurred_at, actor, action, resource, payload, hash`

func scanLedger(r *sqldb.Rows) (e LedgerEntry, err error) {
	return e, r.Scan(&e.Sequence, &e.EntryID, when{&e.Occurred}, &e.Actor, &e.Action, &e.Resource, &e.Payload, &e.Hash)
}

// ListLedger returns entries of a chain, newest first, before a place.
func ListLedger(tx *sqldb.Tx, chain string, f LedgerFilter, before int64, limit int) ([]LedgerEntry, error) {
	query, args := `SELECT `+ledgerColumns+` FROM ledger_entries WHERE chain = $1 AND sequence < $2`, []any{chain, before}
	for _, c := range []struct{ column, value string }{{"actor", f.Actor}, {"action", f.Action}, {"resource", f.Resource}} {
		if c.value != "" {
			args = append(args, c.value)
			query += ` AND ` + c.column + ` = $` + string(rune('0'+len(args)))
		}
	}
	args = append(args, limit)
	return sqldb.Collect(tx, scanLedger, query+` ORDER BY sequence DESC LIMIT $`+string(rune('0'+len(args))), args...)
}

// WalkLedger checks a whole chain against its own hashes and its kept head. Sound looks at one entry beside that. It
// holds one entry in memory at a time.
func WalkLedger(tx *sqldb.Tx, chain string, sound func(LedgerEntry) bool) (*ledger.Walk, ledger.Head, error) {
	kept, err := ledgerHead(tx, chain, "")
	if err != nil {
		return nil, kept, err
	}
	rows, err := tx.Query(`SELECT `+ledgerColumns+` FROM ledger_entries WHERE chain = $1 ORDER BY sequence`, chain)
	if err != nil {
		return nil, kept, err
	}
	defer rows.Close()
	w := &ledger.Walk{Chain: chain}
	for rows.Next() {
		e, err := scanLedger(rows)
		if err != nil {
			return nil, kept, err
		}
		w.Step(e.Sequence, e.Payload, e.Hash, sound(e))
	}
	return w, w.End(kept), rows.Err()
}
