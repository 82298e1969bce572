package vault_test

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/vault"
)

func TestStepsOfARotation(t *testing.T) {
	v, path := create(t)
	file := vault.File{Path: path}
	require.ErrorIs(t, file.Promote(), vault.ErrNothingPending)
	require.NoError(t, file.Add())
	require.ErrorIs(t, file.Add(), vault.ErrPending)
	require.NoError(t, v.Reload())
	seal, mac := v.Keys().With(vault.Pending)
	require.Len(t, seal, 1)
	require.Len(t, mac, 1)
	require.ErrorIs(t, file.Retire(seal[0]), vault.ErrInUse, "a key that is about to seal")
	require.ErrorIs(t, file.Retire(v.SealingKey()), vault.ErrInUse)
	require.NoError(t, file.Retire(), "nothing is old")
	require.NoError(t, v.Reload())
	require.Len(t, v.Keys().Seal, 2)

	first := v.SealingKey()
	require.NoError(t, file.Promote())
	require.NoError(t, v.Reload())
	require.Equal(t, seal[0], v.SealingKey())
	require.Equal(t, mac[0], v.Keys().Hashing())
	require.NoError(t, file.Retire(first), "one of two old keys")
	require.NoError(t, v.Reload())
	require.Len(t, v.Keys().Seal, 1)
	require.Len(t, v.Keys().MAC, 2, "the key that hashes stays")
	require.NoError(t, file.Retire(first), "it is gone already")
}

func TestChangesTakeTurns(t *testing.T) {
	_, path := create(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := (vault.File{Path: path}).Rotate(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	v, err := vault.Open(path)
	require.NoError(t, err)
	require.Len(t, v.Keys().Seal, 9, "none lost the key of another")
	require.Len(t, v.Keys().MAC, 9)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left beside it")
}

// TestNothingOfAKilledChangeStays: a file that was never put in its place holds keys, in plain, that the keyring has
// retired or wrapped since.
func TestNothingOfAKilledChangeStays(t *testing.T) {
	for name, change := range map[string]func(vault.File) error{
		"add": vault.File.Add, "rotate": vault.File.Rotate, "retire": func(f vault.File) error { return f.Retire() },
		"wrap": func(f vault.File) error { return f.Wrap(&keeper{}) }, "unwrap": vault.File.Unwrap,
		"create": func(f vault.File) error { return vault.File{Path: f.Path + ".another"}.Create() },
	} {
		_, path := create(t)
		left := filepath.Join(filepath.Dir(path), ".keyring-123456")
		require.NoError(t, os.WriteFile(left, []byte("{"), 0o600))
		require.NoError(t, change(vault.File{Path: path}), name)
		require.NoFileExists(t, left, name)
	}
}

func TestAChangeKeepsOwnerPermissionsAndLinks(t *testing.T) {
	_, path := create(t)
	require.NoError(t, os.Chmod(path, 0o440))
	if os.Getuid() == 0 {
		require.NoError(t, os.Chown(path, 65534, 65534))
	}
	link := filepath.Join(t.TempDir(), "link.json")
	require.NoError(t, os.Symlink(path, link))
	require.NoError(t, vault.File{Path: link}.Rotate())
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&os.ModeSymlink)
	info, err = os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o440), info.Mode().Perm())
	if os.Getuid() == 0 {
		require.Equal(t, uint32(65534), info.Sys().(*syscall.Stat_t).Uid)
		require.Equal(t, uint32(65534), info.Sys().(*syscall.Stat_t).Gid)
	}
}

// fullVariable makes TestAFullDiskLosesNothing's own process the one whose writes fail.
const fullVariable = "TEST_OF_CONCORD_FULL_DISK"

// TestAFullDiskLosesNothing rotates in a process that can write no byte more: every write fails as on a full disk, after
// the file was made.
func TestAFullDiskLosesNothing(t *testing.T) {
	if path := os.Getenv(fullVariable); path != "" {
		signal.Ignore(syscall.SIGXFSZ)
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 100, Max: 100}))
		file := vault.File{Path: path}
		require.ErrorIs(t, file.Add(), syscall.EFBIG)
		require.ErrorIs(t, file.Rotate(), syscall.EFBIG)
		require.ErrorIs(t, vault.File{Path: path + ".new"}.Create(), syscall.EFBIG)
		return
	}
	v, path := create(t)
	sealed, _, err := v.Seal([]byte("s"), row)
	require.NoError(t, err)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0], "-test.run=^TestAFullDiskLosesNothing$", "-test.v")
	cmd.Env = append(os.Environ(), fullVariable+"="+path)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left beside it")
	require.NoError(t, vault.File{Path: path}.Rotate(), "there is room again")
	_, err = v.Open(sealed, row)
	require.NoError(t, err)
}
