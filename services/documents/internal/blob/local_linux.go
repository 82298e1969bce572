package blob

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// nameless stages in files that have no name until they are linked: the kernel drops them with the process.
type nameless struct{ root string }

// newStager tries whether the file system has nameless files and /proc can link them, and takes named ones otherwise
// (overlay file systems of old kernels, network file systems, a container without /proc).
func newStager(root string) (stager, error) {
	n := nameless{root: root}
	f, err := n.open()
	if err != nil {
		return newNamed(root)
	}
	defer n.close(f)
	probe := filepath.Join(root, stagingDir+"-"+rand.Text())
	if err := n.link(f, probe); err != nil {
		return newNamed(root)
	}
	return n, os.Remove(probe)
}

func (n nameless) open() (*os.File, error) {
	for {
		fd, err := unix.Open(n.root, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return os.NewFile(uintptr(fd), "staged"), nil
	}
}

func (n nameless) link(f *os.File, path string) error {
	return unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(int(f.Fd())), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
}

func (n nameless) close(f *os.File) { _ = f.Close() }

func syncData(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// startWriting tells the disk to begin with a part of the file, without waiting. It is a hint: syncData decides.
func startWriting(f *os.File, offset, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), offset, n, unix.SYNC_FILE_RANGE_WRITE)
}
