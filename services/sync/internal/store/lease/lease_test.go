package lease_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/lease"
)

func TestNothingToDoIsIdle(t *testing.T) {
	sqldbtest.Each(t, store.Migrations, func(t *testing.T, db *sqldb.DB) {
		_, err := lease.Claim(t.Context(), db, func(*sqldb.Tx) (int, error) { return 0, sqldb.ErrNotFound })
		require.ErrorIs(t, err, lease.ErrIdle)
		broken := errors.New("broken")
		_, err = lease.Claim(t.Context(), db, func(*sqldb.Tx) (int, error) { return 0, broken })
		require.ErrorIs(t, err, broken)
		work, err := lease.Claim(t.Context(), db, func(*sqldb.Tx) (int, error) { return 7, nil })
		require.NoError(t, err)
		require.Equal(t, 7, work)
	})
}

// TestALeaseIsKeptThroughErrorsAndLostForGood: an error of a renewal costs nothing, the loss of the lease ends the work.
func TestALeaseIsKeptThroughErrorsAndLostForGood(t *testing.T) {
	sqldbtest.Each(t, store.Migrations, func(t *testing.T, db *sqldb.DB) {
		now := time.Unix(1_800_000_000, 0)
		const length = 30 * time.Millisecond
		var until time.Time
		tries := 0
		kept, stop := lease.Keep(t.Context(), db, func() time.Time { return now }, length, func(_ *sqldb.Tx, u time.Time) error {
			until = u
			if tries++; tries < 3 {
				return errors.New("the database is away")
			}
			return lease.ErrLost
		})
		defer stop()
		select {
		case <-kept.Done():
		case <-time.After(time.Minute):
			t.Fatal("the work goes on without its lease")
		}
		require.Equal(t, 3, tries)
		require.Equal(t, now.Add(length), until)
		require.NoError(t, t.Context().Err(), "what is around the work goes on")
	})
}

func TestStoppingEndsTheRenewals(t *testing.T) {
	sqldbtest.Each(t, store.Migrations, func(t *testing.T, db *sqldb.DB) {
		kept, stop := lease.Keep(t.Context(), db, time.Now, time.Hour, func(*sqldb.Tx, time.Time) error { return nil })
		require.NoError(t, kept.Err())
		stop()
		require.ErrorIs(t, kept.Err(), context.Canceled)
	})
}
