// Package store is sync's database: one SQL text for SQLite and PostgreSQL, set-based, with a migration per engine.
//
// Every function works in a transaction of its caller, who decides what belongs together. Transactions that change
// clients and contacts lock what they change in one order, so that they wait for each other and never in a circle:
// first the run, plan or off-boarding they work for, then clients in id order, then contacts in id order. That is why
// the callers may use sqldb.ReadCommitted.
//
// What happened to clients and contacts is written to the outbox here, beside the rows, so that no change can be made
// without its event.
package store

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/store/lease"
)

//go:embed migrations
var files embed.FS

// Migrations is the schema of sync, without the tables that platform packages bring.
var Migrations fs.FS = files

var (
	// ErrLeaseLost: somebody else took the work over, or it ended. Whoever gets it stops and forgets what it did.
	ErrLeaseLost = lease.ErrLost
	// ErrMoved: the row is another version than the caller read.
	ErrMoved = errors.New("store: changed meanwhile")
)

// NewID makes an id: a UUID that sorts by its time.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// Name puts a resource name together, for example Name(firm, "clients", id). Without an id there is no resource.
func Name(firm, collection, id string) string {
	if id == "" {
		return ""
	}
	return "firms/" + firm + "/" + collection + "/" + id
}

// Etag is the etag of a version.
func Etag(version int64) string { return fmt.Sprintf("v%d", version) }

// micros is a time as it is stored; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return sqldb.Micros(t)
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return sqldb.FromMicros(us)
}

// list is a list of text as it is stored; none is "".
func list(items []string) string {
	if len(items) == 0 {
		return ""
	}
	text, err := json.Marshal(items)
	if err != nil {
		return "" // strings always have a JSON form
	}
	return string(text)
}

func parseList(text string) []string {
	var items []string
	if text != "" {
		_ = json.Unmarshal([]byte(text), &items)
	}
	return items
}

// each returns the FROM item that turns a column holding a JSON list of text into rows e(value).
func each(tx *sqldb.Tx, column string) string {
	if tx.Dialect() == sqldb.Postgres {
		return "jsonb_array_elements_text(CAST(" + column + " AS jsonb)) AS e(value)"
	}
	return "json_each(" + column + ") AS e"
}

// anyOf is the condition that column is one of the values of parameter n; its argument is ids(tx, values).
func anyOf(tx *sqldb.Tx, column string, n int) string { return tx.Dialect().AnyOf(column, n) }

func ids(tx *sqldb.Tx, values []string) any { return sqldb.List(tx.Dialect(), values) }

// among is the FROM item q(value) that turns parameter n, an ids(tx, values), into rows.
func among(tx *sqldb.Tx, n int) string {
	if tx.Dialect() == sqldb.Postgres {
		return "unnest(CAST($" + strconv.Itoa(n) + " AS text[])) AS q(value)"
	}
	return "json_each($" + strconv.Itoa(n) + ") AS q"
}

// lookup is the FROM item that finds, for each value of parameter n, the rows of a table that match, as alias; match may
// use alias and q.value. It is for conditions of several columns, where anyOf, or a join, would leave the engines a
// choice: PostgreSQL, as long as it has not counted what is in a new table, takes an index for the other columns and
// compares every row of a connection with every value. Here each value is looked up by itself, through the index.
func lookup(tx *sqldb.Tx, n int, table, alias, columns, match string) string {
	if tx.Dialect() == sqldb.Postgres {
		return among(tx, n) + " CROSS JOIN LATERAL (SELECT " + columns + " FROM " + table + " " + alias + " WHERE " + match +
			" OFFSET 0) AS " + alias // OFFSET 0 keeps it from being turned into a join again
	}
	return among(tx, n) + " CROSS JOIN " + table + " " + alias + " ON " + match // SQLite keeps the order of a CROSS JOIN
}

// pairsAmong is the FROM item q(a, b) of two parameters, n and n+1, that hold lists of one length.
func pairsAmong(tx *sqldb.Tx, n int) string {
	a, b := "$"+strconv.Itoa(n), "$"+strconv.Itoa(n+1)
	if tx.Dialect() == sqldb.Postgres {
		return "unnest(CAST(" + a + " AS text[]), CAST(" + b + " AS text[])) AS q(a, b)"
	}
	return "(SELECT x.value AS a, y.value AS b FROM json_each(" + a + ") AS x JOIN json_each(" + b + ") AS y ON x.key = y.key) AS q"
}

func scanString(r *sqldb.Rows) (s string, err error) { return s, r.Scan(&s) }

// LockFirm lets one transaction at a time look for existing clients and then make new ones, so that two connections
// of a firm, or a run and a person, never make one client twice.
func LockFirm(tx *sqldb.Tx, firm string) error { return sqldb.AdvisoryLock(tx, "sync.create/"+firm) }

// one tells whether exactly one row was changed, and says otherwise that the row moved.
func one(n int64, err error) error {
	if err == nil && n != 1 {
		return ErrMoved
	}
	return err
}

// What follows is for the packages below this one.

// Micros is a time as it is stored; the zero time is 0.
func Micros(t time.Time) int64 { return micros(t) }

// FromMicros reads what Micros wrote.
func FromMicros(us int64) time.Time { return fromMicros(us) }

// AnyOf is the condition that column is one of the values of parameter n; its argument is IDs(tx, values).
func AnyOf(tx *sqldb.Tx, column string, n int) string { return anyOf(tx, column, n) }

// IDs is a list of values as the argument of AnyOf and Lookup.
func IDs(tx *sqldb.Tx, values []string) any { return ids(tx, values) }

// Lookup is the FROM item that finds, for each value of parameter n, an IDs(tx, values), the rows of a table that match, as
// alias; match may use alias and q.value. Each value is looked up by itself, through an index.
func Lookup(tx *sqldb.Tx, n int, table, alias, columns, match string) string {
	return lookup(tx, n, table, alias, columns, match)
}
