package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/tink-crypto/tink-go/v2/keyset"
)

// The reasons for which a keyring file is not changed.
var (
	// ErrExists is returned by Create when there is a keyring file already. Overwriting one would make every secret sealed
	// with it unreadable.
	ErrExists = errors.New("vault: the keyring file exists already")
	// ErrPending is returned by Add when there is an added key that was not promoted.
	ErrPending = errors.New("vault: a key was added already and waits to be promoted")
	// ErrNothingPending is returned by Promote when there is no added key.
	ErrNothingPending = errors.New("vault: no key was added that could be promoted")
	// ErrMounted is returned for a change of a file on a read-only volume, such as a mounted Secret.
	ErrMounted = errors.New("it lies on a read-only volume: change a copy of it and distribute that, as docs/runbooks/keys.md says")
	// ErrInUse is returned by Retire for a key that seals or hashes now, or is about to.
	ErrInUse = errors.New("vault: the key is in use")
)

// File is a keyring file. Its methods change the file alone and know nothing of the rows under its keys; package rotation
// makes sure that none is lost. Changes at the same time take turns.
type File struct {
	Path string
	// KMS wraps the file. Without one only plain files can be read; with one plain files can be read, too.
	KMS Keeper
	// Print gets what a change would make of the file, which stays as it is: a mounted Secret is replaced by whoever made it.
	Print io.Writer
}

// Create writes a new keyring file with fresh keys, readable by its owner only, wrapped when there is a KMS. Of two
// processes that create it at once, one gets ErrExists, and both may open it then.
func (f File) Create() error {
	if _, err := os.Lstat(f.Path); err == nil {
		return fmt.Errorf("%w: %s", ErrExists, f.Path)
	}
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	ring, err := fresh()
	if err != nil {
		return err
	}
	err = f.save(ring, f.KMS != nil, os.Link) // unlike a rename, a link refuses to replace
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", ErrExists, f.Path)
	}
	return err
}

// Open reads the file. It refuses one that everybody on the machine may read, or that its group may change.
func (f File) Open() (*Vault, error) {
	v := &Vault{file: f}
	if err := v.Reload(); err != nil {
		return nil, err
	}
	return v, nil
}

// OpenOrCreate reads the file, or creates it with fresh keys. It is for the one-machine product; elsewhere the file is
// given and its absence is an error.
func (f File) OpenOrCreate() (*Vault, error) {
	if err := f.Create(); err != nil && !errors.Is(err, ErrExists) {
		return nil, err
	}
	return f.Open()
}

// Add adds fresh keys to the file that can read and do not seal yet: the first step of a rotation.
func (f File) Add() error {
	return f.change(func(p purpose, m *keyset.Manager, keys []Key) error {
		if slices.ContainsFunc(keys, func(k Key) bool { return k.Role == Pending }) {
			return ErrPending
		}
		_, err := m.Add(p.template())
		return err
	})
}

// Promote makes the added keys the ones that seal and hash: the second step, once every process has the file that Add
// wrote. Old keys stay, for reading.
func (f File) Promote() error {
	return f.change(func(_ purpose, m *keyset.Manager, keys []Key) error {
		newest := keys[len(keys)-1]
		if newest.Role != Pending {
			return ErrNothingPending
		}
		return m.SetPrimary(newest.ID.number())
	})
}

// Rotate is Add and Promote at once, for a file with a single reader.
func (f File) Rotate() error {
	return f.change(func(p purpose, m *keyset.Manager, keys []Key) error {
		if newest := keys[len(keys)-1]; newest.Role == Pending {
			return m.SetPrimary(newest.ID.number())
		}
		id, err := m.Add(p.template())
		if err != nil {
			return err
		}
		return m.SetPrimary(id)
	})
}

// Retire removes keys from the file: those given, or every old one when none is given. Secrets still under such a key are
// lost; the caller has made sure that no row names one. A key that is not there is left alone.
func (f File) Retire(ids ...KeyID) error {
	return f.change(func(_ purpose, m *keyset.Manager, keys []Key) error {
		for _, key := range keys {
			switch named := slices.Contains(ids, key.ID); {
			case named && key.Role != Old:
				return ErrInUse
			case named, len(ids) == 0 && key.Role == Old:
				if err := m.Delete(key.ID.number()); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// change rewrites the file with every keyset changed by edit, which is told the keys before.
func (f File) change(edit func(p purpose, m *keyset.Manager, keys []Key) error) error {
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	ring, wrapped, err := f.load()
	if err != nil {
		return err
	}
	for _, p := range purposes {
		old, err := p.read(ring)
		if err != nil {
			return fmt.Errorf("vault: %s: %w", f.Path, err)
		}
		m := keyset.NewManagerFromHandle(old)
		if err := edit(p, m, roles(old)); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		changed, err := m.Handle()
		if err != nil {
			return fmt.Errorf("vault: %w", err)
		}
		if err := p.write(ring, changed); err != nil {
			return err
		}
	}
	return f.save(ring, wrapped, os.Rename)
}

// lock lets changes take turns, so that none loses the keys of another. It locks the folder: a lock on the file would go
// away with the file, and a file of its own would be left behind by a crash.
func (f File) lock() (unlock func(), err error) {
	dir := filepath.Dir(f.place())
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("vault: locking %s: %w", dir, errors.Join(err, d.Close()))
	}
	return func() { _ = d.Close() }, nil // which unlocks
}

// place is where the file really is: what its path links to.
func (f File) place() string {
	if target, err := filepath.EvalSymlinks(f.Path); err == nil {
		return target
	}
	return f.Path
}
