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
