package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/allinone/internal/datadir"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/services/auth"
)

// auditedDir is a data directory in which a suite runs that has one firm.
func auditedDir(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "data")
	d, err := datadir.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) }) // held, as by a suite that runs
	_, err = vault.OpenOrCreate(d.Path("keys", "keyring.json"))
	require.NoError(t, err)
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: d.Database(auth.Name)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	require.NoError(t, sqldb.Migrate(t.Context(), db, auth.Migrations))
	require.NoError(t, db.Tx(context.Background(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`INSERT INTO firms (id, display_name, created_at) VALUES ($1, 'Harbour Tax', 1)`, someFirm)
		return err
	}))
	return dir
}

func TestAuditIsExportedAndCheckedElsewhere(t *testing.T) {
	dir := auditedDir(t)
	file := filepath.Join(t.TempDir(), "ledger.jsonl")
	code, _, errs := command(t, "audit", "export", "--data-dir", dir, "--firm", "harbour tax", "--out", file)
	require.Equal(t, exitOK, code, errs)
	code, out, errs := command(t, "audit", "verify", file)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "whole: the ledger of firms/"+someFirm+", which is empty\n")
	require.Contains(t, out, "signed ")

	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(text), someFirm, someConnection, 1)), 0o600))
	code, out, errs = command(t, "audit", "verify", file, "--firm", someFirm)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "BROKEN  other chain, line 1: ")
	require.Empty(t, errs)
	code, out, _ = command(t, "audit", "verify", "--data-dir", dir)
	require.Equal(t, exitOK, code)
	require.Equal(t, "there are no entries\n", out)
	state := filepath.Join(t.TempDir(), "state.json")
	code, out, errs = command(t, "audit", "follow", "--data-dir", dir, "--state", state, "--once")
	require.Equal(t, exitOK, code, errs)
	require.Empty(t, out)
}

func TestEvidenceIsWritten(t *testing.T) {
	dir, out := auditedDir(t), t.TempDir()
	code, told, errs := command(t, "evidence", "--data-dir", dir, "--firm", "Harbour Tax", "--out", out)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, told, "no public address was scanned")
	pages, err := filepath.Glob(filepath.Join(out, "evidence-"+someFirm+"-*.html"))
	require.NoError(t, err)
	require.Len(t, pages, 1)
	page, err := os.ReadFile(pages[0])
	require.NoError(t, err)
	require.Contains(t, string(page), "Security evidence: Harbour Tax")
}

func TestOperatorsAreRecoveredAtTheConsole(t *testing.T) {
	dir := auditedDir(t)
	code, _, errs := command(t, "operator", "recover", "--data-dir", dir)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "no operator yet")
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: "sqlite:" + filepath.Join(dir, "auth.db")})
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(`INSERT INTO addresses (email, salt) VALUES ('olive@host.example', $1)`, []byte("salt")); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO accounts (id, firm, kind, role, contact, email, display_name, mobile, state, created_at)
			VALUES ($1, '', 'OPERATOR', '', '', 'olive@host.example', 'Olive', '', 'ACTIVE', 1)`, someConnection)
		return err
	}))
	code, told, errs := command(t, "operator", "recover", "--data-dir", dir, "--email", "olive@host.example")
	require.Equal(t, exitOK, code, errs)
	require.Regexp(t, `^recovery code  ([0-9a-z]{4}-){3}[0-9a-z]{4}  \(for olive@host.example, beside the password: once, until .*Z\)\n$`, told)
}

func TestAuditCommandMistakes(t *testing.T) {
	dir := auditedDir(t)
	for name, args := range map[string][]string{
		"no command":           {"audit"},
		"an unknown command":   {"audit", "burn"},
		"no data directory":    {"audit", "export", "--firm", "x", "--out", "f"},
		"another directory":    {"audit", "verify", "--data-dir", filepath.Join(dir, "nats")},
		"no firm":              {"audit", "export", "--data-dir", dir, "--out", "f"},
		"an argument":          {"audit", "follow", "what", "--data-dir", dir, "--state", "s"},
		"no state":             {"audit", "follow", "--data-dir", dir},
		"a key for a database": {"audit", "verify", "--data-dir", dir, "--key", "k"},
		"a name for a file":    {"audit", "verify", "f", "--firm", "Harbour Tax"},
		"evidence of nobody":   {"evidence", "--data-dir", dir},
		"no address":           {"evidence", "--data-dir", dir, "--firm", "x", "--scan", "app.example.com"},
		"an argument too many": {"evidence", "x", "--data-dir", dir, "--firm", "x"},
		"no operator command":  {"operator"},
		"no address at all":    {"operator", "recover", "--data-dir", dir, "--email", "olive"},
	} {
		code, out, errs := command(t, args...)
		require.Equal(t, exitSettings, code, "%s: %s", name, out)
		require.NotEmpty(t, errs, name)
	}
	code, _, errs := command(t, "evidence", "--data-dir", dir, "--firm", "Nobody", "--out", t.TempDir())
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, `no firm of the name "Nobody"`)
	code, _, errs = command(t, "audit", "verify", filepath.Join(dir, "none"))
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "no such file")
}
