package rotation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
)

// Ring is a keyring file with all that is under it: one book in a service, several in the all-in-one.
type Ring struct {
	File  vault.File
	Books []Book

	opened *vault.Vault // while a rotation looks again and again: a KMS is not asked each time
}

// Status is where a keyring stands.
type Status struct {
	Keys  vault.Keys
	Parts []Part
}

// Part is what one service has under the keyring.
type Part struct {
	Service  string
	Columns  []Column // sealed values
	Hashes   []Column
	Replicas []Replica
}

// Column is how many rows of a column are under which key.
type Column struct {
	Name string
	Uses
	life time.Duration // of hashes that are kept nowhere
}

// Status reads where the keyring stands.
func (r Ring) Status(ctx context.Context) (Status, error) {
	v, err := r.vault()
	if err != nil {
		return Status{}, err
	}
	s := Status{Keys: v.Keys()}
	for _, b := range r.Books {
		part, err := b.part(ctx)
		if err != nil {
			return Status{}, fmt.Errorf("%s: %w", b.Service, err)
		}
		s.Parts = append(s.Parts, part)
	}
	return s, nil
}

// vault is the file as it is now.
func (r Ring) vault() (*vault.Vault, error) {
	if r.opened == nil {
		return r.File.Open()
	}
	return r.opened, r.opened.Refresh()
}

func (b Book) part(ctx context.Context) (part Part, err error) {
	err = b.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		part = Part{Service: b.Service}
		for _, s := range b.Secrets {
			u, err := s.uses(tx)
			if err != nil {
				return err
			}
			part.Columns = append(part.Columns, Column{Name: s.Name(), Uses: u})
		}
		for _, h := range b.Hashes {
			u, err := h.uses(tx)
			if err != nil {
				return err
			}
			part.Hashes = append(part.Hashes, Column{Name: h.What, Uses: u, life: h.Life})
		}
		part.Replicas, err = replicas(tx)
		return err
	})
	return part, err
}

// live returns the processes that count, with the service's name before theirs.
func (s Status) live() []Replica {
	var all []Replica
	for _, p := range s.Parts {
		for _, r := range p.Replicas {
			if r.Live() {
				r.Name = p.Service + " " + r.Name
				all = append(all, r)
			}
		}
	}
	return all
}

// Left returns how many rows are under the keys given.
func (s Status) Left(keys []vault.KeyID) (n int) {
	for _, p := range s.Parts {
		for _, c := range p.Columns {
			n += c.Of(keys)
		}
	}
	return n
}

// unready names a process that has not got the keys that were added.
func (s Status) unready() error {
	seal, mac := s.Keys.With(vault.Pending)
	for _, r := range s.live() {
		if r.lacks(append(seal, mac...)) {
			return refuse("%s has not read the file with the new key yet", r.Name)
		}
	}
	return nil
}

// sealingOld names a process that seals with another key than the present one.
func (s Status) sealingOld() error {
	for _, r := range s.live() {
		if r.Sealing != s.Keys.Sealing() {
			return refuse("%s still seals with %s", r.Name, r.Sealing)
		}
	}
	return nil
}

// hashing says why old keys that hash are still needed, or nil.
func (s Status) hashing() error {
	_, old := s.Keys.With(vault.Old)
	for _, r := range s.live() {
		if r.Hashing != s.Keys.Hashing() {
			return refuse("%s still hashes with %s", r.Name, r.Hashing)
		}
	}
	for _, p := range s.Parts {
		for _, h := range p.Hashes {
			if n := h.Of(old); n > 0 {
				return refuse("%d %s of %s made with the old key are under way", n, h.Name, p.Service)
			}
			if left := h.life - p.hashes(s.Keys.Hashing()); left > 0 {
				return refuse("%s of %s made with the old key are good for %s more", h.Name, p.Service, inWords(left))
			}
		}
	}
	return nil
}

// inWords is a time in minutes, begun ones included, and from two hours on in hours and minutes.
func inWords(left time.Duration) string {
	minutes := int(left.Minutes()) + 1
	switch {
	case minutes < 2*60:
		return fmt.Sprintf("%d minutes", minutes)
	case minutes%60 == 0:
		return fmt.Sprintf("%d hours", minutes/60)
	}
	return fmt.Sprintf("%d hours and %d minutes", minutes/60, minutes%60)
}

// hashes is for how long no process has hashed with another key.
func (p Part) hashes(key vault.KeyID) time.Duration {
	least := always
	for _, r := range p.Replicas {
		if r.Hashing == key {
			least = min(least, r.Hashes)
		} else {
			least = min(least, r.Silent)
		}
	}
	return least
}

// Add adds keys that open and do not seal yet.
func (r Ring) Add() error {
	err := r.File.Add()
	if errors.Is(err, vault.ErrPending) {
		return refuse("a key was added already; promote it once every replica has the file")
	}
	return err
}

// Promote makes the added keys the ones that seal. It is refused while a live process has not got them: it could not read
// what others seal.
func (r Ring) Promote(ctx context.Context) error {
	s, err := r.Status(ctx)
	if err != nil {
		return err
	}
	if err := s.unready(); err != nil {
		return err
	}
	err = r.File.Promote()
	if errors.Is(err, vault.ErrNothingPending) {
		return refuse("no key was added that could be promoted")
	}
	return err
}

// Retire removes the old keys from the file. It is refused while a live process seals with one or a row is under one;
// with lose, rows are no reason: what is under the old keys is lost. Keys that hash stay as long as they are needed; then
// kept says why.
func (r Ring) Retire(ctx context.Context, lose bool) (kept, err error) {
	s, err := r.Status(ctx)
	if err != nil {
		return nil, err
	}
	seal, mac := s.Keys.With(vault.Old)
	if len(seal) > 0 {
		if err := s.sealingOld(); err != nil {
			return nil, err
		}
		for _, b := range r.Books {
			err := b.DB.Tx(ctx, func(tx *sqldb.Tx) error { return b.fence(tx, seal, lose) }, sqldb.ReadCommitted)
			if err != nil {
				return nil, err
			}
		}
	}
	gone := seal
	if kept = s.hashing(); len(mac) > 0 && kept == nil {
		gone = append(gone, mac...)
	}
	if len(mac) == 0 {
		kept = nil
	}
	if len(gone) == 0 {
		return kept, nil
	}
	return kept, r.File.Retire(gone...)
}
