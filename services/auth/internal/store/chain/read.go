package chain

import (
	"strconv"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/ledger"
)

// Filter narrows a list; zero fields do not.
type Filter struct {
	Actor, Action, Resource string
	// From is the first moment that counts, Until the first that does not any more.
	From, Until time.Time
	// Failures leaves out what is known to have worked. Entries of before that was noted are left in.
	Failures bool
}

// byTime tells whether entries are found, and so listed, by when they happened. The order of a chain is that in which its
// entries arrived, which is nearly the same.
func (f Filter) byTime() bool { return !f.From.IsZero() || !f.Until.IsZero() }

// Cursor is the last entry of a page.
type Cursor struct{ Occurred, Sequence int64 }

func scan(r *sqldb.Rows) (e Entry, err error) {
	var occurred, succeeded int64
	err = r.Scan(&e.Sequence, &e.ID, &occurred, &e.Actor, &e.Action, &e.Resource, &succeeded, &e.Payload, &e.Hash)
	e.Occurred, e.Succeeded = sqldb.FromMicros(occurred), succeeded == 1
	return e, err
}

// List returns entries of a chain, newest first, before the cursor: those of a time by their time, others by their place.
func List(tx *sqldb.Tx, chain string, f Filter, before Cursor, limit int) ([]Entry, error) {
	query, args := listQuery(chain, f, before, limit)
	return sqldb.Collect(tx, scan, query, args...)
}

func listQuery(chain string, f Filter, before Cursor, limit int) (string, []any) {
	query, args := `SELECT `+columns+` FROM ledger_entries WHERE chain = $1`, []any{chain}
	and := func(condition string, value any) {
		args = append(args, value)
		query += ` AND ` + condition + `$` + strconv.Itoa(len(args))
	}
	for _, c := range []struct{ condition, value string }{{`actor = `, f.Actor}, {`action = `, f.Action}, {`resource = `, f.Resource}} {
		if c.value != "" {
			and(c.condition, c.value)
		}
	}
	if f.Failures {
		query += ` AND succeeded = 0`
	}
	order := ` ORDER BY sequence DESC`
	if f.byTime() {
		if !f.From.IsZero() {
			and(`occurred_at >= `, sqldb.Micros(f.From))
		}
		if !f.Until.IsZero() {
			and(`occurred_at < `, sqldb.Micros(f.Until))
		}
		args = append(args, before.Occurred, before.Sequence)
		query += ` AND (occurred_at, sequence) < ($` + strconv.Itoa(len(args)-1) + `, $` + strconv.Itoa(len(args)) + `)`
		order = ` ORDER BY occurred_at DESC, sequence DESC`
	} else {
		and(`sequence < `, before.Sequence)
	}
	args = append(args, limit)
	return query + order + ` LIMIT $` + strconv.Itoa(len(args)), args
}

// After returns entries of a chain in their order, after a place.
func After(tx *sqldb.Tx, chain string, sequence int64, limit int) ([]Entry, error) {
	return sqldb.Collect(tx, scan, `SELECT `+columns+` FROM ledger_entries WHERE chain = $1 AND sequence > $2
		ORDER BY sequence LIMIT $3`, chain, sequence, limit)
}

// Walk checks a whole chain against its own hashes and its kept head. Sound looks at one entry beside that. It holds one
// entry in memory at a time.
func Walk(tx *sqldb.Tx, chain string, sound func(Entry) bool) (*ledger.Walk, ledger.Head, error) {
	kept, err := Head(tx, chain)
	if err != nil {
		return nil, kept, err
	}
	rows, err := tx.Query(`SELECT `+columns+` FROM ledger_entries WHERE chain = $1 ORDER BY sequence`, chain)
	if err != nil {
		return nil, kept, err
	}
	defer rows.Close()
	w := &ledger.Walk{Chain: chain}
	for rows.Next() {
		e, err := scan(rows)
		if err != nil {
			return nil, kept, err
		}
		w.Step(e.Sequence, e.Payload, e.Hash, sound(e))
	}
	return w, w.End(kept), rows.Err()
}

// Span is when the oldest and the newest entry of a chain happened; zero for an empty one.
func Span(tx *sqldb.Tx, chain string) (oldest, newest time.Time, err error) {
	var from, until int64
	err = tx.QueryRow(`SELECT coalesce(min(occurred_at), 0), coalesce(max(occurred_at), 0) FROM ledger_entries WHERE chain = $1`,
		chain).Scan(&from, &until)
	if err != nil || until == 0 {
		return time.Time{}, time.Time{}, err
	}
	return sqldb.FromMicros(from), sqldb.FromMicros(until), nil
}
