package sqldb_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

func insertHook(id string) func(tx *sqldb.Tx) error {
	return func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`INSERT INTO items (id, firm) VALUES ($1, 'audit')`, id)
		return err
	}
}

func update(tx *sqldb.Tx) error {
	_, err := tx.Exec(`UPDATE items SET n = n + 1`)
	return err
}

func TestHooksAreCommittedWithTheFirstWrite(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		var order []string
		ctx := sqldb.BeforeCommit(context.Background(), func(tx *sqldb.Tx) error {
			order = append(order, "first")
			return insertHook("first")(tx)
		})
		ctx = sqldb.BeforeCommit(ctx, func(tx *sqldb.Tx) error {
			order = append(order, "second")
			return insertHook("second")(tx)
		})
		require.NoError(t, db.Read(ctx, func(*sqldb.Tx) error { return nil }))
		require.False(t, sqldb.HooksCommitted(ctx))
		require.Equal(t, errOwn, db.Tx(ctx, func(*sqldb.Tx) error { return errOwn }))
		require.Empty(t, order)
		require.NoError(t, db.Tx(ctx, update))
		require.True(t, sqldb.HooksCommitted(ctx))
		require.NoError(t, db.Tx(ctx, update), "they do not run again")
		require.Equal(t, []string{"first", "second"}, order)
		require.EqualValues(t, 2, one[int64](t, db, `SELECT count(*) FROM items`))
	})
}

func TestAHookThatFailsRefusesTheTransaction(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		put(t, db, "a")
		ctx := sqldb.BeforeCommit(context.Background(), func(*sqldb.Tx) error { return errOwn })
		require.Equal(t, errOwn, db.Tx(ctx, update))
		require.EqualValues(t, 0, one[int64](t, db, `SELECT n FROM items`))
	})
}

func TestHooksRunAgainWithTheirTransaction(t *testing.T) {
	faulty(t, func(t *testing.T, db *sqldb.DB, faults *sqldbtest.Faults) {
		runs := 0
		ctx := sqldb.BeforeCommit(context.Background(), func(tx *sqldb.Tx) error {
			runs++
			return insertHook("entry")(tx)
		})
		faults.RefuseCommit(2)
		require.NoError(t, db.Tx(ctx, update))
		require.Equal(t, 3, runs)
		require.EqualValues(t, 1, one[int64](t, db, `SELECT count(*) FROM items`))

		ctx = sqldb.BeforeCommit(context.Background(), insertHook("lost"))
		faults.FailCommit(1)
		require.ErrorIs(t, db.Tx(ctx, update), sqldb.ErrOutcomeUnknown)
		require.False(t, sqldb.HooksCommitted(ctx))
		require.NoError(t, db.Tx(ctx, update))
		require.EqualValues(t, 2, one[int64](t, db, `SELECT count(*) FROM items`))
	})
}

func TestAHookRunsInOneOfManyTransactions(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := sqldb.BeforeCommit(context.Background(), insertHook("once"))
		var wg sync.WaitGroup
		errs := make(chan error, 8)
		for range 8 {
			wg.Go(func() { errs <- db.Tx(ctx, func(*sqldb.Tx) error { return nil }) })
		}
		wg.Wait()
		for range 8 {
			require.NoError(t, <-errs, "twice would collide")
		}
		require.EqualValues(t, 1, one[int64](t, db, `SELECT count(*) FROM items`))
	})
}

// While one transaction carries the hook to its COMMIT, another of the same call commits without it.
func TestTwoTransactionsDoNotShareAHook(t *testing.T) {
	db := sqldbtest.Open(t, sqldbtest.URL(t, sqldb.Postgres), schema) // SQLite has one at a time
	var ctx context.Context
	runs := 0
	ctx = sqldb.BeforeCommit(context.Background(), func(tx *sqldb.Tx) error {
		if runs++; runs == 1 {
			require.NoError(t, db.Tx(ctx, func(*sqldb.Tx) error { return nil }))
		}
		return insertHook("once")(tx)
	})
	require.NoError(t, db.Tx(ctx, func(*sqldb.Tx) error { return nil }))
	require.Equal(t, 1, runs)
}
