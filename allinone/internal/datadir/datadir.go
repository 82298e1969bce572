// Package datadir is the one directory that an all-in-one keeps everything in.
//
//	auth.db connector.db sync.db documents.db    one database per service
//	nats/                                        the embedded broker's store
//	blobs/                                       the documents' bytes
//	keys/                                        keysets; readable by the owner alone
//	lock                                         held by the running process
//	practice.json demo.json world/               of a demonstration: its practice, how far it is, the simulated world
//	simulated.env                                of a demonstration: the settings that point the suite at that world
//
// A copy of the directory of a stopped process is a backup of all of it.
package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Dir is an opened, locked data directory.
type Dir struct {
	path string
	lock *os.File
}

// Make makes the directory when missing, and refuses one that others may write before anything is put into it.
func Make(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", path, err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return explain(path, err)
	}
	return private(path)
}

// Open makes the directory when missing, proves that it can be written, and locks it for this process. What is wrong is
// said in words, with the path.
func Open(path string) (*Dir, error) {
	if err := Make(path); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", path, err)
	}
	d := &Dir{path: path}
	for _, sub := range []string{"nats", "blobs", "keys"} {
		if err := os.MkdirAll(filepath.Join(path, sub), 0o700); err != nil {
			return nil, explain(path, err)
		}
	}
	if err := d.take(); err != nil {
		return nil, err
	}
	if err := d.prove(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// private refuses a directory that others may write: whoever can rename its files can put keys and databases of their own
// in place.
func private(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return explain(path, err)
	}
	if st.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("data directory %s can be written by others; run chmod 700 %s", path, path)
	}
	return nil
}

// take locks the directory. The lock dies with the process, however it ends.
func (d *Dir) take() error {
	f, err := os.OpenFile(d.Path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return explain(d.path, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("data directory %s is in use by another process", d.path)
		}
		return explain(d.path, err)
	}
	d.lock = f
	return nil
}

// prove writes a page and takes it away again: a full disk shows now and not in the middle of a change.
func (d *Dir) prove() error {
	probe := d.Path("probe")
	err := os.WriteFile(probe, make([]byte, 4096), 0o600)
	if rerr := os.Remove(probe); err == nil && rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		err = rerr
	}
	if err != nil {
		return explain(d.path, err)
	}
	return nil
}

// Path is a file or folder in the directory.
func (d *Dir) Path(elem ...string) string { return filepath.Join(append([]string{d.path}, elem...)...) }

// Database is the address of a service's database.
func (d *Dir) Database(service string) string { return "sqlite:" + d.Path(service+".db") }

// Used says whether a suite has used the directory before: then it has the database of auth, which is made first.
func (d *Dir) Used() (bool, error) {
	switch _, err := os.Stat(d.Path("auth.db")); {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, explain(d.path, err)
	}
	return true, nil
}

// Existing is the address of a service's database in a directory that a suite has used before, open or not.
func Existing(path, service string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("data directory %s: %w", path, err)
	}
	d := &Dir{path: path}
	switch _, err := os.Stat(d.Path(service + ".db")); {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("data directory %s has no database of a service %q", path, service)
	case err != nil:
		return "", explain(path, err)
	}
	return d.Database(service), nil
}

// Close gives the directory free.
func (d *Dir) Close() error { return d.lock.Close() }

func explain(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("data directory %s can't be written: allow this user to write it, or choose another by --data-dir", path)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("data directory %s: the disk is full; nothing was started", path)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("data directory %s: something else of that name is there", path)
	}
	return fmt.Errorf("data directory %s: %w", path, err)
}
