package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/store"
	"github.com/concord-suite/concord/services/connector/internal/webhook"
)

func TestInboxOfWebhooks(t *testing.T) {
	sqldbtest.Each(t, migrations, func(t *testing.T, db *sqldb.DB) {
		var all []webhook.Event
		for i := range 123 { // of every size of statement
			all = append(all, webhook.Event{ID: fmt.Sprintf("%03d", i), Tenant: "t", Record: fmt.Sprint(i), At: noon.Add(time.Duration(i) * time.Second)})
		}
		write(t, db, func(tx *sqldb.Tx) error {
			n, err := store.KeepEvents(tx, connection.Xero, all[:100], noon)
			require.EqualValues(t, 100, n)
			require.NoError(t, err)
			n, err = store.KeepEvents(tx, connection.Xero, all, noon.Add(time.Minute))
			require.EqualValues(t, 23, n, "what is there already is not new")
			return err
		})
		write(t, db, func(tx *sqldb.Tx) error {
			got, err := store.TakeEvents(tx, connection.Xero, 1000)
			require.Equal(t, all, got, "as they were, the oldest first")
			require.NoError(t, err)
			none, err := store.TakeEvents(tx, connection.XPM, 1000)
			require.Empty(t, none)
			require.NoError(t, err)
			require.NoError(t, store.SettleEvents(tx, nil, store.Told, noon))
			return store.SettleEvents(tx, []string{"000", "001"}, store.Told, noon)
		})
		write(t, db, func(tx *sqldb.Tx) error {
			got, err := store.TakeEvents(tx, connection.Xero, 5)
			require.Equal(t, all[2:7], got)
			require.NoError(t, err)
			require.NoError(t, store.PurgeEvents(tx, noon))
			n, err := store.KeepEvents(tx, connection.Xero, all[:2], noon)
			require.Zero(t, n, "remembered until they are purged")
			require.NoError(t, err)
			require.NoError(t, store.PurgeEvents(tx, noon.Add(time.Second)))
			n, err = store.KeepEvents(tx, connection.Xero, all[:2], noon)
			require.EqualValues(t, 2, n)
			return err
		})
	})
}

func TestConnectionsOfATenant(t *testing.T) {
	sqldbtest.Each(t, migrations, func(t *testing.T, db *sqldb.DB) {
		for firm, c := range map[string]connection.Connection{
			"a": {TenantID: "T-1", State: connection.Active}, "b": {TenantID: "t-1", State: connection.NeedsReauth},
			"c": {TenantID: "t-1", State: connection.Disconnected}, "d": {TenantID: "t-2", State: connection.Active},
			"e": {TenantID: "t-1", State: connection.Legacy},
		} {
			c.Ref, c.Provider = connection.Ref{Firm: firm, ID: uuid.NewString()}, connection.Xero
			write(t, db, func(tx *sqldb.Tx) error { return store.SaveConnection(tx, c, noon) })
		}
		write(t, db, func(tx *sqldb.Tx) error {
			got, err := store.ConnectionsOfTenant(tx, connection.Xero, "t-1")
			firms := map[string]bool{}
			for _, c := range got {
				firms[c.Firm] = true
			}
			require.Equal(t, map[string]bool{"a": true, "b": true}, firms, "of every firm that has one still")
			return err
		})
	})
}
