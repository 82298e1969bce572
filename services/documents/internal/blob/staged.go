package blob

import (
	"context"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
		s.failed = failure("write", err)
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
		return false, failure("commit", fs.ErrClosed)
	case err != nil:
		return false, err
	case key.SHA256 != s.Sum():
		return false, ErrMismatch
	case ctx.Err() != nil:
		return false, ctx.Err()
	}
	if err := syncData(s.file); err != nil {
		s.failed = failure("sync", err) // the kernel reports a lost write once; a second sync would lie
		return false, s.failed
	}
	return s.link(path)
}

func (s *localStaged) link(path string) (created bool, err error) {
	for _, repair := range []func() error{s.store.forget, s.copy, nil} {
		if err := s.store.folder(path); err != nil {
			return false, failure("commit", err)
		}
		err = s.store.stage.link(s.file, path)
		if !errors.Is(err, fs.ErrNotExist) || repair == nil {
			break
		}
		if err := repair(); err != nil {
			s.failed = failure("commit", err)
			return false, s.failed
		}
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		stat, err := os.Stat(path)
		if err != nil {
			return false, failure("commit", err)
		}
		if stat.Size() != s.size {
			return false, ErrDamaged
		}
	case err != nil:
		return false, failure("commit", err)
	default:
		created = true
	}
	// Also for a blob that was there: its writer may not have come to this line yet.
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return false, failure("commit", err)
	}
	return created, nil
}

// copy stages the bytes anew. A file that never had a name can be given one; a file whose only name was taken away again,
// because its blob was removed in between, can not.
func (s *localStaged) copy() error {
	fresh, err := s.store.stage.open()
	if err != nil {
		return err
	}
	_, err = io.Copy(fresh, io.NewSectionReader(s.file, 0, s.size))
	if err == nil {
		err = syncData(fresh)
	}
	if err != nil {
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
