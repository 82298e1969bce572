package store_test

import (
	_ "embed"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/rotation"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/store"
	"github.com/concord-suite/concord/services/connector/internal/store/guards"
)

//go:embed testdata/migrations.sha256
var published string

//go:embed testdata/guards.sha256
var publishedGuards string

func TestPublishedMigrationsStand(t *testing.T) {
	sqldbtest.Published(t, store.Migrations, published)
	sqldbtest.Published(t, guards.Schema, publishedGuards)
}

// A database of the first release, with a connection in use and calls under way, is taken over.
func TestDatabaseOfTheFirstReleaseIsTakenOver(t *testing.T) {
	sqldbtest.Each(t, sqldbtest.Former(t, store.Migrations, "0001"), func(t *testing.T, db *sqldb.DB) {
		us := sqldb.Micros(noon)
		write(t, db, func(tx *sqldb.Tx) error {
			for _, text := range []string{
				`INSERT INTO grants (id, firm, app, subject, scopes, status, reason, generation, refresh_sealed, refresh_key, access_sealed,
						access_key, access_issued, access_expires, lease_owner, lease_until, attempt, attempt_started, committed, spare_sealed,
						spare_key, spare_until, failures, retry_at, created, refreshed)
					VALUES ('g', 'firm', 'xero/id', 'somebody', 'a b', 'ACTIVE', '', 7, NULL, 'k', NULL, 'k', 0, 0, '', 0, '', 0, '', NULL,
						'', 0, 0, 0, $1, $1)`,
				`INSERT INTO connections (id, firm, provider, tenant_id, tenant_name, tenant_type, upstream_id, grant_id, state, reason, options,
						created, confirmed, connected_by, last_success, version, removals_suspended, failures, probe_at, sample)
					VALUES ('c', 'firm', 'XPM', 'TENANT', 'Acme', 'PRACTICEMANAGER', 'u', 'g', 'ACTIVE', '', '{}', $1, $1, 'somebody', $1, 3,
						` + map[sqldb.Dialect]string{sqldb.SQLite: "0", sqldb.Postgres: "FALSE"}[tx.Dialect()] + `, 0, 0, '')`,
				`INSERT INTO attempts (id, firm, person, provider, state, created, expires, state_hash, binding_hash, code_hash, secrets_sealed,
						secrets_key, tokens_sealed, tokens_key, failure, error, subject, scopes, tenants, preselected, choice, claim_owner, claim_until)
					VALUES ('a', 'firm', 'somebody', 'XPM', 'WAITING', $1, $1, 's', 'b', '', NULL, '', NULL, '', '', '', '', '', '[]', '', '{}', '', 0)`,
				`INSERT INTO budget_calls (id, app, tenant, until) VALUES ('call', 'xero/id', 'TENANT', $1)`,
			} {
				if _, err := tx.Exec(text, us); err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(t, sqldb.Migrate(t.Context(), db, sqldb.Join(rotation.Schema, store.Migrations, guards.Schema)))
		write(t, db, func(tx *sqldb.Tx) error {
			g, err := store.GrantByID(tx, "g", true)
			require.NoError(t, err)
			require.EqualValues(t, 7, g.Generation)
			a, err := store.AttemptByID(tx, connection.Ref{Firm: "firm", ID: "a"}, true)
			require.NoError(t, err)
			require.Empty(t, a.Upgrade+a.ConsentedBy+g.Person)
			all, err := store.ConnectionsOfTenant(tx, connection.XPM, "tenant")
			require.NoError(t, err)
			require.Len(t, all, 1, "tenants are found in any spelling")
			use, err := store.ReadBudget(tx, store.BudgetKey{App: "xero/id", Tenant: "TENANT"}, store.Spans{}, 0, noon.Add(-1))
			require.Equal(t, 1, use.Running, "a call that began before still counts")
			return err
		})
	})
}
