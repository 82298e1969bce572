package access

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Clock tells the time; parts take it so that tests can turn it.
type Clock = func() time.Time

const (
	// fetchFloor is the shortest time between two fetches: made-up key ids must not become load on whoever is asked.
	fetchFloor = 5 * time.Second
	// fetchAge is when keys are fetched again although all are known, so that a withdrawn key goes away.
	fetchAge = 5 * time.Minute
	// fetchTimeout bounds what one call can wait for keys; a slow answer counts as none.
	fetchTimeout = 2 * time.Second
)

// Fetcher gets all trusted keys of some issuers from where they are kept: the JWKS of auth, a file that is replaced
// while the process runs. Keys answers every key that is valid now.
type Fetcher interface {
	Keys(ctx context.Context) (*Trust, error)
}

// FetcherFunc makes a Fetcher of a function.
type FetcherFunc func(ctx context.Context) (*Trust, error)

// Keys implements Fetcher.
func (f FetcherFunc) Keys(ctx context.Context) (*Trust, error) { return f(ctx) }

// maxJWKS bounds a key set before it is parsed; one key takes about 150 bytes.
const maxJWKS = 64 << 10

// ParseJWKS reads a JSON Web Key Set (RFC 7517), as auth answers it, into the trusted keys of an issuer. Keys that are
// not public Ed25519 keys for signatures are left out; a set without any key of use is an error.
func ParseJWKS(issuer string, body []byte) (*Trust, error) {
	if len(body) > maxJWKS {
		return nil, fmt.Errorf("access: key set of %s: longer than %d bytes", issuer, maxJWKS)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("access: key set of %s: %w", issuer, err)
	}
	t := NewTrust()
	for _, k := range set.Keys {
		if public, ok := k.Key.(ed25519.PublicKey); ok && (k.Use == "" || k.Use == "sig") {
			t.Add(issuer, public)
		}
	}
	if len(t.keys) == 0 {
		return nil, fmt.Errorf("access: key set of %s: no Ed25519 key", issuer)
	}
	return t, nil
}

// Fetched is a KeySource that remembers what a Fetcher answered. It fetches again when it meets an unknown key id, but
// at most every five seconds, and when its keys are five minutes old. When fetching fails, what it knows stays valid:
// a restart of auth does not stop its peers. Make one with NewFetched.
type Fetched struct {
	fetcher Fetcher
	issuers map[string]bool
	now     Clock

	current atomic.Pointer[snapshot]
	mu      sync.Mutex // held while fetching
	tried   time.Time  // guarded by mu
}

type snapshot struct {
	trust *Trust
	at    time.Time
}

// NewFetched makes a source that believes the fetcher for the named issuers and for nobody else.
func NewFetched(f Fetcher, now Clock, issuers ...string) *Fetched {
	s := &Fetched{fetcher: f, issuers: map[string]bool{}, now: now}
	for _, i := range issuers {
		s.issuers[i] = true
	}
	s.current.Store(&snapshot{trust: NewTrust()})
	return s
}

// Key implements KeySource.
func (s *Fetched) Key(ctx context.Context, issuer, kid string) (ed25519.PublicKey, error) {
	if !s.issuers[issuer] {
		return nil, ErrUnknownKey
	}
	snap := s.current.Load()
	k, err := snap.trust.Key(ctx, issuer, kid)
	if err == nil && s.now().Sub(snap.at) < fetchAge {
		return k, nil
	}
	if err == nil {
		// Known but old: one caller refreshes, the others go on with what is there.
		if s.mu.TryLock() {
			_ = s.fetch(ctx)
			s.mu.Unlock()
		}
		return s.current.Load().trust.Key(ctx, issuer, kid)
	}
	s.mu.Lock()
	fetchErr := s.fetch(ctx)
	s.mu.Unlock()
	if k, err = s.current.Load().trust.Key(ctx, issuer, kid); err != nil && fetchErr != nil {
		return nil, fetchErr
	}
	return k, err
}

// fetch replaces the snapshot unless it was tried a moment ago. The caller holds mu.
func (s *Fetched) fetch(ctx context.Context) error {
	now := s.now()
	if !s.tried.IsZero() && now.Sub(s.tried) < fetchFloor {
		return nil
	}
	s.tried = now
	// The caller's own deadline or cancellation must not decide for everybody who waits for the same keys.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	trust, err := s.fetcher.Keys(ctx)
	if err != nil {
		return fmt.Errorf("access: fetch keys: %w", err)
	}
	s.current.Store(&snapshot{trust: trust, at: now})
	return nil
}
