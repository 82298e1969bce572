package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
)

// argsVariable makes TestKeysRotateSurvivesKills the program itself, with these arguments.
const argsVariable = "TEST_OF_CONCORD_ARGS"

// program is the all-in-one in a process of its own, which can be killed.
type program struct {
	cmd *exec.Cmd
	out *syncBuffer
}

func startProgram(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(os.Args[0], "-test.run=^TestKeysRotateSurvivesKills$"), out: &syncBuffer{}}
	p.cmd.Env = append(os.Environ(), argsVariable+"="+strings.Join(args, "\n"),
		"CONCORD_AUTH_MAIL_HOST=127.0.0.1", "CONCORD_AUTH_MAIL_SECURITY=plain")
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.kill)
	return p
}

// kill ends the process as a power cut does.
func (p *program) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	_ = p.cmd.Wait()
}

func serveProgram(t *testing.T, dir string) *program {
	t.Helper()
	p := startProgram(t, "serve", "--data-dir", dir, "--http-addr", "127.0.0.1:0", "--grpc-addr", "")
	require.Eventually(t, func() bool { return strings.Contains(p.out.String(), "ready\n") }, time.Minute, 10*time.Millisecond, "%s", p.out)
	return p
}

const manyGrants = 1500

// TestKeysRotateSurvivesKills kills `keys rotate` again and again, later each time, and the suite beside it in between. Every
// secret opens after every kill, and a last rotation goes on to the end.
func TestKeysRotateSurvivesKills(t *testing.T) {
	if args := os.Getenv(argsVariable); args != "" {
		os.Exit(Run(context.Background(), strings.Split(args, "\n"), os.Environ(), os.Stdout, os.Stderr))
	}
	dir := filepath.Join(t.TempDir(), "data")
	suite := serveProgram(t, dir)
	ring := filepath.Join(dir, "keys", "keyring.json")
	db, err := openDatabase(t.Context(), dir, "connector")
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	putGrants(t, db, ring)
	before, err := os.ReadFile(ring)
	require.NoError(t, err)

	kills := 0
	for wait := 50 * time.Millisecond; ; wait += wait / 3 {
		rotate := startProgram(t, "keys", "rotate", "--data-dir", dir)
		ended := make(chan error, 1)
		go func() { ended <- rotate.cmd.Wait() }()
		finished := false
		select {
		case err := <-ended:
			require.NoError(t, err, rotate.out.String())
			finished = true
		case <-time.After(wait):
			_ = rotate.cmd.Process.Signal(syscall.SIGKILL)
			<-ended
			kills++
		}
		requireGrants(t, db, ring)
		if finished {
			require.Contains(t, rotate.out.String(), "no row is under an old key")
			break
		}
		if kills%3 == 0 {
			suite.kill()
			requireGrants(t, db, ring)
			suite = serveProgram(t, dir)
			kills++
		}
	}
	require.Greater(t, kills, 3)
	old := filepath.Join(t.TempDir(), "old.json")
	require.NoError(t, os.WriteFile(old, before, 0o600))
	require.Zero(t, opens(t, db, old), "the keyring of the beginning opens nothing any more")

	status := startProgram(t, "keys", "status", "--data-dir", dir)
	require.NoError(t, status.cmd.Wait())
	require.Contains(t, status.out.String(), fmt.Sprintf("%d\n", manyGrants))
	t.Logf("%d kills, %d grants, none lost\n%s", kills, manyGrants, status.out)
}

// putGrants seals grants as the connector does.
func putGrants(t *testing.T, db *sqldb.DB, ring string) {
	t.Helper()
	v, err := vault.Open(ring)
	require.NoError(t, err)
	require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error {
		for i := range manyGrants {
			id := fmt.Sprintf("grant-%05d", i)
			sealed, key, err := v.Seal([]byte("token of "+id), grantRow(id))
			if err != nil {
				return err
			}
			_, err = tx.Exec(`INSERT INTO grants (id, firm, app, subject, scopes, status, reason, generation, refresh_sealed, refresh_key,
				access_key, access_issued, access_expires, lease_owner, lease_until, attempt, attempt_started, committed, spare_key,
				spare_until, failures, retry_at, created, refreshed)
				VALUES ($1, 'firm', '', '', '', 'CLOSED', '', 1, $2, $3, '', 0, 0, '', 0, '', 0, '', '', 0, 0, 0, 0, 0)`, id, sealed, string(key))
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

func grantRow(id string) vault.Row {
	return vault.Row{Firm: "firm", Table: "grants", ID: id, Column: "refresh"}
}

func requireGrants(t *testing.T, db *sqldb.DB, ring string) {
	t.Helper()
	require.Equal(t, manyGrants, opens(t, db, ring))
}

// opens counts the grants that a keyring file opens.
func opens(t *testing.T, db *sqldb.DB, ring string) (n int) {
	t.Helper()
	v, err := vault.Open(ring)
	require.NoError(t, err)
	require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
		rows, err := tx.Query(`SELECT id, refresh_sealed FROM grants`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			var sealed []byte
			if err := rows.Scan(&id, &sealed); err != nil {
				return err
			}
			if secret, err := v.Open(sealed, grantRow(id)); err == nil && bytes.Equal(secret, []byte("token of "+id)) {
				n++
			}
		}
		return rows.Err()
	}))
	return n
}

// TestALostKeyringIsNotReplaced: a new one would open nothing, and stand where the old one has to be restored.
func TestALostKeyringIsNotReplaced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	serveProgram(t, dir).kill()
	ring := filepath.Join(dir, "keys", "keyring.json")
	good, err := os.ReadFile(ring)
	require.NoError(t, err)
	require.NoError(t, os.Remove(ring))
	again := startProgram(t, "serve", "--data-dir", dir, "--http-addr", "127.0.0.1:0", "--grpc-addr", "")
	require.Error(t, again.cmd.Wait())
	require.Contains(t, again.out.String(), "restore it from a backup")
	require.NoFileExists(t, ring)
	status := startProgram(t, "keys", "status", "--data-dir", dir)
	require.Error(t, status.cmd.Wait())
	require.Contains(t, status.out.String(), "restore it from a backup")
	require.NoError(t, os.WriteFile(ring, good, 0o600))
	serveProgram(t, dir)
}

func TestKeysUsage(t *testing.T) {
	for _, args := range [][]string{{"keys"}, {"keys", "dance"}, {"keys", "rotate"}} {
		var errs bytes.Buffer
		require.Equal(t, exitSettings, Run(t.Context(), args, nil, &bytes.Buffer{}, &errs))
		require.Contains(t, errs.String(), "--data-dir: is required")
	}
	refused(t, nil, "concord: keys retire: takes no argument \"903fac60\"\n", "keys", "retire", "903fac60", "--data-dir", "d")
	var errs bytes.Buffer
	require.NotZero(t, Run(t.Context(), []string{"keys", "status", "--data-dir", t.TempDir()}, nil, &bytes.Buffer{}, &errs))
}

// syncBuffer is the output of a process that still runs.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String returns what was written.
func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
