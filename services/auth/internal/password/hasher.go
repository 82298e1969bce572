// Package password hashes passwords and says which ones are good enough.
//
// Hashes are argon2id in PHC strings, under a pepper. One costs 19 MiB and about 20 ms of a core, so a Hasher lets only so many run at
// once and makes the others wait a second at most: a flood of sign-ins is answered with "busy" and cannot take the
// machine's memory.
//
// The accounts of one e-mail address share their salt. A sign-in that names no firm is then checked against all of them
// by one hash, and takes as long as one for an address nobody has: the time tells nothing about who exists.
//
// The package keeps no passwords and counts no failures.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/text/unicode/norm"
)

// ErrBusy is returned when no slot became free in time.
var ErrBusy = errors.New("password: too many are being checked at once")

// queueWait is how long a sign-in waits for a free slot. Longer than a second and the person presses the button again.
const queueWait = time.Second

// Hasher bounds how many hashes are computed at the same time. Make one with NewHasher.
type Hasher struct {
	params Params
	pepper Pepper
	slots  chan struct{}
	wait   time.Duration
	// computed counts, so that a test can hold against each other what two requests cost.
	computed *atomic.Int64
}

// NewHasher makes a hasher that computes up to slots hashes at once, each with the costs of Current.
func NewHasher(slots int) *Hasher {
	return &Hasher{params: Current, slots: make(chan struct{}, max(1, slots)), wait: queueWait, computed: new(atomic.Int64)}
}

// With returns a hasher of as many slots with other costs. A service runs with those of Current.
func (h *Hasher) With(p Params) *Hasher {
	return &Hasher{params: p, pepper: h.pepper, slots: make(chan struct{}, cap(h.slots)), wait: h.wait, computed: h.computed}
}

// Peppered returns a hasher of as many slots that puts a pepper over each hash. What was hashed without one still compares,
// and is stale.
func (h *Hasher) Peppered(p Pepper) *Hasher {
	return &Hasher{params: h.params, pepper: p, slots: make(chan struct{}, cap(h.slots)), wait: h.wait, computed: h.computed}
}

// Computed is how many hashes were computed since the start.
func (h *Hasher) Computed() int64 { return h.computed.Load() }

// Slot is the right to compute hashes, given by Hasher.Do for the time of its function.
type Slot struct {
	params   Params
	pepper   Pepper
	computed *atomic.Int64
}

// Do waits for a slot and runs fn with it. It returns ErrBusy after a second without one, the context's error when that
// ends first, else what fn returns.
func (h *Hasher) Do(ctx context.Context, fn func(*Slot) error) error {
	select {
	case h.slots <- struct{}{}:
	default:
		if err := h.queue(ctx); err != nil {
			return err
		}
	}
	defer func() { <-h.slots }()
	return fn(&Slot{params: h.params, pepper: h.pepper, computed: h.computed})
}

func (h *Hasher) queue(ctx context.Context) error {
	timer := time.NewTimer(h.wait)
	defer timer.Stop()
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return ErrBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Slot) key(p Params, password, salt []byte) []byte {
	if s.computed != nil {
		s.computed.Add(1)
	}
	return p.key(password, salt)
}

// Hash makes the PHC string of a password under a salt.
func (s *Slot) Hash(password string, salt []byte) string {
	key := s.pepper.season(s.key(s.params, normal(password), salt))
	return stored{params: s.params, salt: string(salt), pepper: s.pepper.ID, key: key}.format()
}

// Rehash makes the PHC string of a password with today's costs under the salt of the hash it replaces, which is the salt
// of the address.
func (s *Slot) Rehash(password, old string) string {
	salt := NewSalt()
	if h, err := parse(old); err == nil {
		salt = []byte(h.salt)
	}
	return s.Hash(password, salt)
}

// Result says how a password compares with one stored hash.
type Result struct {
	// Match is true when it is the password.
	Match bool
	// Stale is true when it is, and the hash was made with other costs than today's, or without today's pepper.
	Stale bool
}

// decoySalt takes the place of a salt when there is nothing to compare with. It guards nothing.
var decoySalt = []byte("concord/no-match")

// Check compares a password with stored PHC strings, in the order given. Strings that share salt and costs cost one hash
// together; without any string the same work is done for nothing. A string that is no hash, or lies under another pepper,
// matches nothing.
func (s *Slot) Check(password string, hashes []string) []Result {
	results := make([]Result, len(hashes))
	type recipe struct {
		params Params
		salt   string
	}
	keys := map[recipe][]byte{}
	candidate := normal(password)
	for i, text := range hashes {
		h, err := parse(text)
		if err != nil || (h.pepper != "" && h.pepper != s.pepper.ID) {
			continue
		}
		r := recipe{h.params, h.salt}
		if keys[r] == nil {
			keys[r] = s.key(h.params, candidate, []byte(h.salt))
		}
		found := keys[r]
		if h.pepper != "" {
			found = s.pepper.season(found)
		}
		results[i].Match = subtle.ConstantTimeCompare(found, h.key) == 1
		results[i].Stale = results[i].Match && (h.params != s.params || h.pepper != s.pepper.ID)
	}
	if len(keys) == 0 {
		s.key(s.params, candidate, decoySalt)
	}
	return results
}

// NewSalt makes a salt.
func NewSalt() []byte {
	salt := make([]byte, SaltLength)
	_, _ = rand.Read(salt) // never fails: it ends the program instead
	return salt
}

// normal is the form in which passwords are hashed: NFC, so that the same characters typed on different systems are the
// same password. Nothing is cut off and no case is changed.
func normal(password string) []byte { return norm.NFC.Bytes([]byte(password)) }
