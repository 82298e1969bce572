package store_test

import (
	"context"
	_ "embed"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/services/documents/internal/store"
)

//go:embed testdata/migrations.sha256
var published string

func TestPublishedMigrationsStand(t *testing.T) {
	sqldbtest.Published(t, store.Migrations, published)
}

// A database of the first release, with what a practice had in it, is taken over.
func TestDatabaseOfTheFirstReleaseIsTakenOver(t *testing.T) {
	sqldbtest.Each(t, sqldbtest.Former(t, store.Migrations, "0001"), func(t *testing.T, db *sqldb.DB) {
		ctx := context.Background()
		require.NoError(t, db.Tx(ctx, func(tx *sqldb.Tx) error {
			if _, err := tx.Exec(`INSERT INTO folders (id, firm, kind, state, display_name, name_key, created)
				VALUES ('d', 'f', 'BUSINESS', 'ACTIVE', 'Letters', 'letters', 1)`); err != nil {
				return err
			}
			_, err := tx.Exec(`INSERT INTO documents (id, firm, folder, display_name, name_key, media_type, size, sha256, filed_by, created)
				VALUES ('l', 'f', 'd', 'A letter', 'a letter', 'text/plain', 1, 'x', 'somebody', 1)`)
			return err
		}))
		require.NoError(t, sqldb.Migrate(ctx, db, store.Migrations))
		require.NoError(t, db.Read(ctx, func(tx *sqldb.Tx) error {
			d, err := store.DocumentOf(tx, "f", "l")
			require.Equal(t, "A letter", d.DisplayName)
			return err
		}))
	})
}
