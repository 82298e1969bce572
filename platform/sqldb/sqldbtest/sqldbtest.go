// Package sqldbtest runs tests on the engines that sqldb supports, on real ones: SQLite files, and a PostgreSQL server
// that it starts itself.
//
//	func TestStore(t *testing.T) {
//		sqldbtest.Each(t, store.Migrations, func(t *testing.T, db *sqldb.DB) { ... })
//	}
//
// Each runs its body once per engine, on a database of its own. All of them share one server, which is started by the
// first test of a test binary that needs it, without durability (it lives for the test), and which goes away with the
// test binary however that ends. Postgres starts a server for one test, which may freeze, kill and restart it. Faults
// break a database from below, between database/sql and the driver.
//
// A machine without PostgreSQL fails these tests: a suite that skips one of two engines says nothing about it. The
// server sorts text by an English locale, so that a sort key which forgot COLLATE "C" shows.
package sqldbtest

import (
	"context"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/concord-suite/concord/platform/sqldb"
)

// Engines lists the engines that Each runs on.
func Engines() []sqldb.Dialect { return []sqldb.Dialect{sqldb.SQLite, sqldb.Postgres} }

// Each runs fn as the subtests "sqlite" and "postgres", each on a new database brought up by migrations (nil: none).
func Each(t *testing.T, migrations fs.FS, fn func(t *testing.T, db *sqldb.DB)) {
	t.Helper()
	EachURL(t, func(t *testing.T, url string) { fn(t, Open(t, url, migrations)) })
}

// EachURL is Each for tests that open the database themselves, or several times, as replicas of a service do.
func EachURL(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	for _, engine := range Engines() {
		t.Run(string(engine), func(t *testing.T) { fn(t, URL(t, engine)) })
	}
}

// URL makes a new, empty database that lives as long as the test and returns its sqldb URL.
func URL(t testing.TB, engine sqldb.Dialect) string {
	t.Helper()
	if engine == sqldb.SQLite {
		return "sqlite:" + filepath.Join(t.TempDir(), "test.db")
	}
	return shared.get(t).URL(t)
}

// Open opens url, brings it up by migrations (nil: none) and closes it with the test.
func Open(t testing.TB, url string, migrations fs.FS, opts ...sqldb.Option) *sqldb.DB {
	t.Helper()
	ctx := context.Background()
	keep := prepared(t, url, migrations)
	db, err := sqldb.Open(ctx, sqldb.Config{URL: url}, opts...)
	if err != nil {
		t.Fatalf("open the test database: %v", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if migrations != nil {
		if err := sqldb.Migrate(ctx, db, migrations); err != nil {
			t.Fatalf("migrate the test database: %v", err)
		}
	}
	keep()
	return db
}
