package vault

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// ErrMismatch is returned when a value is not the one that was hashed.
var ErrMismatch = errors.New("vault: the value does not match")

// MAC hashes a short secret (a PIN, a recovery code) for one row under the vault's key: HMAC-SHA-256 with the key's id in
// front. The same value and row give the same hash until the key is rotated.
func (v *Vault) MAC(value []byte, row Row) ([]byte, error) {
	sum, err := v.latest().mac.ComputeMAC(bound(value, row))
	if err != nil {
		return nil, fmt.Errorf("vault: mac: %w", err)
	}
	return sum, nil
}

// VerifyMAC compares, in constant time, a value with the hash that MAC returned for the same row, under whichever key of
// the keyring it was made. It returns ErrMismatch when they differ.
func (v *Vault) VerifyMAC(sum, value []byte, row Row) error {
	key, err := KeyOfMAC(sum)
	if err != nil {
		return ErrMismatch
	}
	k, err := v.with(key)
	if err != nil || k.mac.VerifyMAC(sum, bound(value, row)) != nil {
		return ErrMismatch
	}
	return nil
}

// KeyOfMAC reads from a hash which key it was made with.
func KeyOfMAC(sum []byte) (KeyID, error) {
	if len(sum) < macPrefix || sum[0] != tinkPrefix {
		return "", ErrMismatch
	}
	return KeyID(hex.EncodeToString(sum[1:macPrefix])), nil
}

const (
	// tinkPrefix begins what Tink makes under a key with an id; the id follows, 4 bytes.
	tinkPrefix = 1
	macPrefix  = 5
)

// bound appends the value to the row's binding; the binding says its own length, so nothing can slide between them.
func bound(value []byte, row Row) []byte { return append(row.binding(), value...) }
