package store_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// fetched is how many rows of a table the transaction has read so far, on the engine that counts them.
func fetched(t *testing.T, tx *sqldb.Tx, table string) (n int64) {
	t.Helper()
	if tx.Dialect() == sqldb.Postgres {
		require.NoError(t, tx.QueryRow(`SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables
			WHERE relname = $1 AND schemaname = current_schema()`, table).Scan(&n))
	}
	return n
}

// An update of a page reads the links of that page, also in a table that the database has not counted yet, as that of a
// practice whose clients were all linked a moment ago.
func TestUpdatesReadTheLinksTheyChange(t *testing.T) {
	each(t, func(t *testing.T, do func(func(tx *sqldb.Tx) error)) {
		const practice, page = 3000, 300
		all := make([]client.Fields, practice)
		for i := range all {
			all[i].Name = fmt.Sprintf("Client %04d", i)
		}
		var ids []string
		do(func(tx *sqldb.Tx) (err error) {
			ids, err = put(tx, firm, all...)
			return err
		})
		for from := 0; from < practice; from += page {
			do(func(tx *sqldb.Tx) error {
				locked, err := store.LockClients(tx, firm, ids[from:from+page])
				if err != nil {
					return err
				}
				var updates []store.ClientUpdate
				for i := from; i < from+page; i++ {
					f := all[i]
					f.Phone = "02 9999 0000"
					updates = append(updates, store.ClientUpdate{
						Client: locked[ids[i]], Changes: f.Diff(all[i]), Actor: "sync",
						Link: store.NewLink{Connection: conn, Tenant: "t", Record: "r-" + f.Name, Hash: "i", Base: f, At: now},
					})
				}
				before := fetched(t, tx, "links") + fetched(t, tx, "staged_updates")
				if err := store.UpdateClients(tx, firm, "batch", now, updates); err != nil {
					return err
				}
				require.LessOrEqual(t, fetched(t, tx, "links")+fetched(t, tx, "staged_updates")-before, int64(8*page))
				return nil
			})
		}
		do(func(tx *sqldb.Tx) error {
			var n int64
			require.NoError(t, tx.QueryRow(`SELECT count(*) FROM links WHERE base_hash = 'i'`).Scan(&n))
			require.EqualValues(t, practice, n)
			return nil
		})
	})
}

// The same for contacts.
func TestUpdatesReadTheContactLinksTheyChange(t *testing.T) {
	each(t, func(t *testing.T, do func(func(tx *sqldb.Tx) error)) {
		const practice, page = 3000, 300
		made := make([]store.NewContact, practice)
		for i := range made {
			made[i] = store.NewContact{ID: store.NewID(), Record: fmt.Sprintf("p%04d", i), Hash: "h", Person: client.Person{Name: fmt.Sprintf("Person %d", i)}}
		}
		do(func(tx *sqldb.Tx) error { return store.InsertContacts(tx, firm, conn, "t", now, made) })
		for from := 0; from < practice; from += page {
			do(func(tx *sqldb.Tx) error {
				var updates []store.PersonUpdate
				for _, c := range made[from : from+page] {
					c.Person.Phone = "02 9999 0000"
					updates = append(updates, store.PersonUpdate{Contact: c.ID, Record: c.Record, Hash: "i", Person: c.Person, Changed: true})
				}
				before := fetched(t, tx, "contact_links") + fetched(t, tx, "staged_updates")
				if err := store.UpdatePersons(tx, conn, "t", "batch", now, updates); err != nil {
					return err
				}
				require.LessOrEqual(t, fetched(t, tx, "contact_links")+fetched(t, tx, "staged_updates")-before, int64(8*page))
				return nil
			})
		}
		do(func(tx *sqldb.Tx) error {
			var n int64
			require.NoError(t, tx.QueryRow(`SELECT count(*) FROM contact_links WHERE base_hash = 'i'`).Scan(&n))
			require.EqualValues(t, practice, n)
			return nil
		})
	})
}
