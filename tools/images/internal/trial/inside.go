//go:build linux

package trial

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	marker = "concord-image-trial" // argv[0] of the process that becomes the program
	user   = 65532
	// From linux/capability.h.
	capSysAdmin, capSysChroot = 21, 18
	// failed is the exit code when the program was not even started; none of ours uses it.
	failed = 125
)

// order is what the inner process is told.
type order struct {
	Root, Tmp, Program string
	Args, Env          []string
	Emulator           string // outside of the root; "" runs the program itself
}

// Enter must be the first thing that a program does which uses Run, in its main or TestMain: in the inner process it becomes
// the program to be tried and does not return.
func Enter() {
	if len(os.Args) != 2 || os.Args[0] != marker {
		return
	}
	runtime.LockOSThread() // rights and root are those of a thread
	var o order
	err := json.Unmarshal([]byte(os.Args[1]), &o)
	if err == nil {
		err = o.become()
	}
	fmt.Fprintln(os.Stderr, "not started:", err)
	os.Exit(failed)
}

// become closes the door behind itself and turns into the program. It returns only an error.
func (o order) become() error {
	emulator, err := o.open()
	if err != nil {
		return err
	}
	steps := []struct {
		what string
		do   func() error
	}{
		{"keep mounts here", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }},
		{"make the root a mount", func() error { return unix.Mount(o.Root, o.Root, "", unix.MS_BIND, "") }},
		{"mount /tmp", func() error { return unix.Mount(o.Tmp, filepath.Join(o.Root, "tmp"), "", unix.MS_BIND, "") }},
		{"make the root read-only", func() error {
			return unix.Mount("", o.Root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "")
		}},
		{"change the root", func() error { return unix.Chroot(o.Root) }},
		{"enter it", func() error { return unix.Chdir("/") }},
		{"give up rights", giveUp},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	if emulator == nil {
		return syscall.Exec(o.Program, o.Args, o.Env)
	}
	return execute(emulator, append([]string{o.Emulator, o.Program}, o.Args[1:]...), o.Env)
}

// open opens the emulator, which cannot be found any more once the root is the image's.
func (o order) open() (*os.File, error) {
	if o.Emulator == "" {
		return nil, nil
	}
	return os.Open(o.Emulator)
}

// execute becomes the program in an open file: execveat(2) with AT_EMPTY_PATH.
func execute(file *os.File, args, env []string) error {
	argv, err := syscall.SlicePtrFromStrings(args)
	if err != nil {
		return err
	}
	envp, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return err
	}
	empty, err := syscall.BytePtrFromString("")
	if err != nil {
		return err
	}
	_, _, errno := syscall.RawSyscall6(unix.SYS_EXECVEAT, file.Fd(), uintptr(unsafe.Pointer(empty)),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envp[0])), unix.AT_EMPTY_PATH, 0)
	return errno
}

// giveUp leaves nothing that the program could use or win back. Rights that are not ambient end with the next exec, as the
// process is not root.
func giveUp() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}
