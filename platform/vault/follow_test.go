package vault_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/vault"
)

// follow follows the file of v until the test ends, and returns the log.
func follow(t *testing.T, v *vault.Vault) *lines {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := &lines{}
	var group sync.WaitGroup
	group.Go(func() { _ = v.Follow(ctx, slog.New(slog.NewTextHandler(log, nil))) })
	t.Cleanup(func() { cancel(); group.Wait() })
	return log
}

type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// changes waits until the keys of v change.
func changes(t *testing.T, changed <-chan struct{}) {
	t.Helper()
	select {
	case <-changed:
	case <-time.After(time.Minute):
		t.Fatal("the keys did not change")
	}
}

func TestARunningProcessFollowsTheFile(t *testing.T) {
	v, path := create(t)
	follow(t, v)
	before, changed := v.SealingKey(), v.Changed()
	require.NoError(t, vault.File{Path: path}.Rotate())
	changes(t, changed)
	require.NotEqual(t, before, v.SealingKey())
}

// TestAMountedSecretIsFollowed replaces the folder behind a link behind a link, as Kubernetes does.
func TestAMountedSecretIsFollowed(t *testing.T) {
	mount := t.TempDir()
	version := func(name string, data []byte) {
		require.NoError(t, os.Mkdir(filepath.Join(mount, name), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(mount, name, "keyring.json"), data, 0o440))
		require.NoError(t, os.Symlink(name, filepath.Join(mount, "..tmp")))
		require.NoError(t, os.Rename(filepath.Join(mount, "..tmp"), filepath.Join(mount, "..data")))
	}
	_, source := create(t)
	data, err := os.ReadFile(source)
	require.NoError(t, err)
	version("..2026_01", data)
	path := filepath.Join(mount, "keyring.json")
	require.NoError(t, os.Symlink("..data/keyring.json", path))
	v, err := vault.Open(path)
	require.NoError(t, err)
	follow(t, v)

	before, changed := v.SealingKey(), v.Changed()
	require.NoError(t, vault.File{Path: source}.Rotate())
	data, err = os.ReadFile(source)
	require.NoError(t, err)
	version("..2026_02", data)
	changes(t, changed)
	require.NotEqual(t, before, v.SealingKey())
}

func TestSealingLooksAtTheFileFirst(t *testing.T) {
	v, path := create(t)
	require.NoError(t, vault.File{Path: path}.Rotate())
	other, err := vault.Open(path)
	require.NoError(t, err)
	_, key, err := v.Seal([]byte("s"), row)
	require.NoError(t, err)
	require.Equal(t, other.SealingKey(), key, "nothing is sealed under an old key, however soon")
	sum, err := v.MAC([]byte("s"), row)
	require.NoError(t, err)
	hashed, err := vault.KeyOfMAC(sum)
	require.NoError(t, err)
	require.Equal(t, other.Keys().Hashing(), hashed)
}

func TestADamagedFileIsToldAndTheKeysInMemoryStay(t *testing.T) {
	v, path := create(t)
	log := follow(t, v)
	sealed, _, err := v.Seal([]byte("s"), row)
	require.NoError(t, err)
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte("hush"), 0o600))
	require.Eventually(t, func() bool { return bytes.Contains([]byte(log.String()), []byte("can't be read")) }, time.Minute, 10*time.Millisecond)
	require.NotContains(t, log.String(), "hush")
	_, err = v.Open(sealed, row)
	require.NoError(t, err)
	_, _, err = v.Seal([]byte("s"), row)
	require.NoError(t, err)
	changed := v.Changed()
	require.NoError(t, os.WriteFile(path, good, 0o600))
	changes(t, changed)
}

// keeper is a KMS that can be down: it flips bits, which is enough to see who called it.
type keeper struct {
	down  atomic.Bool
	calls atomic.Int32
}

var errDown = errors.New("connection refused")

func (k *keeper) flip(in []byte) ([]byte, error) {
	k.calls.Add(1)
	if k.down.Load() {
		return nil, errDown
	}
	out := bytes.Clone(in)
	for i := range out {
		out[i] ^= 0x55
	}
	return out, nil
}

func (k *keeper) Encrypt(_ context.Context, plain []byte) ([]byte, error)  { return k.flip(plain) }
func (k *keeper) Decrypt(_ context.Context, sealed []byte) ([]byte, error) { return k.flip(sealed) }

func TestWrappedKeyring(t *testing.T) {
	plain, path := create(t)
	sealed, _, err := plain.Seal([]byte("s"), row)
	require.NoError(t, err)
	kms := &keeper{}
	file := vault.File{Path: path, KMS: kms}
	v, err := file.Open()
	require.NoError(t, err, "a plain file opens also when a KMS is set, so that the setting can come first")

	require.NoError(t, vault.File{Path: path}.Wrap(kms))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(data), `"seal"`)
	require.NotContains(t, string(data), "AesGcmKey")
	_, err = vault.Open(path)
	require.ErrorIs(t, err, vault.ErrWrapped)
	require.ErrorContains(t, err, "keyring_kms")
	_, err = v.Open(sealed, row)
	require.NoError(t, err)

	require.NoError(t, file.Rotate(), "and it stays wrapped")
	data, err = os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(data), `"seal"`)
	again, err := file.Open()
	require.NoError(t, err)
	_, err = again.Open(sealed, row)
	require.NoError(t, err)

	require.NoError(t, file.Unwrap())
	open, err := vault.Open(path)
	require.NoError(t, err)
	_, err = open.Open(sealed, row)
	require.NoError(t, err)
}

func TestAKMSThatIsDown(t *testing.T) {
	kms := &keeper{}
	file := vault.File{Path: filepath.Join(t.TempDir(), "keyring.json"), KMS: kms}
	v, err := file.OpenOrCreate()
	require.NoError(t, err)
	log := follow(t, v)
	sealed, key, err := v.Seal([]byte("s"), row)
	require.NoError(t, err)
	before, err := os.ReadFile(file.Path)
	require.NoError(t, err)

	kms.down.Store(true)
	_, err = file.Open()
	require.ErrorIs(t, err, vault.ErrKMS)
	require.ErrorIs(t, err, errDown)
	require.ErrorIs(t, file.Add(), vault.ErrKMS, "a rotation waits")
	require.ErrorIs(t, file.Wrap(kms), vault.ErrKMS)
	after, err := os.ReadFile(file.Path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	calls := kms.calls.Load()
	for range 1000 {
		_, err = v.Open(sealed, row)
		require.NoError(t, err)
		_, now, err := v.Seal([]byte("s"), row)
		require.NoError(t, err)
		require.Equal(t, key, now)
	}
	require.Equal(t, calls, kms.calls.Load(), "serving does not ask the KMS")

	kms.down.Store(false)
	require.NoError(t, file.Rotate())
	kms.down.Store(true)
	_, now, err := v.Seal([]byte("s"), row)
	require.NoError(t, err, "another process rotated just before the KMS went down")
	require.Equal(t, key, now)
	require.Eventually(t, func() bool { return bytes.Contains([]byte(log.String()), []byte("connection refused")) }, time.Minute, 10*time.Millisecond)
	changed := v.Changed()
	kms.down.Store(false)
	changes(t, changed)
	require.NotEqual(t, key, v.SealingKey())
}
