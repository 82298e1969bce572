package trail

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/services/auth/internal/ledger/transcript"
	"github.com/concord-suite/concord/services/auth/internal/store/chain"
)

// Keys has the key that signs transcripts. It is made when the first one is asked for, signs nothing else, and stays: a
// transcript is checked years later, by the id of its key.
type Keys struct {
	DB    *sqldb.DB
	Vault *vault.Vault
	Now   func() time.Time
}

// row is where a private half is sealed for.
func row(id string) vault.Row { return vault.Row{Table: "ledger_keys", ID: id, Column: "sealed"} }

// Signer is the key that signs now.
func (k Keys) Signer(ctx context.Context) (ed25519.PrivateKey, error) {
	var newest chain.Key
	err := k.DB.Read(ctx, func(tx *sqldb.Tx) (err error) { newest, err = latest(tx); return err })
	if err == nil && newest.ID == "" {
		err = k.DB.Tx(ctx, func(tx *sqldb.Tx) (err error) { newest, err = k.make(tx); return err })
	}
	if err != nil {
		return nil, err
	}
	seed, err := k.Vault.Open(newest.Sealed, row(newest.ID))
	if err != nil {
		return nil, fmt.Errorf("trail: the key %s that signs transcripts: %w", newest.ID, err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func latest(tx *sqldb.Tx) (chain.Key, error) {
	keys, err := chain.Keys(tx)
	if err != nil || len(keys) == 0 {
		return chain.Key{}, err
	}
	return keys[0], nil
}

// make makes the key, unless another replica has.
func (k Keys) make(tx *sqldb.Tx) (chain.Key, error) {
	if have, err := latest(tx); err != nil || have.ID != "" {
		return have, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return chain.Key{}, fmt.Errorf("trail: %w", err)
	}
	made := chain.Key{ID: transcript.KeyID(public), Public: public, Created: k.Now()}
	sealed, vaultKey, err := k.Vault.Seal(private.Seed(), row(made.ID))
	if err != nil {
		return chain.Key{}, err
	}
	made.Sealed, made.VaultKey = sealed, string(vaultKey)
	return made, chain.InsertKey(tx, made)
}
