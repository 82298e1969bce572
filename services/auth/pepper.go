package auth

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/services/auth/internal/password"
	"github.com/concord-suite/concord/services/auth/internal/store/people"
)

const (
	// pepperID is the id of the pepper made at the first start. Another one beside it would get another.
	pepperID = "1"
	// pepperBytes is the length of a pepper, that of the hash it keys.
	pepperBytes = 32
)

// pepper opens the secret that goes into password hashes, and makes it at the very first start. It is random and sealed, so
// a rotation of the keyring seals it anew and changes no hash.
func pepper(ctx context.Context, d Deps) (password.Pepper, error) {
	found, err := currentPepper(ctx, d.DB)
	if errors.Is(err, sqldb.ErrNotFound) {
		if err = offerPepper(ctx, d); err == nil {
			found, err = currentPepper(ctx, d.DB)
		}
	}
	if err != nil {
		return password.Pepper{}, err
	}
	secret, err := d.Vault.Open(found.Sealed, pepperRow(found.ID))
	if err != nil {
		return password.Pepper{}, errors.New("auth: the pepper of the passwords cannot be opened: this is not the keyring of this database")
	}
	return password.Pepper{ID: found.ID, Secret: secret}, nil
}

func pepperRow(id string) vault.Row { return vault.Row{Table: "peppers", ID: id, Column: "sealed"} }

func currentPepper(ctx context.Context, db *sqldb.DB) (p people.Pepper, err error) {
	err = db.Read(ctx, func(tx *sqldb.Tx) (err error) {
		p, err = people.CurrentPepper(tx)
		return err
	})
	return p, err
}

func offerPepper(ctx context.Context, d Deps) error {
	secret := make([]byte, pepperBytes)
	_, _ = rand.Read(secret) // never fails: it ends the program instead
	sealed, key, err := d.Vault.Seal(secret, pepperRow(pepperID))
	if err != nil {
		return err
	}
	return d.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		return people.OfferPepper(tx, people.Pepper{ID: pepperID, Sealed: sealed, VaultKey: string(key)}, d.Now())
	})
}
