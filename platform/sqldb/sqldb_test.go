package sqldb_test

import (
	"context"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

// schema is what the tests of this package run on: one table with each kind of column and constraint.
var schema = fstest.MapFS{
	"sqlite/0001_items.sql": {Data: []byte(`
CREATE TABLE items (
	id   TEXT NOT NULL PRIMARY KEY,
	firm TEXT NOT NULL,
	code TEXT,
	n    INTEGER NOT NULL DEFAULT 0 CONSTRAINT items_n_positive CHECK (n > -1000000000),
	data BLOB,
	done INTEGER NOT NULL DEFAULT 0,
	UNIQUE (firm, code)
) STRICT;
CREATE UNIQUE INDEX items_low_code ON items (lower(code));
CREATE TABLE parts (id INTEGER NOT NULL PRIMARY KEY, item TEXT NOT NULL REFERENCES items (id)) STRICT;`)},
	"postgres/0001_items.sql": {Data: []byte(`
CREATE TABLE items (
	id   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	firm TEXT NOT NULL,
	code TEXT,
	n    BIGINT NOT NULL DEFAULT 0 CONSTRAINT items_n_positive CHECK (n > -1000000000),
	data BYTEA,
	done BOOLEAN NOT NULL DEFAULT false,
	UNIQUE (firm, code)
);
CREATE UNIQUE INDEX items_low_code ON items (lower(code));
CREATE TABLE parts (id BIGINT NOT NULL PRIMARY KEY, item TEXT NOT NULL REFERENCES items (id));`)},
}

// each runs fn on both engines with the schema above.
func each(t *testing.T, fn func(t *testing.T, db *sqldb.DB)) {
	t.Helper()
	sqldbtest.Each(t, schema, fn)
}

func tx(t testing.TB, db *sqldb.DB, fn func(tx *sqldb.Tx) error) {
	t.Helper()
	require.NoError(t, db.Tx(context.Background(), fn))
}

// exec runs one statement in a transaction of its own and returns the error.
func exec(db *sqldb.DB, query string, args ...any) error {
	return db.Tx(context.Background(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	})
}

// one reads a single value.
func one[T any](t testing.TB, db *sqldb.DB, query string, args ...any) (v T) {
	t.Helper()
	require.NoError(t, db.Read(context.Background(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(query, args...).Scan(&v)
	}))
	return v
}

func put(t testing.TB, db *sqldb.DB, id string) {
	t.Helper()
	require.NoError(t, exec(db, `INSERT INTO items (id, firm) VALUES ($1, 'acme')`, id))
}
