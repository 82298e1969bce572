// Package idtoken tells Add-Ins who signed in: it signs ID tokens (OpenID Connect Core §2) with keys that sign nothing
// else, rotates those keys and publishes their public halves.
//
// The keys are another kind (ES256) than those of internal tokens and in another table, sealed for it. Neither kind of token
// is ever taken for the other: the verifier of internal tokens knows no key of this package, and wants another type and
// another issuer.
package idtoken

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/services/auth/internal/store/addins"
)

const (
	// publishAhead is how long a key is known before it signs: twice as long as the gateway lets the key set be cached.
	publishAhead = 10 * time.Minute
	// publishAfter is how long a key is published after another took over: Life, the rest is for clocks and for replicas
	// that have not noticed yet.
	publishAfter = time.Hour
	// refreshEvery is how often a replica looks for keys that others made.
	refreshEvery = time.Minute
	// never is when the newest key retires.
	never = 100 * 365 * 24 * time.Hour
)

// Keys holds the keys of this process. It is safe for concurrent use.
type Keys struct {
	db     *sqldb.DB
	vault  *vault.Vault
	now    access.Clock
	every  time.Duration
	logger *slog.Logger

	current atomic.Pointer[keySet]
}

// keySet is what one look at the database gave; it never changes.
type keySet struct {
	keys []openKey
	jwks []byte
}

type openKey struct {
	id     string
	active time.Time
	signer jose.Signer
}

// New makes keys that rotate every so often. There are none before the first Refresh.
func New(db *sqldb.DB, v *vault.Vault, now access.Clock, every time.Duration, logger *slog.Logger) *Keys {
	return &Keys{db: db, vault: v, now: now, every: every, logger: logger}
}

// errNoKeys is returned before the first Refresh.
var errNoKeys = errors.New("idtoken: no signing key yet")

// JWKS returns the public keys as a JSON Web Key Set (RFC 7517), the coming one included.
func (k *Keys) JWKS() ([]byte, error) {
	set := k.current.Load()
	if set == nil {
		return nil, errNoKeys
	}
	return set.jwks, nil
}

// signer returns the signer to use now.
func (k *Keys) signer() (jose.Signer, error) {
	set := k.current.Load()
	if set == nil {
		return nil, errNoKeys
	}
	now := k.now()
	for _, key := range set.keys { // the newest first
		if !key.active.After(now) {
			return key.signer, nil
		}
	}
	// All of the future: the clock was put back since the first was made. That one has been published the longest.
	if len(set.keys) > 0 {
		return set.keys[len(set.keys)-1].signer, nil
	}
	return nil, errNoKeys
}

// Run looks for new keys every minute, and makes one when it is time, until ctx ends.
func (k *Keys) Run(ctx context.Context) error {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := k.Refresh(ctx); err != nil && ctx.Err() == nil {
				k.logger.WarnContext(ctx, "keys of ID tokens could not be refreshed; the known ones stay", "error", err)
			}
		}
	}
}

// Refresh reads the keys, makes a new one when there is none or the newest is old, and seals anew what is sealed under an
// old key of the vault.
func (k *Keys) Refresh(ctx context.Context) error {
	var stored []addins.Key
	err := k.db.Read(ctx, func(tx *sqldb.Tx) (err error) {
		stored, err = addins.Keys(tx, k.now())
		return err
	})
	if err == nil && (k.due(stored) || k.resealable(stored)) {
		err = k.db.Tx(ctx, func(tx *sqldb.Tx) (err error) {
			stored, err = k.renew(tx)
			return err
		})
	}
	if err != nil {
		return err
	}
	set, err := k.open(stored)
	if err != nil {
		return err
	}
	k.current.Store(set)
	return nil
}

func (k *Keys) due(stored []addins.Key) bool {
	return len(stored) == 0 || !k.now().Before(stored[0].Active.Add(k.every))
}

func (k *Keys) resealable(stored []addins.Key) bool {
	for _, one := range stored {
		if k.vault.NeedsReseal(vault.KeyID(one.VaultKey)) {
			return true
		}
	}
	return false
}

// renew makes what is missing, in a transaction that sees what other replicas did.
func (k *Keys) renew(tx *sqldb.Tx) ([]addins.Key, error) {
	now := k.now()
	stored, err := addins.Keys(tx, now)
	if err != nil {
		return nil, err
	}
	for _, one := range stored {
		if err := k.reseal(tx, one); err != nil {
			return nil, err
		}
	}
	if k.due(stored) {
		made, err := k.make(now, len(stored) == 0)
		if err != nil {
			return nil, err
		}
		if err := addins.InsertKey(tx, made, made.Active.Add(publishAfter)); err != nil {
			return nil, err
		}
	}
	return addins.Keys(tx, now)
}

func (k *Keys) make(now time.Time, first bool) (addins.Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return addins.Key{}, fmt.Errorf("idtoken: %w", err)
	}
	made := addins.Key{Created: now, Active: now, Retires: now.Add(never)}
	if !first {
		made.Active = now.Add(publishAhead)
	}
	if made.ID, err = thumbprint(&private.PublicKey); err != nil {
		return addins.Key{}, err
	}
	if made.Public, err = x509.MarshalPKIXPublicKey(&private.PublicKey); err != nil {
		return addins.Key{}, fmt.Errorf("idtoken: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return addins.Key{}, fmt.Errorf("idtoken: %w", err)
	}
	sealed, vaultKey, err := k.vault.Seal(der, row(made.ID))
	made.Sealed, made.VaultKey = sealed, string(vaultKey)
	return made, err
}

// thumbprint is a key's id: what it is follows from the key (RFC 7638).
func thumbprint(public *ecdsa.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum), err
}

// row is where a private half is sealed for.
func row(id string) vault.Row { return vault.Row{Table: "id_token_keys", ID: id, Column: "sealed"} }

func (k *Keys) reseal(tx *sqldb.Tx, one addins.Key) error {
	if !k.vault.NeedsReseal(vault.KeyID(one.VaultKey)) {
		return nil
	}
	der, err := k.vault.Open(one.Sealed, row(one.ID))
	if err != nil {
		return err
	}
	sealed, vaultKey, err := k.vault.Seal(der, row(one.ID))
	if err != nil {
		return err
	}
	return addins.ResealKey(tx, one.ID, sealed, string(vaultKey))
}

// open makes signers and the published set of what is stored.
func (k *Keys) open(stored []addins.Key) (*keySet, error) {
	set, published := &keySet{}, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, one := range stored {
		der, err := k.vault.Open(one.Sealed, row(one.ID))
		if err != nil {
			return nil, fmt.Errorf("idtoken: key %s: %w", one.ID, err)
		}
		private, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			return nil, fmt.Errorf("idtoken: key %s: %w", one.ID, err)
		}
		key, ok := private.(*ecdsa.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("idtoken: key %s is of another kind", one.ID)
		}
		signer, err := jose.NewSigner(
			jose.SigningKey{Algorithm: Algorithm, Key: jose.JSONWebKey{Key: key, KeyID: one.ID}},
			(&jose.SignerOptions{}).WithType(Type))
		if err != nil {
			return nil, fmt.Errorf("idtoken: key %s: %w", one.ID, err)
		}
		set.keys = append(set.keys, openKey{one.ID, one.Active, signer})
		published.Keys = append(published.Keys, jose.JSONWebKey{
			Key: key.Public(), KeyID: one.ID, Algorithm: string(Algorithm), Use: "sig",
		})
	}
	var err error
	set.jwks, err = json.Marshal(published)
	return set, err
}
