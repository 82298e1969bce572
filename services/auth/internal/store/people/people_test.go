package people_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/people"
)

var now = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// each runs fn in one transaction on every engine, with the account "a" of the firm "f".
func each(t *testing.T, fn func(t *testing.T, tx *sqldb.Tx)) {
	t.Helper()
	sqldbtest.Each(t, sqldb.Join(events.Schema, store.Migrations), func(t *testing.T, db *sqldb.DB) {
		require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`INSERT INTO firms (id, display_name, created_at) VALUES ('f', 'Harbour', 0)`)
			require.NoError(t, err)
			_, err = store.Salt(tx, "ada@harbour.example", []byte("0123456789abcdef"))
			require.NoError(t, err)
			_, err = store.InsertAccount(tx, account.Account{
				ID: "a", Firm: "f", Kind: account.Staff, Role: account.Member, Email: "ada@harbour.example", DisplayName: "Ada",
				State: account.Active, Created: now, Revision: 1,
			})
			require.NoError(t, err)
			fn(t, tx)
			return nil
		}))
	})
}

func TestAMailboxIsSpentUntilItIsRestored(t *testing.T) {
	each(t, func(t *testing.T, tx *sqldb.Tx) {
		spent := func() bool {
			is, err := people.MailboxSpent(tx, "a")
			require.NoError(t, err)
			return is
		}
		require.False(t, spent())
		require.NoError(t, people.SpendMailbox(tx, "a", now))
		require.NoError(t, people.SpendMailbox(tx, "a", now.Add(time.Hour)), "again is no mistake")
		require.True(t, spent())
		require.NoError(t, people.RestoreMailbox(tx, "a"))
		require.False(t, spent())
	})
}

func TestAResetIsUsedOnce(t *testing.T) {
	each(t, func(t *testing.T, tx *sqldb.Tx) {
		_, err := people.ResetBy(tx, []byte("one"))
		require.ErrorIs(t, err, sqldb.ErrNotFound)
		for _, hash := range []string{"one", "two"} {
			require.NoError(t, people.InsertReset(tx, []byte(hash), people.Reset{Account: "a", Created: now, Expires: now.Add(time.Hour)}))
		}
		r, err := people.ResetBy(tx, []byte("one"))
		require.NoError(t, err)
		require.Equal(t, people.Reset{Account: "a", Created: now, Expires: now.Add(time.Hour)}, r, "another one does not void it")
		for _, first := range []bool{true, false} {
			ok, err := people.CloseReset(tx, []byte("one"), now)
			require.NoError(t, err)
			require.Equal(t, first, ok)
		}
		require.NoError(t, people.CloseResets(tx, "a", now))
		ok, err := people.CloseReset(tx, []byte("two"), now)
		require.NoError(t, err)
		require.False(t, ok)
		require.NoError(t, people.Sweep(tx, now.Add(48*time.Hour)))
		_, err = people.ResetBy(tx, []byte("two"))
		require.ErrorIs(t, err, sqldb.ErrNotFound)
	})
}

func TestResetRequestsAreTakenInTurn(t *testing.T) {
	each(t, func(t *testing.T, tx *sqldb.Tx) {
		for i, id := range []string{"b", "c", "a"} {
			require.NoError(t, people.InsertResetRequest(tx, people.ResetRequest{ID: id, Email: id + "@x.example", Created: now.Add(time.Duration(i))}))
		}
		n, err := people.ResetRequestsWaiting(tx, 2)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		var ids []string
		for range 3 {
			taken, err := people.TakeResetRequests(tx, 2)
			require.NoError(t, err)
			for _, r := range taken {
				ids = append(ids, r.ID)
			}
		}
		require.ElementsMatch(t, []string{"a", "b", "c"}, ids)
	})
}

func TestCountersBeginAnewAfterTheirWindow(t *testing.T) {
	each(t, func(t *testing.T, tx *sqldb.Tx) {
		for _, step := range []struct {
			at   time.Duration
			want int
		}{{0, 1}, {59 * time.Minute, 2}, {60 * time.Minute, 1}, {61 * time.Minute, 2}, {-24 * time.Hour, 1}} {
			n, began, err := people.Count(tx, []byte("s"), time.Hour, now.Add(step.at))
			require.NoError(t, err)
			require.Equal(t, step.want, n, step.at)
			require.False(t, began.After(now.Add(step.at)))
		}
		n, _, err := people.Count(tx, []byte("other"), time.Hour, now)
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
}

func TestOnePepperIsKept(t *testing.T) {
	each(t, func(t *testing.T, tx *sqldb.Tx) {
		_, err := people.CurrentPepper(tx)
		require.ErrorIs(t, err, sqldb.ErrNotFound)
		for _, sealed := range []string{"first", "second"} {
			require.NoError(t, people.OfferPepper(tx, people.Pepper{ID: "1", Sealed: []byte(sealed), VaultKey: "k"}, now))
		}
		p, err := people.CurrentPepper(tx)
		require.NoError(t, err)
		require.Equal(t, people.Pepper{ID: "1", Sealed: []byte("first"), VaultKey: "k"}, p)
	})
}

func TestABucketRunsDry(t *testing.T) {
	each(t, func(t *testing.T, tx *sqldb.Tx) {
		empty := func() time.Duration {
			at, err := people.EmptyAt(tx, []byte("b"))
			require.NoError(t, err)
			return at.Sub(now)
		}
		at, err := people.EmptyAt(tx, []byte("b"))
		require.NoError(t, err)
		require.Zero(t, at)
		pour := func(after time.Duration) {
			require.NoError(t, people.Pour(tx, []byte("b"), time.Minute, 3, now.Add(after)))
		}
		pour(0)
		require.Equal(t, time.Minute, empty())
		pour(30 * time.Second)
		require.Equal(t, 2*time.Minute, empty())
		pour(time.Hour)
		require.Equal(t, time.Hour+time.Minute, empty(), "what ran out is forgotten")
		for range 9 {
			pour(time.Hour)
		}
		require.Equal(t, time.Hour+3*time.Minute, empty(), "never fuller than full")
		pour(0)
		require.Equal(t, 3*time.Minute, empty(), "also when the clock goes back")
	})
}
