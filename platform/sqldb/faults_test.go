package sqldb_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

// faulty runs fn on both engines with faults under the database.
func faulty(t *testing.T, fn func(t *testing.T, db *sqldb.DB, faults *sqldbtest.Faults)) {
	t.Helper()
	sqldbtest.EachURL(t, func(t *testing.T, url string) {
		faults := sqldbtest.NewFaults()
		fn(t, sqldbtest.Open(t, url, schema, faults.Option()), faults)
	})
}

func TestALostAnswerToCommitIsSaidToBeUnknown(t *testing.T) {
	faulty(t, func(t *testing.T, db *sqldb.DB, faults *sqldbtest.Faults) {
		insert := `INSERT INTO items (id, firm) VALUES ($1, 'acme')`
		faults.FailCommit(1)
		require.ErrorIs(t, exec(db, insert, "rolled back"), sqldb.ErrOutcomeUnknown)
		faults.CommitThenFail(1)
		require.ErrorIs(t, exec(db, insert, "committed"), sqldb.ErrOutcomeUnknown)
		require.Equal(t, "committed", one[string](t, db, `SELECT id FROM items`))
	})
}

func TestARefusedTransactionRunsAgain(t *testing.T) {
	faulty(t, func(t *testing.T, db *sqldb.DB, faults *sqldbtest.Faults) {
		faults.RefuseCommit(3)
		runs, after := 0, 0
		tx(t, db, func(tx *sqldb.Tx) error {
			runs++
			tx.AfterCommit(func() { after++ })
			_, err := tx.Exec(`INSERT INTO items (id, firm) VALUES ('a', 'acme')`)
			return err
		})
		require.Equal(t, 4, runs)
		require.Equal(t, 1, after)
		require.EqualValues(t, 1, one[int64](t, db, `SELECT count(*) FROM items`))

		faults.RefuseCommit(1000)
		require.ErrorIs(t, exec(db, `DELETE FROM items`), sqldb.ErrBusy)
		faults.RefuseCommit(0)
		require.EqualValues(t, 1, one[int64](t, db, `SELECT count(*) FROM items`))
	})
}

func TestAResultCutShortIsNoResult(t *testing.T) {
	faulty(t, func(t *testing.T, db *sqldb.DB, faults *sqldbtest.Faults) {
		put(t, db, "a")
		faults.FailExec("FROM items", 1)
		err := db.Read(context.Background(), func(tx *sqldb.Tx) error {
			_, err := sqldb.Collect(tx, func(r *sqldb.Rows) (s string, err error) { return s, r.Scan(&s) }, `SELECT id FROM items`)
			return err
		})
		require.Error(t, err)
		require.NotErrorIs(t, err, sqldb.ErrNotFound)
	})
}

// A row that fails in the middle of a result ends the loop over Next like the last row does; Err tells them apart.
func TestRowsReportAnErrorInTheMiddle(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		for _, id := range []string{"1", "2", "x"} {
			put(t, db, id)
		}
		divide := `SELECT 1000000 / (CASE id WHEN 'x' THEN 0 ELSE 1 END) FROM items ORDER BY id`
		if db.Dialect() == sqldb.SQLite { // which divides by zero without complaint
			divide = `SELECT CASE id WHEN 'x' THEN abs(-9223372036854775808) ELSE 1 END FROM items ORDER BY id`
		}
		err := db.Read(context.Background(), func(tx *sqldb.Tx) error {
			rows, err := tx.Query(divide)
			if err != nil {
				return err
			}
			for rows.Next() {
			}
			require.Error(t, rows.Err())
			return rows.Err()
		})
		require.Error(t, err)
	})
}

func TestAFrozenDatabaseHangsNobodyForGood(t *testing.T) {
	faulty(t, func(t *testing.T, db *sqldb.DB, faults *sqldbtest.Faults) {
		faults.Freeze()
		require.Less(t, took(func() { require.ErrorIs(t, db.Ping(context.Background()), sqldb.ErrBusy) }), 2*time.Second)
		faults.Thaw()
		require.NoError(t, db.Ping(context.Background()))
	})
}

func took(fn func()) time.Duration {
	start := time.Now()
	fn()
	return time.Since(start)
}

func TestAFrozenServer(t *testing.T) {
	cluster := sqldbtest.Postgres(t)
	db := sqldbtest.Open(t, cluster.URL(t), schema)
	put(t, db, "a")
	cluster.Freeze(t)
	require.Less(t, took(func() { require.ErrorIs(t, db.Ping(context.Background()), sqldb.ErrBusy) }), 2*time.Second)

	var wg sync.WaitGroup
	for range 20 { // twice as many as there are connections
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
			defer cancel()
			require.Less(t, took(func() {
				require.Error(t, db.Tx(ctx, func(tx *sqldb.Tx) error {
					_, err := tx.Exec(`UPDATE items SET n = n + 1`)
					return err
				}))
			}), 3*time.Second)
		})
	}
	wg.Wait()
	require.Less(t, took(func() { require.Error(t, db.Ping(context.Background())) }), 2*time.Second)
	cluster.Thaw(t)
	tx(t, db, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`UPDATE items SET n = 77`)
		return err
	})
	require.NoError(t, db.Ping(context.Background()))
}

func TestAFrozenServerDuringCommit(t *testing.T) {
	cluster := sqldbtest.Postgres(t)
	db := sqldbtest.Open(t, cluster.URL(t), schema)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var err error
	require.Less(t, took(func() {
		err = db.Tx(ctx, func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`INSERT INTO items (id, firm) VALUES ('a', 'acme')`)
			cluster.Freeze(t)
			return err
		})
	}), 3*time.Second)
	require.ErrorIs(t, err, sqldb.ErrOutcomeUnknown)
}

func TestAKilledServerComesBack(t *testing.T) {
	cluster := sqldbtest.Postgres(t)
	db := sqldbtest.Open(t, cluster.URL(t), schema)
	for range 5 { // several connections in the pool that will be dead
		put(t, db, time.Now().String())
	}
	killed := false
	err := db.Tx(context.Background(), func(tx *sqldb.Tx) error {
		if !killed {
			killed = true
			cluster.Kill(t)
			cluster.Restart(t)
		}
		_, err := tx.Exec(`UPDATE items SET n = 3`)
		return err
	})
	require.NoError(t, err, "a connection lost before COMMIT is no reason to fail")
	require.EqualValues(t, 5, one[int64](t, db, `SELECT count(*) FROM items WHERE n = 3`))
	cluster.Kill(t)
	require.ErrorIs(t, db.Ping(context.Background()), sqldb.ErrBusy)
	require.ErrorIs(t, exec(db, `UPDATE items SET n = 4`), sqldb.ErrBusy)
	cluster.Restart(t)
	require.NoError(t, exec(db, `UPDATE items SET n = 4`))
}
