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
