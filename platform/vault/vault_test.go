package vault_test

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/vault"
)

var row = vault.Row{Firm: "firm-1", Table: "grants", ID: "grant-1", Column: "refresh_token"}

func create(t *testing.T) (*vault.Vault, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyring.json")
	v, err := vault.OpenOrCreate(path)
	require.NoError(t, err)
	return v, path
}

func TestSealAndOpen(t *testing.T) {
	v, _ := create(t)
	for _, secret := range [][]byte{[]byte("refresh-token"), {}, bytes.Repeat([]byte("x"), 1<<20)} {
		sealed, key, err := v.Seal(secret, row)
		require.NoError(t, err)
		require.Len(t, key, 8)
		require.Equal(t, key, v.SealingKey())
		require.NotContains(t, string(sealed), "refresh-token")
		found, err := vault.KeyOf(sealed)
		require.NoError(t, err)
		require.Equal(t, key, found)
		opened, err := v.Open(sealed, row)
		require.NoError(t, err)
		require.True(t, bytes.Equal(secret, opened))
	}
}

func TestTheSameSecretSealsDifferentlyEachTime(t *testing.T) {
	v, _ := create(t)
	a, _, err := v.Seal([]byte("s"), row)
	require.NoError(t, err)
	b, _, err := v.Seal([]byte("s"), row)
	require.NoError(t, err)
	require.NotEqual(t, a, b)
}

func TestASecretOpensInItsOwnRowOnly(t *testing.T) {
	v, _ := create(t)
	sealed, _, err := v.Seal([]byte("s"), row)
	require.NoError(t, err)
	others := map[string]vault.Row{
		"firm":   {"firm-2", row.Table, row.ID, row.Column},
		"table":  {row.Firm, "attempts", row.ID, row.Column},
		"row":    {row.Firm, row.Table, "grant-2", row.Column},
		"column": {row.Firm, row.Table, row.ID, "access_token"},
		"shifted": {
			Firm: row.Firm + row.Table, Table: "", ID: row.ID, Column: row.Column,
		},
	}
	for name, other := range others {
		_, err := v.Open(sealed, other)
		require.ErrorIs(t, err, vault.ErrSealed, name)
	}
}

func TestChangedBytesDoNotOpen(t *testing.T) {
	v, _ := create(t)
	sealed, _, err := v.Seal([]byte("secret"), row)
	require.NoError(t, err)
	for i := range sealed {
		damaged := bytes.Clone(sealed)
		damaged[i] ^= 1
		_, err := v.Open(damaged, row)
		require.ErrorIs(t, err, vault.ErrSealed, "byte %d", i)
	}
	for n := range len(sealed) {
		_, err := v.Open(sealed[:n], row)
		require.ErrorIs(t, err, vault.ErrSealed, "cut to %d bytes", n)
	}
}

func TestRotationKeepsOldSecretsReadableAndSaysWhichToReseal(t *testing.T) {
	v, path := create(t)
	sealed, oldKey, err := v.Seal([]byte("s"), row)
	require.NoError(t, err)
	require.False(t, v.NeedsReseal(oldKey))

	require.NoError(t, vault.File{Path: path}.Rotate())
	require.NoError(t, v.Reload())
	opened, err := v.Open(sealed, row)
	require.NoError(t, err)
	require.Equal(t, "s", string(opened))
	require.True(t, v.NeedsReseal(oldKey))

	resealed, newKey, err := v.Seal(opened, row)
	require.NoError(t, err)
	require.NotEqual(t, oldKey, newKey)
	require.False(t, v.NeedsReseal(newKey))

	require.NoError(t, vault.File{Path: path}.Retire())
	require.NoError(t, v.Reload())
	_, err = v.Open(sealed, row)
	require.NoError(t, err, "what was read before is opened for a while")
	fresh, err := vault.Open(path)
	require.NoError(t, err)
	_, err = fresh.Open(sealed, row)
	require.ErrorIs(t, err, vault.ErrSealed, "the old key is gone")
	_, err = fresh.Open(resealed, row)
	require.NoError(t, err)
}

func TestAnOldKeyringCannotReadNewRows(t *testing.T) {
	v, path := create(t)
	old, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, vault.File{Path: path}.Rotate())
	require.NoError(t, v.Reload())
	sealed, _, err := v.Seal([]byte("s"), row)
	require.NoError(t, err)

	oldPath := filepath.Join(t.TempDir(), "old.json")
	require.NoError(t, os.WriteFile(oldPath, old, 0o600))
	stale, err := vault.Open(oldPath)
	require.NoError(t, err)
	_, err = stale.Open(sealed, row)
	require.ErrorIs(t, err, vault.ErrSealed)
}

func TestARunningProcessLearnsNewKeysFromTheFile(t *testing.T) {
	running, path := create(t)
	require.NoError(t, vault.File{Path: path}.Rotate())
	other, err := vault.Open(path)
	require.NoError(t, err)
	sealed, _, err := other.Seal([]byte("s"), row)
	require.NoError(t, err)
	sum, err := other.MAC([]byte("123456"), row)
	require.NoError(t, err)

	require.NoError(t, running.VerifyMAC(sum, []byte("123456"), row))
	opened, err := running.Open(sealed, row)
	require.NoError(t, err)
	require.Equal(t, "s", string(opened))
}

func TestRotationInTwoStepsForSeveralReplicas(t *testing.T) {
	v, path := create(t)
	before := v.SealingKey()
	require.NoError(t, vault.File{Path: path}.Add())
	require.NoError(t, v.Reload())
	require.Equal(t, before, v.SealingKey(), "an added key only reads")
	replica, err := vault.Open(path) // has the file of Add, not that of Promote
	require.NoError(t, err)

	require.NoError(t, vault.File{Path: path}.Promote())
	require.NoError(t, v.Reload())
	require.NotEqual(t, before, v.SealingKey())
	sealed, _, err := v.Seal([]byte("s"), row)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path)) // so that the replica cannot learn from the file
	_, err = replica.Open(sealed, row)
	require.NoError(t, err)
}

func TestMAC(t *testing.T) {
	v, path := create(t)
	sum, err := v.MAC([]byte("123456"), row)
	require.NoError(t, err)
	again, err := v.MAC([]byte("123456"), row)
	require.NoError(t, err)
	require.Equal(t, sum, again)

	elsewhere := row
	elsewhere.ID = "grant-2"
	require.NoError(t, v.VerifyMAC(sum, []byte("123456"), row))
	require.ErrorIs(t, v.VerifyMAC(sum, []byte("123457"), row), vault.ErrMismatch)
	require.ErrorIs(t, v.VerifyMAC(sum, []byte("123456"), elsewhere), vault.ErrMismatch)
	require.ErrorIs(t, v.VerifyMAC(nil, []byte("123456"), row), vault.ErrMismatch)

	require.NoError(t, vault.File{Path: path}.Rotate())
	require.NoError(t, v.Reload())
	require.NoError(t, v.VerifyMAC(sum, []byte("123456"), row), "under the old key")
	rotated, err := v.MAC([]byte("123456"), row)
	require.NoError(t, err)
	require.NotEqual(t, sum, rotated)

	stranger, _ := create(t)
	require.ErrorIs(t, stranger.VerifyMAC(sum, []byte("123456"), row), vault.ErrMismatch, "another keyring")
}

func TestKeyringFilePermissions(t *testing.T) {
	_, path := create(t)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	for mode, ok := range map[os.FileMode]bool{0o400: true, 0o440: true, 0o604: false, 0o644: false, 0o660: false, 0o601: false} {
		require.NoError(t, os.Chmod(path, mode))
		_, err := vault.Open(path)
		if ok {
			require.NoError(t, err, mode)
		} else {
			require.ErrorContains(t, err, "permissions", mode)
		}
	}
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, vault.File{Path: path}.Rotate())
	info, err = os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "after a rotation")
}

func TestCreateNeverReplacesAKeyring(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keyring.json")
	results := make([]error, 8)
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() { results[i] = vault.File{Path: path}.Create() })
	}
	group.Wait()
	created := 0
	for _, err := range results {
		if err == nil {
			created++
		} else {
			require.ErrorIs(t, err, vault.ErrExists)
		}
	}
	require.Equal(t, 1, created)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left beside it")
}

func TestWrongFilesAreRefusedWithoutTheirContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.json")
	_, err := vault.Open(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	for _, text := range []string{"hush", `{"seal": {"hush": 1}, "mac": {}}`, "{}"} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := vault.Open(path)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hush")
	}
}
