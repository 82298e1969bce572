package vault

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"
)

const (
	// followEvery is how often Follow looks at the file. One look is one system call.
	followEvery = time.Second
	// formerLooks is after how many looks a key that left the file is forgotten: a quarter of an hour, or five minutes when
	// three services of a process look. Nobody keeps longer what was read from a database before it is opened.
	formerLooks = 900
)

// state is how the file looked: when it is replaced, also through links as Kubernetes does it, another file is there.
type state struct{ info fs.FileInfo }

func look(path string) *state {
	info, err := os.Stat(path)
	if err != nil {
		return &state{}
	}
	return &state{info}
}

func (s *state) same(other *state) bool {
	if s == nil || s.info == nil || other.info == nil {
		return s != nil && s.info == other.info
	}
	return os.SameFile(s.info, other.info) && s.info.ModTime().Equal(other.info.ModTime()) && s.info.Size() == other.info.Size()
}

// former are keys that were in the file before.
type former struct {
	keys  *keys
	looks int // of Follow, after which they are forgotten
}

// Reload reads the keyring file again. On error the keys in use stay.
func (v *Vault) Reload() error {
	v.reading.Lock()
	defer v.reading.Unlock()
	return v.read()
}

// read reads the file; reading is held.
func (v *Vault) read() error {
	v.seen.Store(look(v.file.Path)) // before the file is read: a change in between is noticed the next time
	k, err := v.file.keys()
	v.failed.Store(err != nil)
	if err != nil {
		return err
	}
	before := v.keys.Swap(k)
	if before == nil {
		return nil
	}
	for _, id := range before.roles.All() {
		if !k.roles.has(id) {
			all := append([]former{{before, formerLooks}}, v.formers()...)
			v.former.Store(&all)
			break
		}
	}
	if changed := v.waiting.Swap(nil); changed != nil {
		close(*changed)
	}
	return nil
}

// Refresh reads the keyring file again if it changed, or could not be read the last time.
func (v *Vault) Refresh() error {
	if !v.failed.Load() && v.seen.Load().same(look(v.file.Path)) {
		return nil
	}
	return v.Reload()
}

// keys reads the file into what seals and hashes.
func (f File) keys() (*keys, error) {
	ring, _, err := f.load()
	if err != nil {
		return nil, err
	}
	k, err := ring.primitives()
	if err != nil {
		return nil, fmt.Errorf("vault: %s: %w", f.Path, err)
	}
	return k, nil
}

func (v *Vault) formers() []former {
	if all := v.former.Load(); all != nil {
		return *all
	}
	return nil
}

// latest returns the keys of the file as it is now. When it cannot be read, or somebody else is reading it, the keys in
// memory are used: an old key that still seals is told apart by package rotation.
func (v *Vault) latest() *keys {
	if !v.seen.Load().same(look(v.file.Path)) && v.reading.TryLock() {
		_ = v.read() // Follow tries again and says why
		v.reading.Unlock()
	}
	return v.keys.Load()
}

// with returns keys that have the one named: those in memory, those that left the file lately, or those of a file that
// changed since.
func (v *Vault) with(id KeyID) (*keys, error) {
	if k := v.keys.Load(); k.roles.has(id) {
		return k, nil
	}
	for _, f := range v.formers() {
		if f.keys.roles.has(id) {
			return f.keys, nil
		}
	}
	if v.seen.Load().same(look(v.file.Path)) {
		return v.keys.Load(), nil // which opens nothing, in the same words as for any other reason
	}
	// Another process has rotated; a file that cannot be read now leaves the keys as they are.
	err := v.Reload()
	return v.keys.Load(), err
}

// Changed returns a channel that is closed when the keys in memory change next.
func (v *Vault) Changed() <-chan struct{} {
	for {
		if waiting := v.waiting.Load(); waiting != nil {
			return *waiting
		}
		made := make(chan struct{})
		if v.waiting.CompareAndSwap(nil, &made) {
			return made
		}
	}
}

// Follow reads the file again whenever it changes, until ctx ends. A file that cannot be read, or a KMS that does not
// unwrap it, is told once per reason and tried again; the keys in memory stay in use.
func (v *Vault) Follow(ctx context.Context, logger *slog.Logger) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			v.forget()
			if !v.failed.Load() && v.seen.Load().same(look(v.file.Path)) {
				continue
			}
			switch err := v.Reload(); {
			case err == nil:
				said = ""
				logger.InfoContext(ctx, "the keyring file was read again", "seals", v.SealingKey())
			case err.Error() != said:
				said = err.Error()
				logger.ErrorContext(ctx, "the keyring file changed and can't be read; the keys in memory stay in use", "error", err)
			}
		}
	}
}

// forget drops keys that left the file long ago.
func (v *Vault) forget() {
	v.reading.Lock()
	defer v.reading.Unlock()
	var kept []former
	for _, f := range v.formers() {
		if f.looks--; f.looks > 0 {
			kept = append(kept, f)
		}
	}
	v.former.Store(&kept)
}
