package sqldb

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Dialect is the engine behind a DB. Its methods spell out the clauses that differ between engines; everything else is
// one SQL text for both.
type Dialect string

// The engines.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// ForUpdate returns the clause that locks the selected rows until the transaction ends, to be put at the end of a
// SELECT. On SQLite it is empty: a write transaction already excludes every other.
func (d Dialect) ForUpdate() string {
	if d == Postgres {
		return " FOR UPDATE"
	}
	return ""
}

// SkipLocked returns the clause that locks the selected rows and leaves out those that another transaction holds. On
// SQLite it is empty.
func (d Dialect) SkipLocked() string {
	if d == Postgres {
		return " FOR UPDATE SKIP LOCKED"
	}
	return ""
}

// AnyOf returns the condition "column is one of the values in parameter n", where the argument for the parameter comes
// from List. It takes any number of values, where IN ($1, $2, ...) would make a new statement for each number:
//
//	tx.Query(`SELECT code FROM clients WHERE firm = $1 AND `+d.AnyOf("id", 2), firm, d.List(ids))
func (d Dialect) AnyOf(column string, n int) string {
	if d == Postgres {
		return column + " = ANY($" + strconv.Itoa(n) + ")"
	}
	return column + " IN (SELECT value FROM json_each($" + strconv.Itoa(n) + "))"
}

// List returns values as the argument for AnyOf. Values are strings or integers, also of named types.
func List[T ~string | ~int | ~int32 | ~int64](d Dialect, values []T) any {
	if d == Postgres {
		return append([]T{}, values...) // never nil: NULL would match nothing and say nothing
	}
	text, err := json.Marshal(append([]T{}, values...))
	if err != nil {
		return &invalidArg{"a list that has no JSON form"}
	}
	return string(text)
}

// AdvisoryLock holds the lock named key until the transaction ends; other transactions that ask for the same key wait.
// On SQLite it does nothing: a write transaction already excludes every other. Take it first in the transaction: at the
// default isolation a transaction that waited sees the state from before the wait and is then run again.
func AdvisoryLock(tx *Tx, key string) error {
	if tx.Dialect() != Postgres {
		return nil
	}
	_, err := tx.Exec(`SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/' || $1, 0))`, key)
	return err
}

// NowMicros returns an expression for the database's clock in the form of Micros. Ages of rows are measured by one
// clock that way, however many processes write them.
func (d Dialect) NowMicros() string {
	if d == Postgres {
		return "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
	}
	return "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
}

// Micros returns t as UTC microseconds since 1970, the form in which times are stored. What is below a microsecond is
// cut off. The zero time.Time becomes its own large negative number and comes back as the zero time.
func Micros(t time.Time) int64 { return t.UnixMicro() }

// FromMicros returns the time that Micros turned into us, in UTC.
func FromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// Flag returns the stored form of a truth in an integer column: 1 or 0.
func Flag(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// quoteName quotes an identifier of our own for use in a statement.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
