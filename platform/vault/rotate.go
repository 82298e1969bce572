package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tink-crypto/tink-go/v2/keyset"
)

// Rotate adds fresh keys to the file and makes them the ones that seal and hash. Old keys stay, for reading.
func Rotate(path string) error {
	return change(path, func(p purpose, m *keyset.Manager, _ *keyset.Handle) error {
		id, err := m.Add(p.template())
		if err != nil {
			return err
		}
		return m.SetPrimary(id)
	})
}

// Add adds fresh keys to the file that can read and do not seal yet: the first half of a rotation with several replicas.
func Add(path string) error {
	return change(path, func(p purpose, m *keyset.Manager, _ *keyset.Handle) error {
		_, err := m.Add(p.template())
		return err
	})
}

// Promote makes the newest keys of the file the ones that seal and hash: the second half, once every replica has the file
// that Add wrote.
func Promote(path string) error {
	return change(path, func(_ purpose, m *keyset.Manager, old *keyset.Handle) error {
		infos := old.KeysetInfo().GetKeyInfo()
		return m.SetPrimary(infos[len(infos)-1].GetKeyId())
	})
}

// Retire removes from the file every key that does not seal or hash now. Secrets still under such a key are lost; the
// caller has made sure that no row names one.
func Retire(path string) error {
	return change(path, func(_ purpose, m *keyset.Manager, old *keyset.Handle) error {
		info := old.KeysetInfo()
		for _, key := range info.GetKeyInfo() {
			if key.GetKeyId() == info.GetPrimaryKeyId() {
				continue
			}
			if err := m.Delete(key.GetKeyId()); err != nil {
				return err
			}
		}
		return nil
	})
}

// change rewrites the file with every keyset changed by edit; old is the keyset before.
func change(path string, edit func(p purpose, m *keyset.Manager, old *keyset.Handle) error) error {
	unlock, err := lock(path)
	if err != nil {
		return err
	}
	defer unlock()
	ring, err := readKeyring(path)
	if err != nil {
		return err
	}
	for _, p := range purposes {
		old, err := p.read(ring)
		if err != nil {
			return fmt.Errorf("vault: %s: %w", path, err)
		}
		m := keyset.NewManagerFromHandle(old)
		if err := edit(p, m, old); err != nil {
			return fmt.Errorf("vault: %w", err)
		}
		changed, err := m.Handle()
		if err != nil {
			return fmt.Errorf("vault: %w", err)
		}
		if err := p.write(ring, changed); err != nil {
			return err
		}
	}
	return ring.save(path, os.Rename)
}

// lock keeps two rotations from losing each other's keys. The lock is a file, which works on every system; one left
// behind by a crash is named in the error.
func lock(path string) (unlock func(), err error) {
	name := path + ".lock"
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("vault: another rotation holds %s; remove it if none is running", name)
	}
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return func() { os.Remove(name) }, f.Close()
}
