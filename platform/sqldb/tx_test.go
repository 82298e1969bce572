package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

var errOwn = errors.New("the caller's own")

func TestAnErrorRollsBack(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		err := db.Tx(context.Background(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`INSERT INTO items (id, firm) VALUES ('a', 'acme')`)
			require.NoError(t, err)
			return errOwn
		})
		require.Equal(t, errOwn, err)
		require.EqualValues(t, 0, one[int64](t, db, `SELECT count(*) FROM items`))
	})
}

func TestAPanicRollsBackAndLeavesThePoolUsable(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		for range 30 { // more often than there are connections
			require.Panics(t, func() {
				_ = db.Tx(context.Background(), func(tx *sqldb.Tx) error {
					_, _ = tx.Exec(`INSERT INTO items (id, firm) VALUES ('a', 'acme')`)
					panic("broken")
				})
			})
		}
		require.EqualValues(t, 0, one[int64](t, db, `SELECT count(*) FROM items`))
		put(t, db, "b")
	})
}

// PostgreSQL gives up a transaction when a statement fails, SQLite does not. Here both do.
func TestAFailedStatementFailsTheTransaction(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		put(t, db, "a")
		err := db.Tx(context.Background(), func(tx *sqldb.Tx) error {
			_, _ = tx.Exec(`INSERT INTO items (id, firm) VALUES ('b', 'acme')`)
			_, _ = tx.Exec(`INSERT INTO items (id, firm) VALUES ('a', 'acme')`)
			_, err := tx.Exec(`INSERT INTO items (id, firm) VALUES ('c', 'acme')`)
			require.ErrorIs(t, err, sqldb.ErrConflict)
			return nil
		})
		require.ErrorIs(t, err, sqldb.ErrConflict)
		require.EqualValues(t, 1, one[int64](t, db, `SELECT count(*) FROM items`))
	})
}

func TestAnOpenResultBlocksTheNextStatement(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		put(t, db, "a")
		put(t, db, "b")
		err := db.Tx(context.Background(), func(tx *sqldb.Tx) error {
			rows, err := tx.Query(`SELECT id FROM items`)
			require.NoError(t, err)
			require.True(t, rows.Next())
			_, err = tx.Exec(`DELETE FROM items`)
			return err
		})
		require.ErrorContains(t, err, "still open")
		put(t, db, "c") // the connection was not lost over it
	})
}

func TestReadersCanNotWrite(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		read := func(fn func(tx *sqldb.Tx) error) error { return db.Read(context.Background(), fn) }
		require.ErrorIs(t, read(func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`INSERT INTO items (id, firm) VALUES ('a', 'acme')`)
			return err
		}), sqldb.ErrReadOnly)
		require.ErrorIs(t, read(func(tx *sqldb.Tx) error {
			_, err := tx.CopyIn("items", []string{"id", "firm"}, rowsOf(1))
			return err
		}), sqldb.ErrReadOnly)
	})
}

func TestReadSeesOneState(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		put(t, db, "a")
		require.NoError(t, db.Read(context.Background(), func(tx *sqldb.Tx) error {
			for range 3 {
				var n int64
				require.NoError(t, tx.QueryRow(`SELECT count(*) FROM items`).Scan(&n))
				require.EqualValues(t, 1, n)
				put(t, db, fmt.Sprint("new", time.Now().UnixNano())) // a writer is not held up by a reader
			}
			return nil
		}))
		require.EqualValues(t, 4, one[int64](t, db, `SELECT count(*) FROM items`))
	})
}

func TestQueryRowOutsideATransaction(t *testing.T) {
	ctx := context.Background()
	each(t, func(t *testing.T, db *sqldb.DB) {
		var n int64
		require.ErrorIs(t, db.QueryRow(ctx, `SELECT n FROM items WHERE id = $1`, "a").Scan(&n), sqldb.ErrNotFound)
		put(t, db, "a")
		require.NoError(t, db.QueryRow(ctx, `SELECT count(*) FROM items WHERE id = $1`, "a").Scan(&n))
		require.EqualValues(t, 1, n)
		require.ErrorIs(t, db.QueryRow(ctx, `SELECT 1 WHERE 'a' = $1`, "\x00").Scan(&n), sqldb.ErrInvalid)
		done, cancel := context.WithCancel(ctx)
		cancel()
		require.ErrorIs(t, db.QueryRow(done, `SELECT 1`).Scan(&n), context.Canceled)
	})
}

func rowsOf(n int) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for i := range n {
			if !yield([]any{fmt.Sprintf("row-%06d", i), "acme"}) {
				return
			}
		}
	}
}

func TestCopyIn(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		for _, n := range []int{0, 1, 500, 12_345} {
			tx(t, db, func(tx *sqldb.Tx) error {
				_, err := tx.Exec(`DELETE FROM items`)
				require.NoError(t, err)
				got, err := tx.CopyIn("items", []string{"id", "firm"}, rowsOf(n))
				require.EqualValues(t, n, got)
				return err
			})
			require.EqualValues(t, n, one[int64](t, db, `SELECT count(*) FROM items`))
		}
		err := db.Tx(context.Background(), func(tx *sqldb.Tx) error {
			_, err := tx.CopyIn("items", []string{"id", "firm"}, rowsOf(3))
			return err
		})
		require.ErrorIs(t, err, sqldb.ErrConflict)
		require.Equal(t, "items_pkey", sqldb.Constraint(err))
		short := func(yield func([]any) bool) { yield([]any{"only one"}) }
		err = db.Tx(context.Background(), func(tx *sqldb.Tx) error {
			_, err := tx.CopyIn("items", []string{"id", "firm"}, short)
			return err
		})
		require.ErrorContains(t, err, "1 values for 2 columns")
	})
}

func TestCopyInThroughAWrappedDriver(t *testing.T) {
	sqldbtest.EachURL(t, func(t *testing.T, url string) {
		db := sqldbtest.Open(t, url, schema, sqldbtest.NewFaults().Option())
		tx(t, db, func(tx *sqldb.Tx) error {
			_, err := tx.CopyIn("items", []string{"id", "firm"}, rowsOf(10))
			return err
		})
		require.EqualValues(t, 10, one[int64](t, db, `SELECT count(*) FROM items`))
	})
}

// slow is a statement that takes some seconds. On SQLite it has an end: a cancellation in the very moment in which a
// statement begins is lost on the driver, and the statement then runs to its end before it reports the cancellation.
func slow(d sqldb.Dialect) string {
	if d == sqldb.Postgres {
		return `SELECT count(*) FROM (SELECT pg_sleep(60)) AS s`
	}
	return `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000000) SELECT count(*) FROM n`
}

func TestCanceledStatementsLeaveThePoolUsable(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		for _, run := range []func(context.Context, func(*sqldb.Tx) error) error{
			func(ctx context.Context, fn func(*sqldb.Tx) error) error { return db.Tx(ctx, fn) }, db.Read,
		} {
			for range 20 {
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
				err := run(ctx, func(tx *sqldb.Tx) error {
					var n int64
					return tx.QueryRow(slow(tx.Dialect())).Scan(&n)
				})
				cancel()
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorIs(t, err, sqldb.ErrBusy)
			}
		}
		put(t, db, "a")
		require.EqualValues(t, 1, one[int64](t, db, `SELECT count(*) FROM items`))
	})
}

func TestAContextThatEndedBeforeCommitChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		ctx, cancel := context.WithCancel(context.Background())
		err := db.Tx(ctx, func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`INSERT INTO items (id, firm) VALUES ('a', 'acme')`)
			cancel()
			return err
		})
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, sqldb.ErrOutcomeUnknown)
		require.EqualValues(t, 0, one[int64](t, db, `SELECT count(*) FROM items`))
	})
}
