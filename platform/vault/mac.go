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
	sum, err := v.keys.Load().mac.ComputeMAC(bound(value, row))
	if err != nil {
		return nil, fmt.Errorf("vault: mac: %w", err)
	}
	return sum, nil
}

// VerifyMAC compares, in constant time, a value with the hash that MAC returned for the same row, under whichever key of
// the keyring it was made. It returns ErrMismatch when they differ.
func (v *Vault) VerifyMAC(sum, value []byte, row Row) error {
	if v.keys.Load().mac.VerifyMAC(sum, bound(value, row)) == nil {
		return nil
	}
	if len(sum) > 5 && !v.keys.Load().known[KeyID(hex.EncodeToString(sum[1:5]))] && v.Reload() == nil {
		if v.keys.Load().mac.VerifyMAC(sum, bound(value, row)) == nil {
			return nil
		}
	}
	return ErrMismatch
}

// bound appends the value to the row's binding; the binding says its own length, so nothing can slide between them.
func bound(value []byte, row Row) []byte { return append(row.binding(), value...) }
