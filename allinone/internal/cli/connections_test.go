package cli

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/allinone/internal/datadir"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/services/connector"
)

const (
	someFirm       = "0198c0de-0000-7000-8000-000000000001"
	someConnection = "0198c0de-0000-7000-8000-000000000002"
)

// connectedDir is a data directory in which a suite runs that has one connection, whose consent has ended.
func connectedDir(t *testing.T, connected bool) string {
	dir := filepath.Join(t.TempDir(), "data")
	d, err := datadir.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) }) // held, as by a suite that runs
	_, err = vault.OpenOrCreate(d.Path("keys", "keyring.json"))
	require.NoError(t, err)
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: d.Database(connector.Name)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	require.NoError(t, sqldb.Migrate(t.Context(), db, connector.Migrations))
	if !connected {
		return dir
	}
	require.NoError(t, db.Tx(context.Background(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`INSERT INTO connections (id, firm, provider, tenant_id, tenant_name, tenant_type, upstream_id, grant_id, state, reason,
			options, created, confirmed, connected_by, last_success, version, removals_suspended, failures, probe_at, sample)
			VALUES ($1, $2, 'XPM', 't', 'The Practice', 'PRACTICEMANAGER', 'u', '', 'NEEDS_REAUTH', 'The consent has ended.', '{}', 1, 1, '', 0, 1, FALSE, 0, 0, '')`,
			someConnection, someFirm)
		return err
	}))
	return dir
}

func TestConnectionsDoctor(t *testing.T) {
	dir := connectedDir(t, true)
	environ := []string{"CONCORD_CONNECTOR_XERO_CLIENT_ID=id", "CONCORD_CONNECTOR_XERO_CLIENT_SECRET=hush"}
	code, out, errs := commandWith(t, environ, "connections", "doctor", "--data-dir", dir)
	require.Equal(t, exitFailed, code, errs)
	require.Empty(t, errs)
	require.Contains(t, out, "firms/"+someFirm+"/connections/"+someConnection+"  XPM The Practice\n")
	require.Regexp(t, `PROBLEM +STATE +It does not work: The consent has ended\.\n +-> An administrator connects again`, out)
	require.NotContains(t, out, "hush")
	code, out, _ = commandWith(t, environ, "connections", "doctor", "--data-dir", dir, "--json", "--firm", someFirm, "--connection", someConnection)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, `"subject":"STATE","level":"FINDING_LEVEL_PROBLEM"`)
	code, out, _ = commandWith(t, nil, "connections", "doctor", "--data-dir", dir)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "a command needs the settings of the server")

	code, out, errs = command(t, "connections", "doctor", "--data-dir", connectedDir(t, false))
	require.Equal(t, exitOK, code, errs)
	require.Equal(t, "there are no connections\n", out)
}

func TestConnectionsCommandMistakes(t *testing.T) {
	dir := connectedDir(t, true)
	for name, args := range map[string][]string{
		"no data directory":     {"doctor"},
		"another directory":     {"doctor", "--data-dir", filepath.Join(dir, "nats")},
		"no command":            {"--data-dir", dir},
		"an unknown command":    {"heal", "--data-dir", dir},
		"an argument":           {"doctor", someConnection, "--data-dir", dir},
		"a firm that is no id":  {"doctor", "--data-dir", dir, "--firm", "mine"},
		"an unknown flag":       {"doctor", "--data-dir", dir, "--yaml"},
		"a connection's name":   {"doctor", "--data-dir", dir, "--connection", "firms/" + someFirm + "/connections/" + someConnection},
		"settings that are not": {"doctor", "--data-dir", dir, "--config", filepath.Join(dir, "none.yaml")},
	} {
		code, out, errs := command(t, append([]string{"connections"}, args...)...)
		require.Equal(t, exitSettings, code, "%s: %s", name, out)
		require.NotEmpty(t, errs, name)
	}
	code, _, errs := command(t, "connections", "doctor", "--data-dir", dir, "--connection", someFirm)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "no such connection")
}

// TestADatabaseThatIsHeld: a suite that runs holds none for long, a program that copies one may.
func TestADatabaseThatIsHeld(t *testing.T) {
	dir := connectedDir(t, true)
	held, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "auth.db"))
	require.NoError(t, err)
	defer held.Close()
	held.SetMaxOpenConns(1)
	for _, do := range []string{"PRAGMA locking_mode = EXCLUSIVE", "CREATE TABLE t (id INTEGER)", "BEGIN EXCLUSIVE"} {
		_, err := held.ExecContext(t.Context(), do)
		require.NoError(t, err)
	}
	code, _, errs := command(t, "keys", "status", "--data-dir", dir)
	require.Equal(t, exitFailed, code)
	require.Equal(t, "concord: the database of auth in "+dir+" is held by another program, such as a backup; try again when it is done\n", errs)
}
