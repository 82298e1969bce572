package blob

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// stagingDir holds files that have no name yet, where the file system can not do without one. No key starts with a dot.
const stagingDir = ".staging"

// Local keeps blobs as files below one folder of one file system. Several processes may use the folder at once.
type Local struct {
	root  string
	stage stager

	mu    sync.Mutex
	known map[string]bool // folders that are there, durably
}

// stager is how a file system lets a file be written before it has a name.
type stager interface {
	// open makes a file that no reader can find.
	open() (*os.File, error)
	// link gives it its name, or fails with fs.ErrExist.
	link(f *os.File, path string) error
	// close ends the file; it keeps only the names given by link.
	close(f *os.File)
}

// OpenLocal uses the folder, which must exist and be writable, as a store.
func OpenLocal(root string) (*Local, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("blob: the folder %s does not exist", root)
	case err != nil:
		return nil, fmt.Errorf("blob: the folder %s can not be read: %w", root, reason(err))
	case !info.IsDir():
		return nil, fmt.Errorf("blob: %s is not a folder", root)
	}
	l := &Local{root: abs, known: map[string]bool{}}
	if l.stage, err = newStager(abs); err != nil {
		return nil, fmt.Errorf("blob: the folder %s can not be written: %w", root, reason(err))
	}
	return l, nil
}

// Stage implements Store.
func (l *Local) Stage(ctx context.Context, _ int64) (Staged, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := l.stage.open()
	if err != nil {
		return nil, Failure("stage", err)
	}
	return &localStaged{store: l, file: f, hash: sha256.New()}, nil
}

// Open implements Store.
func (l *Local) Open(_ context.Context, key Key) (Object, error) {
	path, err := l.path(key)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, Failure("open", err)
	}
	stat, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, Failure("open", err)
	}
	return &localObject{File: f, info: Info{Key: key, Size: stat.Size(), ModTime: stat.ModTime()}}, nil
}

// Delete implements Store.
func (l *Local) Delete(_ context.Context, key Key) error {
	path, err := l.path(key)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Failure("delete", err)
	}
	return nil
}

// List implements Store.
func (l *Local) List(ctx context.Context, prefix string, fn func(Info) error) error {
	if err := CheckPrefix(prefix); err != nil {
		return err
	}
	err := filepath.WalkDir(filepath.Join(l.root, filepath.FromSlash(prefix)), func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // removed meanwhile, or a firm that has stored nothing yet
		case err != nil:
			return Failure("list", err)
		case ctx.Err() != nil:
			return ctx.Err()
		case d.IsDir() && d.Name() == stagingDir:
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		rel, err := filepath.Rel(l.root, path)
		if err != nil {
			return Failure("list", err)
		}
		key, err := ParseKey(filepath.ToSlash(rel))
		if err != nil {
			return nil // not ours: neither counted nor ever removed
		}
		stat, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return Failure("list", err)
		}
		return fn(Info{Key: key, Size: stat.Size(), ModTime: stat.ModTime()})
	})
	return err
}

// Reclaim implements Store.
func (l *Local) Reclaim(ctx context.Context, before time.Time) error {
	entries, err := os.ReadDir(filepath.Join(l.root, stagingDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Failure("reclaim", err)
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		stat, err := e.Info()
		if err != nil || !stat.ModTime().Before(before) {
			continue
		}
		if err := os.Remove(filepath.Join(l.root, stagingDir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Failure("reclaim", err)
		}
	}
	return nil
}

// Ready implements Store: it makes a file without a name and drops it.
func (l *Local) Ready(context.Context) error {
	f, err := l.stage.open()
	if err != nil {
		return Failure("ready", err)
	}
	l.stage.close(f)
	return nil
}

func (l *Local) path(key Key) (string, error) {
	if !key.Valid() {
		return "", fmt.Errorf("blob: %q is not a key", key.String())
	}
	return filepath.Join(l.root, filepath.FromSlash(key.String())), nil
}

// folder makes the folder of path and returns the folders in which its name, and that of the one above it, may not be
// durable yet.
func (l *Local) folder(path string) (unsynced []string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.makeFolder(filepath.Dir(path))
}

func (l *Local) makeFolder(dir string) (unsynced []string, err error) {
	if dir == l.root || l.known[dir] {
		return nil, nil
	}
	parent := filepath.Dir(dir)
	if unsynced, err = l.makeFolder(parent); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return append(unsynced, parent), nil
}

// know remembers that the folder of path, and those above it, are there durably.
func (l *Local) know(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for dir := filepath.Dir(path); dir != l.root; dir = filepath.Dir(dir) {
		l.known[dir] = true
	}
}

// forget makes the next commits look at the folders again: somebody may have removed one that we knew.
func (l *Local) forget() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.known)
	return nil
}

type localObject struct {
	*os.File
	info Info
}

// Info implements Object.
func (o *localObject) Info() Info { return o.info }

// OSFile is the file behind the blob, for those who can have the kernel send it.
func (o *localObject) OSFile() *os.File { return o.File }

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Failure says what was being done and, for a full disk or quota, that it is one. Paths are left out: they hold ids.
func Failure(op string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w (%s)", ErrNoSpace, op)
	}
	return fmt.Errorf("blob: %s: %w", op, reason(err))
}

// reason strips the path off an error of the file system.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	return err
}
