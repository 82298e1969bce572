// Package store is auth's SQL: one text for SQLite and PostgreSQL, migrations per engine.
//
// Every function works inside the caller's transaction and decides nothing. Whatever belongs to a firm is read and
// changed by firm and id together. Times are UTC microseconds, 0 for "never". Errors are those of package sqldb.
package store

import (
	"embed"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// Migrations describe auth's own tables.
//
//go:embed migrations
var Migrations embed.FS

// micros is the stored form of a time; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return sqldb.Micros(t)
}

// fromMicros reads what micros wrote.
func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return sqldb.FromMicros(us)
}

// when scans a stored time.
type when struct{ t *time.Time }

// Scan implements sql.Scanner.
func (w when) Scan(src any) error {
	us, _ := src.(int64) // the columns are NOT NULL integers on both engines
	*w.t = fromMicros(us)
	return nil
}

// changedOne turns the row count of a guarded statement into whether it did something.
func changedOne(n int64, err error) (bool, error) { return n == 1, err }

const (
	// keepEnded is how long what is over stays for questions of the day; the ledger remembers for good.
	keepEnded = 24 * time.Hour
	// keepAttempts is after how long without another wrong password an origin starts anew.
	keepAttempts = 24 * time.Hour
	// keepInvitations is how long an expired invitation can still renew itself.
	keepInvitations = 30 * 24 * time.Hour
	// keepLifted is how long it is known that a saga's fence was lifted. A request to fence is tried for minutes at most;
	// a month outlasts a worker that was frozen with its machine.
	keepLifted = 30 * 24 * time.Hour
)

// Sweep deletes what is over for long: sessions, challenges, consents, attempts, invitations, sent e-mails,
// lifted fences, keys.
func Sweep(tx *sqldb.Tx, now time.Time) error {
	old := micros(now.Add(-keepEnded))
	for _, s := range []struct {
		query string
		arg   int64
	}{
		{`DELETE FROM consents WHERE expires_at < $1`, old},
		{`DELETE FROM sessions WHERE expires_at < $1
			AND NOT EXISTS (SELECT 1 FROM consents c WHERE c.session = sessions.id)`, old},
		{`DELETE FROM challenges WHERE expires_at < $1`, old},
		{`DELETE FROM attempts WHERE failed_at < $1 AND trusted_until < $1`, micros(now.Add(-keepAttempts))},
		{`DELETE FROM invitations WHERE expires_at < $1`, micros(now.Add(-keepInvitations))},
		{`DELETE FROM deliveries WHERE finished_at <> 0 AND finished_at < $1`, micros(now.Add(-keepInvitations))},
		{`DELETE FROM lifted_fences WHERE lifted_at < $1`, micros(now.Add(-keepLifted))},
		{`DELETE FROM id_token_keys WHERE retires_at <= $1`, micros(now)},
	} {
		if _, err := tx.Exec(s.query, s.arg); err != nil {
			return err
		}
	}
	return DropSigningKeys(tx, now)
}
