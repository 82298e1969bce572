package rotation_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/rotation"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/platform/vault"
)

// table is what a service brings: a table of sealed values with its guard, and one of hashes.
const table = `CREATE TABLE tokens (id TEXT NOT NULL PRIMARY KEY, firm TEXT NOT NULL, sealed %[1]s, sealed_key TEXT NOT NULL, version INTEGER NOT NULL);
CREATE INDEX tokens_rows ON tokens (sealed_key, id);
CREATE TABLE pins (id TEXT NOT NULL PRIMARY KEY, sum %[1]s NOT NULL, expires %[2]s NOT NULL);
`

var migrations = sqldb.Join(rotation.Schema, fstest.MapFS{
	"sqlite/0001_tokens.sql": {Data: []byte(fmt.Sprintf(table, "BLOB", "INTEGER") + `
		CREATE TRIGGER tokens_insert BEFORE INSERT ON tokens WHEN NEW.sealed_key IN (SELECT key_id FROM keys_retired)
		BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;
		CREATE TRIGGER tokens_update BEFORE UPDATE OF sealed_key ON tokens
		WHEN NEW.sealed_key <> OLD.sealed_key AND NEW.sealed_key IN (SELECT key_id FROM keys_retired)
		BEGIN SELECT RAISE(ABORT, 'sealed with a key that is retired'); END;`)},
	"postgres/0001_tokens.sql": {Data: []byte(fmt.Sprintf(table, "BYTEA", "BIGINT") + `
		CREATE TRIGGER tokens_insert BEFORE INSERT ON tokens FOR EACH ROW WHEN (NEW.sealed_key <> '')
			EXECUTE FUNCTION keys_admit('sealed_key');
		CREATE TRIGGER tokens_update BEFORE UPDATE OF sealed_key ON tokens FOR EACH ROW
			WHEN (NEW.sealed_key <> OLD.sealed_key AND NEW.sealed_key <> '') EXECUTE FUNCTION keys_admit('sealed_key');`)},
})

var inventory = rotation.Inventory{
	Secrets: []rotation.Secret{{Table: "tokens", Sealed: "sealed", Key: "sealed_key", ID: "id", Firm: "firm", As: "token"}},
	Hashes:  []rotation.Hash{{What: "PINs", Table: "pins", Column: "sum", Live: "expires > :now"}},
}

// bench is a service's database and keyring.
type bench struct {
	t    *testing.T
	url  string
	db   *sqldb.DB
	file vault.File
	v    *vault.Vault // of a process that is not followed by a worker

	inventory rotation.Inventory
}

func each(t *testing.T, fn func(t *testing.T, b *bench)) {
	t.Helper()
	sqldbtest.EachURL(t, func(t *testing.T, url string) { fn(t, newBench(t, url)) })
}

func newBench(t *testing.T, url string, options ...sqldb.Option) *bench {
	t.Helper()
	b := &bench{t: t, url: url, db: sqldbtest.Open(t, url, migrations, options...), file: vault.File{Path: filepath.Join(t.TempDir(), "keyring.json")}, inventory: inventory}
	var err error
	b.v, err = b.file.OpenOrCreate()
	require.NoError(t, err)
	return b
}

func (b *bench) book() rotation.Book {
	return rotation.Book{Service: "things", DB: b.db, Inventory: b.inventory}
}

func (b *bench) ring() rotation.Ring {
	return rotation.Ring{File: b.file, Books: []rotation.Book{b.book()}}
}

// process runs a worker with database connections and keys of its own until the test ends or stop is called.
func (b *bench) process() (v *vault.Vault, stop func()) {
	b.t.Helper()
	v, err := b.file.Open()
	require.NoError(b.t, err)
	book := b.book()
	book.DB = sqldbtest.Open(b.t, b.url, nil)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := rotation.NewWorker(book, v, slog.New(slog.DiscardHandler)).Run(ctx); err != nil {
			b.t.Error(err)
		}
	})
	stop = func() { cancel(); work.Wait() }
	b.t.Cleanup(stop)
	return v, stop
}

func place(id string) vault.Row {
	return vault.Row{Firm: "firm", Table: "tokens", ID: id, Column: "token"}
}

// put writes n tokens with ids from the prefix.
func (b *bench) put(prefix string, n int) {
	b.t.Helper()
	require.NoError(b.t, b.db.Tx(b.t.Context(), func(tx *sqldb.Tx) error {
		for i := range n {
			id := fmt.Sprintf("%s-%04d", prefix, i)
			if err := insert(tx, b.v, id, "secret of "+id); err != nil {
				return err
			}
		}
		return nil
	}))
}

func insert(tx *sqldb.Tx, v *vault.Vault, id, secret string) error {
	sealed, key, err := v.Seal([]byte(secret), place(id))
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO tokens (id, firm, sealed, sealed_key, version) VALUES ($1, 'firm', $2, $3, 1)`, id, sealed, string(key))
	return err
}

// allOpen requires that every row opens with the file as it is now.
func (b *bench) allOpen(want int) {
	b.t.Helper()
	v, err := b.file.Open()
	require.NoError(b.t, err)
	n := 0
	require.NoError(b.t, b.db.Read(b.t.Context(), func(tx *sqldb.Tx) error {
		rows, err := tx.Query(`SELECT id, sealed FROM tokens`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			var sealed []byte
			if err := rows.Scan(&id, &sealed); err != nil {
				return err
			}
			if _, err := v.Open(sealed, place(id)); err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
			n++
		}
		return rows.Err()
	}))
	require.Equal(b.t, want, n)
}

func (b *bench) status() rotation.Status {
	b.t.Helper()
	s, err := b.ring().Status(b.t.Context())
	require.NoError(b.t, err)
	return s
}
