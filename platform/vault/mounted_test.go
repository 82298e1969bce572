package vault_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/vault"
)

// mountedVariable tells this test that it runs in a mount namespace of its own, and which directory is to be read-only.
const mountedVariable = "CONCORD_TEST_MOUNTED"

// TestAMountedKeyringIsNotChanged: on a volume that is really read-only the keyring opens, every change says why it cannot be,
// and nothing is touched. The volume is mounted in a namespace of its own, which goes with its process.
func TestAMountedKeyringIsNotChanged(t *testing.T) {
	if dir := os.Getenv(mountedVariable); dir != "" {
		mountReadOnly(t, dir)
		refuses(t, dir)
		return
	}
	_, path := create(t)
	require.NoError(t, vault.File{Path: path}.Add())
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	if !inNamespace(t, filepath.Dir(path)) {
		onSomeVolume(t)
		return
	}
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing unfinished is left")
	require.NoError(t, vault.File{Path: path}.Promote(), "out here nothing is read-only")
}

// refuses tries every change of the keyring in dir.
func refuses(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	file := vault.File{Path: files[0]}
	v, err := file.Open()
	require.NoError(t, err)
	sealing := v.SealingKey()
	for name, change := range map[string]func() error{
		"create":  vault.File{Path: filepath.Join(dir, "another")}.Create,
		"promote": file.Promote,
		"rotate":  file.Rotate,
	} {
		err := change()
		require.ErrorIs(t, err, vault.ErrMounted, name)
		require.ErrorContains(t, err, dir, name)
		require.ErrorContains(t, err, "it lies on a read-only volume: change a copy of it and distribute that, as docs/runbooks/keys.md says", name)
	}
	require.NoError(t, v.Reload())
	require.Equal(t, sealing, v.SealingKey())
}

// inNamespace runs this test in a mount namespace, as root's own or as that of a user namespace; false when the machine lets
// nobody have one.
func inNamespace(t *testing.T, dir string) bool {
	t.Helper()
	me, err := os.Executable()
	require.NoError(t, err)
	for _, attr := range []*syscall.SysProcAttr{
		{Cloneflags: syscall.CLONE_NEWNS},
		{
			Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		},
	} {
		attr.Pdeathsig = syscall.SIGKILL
		cmd := exec.CommandContext(t.Context(), me, "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env, cmd.SysProcAttr = append(os.Environ(), mountedVariable+"="+dir), attr
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if cmd.Start() != nil {
			continue
		}
		err := cmd.Wait()
		if strings.Contains(out.String(), cannotMount) {
			continue
		}
		require.NoError(t, err, out.String())
		require.Contains(t, out.String(), "--- PASS: "+t.Name())
		return true
	}
	return false
}

const cannotMount = "this process cannot mount"

func mountReadOnly(t *testing.T, dir string) {
	t.Helper()
	var at syscall.Statfs_t
	require.NoError(t, syscall.Statfs(dir, &at))
	kept := uintptr(at.Flags) & (syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC | syscall.MS_NOATIME | syscall.MS_NODIRATIME)
	for _, err := range []error{
		syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""), // nothing gets out
		syscall.Mount(dir, dir, "", syscall.MS_BIND, ""),
		syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY|kept, ""),
	} {
		if err != nil {
			fmt.Println(cannotMount, err)
			t.FailNow()
		}
	}
}

// onSomeVolume is for a machine that lets nobody mount: any volume will do that is read-only there.
func onSomeVolume(t *testing.T) {
	t.Helper()
	mounts, err := os.Open("/proc/self/mountinfo")
	require.NoError(t, err)
	defer mounts.Close()
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		fields := strings.Fields(lines.Text()) // id, parent, device, root, place, options, …
		if len(fields) < 6 || !strings.HasPrefix(fields[5]+",", "ro,") {
			continue
		}
		if place, err := os.Stat(fields[4]); err != nil || !place.IsDir() {
			continue
		}
		err := vault.File{Path: filepath.Join(fields[4], "concord-keyring")}.Create()
		if errors.Is(err, fs.ErrPermission) { // this user may not even look there
			continue
		}
		require.ErrorIs(t, err, vault.ErrMounted, fields[4])
		return
	}
	t.Fatal("this test needs a read-only volume: run it as root, let users have namespaces (user.max_user_namespaces), or mount one")
}
