package rotation_test

import (
	"os"
	"path/filepath"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/rotation"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
)

// lagging is a process with a copy of the keyring file that follows the original by hand only.
type lagging struct {
	b    *bench
	copy string
	v    *vault.Vault
	stop func()
	old  *vault.Vault // with the keys of the beginning, for good
}

func (b *bench) lagging() *lagging {
	b.t.Helper()
	l := &lagging{b: b, copy: filepath.Join(b.t.TempDir(), "keyring.json")}
	l.write()
	frozen := filepath.Join(b.t.TempDir(), "keyring.json")
	data, err := os.ReadFile(b.file.Path)
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(frozen, data, 0o600))
	l.old, err = vault.Open(frozen)
	require.NoError(b.t, err)
	original := b.file
	b.file = vault.File{Path: l.copy}
	l.v, l.stop = b.process()
	b.file = original
	b.until(func() bool { return len(b.status().Parts[0].Replicas) == 1 })
	return l
}

func (l *lagging) write() {
	data, err := os.ReadFile(l.b.file.Path)
	require.NoError(l.b.t, err)
	require.NoError(l.b.t, os.WriteFile(l.copy+".tmp", data, 0o600))
	require.NoError(l.b.t, os.Rename(l.copy+".tmp", l.copy))
}

// catchUp gives the process the present file and waits until it has told that it has it.
func (l *lagging) catchUp() {
	l.b.t.Helper()
	l.write()
	v, err := l.b.file.Open()
	require.NoError(l.b.t, err)
	l.b.until(func() bool {
		r := l.b.status().Parts[0].Replicas[0]
		return len(r.Knows) == len(v.Keys().All()) && r.Sealing == v.SealingKey()
	})
}

func (b *bench) until(ok func() bool) {
	b.t.Helper()
	require.Eventually(b.t, ok, 15*time.Second, 20*time.Millisecond)
}

func (b *bench) require(err error) {
	b.t.Helper()
	require.NoError(b.t, err)
}

// sealWith writes a row sealed by a process with keys of its own.
func (b *bench) sealWith(v *vault.Vault, id string) error {
	return b.db.Tx(b.t.Context(), func(tx *sqldb.Tx) error { return insert(tx, v, id, "s") })
}

// reseal goes over the rows once with the file as it is.
func (b *bench) reseal() error {
	v, err := b.file.Open()
	if err != nil {
		return err
	}
	_, err = b.book().Reseal(b.t.Context(), v, func(rotation.Secret, rotation.Progress) error { return nil })
	return err
}

// waitForLock waits until somebody waits for a row lock.
func (b *bench) waitForLock() {
	b.t.Helper()
	b.until(func() bool {
		var n int
		err := b.db.Read(b.t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(`SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%keys_fence%'`).Scan(&n)
		})
		return err == nil && n > 0
	})
}
