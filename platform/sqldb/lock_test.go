package sqldb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

func TestOneHoldsALock(t *testing.T) {
	ctx := context.Background()
	each(t, func(t *testing.T, db *sqldb.DB) {
		lock, err := db.TryLock(ctx, "relay")
		require.NoError(t, err)
		require.NotNil(t, lock)
		require.NoError(t, lock.Check(ctx))
		second, err := db.TryLock(ctx, "relay")
		require.NoError(t, err)
		require.Nil(t, second)
		other, err := db.TryLock(ctx, "another")
		require.NoError(t, err)
		require.NotNil(t, other)
		other.Release()
		lock.Release()
		requireLock(t, db) // PostgreSQL gives it free when it notices that the connection ended
	})
}

func TestALockIsLostWithItsConnection(t *testing.T) {
	ctx := context.Background()
	url := sqldbtest.URL(t, sqldb.Postgres)
	db, other := sqldbtest.Open(t, url, nil), sqldbtest.Open(t, url, nil)
	lock, err := db.TryLock(ctx, "relay")
	require.NoError(t, err)
	defer lock.Release()
	require.NoError(t, exec(other, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'`))
	require.ErrorIs(t, lock.Check(ctx), sqldb.ErrBusy)
	requireLock(t, other)
}

// requireLock waits until db gets the lock.
func requireLock(t *testing.T, db *sqldb.DB) {
	t.Helper()
	require.Eventually(t, func() bool {
		got, err := db.TryLock(context.Background(), "relay")
		if got != nil {
			got.Release()
		}
		return err == nil && got != nil
	}, time.Minute, 20*time.Millisecond)
}

// A frozen process keeps its connections. The server gives its lock to others all the same.
func TestALockIsLostBySilence(t *testing.T) {
	t.Parallel() // it takes the 15 seconds that are allowed to a holder
	ctx := context.Background()
	url := sqldbtest.URL(t, sqldb.Postgres)
	db, other := sqldbtest.Open(t, url, nil), sqldbtest.Open(t, url, nil)
	lock, err := db.TryLock(ctx, "relay")
	require.NoError(t, err)
	defer lock.Release()
	requireLock(t, other)
	require.Error(t, lock.Check(ctx))
}

func TestWatch(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		changed, stop := db.Watch("outbox")
		quiet := func() {
			t.Helper()
			select {
			case <-changed:
				t.Fatal("woken for nothing")
			default:
			}
		}
		_ = db.Tx(context.Background(), func(tx *sqldb.Tx) error { tx.Notify("outbox"); return errOwn })
		quiet()
		for range 3 {
			tx(t, db, func(tx *sqldb.Tx) error { tx.Notify("outbox"); tx.Notify("else"); return nil })
		}
		<-changed
		quiet()
		stop()
		tx(t, db, func(tx *sqldb.Tx) error { tx.Notify("outbox"); return nil })
		quiet()
	})
}
