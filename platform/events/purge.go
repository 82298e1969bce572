package events

import (
	"context"

	"github.com/concord-suite/concord/platform/sqldb"
)

// Purge removes rows that were published and are older than the retention. Run does it every ten minutes.
func (r *Relay) Purge(ctx context.Context) error {
	cutoff := sqldb.Micros(r.opt.Now().Add(-r.opt.Retention))
	// Rows lie in the order of their age but for seconds, so that the oldest thousand say whether there is work.
	return purge(ctx, r.db, `DELETE FROM events_outbox WHERE position IN (SELECT position FROM (
		SELECT position, created_at, published_seq FROM events_outbox ORDER BY position LIMIT 1000) AS oldest
		WHERE created_at < $1 AND published_seq IS NOT NULL)`, cutoff)
}

// Purge forgets what took effect, or was decided about, longer ago than InboxRetention. Run does it every ten minutes.
// Events that wait for a decision stay.
func (c *Consumer) Purge(ctx context.Context) error {
	cutoff := sqldb.Micros(c.opt.Now().Add(-InboxRetention))
	err := purge(ctx, c.db, `DELETE FROM events_inbox WHERE (consumer, event_id) IN (
		SELECT consumer, event_id FROM events_inbox WHERE received_at < $1 ORDER BY received_at LIMIT 1000)`, cutoff)
	if err != nil {
		return err
	}
	return purge(ctx, c.db, `DELETE FROM events_parked WHERE (consumer, event_id) IN (
		SELECT consumer, event_id FROM events_parked WHERE changed_at < $1 AND state IN ('DISCARDED', 'FAILING') LIMIT 1000)`, cutoff)
}

// purge repeats a DELETE that takes a bounded number of rows until it finds none, so that no transaction is long.
func purge(ctx context.Context, db *sqldb.DB, statement string, args ...any) error {
	for {
		var n int64
		err := db.Tx(ctx, func(tx *sqldb.Tx) (err error) {
			n, err = tx.Exec(statement, args...)
			return err
		}, sqldb.ReadCommitted)
		if err != nil || n == 0 {
			return err
		}
	}
}
