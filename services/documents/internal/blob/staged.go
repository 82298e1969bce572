package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// localStaged is bytes in a file that no reader can find yet.
type localStaged struct {
	store  *Local
	file   *os.File
	hash   hash.Hash
	size   int64
	synced int64 // how much the disk was told to begin with
	failed error
	closed bool
}

// writeBehind is how much may wait in memory before the disk is told to begin: the disk then works while the rest still
// arrives, and the sync at the end has little left to do. 8 MiB is a few hundredths of a second for a slow disk.
const writeBehind = 8 << 20

// Write implements Staged.
func (s *localStaged) Write(p []byte) (int, error) {
	if s.failed != nil {
		return 0, s.failed
	}
	n, err := s.file.Write(p)
	s.hash.Write(p[:n])
	s.size += int64(n)
	if err != nil {
		s.failed = Failure("write", err)
		return n, s.failed
	}
	if s.size-s.synced >= writeBehind {
		startWriting(s.file, s.synced, s.size-s.synced)
		s.synced = s.size
	}
	return n, nil
}

// Sum implements Staged.
func (s *localStaged) Sum() string { return Sum(s.hash.Sum(nil)) }

// Size implements Staged.
func (s *localStaged) Size() int64 { return s.size }

// Commit implements Staged.
func (s *localStaged) Commit(ctx context.Context, key Key) (bool, error) {
	path, err := s.store.path(key)
	switch {
	case s.failed != nil:
		return false, s.failed
	case s.closed:
		return false, Failure("commit", fs.ErrClosed)
	case err != nil:
		return false, err
	case key.SHA256 != s.Sum():
		return false, ErrMismatch
	case ctx.Err() != nil:
		return false, ctx.Err()
	}
	return s.place(path)
}

// place gives the bytes their name and does not return before both would survive a power cut. The name comes first, so
// that the disk can be asked for everything at once. Should the power go in between, the name may be left with half of the
// bytes behind it: nobody refers to it yet, and who finds a name taken does not trust it.
func (s *localStaged) place(path string) (created bool, err error) {
	var above []string
	for _, repair := range []func() error{s.store.forget, s.copy, nil} {
		if above, err = s.store.folder(path); err != nil {
			return false, Failure("commit", err)
		}
		err = s.store.stage.link(s.file, path)
		if errors.Is(err, fs.ErrExist) {
			err = s.replace(path)
		} else if err == nil {
			created = true
		}
		if !errors.Is(err, fs.ErrNotExist) || repair == nil {
			break
		}
		if err := repair(); err != nil {
			s.failed = Failure("commit", err)
			return false, s.failed
		}
	}
	if err != nil {
		return false, Failure("commit", err)
	}
	if err := s.sync(append(above, filepath.Dir(path))); err != nil {
		return false, err
	}
	s.store.know(path)
	return created, nil
}

// replace puts the bytes in the place of what stands under their name: the same bytes, or what a power cut left of them.
// They are synced before, so that whoever refers to the name already loses nothing at any moment.
func (s *localStaged) replace(path string) error {
	if err := s.syncData(); err != nil {
		return err
	}
	aside := filepath.Join(s.store.root, stagingDir)
	if err := os.Mkdir(aside, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	name := filepath.Join(aside, rand.Text()) // should this process die here, Reclaim takes it away
	if err := s.store.stage.link(s.file, name); err != nil {
		return err
	}
	defer os.Remove(name) // it stays when both names are those of one file
	return os.Rename(name, path)
}

// sync makes the bytes and the names in folders durable, all at once: a file system writes its journal once for them.
func (s *localStaged) sync(folders []string) error {
	errs := make([]error, len(folders)+1)
	var group sync.WaitGroup
	for i, dir := range folders {
		group.Go(func() {
			if err := syncFolder(dir); err != nil {
				errs[i] = Failure("commit", err)
			}
		})
	}
	errs[len(folders)] = s.syncData()
	group.Wait()
	return errors.Join(errs...)
}

// syncData makes the bytes durable.
func (s *localStaged) syncData() error {
	if err := syncData(s.file); err != nil {
		s.failed = Failure("sync", err) // the kernel reports a lost write once; a second sync would lie
		return s.failed
	}
	return nil
}

// copy stages the bytes anew. A file that never had a name can be given one; a file whose only name was taken away again,
// because its blob was removed in between, can not.
func (s *localStaged) copy() error {
	fresh, err := s.store.stage.open()
	if err != nil {
		return err
	}
	if _, err = io.Copy(fresh, io.NewSectionReader(s.file, 0, s.size)); err != nil {
		s.store.stage.close(fresh)
		return err
	}
	s.store.stage.close(s.file)
	s.file = fresh
	return nil
}

// Discard implements Staged.
func (s *localStaged) Discard() {
	if !s.closed {
		s.closed = true
		s.store.stage.close(s.file)
	}
}
