// Package issuer keeps the keys that sign internal tokens: it makes them, seals them, rotates them and publishes their
// public halves.
//
// All replicas share the keys through the database. A new key is published ten minutes before it signs, so that nobody
// meets an unknown key in normal times, and an old one verifies for an hour after it signed last. The private halves are
// in memory and, sealed by the vault, in the database; nowhere else.
package issuer

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

const (
	// publishAhead is how long a key is known before it signs: twice as long as verifiers keep what they fetched.
	publishAhead = 10 * time.Minute
	// verifyAfter is how long a key verifies after another took over: tokens live two minutes, the rest is for clocks and
	// for replicas that have not noticed yet.
	verifyAfter = time.Hour
	// refreshEvery is how often a replica looks for keys that others made.
	refreshEvery = time.Minute
	// never is when the newest key retires.
	never = 100 * 365 * 24 * time.Hour
)

// Issuer holds the keys of this process. It is safe for concurrent use.
type Issuer struct {
	db     *sqldb.DB
	vault  *vault.Vault
	now    access.Clock
	every  time.Duration
	logger *slog.Logger

	current atomic.Pointer[keySet]
}

// keySet is what one look at the database gave; it never changes.
type keySet struct {
	keys    []key
	trust   *access.Trust
	jwks    []byte
	signers map[string]*access.Signer
}

type key struct {
	id     string
	active time.Time
}

// New makes an issuer that rotates its key every so often. It holds no key before the first Refresh.
func New(db *sqldb.DB, v *vault.Vault, now access.Clock, every time.Duration, logger *slog.Logger) *Issuer {
	return &Issuer{db: db, vault: v, now: now, every: every, logger: logger}
}

// errNoKeys is returned before the first Refresh.
var errNoKeys = errors.New("issuer: no signing key yet")

// Signer returns the signer to use now.
func (i *Issuer) Signer() (*access.Signer, error) {
	set := i.current.Load()
	if set == nil {
		return nil, errNoKeys
	}
	now := i.now()
	for _, k := range set.keys { // the newest first
		if !k.active.After(now) {
			return set.signers[k.id], nil
		}
	}
	// All of the future: the clock was put back since the first was made. That one has been known the longest.
	if len(set.keys) > 0 {
		return set.signers[set.keys[len(set.keys)-1].id], nil
	}
	return nil, errNoKeys
}

// JWKS returns the public keys as a JSON Web Key Set (RFC 7517), the coming one included.
func (i *Issuer) JWKS() ([]byte, error) {
	set := i.current.Load()
	if set == nil {
		return nil, errNoKeys
	}
	return set.jwks, nil
}

// Key implements access.KeySource, so that auth believes its own tokens without asking anybody.
func (i *Issuer) Key(ctx context.Context, issuer, kid string) (ed25519.PublicKey, error) {
	set := i.current.Load()
	if set == nil {
		return nil, access.ErrUnknownKey
	}
	public, err := set.trust.Key(ctx, issuer, kid)
	if errors.Is(err, access.ErrUnknownKey) && issuer == access.AuthIssuer && i.Refresh(ctx) == nil { // made by another replica
		return i.current.Load().trust.Key(ctx, issuer, kid)
	}
	return public, err
}

// Run looks for new keys every minute, and makes one when it is time, until ctx ends.
func (i *Issuer) Run(ctx context.Context) error {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := i.Refresh(ctx); err != nil && ctx.Err() == nil {
				i.logger.WarnContext(ctx, "signing keys could not be refreshed; the known ones stay", "error", err)
			}
		}
	}
}

// Refresh reads the keys, makes a new one when there is none or the newest is old, and seals anew what is sealed under an
// old key of the vault.
func (i *Issuer) Refresh(ctx context.Context) error {
	var stored []store.SigningKey
	err := i.db.Read(ctx, func(tx *sqldb.Tx) (err error) {
		stored, err = store.SigningKeys(tx, i.now())
		return err
	})
	if err == nil && (i.due(stored) || i.resealable(stored)) {
		err = i.db.Tx(ctx, func(tx *sqldb.Tx) (err error) {
			stored, err = i.renew(tx)
			return err
		})
	}
	if err != nil {
		return err
	}
	set, err := i.open(stored)
	if err != nil {
		return err
	}
	i.current.Store(set)
	return nil
}

func (i *Issuer) due(stored []store.SigningKey) bool {
	return len(stored) == 0 || !i.now().Before(stored[0].Active.Add(i.every))
}

func (i *Issuer) resealable(stored []store.SigningKey) bool {
	for _, k := range stored {
		if i.vault.NeedsReseal(vault.KeyID(k.VaultKey)) {
			return true
		}
	}
	return false
}

// renew makes what is missing, in a transaction that sees what other replicas did.
func (i *Issuer) renew(tx *sqldb.Tx) ([]store.SigningKey, error) {
	now := i.now()
	stored, err := store.SigningKeys(tx, now)
	if err != nil {
		return nil, err
	}
	for _, k := range stored {
		if err := i.reseal(tx, k); err != nil {
			return nil, err
		}
	}
	if i.due(stored) {
		made, err := i.make(now, len(stored) == 0)
		if err != nil {
			return nil, err
		}
		if err := store.InsertSigningKey(tx, made); err != nil {
			return nil, err
		}
		if err := store.RetireSigningKeys(tx, made.ID, made.Active.Add(verifyAfter)); err != nil {
			return nil, err
		}
	}
	return store.SigningKeys(tx, now)
}

func (i *Issuer) make(now time.Time, first bool) (store.SigningKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return store.SigningKey{}, fmt.Errorf("issuer: %w", err)
	}
	k := store.SigningKey{ID: access.KeyID(public), Public: public, Created: now, Active: now, Retires: now.Add(never)}
	if !first {
		k.Active = now.Add(publishAhead)
	}
	sealed, vaultKey, err := i.vault.Seal(private.Seed(), row(k.ID))
	k.Sealed, k.VaultKey = sealed, string(vaultKey)
	return k, err
}

// row is where a private half is sealed for.
func row(id string) vault.Row { return vault.Row{Table: "signing_keys", ID: id, Column: "sealed"} }

func (i *Issuer) reseal(tx *sqldb.Tx, k store.SigningKey) error {
	if !i.vault.NeedsReseal(vault.KeyID(k.VaultKey)) {
		return nil
	}
	seed, err := i.vault.Open(k.Sealed, row(k.ID))
	if err != nil {
		return err
	}
	sealed, vaultKey, err := i.vault.Seal(seed, row(k.ID))
	if err != nil {
		return err
	}
	return store.ResealSigningKey(tx, k.ID, sealed, string(vaultKey))
}

// open makes signers, trust and the published set of what is stored.
func (i *Issuer) open(stored []store.SigningKey) (*keySet, error) {
	set := &keySet{trust: access.NewTrust(), signers: map[string]*access.Signer{}}
	known := i.current.Load()
	var published []ed25519.PublicKey
	for _, k := range stored {
		set.keys = append(set.keys, key{k.ID, k.Active})
		set.trust.Add(access.AuthIssuer, k.Public)
		published = append(published, k.Public)
		if known != nil && known.signers[k.ID] != nil {
			set.signers[k.ID] = known.signers[k.ID]
			continue
		}
		seed, err := i.vault.Open(k.Sealed, row(k.ID))
		if err != nil {
			return nil, fmt.Errorf("issuer: signing key %s: %w", k.ID, err)
		}
		signer, err := access.NewSigner(access.AuthIssuer, ed25519.NewKeyFromSeed(seed), i.now)
		if err != nil {
			return nil, err
		}
		set.signers[k.ID] = signer
	}
	var err error
	set.jwks, err = marshalJWKS(published)
	return set, err
}
