package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// TestConnectionsWithoutATenant: a firm has several, none is its last one, and one that gets a tenant is the tenant's only one.
func TestConnectionsWithoutATenant(t *testing.T) {
	sqldbtest.Each(t, migrations, func(t *testing.T, db *sqldb.DB) {
		made := func(state connection.State, tenant string) connection.Connection {
			c := connection.Connection{Ref: connection.Ref{Firm: "a", ID: uuid.NewString()}, Provider: connection.XPM, State: state, TenantID: tenant,
				TenantName: "n", Created: noon, Version: 1, DayCallsLeft: -1}
			confirmed := noon
			if state == connection.Legacy {
				confirmed = time.Time{}
			}
			write(t, db, func(tx *sqldb.Tx) error { return store.SaveConnection(tx, c, confirmed) })
			return c
		}
		one, two := made(connection.Legacy, ""), made(connection.Legacy, "")
		read := func(c connection.Connection) (got connection.Connection) {
			write(t, db, func(tx *sqldb.Tx) (err error) {
				got, err = store.ConnectionByID(tx, c.Ref, false)
				return err
			})
			return got
		}
		require.Equal(t, one, read(one))
		write(t, db, func(tx *sqldb.Tx) error {
			last, err := store.LastConnection(tx, "a", connection.XPM)
			require.Nil(t, last, "nobody ever consented")
			require.NoError(t, err)
			waiting, err := store.LegacyConnections(tx, "a", connection.XPM)
			require.Len(t, waiting, 2)
			require.NoError(t, err)
			waiting, err = store.LegacyConnections(tx, "b", connection.XPM)
			require.Empty(t, waiting)
			return err
		})
		live, ended := made(connection.Active, "live"), made(connection.Disconnected, "ended")
		for _, tenant := range []string{"live", "ended"} {
			write(t, db, func(tx *sqldb.Tx) error { return store.LeaveTenant(tx, "b", connection.XPM, tenant) })
			write(t, db, func(tx *sqldb.Tx) error { return store.LeaveTenant(tx, "a", connection.XPM, tenant) })
		}
		require.Equal(t, "live", read(live).TenantID, "what works keeps its tenant")
		require.Empty(t, read(ended).TenantID)
		require.Equal(t, ended.Version+1, read(ended).Version)
		two.State, two.TenantID, two.Version = connection.Active, "ended", 2
		write(t, db, func(tx *sqldb.Tx) error { return store.SaveConnection(tx, two, noon) })
		require.Equal(t, two, read(two))
		one.State, one.TenantID = connection.Active, "live"
		require.ErrorIs(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error { return store.SaveConnection(tx, one, noon) }), sqldb.ErrConflict)
	})
}
