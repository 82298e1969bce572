package store_test

import (
	"context"
	_ "embed"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

//go:embed testdata/migrations.sha256
var published string

func TestPublishedMigrationsStand(t *testing.T) {
	sqldbtest.Published(t, store.Migrations, published)
}

// A database of the first release, with what a practice had in it, is taken over.
func TestDatabaseOfTheFirstReleaseIsTakenOver(t *testing.T) {
	sqldbtest.Each(t, sqldbtest.Former(t, store.Migrations, "0003"), func(t *testing.T, db *sqldb.DB) {
		ctx := context.Background()
		require.NoError(t, db.Tx(ctx, func(tx *sqldb.Tx) error {
			for _, text := range []string{
				`INSERT INTO clients (id, firm, display_name, fields, sort_key, search, state, created_at, updated_at)
					VALUES ('c1', 'f', 'Acme', '{}', 'acme', 'acme', 'LISTED', 1, 1), ('c2', 'f', 'Blum', '{}', 'blum', 'blum', 'LISTED', 1, 1)`,
				`INSERT INTO links (connection, tenant, record_id, firm, client, base, base_hash, base_at, out_of_scope, linked_at)
					VALUES ('k', 't', 'r1', 'f', 'c1', '{}', 'h', 5, TRUE, 7), ('k', 't', 'r2', 'f', 'c2', '{}', 'h', 5, FALSE, 7)`,
				`INSERT INTO offboardings (id, firm, client, client_name, state, step, origin, reason, started_by, created_at)
					VALUES ('o', 'f', 'c1', 'Acme', 'PREPARING', 'FENCE', 'HAND', 'left', 'somebody', 1)`,
				`INSERT INTO runs (id, firm, connection, kind, state, step, tenant, plan, started_by, created_at)
					VALUES ('r', 'f', 'k', 'FULL', 'PARKED', 'CLIENTS', 't', 'p', 'somebody', 1)`,
				`INSERT INTO plans (id, firm, run, connection, tenant, state, created_at) VALUES ('p', 'f', 'r', 'k', 't', 'SETTLED', 1)`,
			} {
				if _, err := tx.Exec(text); err != nil {
					return err
				}
			}
			return nil
		}))
		require.NoError(t, sqldb.Migrate(ctx, db, store.Migrations))
		require.NoError(t, db.Read(ctx, func(tx *sqldb.Tx) error {
			o, err := store.Offboarding(tx, "f", "o")
			require.NoError(t, err)
			require.Equal(t, "Acme", o.ClientName)
			r, err := store.Run(tx, "f", "r")
			require.NoError(t, err)
			require.Equal(t, "p", r.Plan)
			_, err = store.Plan(tx, "f", "p")
			require.NoError(t, err)
			var refuted, others int64
			require.NoError(t, tx.QueryRow(`SELECT refuted_at FROM links WHERE record_id = 'r1'`).Scan(&refuted))
			require.EqualValues(t, 7, refuted, "what is out of scope is asked about one day, too")
			require.NoError(t, tx.QueryRow(`SELECT refuted_at FROM links WHERE record_id = 'r2'`).Scan(&others))
			require.Zero(t, others)
			return nil
		}))
	})
}
