package sqldb_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

// given is a URL that somebody replaces.
type given struct{ now atomic.Value }

func (g *given) set(url string, err error) { g.now.Store(answer{url, err}) }

type answer struct {
	url string
	err error
}

func (g *given) latest() (string, error) {
	a := g.now.Load().(answer)
	return a.url, a.err
}

// whoAndWhere is who works on which schema: with a URL of before it is another one.
func whoAndWhere(t *testing.T, db *sqldb.DB) (text string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return text, db.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(`SELECT current_user || ' in ' || current_schema()`).Scan(&text)
	})
}

func works(t *testing.T, db *sqldb.DB, want string) {
	t.Helper()
	got, err := whoAndWhere(t, db)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.NoError(t, db.Ping(t.Context()))
}

// ends ends every connection of a user and waits until the server knows of none.
func ends(t *testing.T, server *sqldbtest.Cluster, user string) {
	t.Helper()
	server.Exec(t, `DO $$ BEGIN
		LOOP
			PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '`+user+`';
			PERFORM pg_stat_clear_snapshot();
			EXIT WHEN NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE usename = '`+user+`');
			PERFORM pg_sleep(0.01);
		END LOOP;
	END $$`)
}

func TestAReplacedPasswordIsUsedByTheNextConnection(t *testing.T) {
	server := sqldbtest.Postgres(t)
	as := server.Role(t, "things", "first")
	file := &given{}
	file.set(as("first"), nil)
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: as("first"), Latest: file.latest})
	require.NoError(t, err)
	defer db.Close()
	works(t, db, "things in things")

	server.Exec(t, `ALTER ROLE things PASSWORD 'second'`)
	works(t, db, "things in things") // on connections that are there
	file.set(as("second"), nil)
	ends(t, server, "things")
	works(t, db, "things in things")
	// Others took the place of those that the server had ended.
	ends(t, server, "things")
	works(t, db, "things in things")
}

func TestAWrongPasswordIsToldAndTriedAgain(t *testing.T) {
	server := sqldbtest.Postgres(t)
	as := server.Role(t, "things", "right")
	file := &given{}
	file.set(as("wrong"), nil)
	cfg := sqldb.Config{URL: as("wrong"), Latest: file.latest}
	_, err := sqldb.Open(t.Context(), cfg)
	require.ErrorIs(t, err, sqldb.ErrBusy)
	var said *sqldb.Error
	require.ErrorAs(t, err, &said)
	require.Equal(t, "the server refuses the user or its password: correct them in the database's URL", said.Words())
	require.NotContains(t, err.Error(), "wrong\"")

	file.set(as("right"), nil)
	db, err := sqldb.Open(t.Context(), cfg)
	require.NoError(t, err)
	defer db.Close()
	works(t, db, "things in things")
}

// Another user, schema or server: the connections of before are left once one of the new ones came about, not sooner.
func TestConnectionsOfAnOldURLAreLeft(t *testing.T) {
	server, other := sqldbtest.Postgres(t), sqldbtest.Postgres(t)
	one, two := server.Role(t, "one", "p"), other.Role(t, "two", "p")
	file := &given{}
	file.set(one("p"), nil)
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: one("p"), Latest: file.latest})
	require.NoError(t, err)
	defer db.Close()
	works(t, db, "one in one")

	for name, wrong := range map[string]answer{
		"a password that is refused": {two("not"), nil}, "no URL": {"postgres://%", nil}, "another engine": {"sqlite:/tmp/x.db", nil},
		"nothing": {"", nil}, "no file": {"", errors.New("its file is empty")}, "a server that is away": {"postgres://two:p@127.0.0.1:1/postgres", nil},
	} {
		file.set(wrong.url, wrong.err)
		// A connection beside those that are there, so that the new URL is looked at.
		_ = atOnce(t, db, 2)
		got, err := whoAndWhere(t, db)
		require.NoError(t, err, name)
		require.Equal(t, "one in one", got, name)
	}

	file.set(two("p"), nil)
	require.NoError(t, atOnce(t, db, 10)) // which are all there may be
	for range 20 {
		works(t, db, "two in two")
	}
}

// A lock is of the server that the URL named: once that is another one, who holds it there excludes nobody.
func TestALockOfAnOldURLIsGivenUp(t *testing.T) {
	server, other := sqldbtest.Postgres(t), sqldbtest.Postgres(t)
	one, two := server.Role(t, "one", "p"), other.Role(t, "two", "p")
	file := &given{}
	file.set(one("p"), nil)
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: one("p"), Latest: file.latest})
	require.NoError(t, err)
	defer db.Close()
	lock, err := db.TryLock(t.Context(), "work")
	require.NoError(t, err)
	require.NotNil(t, lock)
	require.NoError(t, lock.Check(t.Context()))

	file.set(two("p"), nil)
	require.NoError(t, atOnce(t, db, 2))
	works(t, db, "two in two")
	require.ErrorIs(t, lock.Check(t.Context()), sqldb.ErrBusy)
	lock.Release()
	lock, err = db.TryLock(t.Context(), "work")
	require.NoError(t, err)
	require.NotNil(t, lock)
	require.NoError(t, lock.Check(t.Context()))
	lock.Release()
}

// atOnce has n connections in use at the same time.
func atOnce(t *testing.T, db *sqldb.DB, n int) error {
	if n == 0 {
		return nil
	}
	return db.Read(t.Context(), func(tx *sqldb.Tx) error {
		var one int
		if err := tx.QueryRow(`SELECT 1`).Scan(&one); err != nil {
			return err
		}
		return atOnce(t, db, n-1)
	})
}

// What is in the file may be no use, and the URL of before neither: both are said.
func TestWhyANewURLDoesNotCountIsSaid(t *testing.T) {
	server := sqldbtest.Postgres(t)
	as := server.Role(t, "things", "right")
	file := &given{}
	for want, now := range map[string]answer{
		"its file is empty": {"", errors.New("its file is empty")},
		"database_url names /does/not/exist (sslrootcert), which cannot be read: no such file or directory": {"postgres://u:p@127.0.0.1:1/d?sslmode=verify-full&sslrootcert=/does/not/exist", nil},
		"database_url is not a valid postgres:// URL":                                                       {"postgres://u:p@127.0.0.1:port/d", nil},
		"it is not a valid postgres:// URL":                                                                 {"mysql://h/d", nil},
	} {
		file.set(now.url, now.err)
		_, err := sqldb.Open(t.Context(), sqldb.Config{URL: as("wrong"), Latest: file.latest})
		var said *sqldb.Error
		require.ErrorAs(t, err, &said)
		require.Equal(t, "the server refuses the user or its password: correct them in the database's URL; the URL that is given now does not count: "+want, said.Words())
	}
	file.set("", errors.New("its file is empty"))
	_, err := sqldb.Open(t.Context(), sqldb.Config{URL: "postgres://u:p@127.0.0.1:1/d", Latest: file.latest})
	var said *sqldb.Error
	require.ErrorAs(t, err, &said)
	require.Equal(t, "no connection to the database; the URL that is given now does not count: its file is empty", said.Words())
}
