package store

import (
	"iter"
	"slices"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/history"
)

// addHistory writes entries whose places are known: the caller counted them up on the locked client rows.
func addHistory(tx *sqldb.Tx, firm string, entries iter.Seq[history.Entry]) error {
	_, err := tx.CopyIn("history",
		[]string{"client", "seq", "firm", "occurred_at", "kind", "actor", "summary", "resource", "trail_seq"},
		func(yield func([]any) bool) {
			for e := range entries {
				if !yield([]any{e.Client, e.Seq, firm, micros(e.At), e.Kind, e.Actor, e.Summary, e.Resource, e.TrailSeq}) {
					return
				}
			}
		})
	return err
}

// AppendHistory gives e the next place in its client's history and writes it.
func AppendHistory(tx *sqldb.Tx, firm string, e history.Entry) error {
	err := tx.QueryRow(`UPDATE clients SET history_seq = history_seq + 1 WHERE id = $1 AND firm = $2 RETURNING history_seq`,
		e.Client, firm).Scan(&e.Seq)
	if err != nil {
		return err
	}
	return addHistory(tx, firm, slices.Values([]history.Entry{e}))
}

// TopicTrail is notified when the trail of a client moved.
const TopicTrail = "sync.trail"

// AppendTrail writes an event of documents' trail about a client, once, and moves the mark up to which the trail was
// seen without a gap. It reports false when it was there before. A client nobody knows is sqldb.ErrNotFound.
func AppendTrail(tx *sqldb.Tx, firm string, e history.Entry) (bool, error) {
	var seen int64
	err := tx.QueryRow(`SELECT trail_seq FROM clients WHERE id = $1 AND firm = $2`+tx.Dialect().ForUpdate(), e.Client, firm).
		Scan(&seen)
	if err != nil {
		return false, err
	}
	var n int64
	err = tx.QueryRow(`SELECT count(*) FROM history WHERE client = $1 AND trail_seq = $2 AND trail_seq > 0`, e.Client, e.TrailSeq).Scan(&n)
	if err != nil || n > 0 {
		return false, err
	}
	if err := AppendHistory(tx, firm, e); err != nil || e.TrailSeq != seen+1 {
		return err == nil, err
	}
	ahead, err := sqldb.Collect(tx, func(r *sqldb.Rows) (n int64, err error) { return n, r.Scan(&n) },
		`SELECT trail_seq FROM history WHERE client = $1 AND trail_seq > $2 ORDER BY trail_seq`, e.Client, seen)
	if err != nil {
		return false, err
	}
	for _, next := range ahead {
		if next != seen+1 {
			break
		}
		seen = next
	}
	tx.Notify(TopicTrail)
	_, err = tx.Exec(`UPDATE clients SET trail_seq = $2 WHERE id = $1`, e.Client, seen)
	return true, err
}

const historyColumns = `client, seq, occurred_at, kind, actor, summary, resource, trail_seq`

func scanEntry(r *sqldb.Rows) (e history.Entry, err error) {
	var at int64
	err = r.Scan(&e.Client, &e.Seq, &at, &e.Kind, &e.Actor, &e.Summary, &e.Resource, &e.TrailSeq)
	e.At = fromMicros(at)
	return e, err
}

// History returns entries of a client before a place, newest first; those of a kind, when given.
func History(tx *sqldb.Tx, clientID, kind string, before int64, limit int) ([]history.Entry, error) {
	return sqldb.Collect(tx, scanEntry, `SELECT `+historyColumns+` FROM history
		WHERE client = $1 AND ($2 = '' OR kind = $2) AND seq < $3 ORDER BY seq DESC LIMIT $4`,
		clientID, kind, before, limit)
}

// HistoryUpTo returns entries of a client in their order, from after one place up to and with another.
func HistoryUpTo(tx *sqldb.Tx, clientID, kind string, after, upTo int64, limit int) ([]history.Entry, error) {
	return sqldb.Collect(tx, scanEntry, `SELECT `+historyColumns+` FROM history
		WHERE client = $1 AND ($2 = '' OR kind = $2) AND seq > $3 AND seq <= $4 ORDER BY seq LIMIT $5`,
		clientID, kind, after, upTo, limit)
}

// HistoryMoved tells whether something happened with the client after a place, apart from the suite's own filing of the
// history itself, which is the end of it and has no place on the trail.
func HistoryMoved(tx *sqldb.Tx, clientID string, after int64) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT count(*) FROM history WHERE client = $1 AND seq > $2 AND NOT (kind = $3 AND actor = $4 AND trail_seq = 0)`,
		clientID, after, history.DocumentFiled, history.SystemActor).Scan(&n)
	return n > 0, err
}
