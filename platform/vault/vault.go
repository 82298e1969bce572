// Package vault seals secrets before they reach a database, and keys the hashes of short ones.
//
// A secret (a provider's token, a TOTP seed) is encrypted with a data key of its own, and that data key with the
// service's key: Tink's envelope, AES-256-GCM both times. Every ciphertext is bound to the row and column it was sealed
// for; moved to another row, table or firm it does not open. The id of the service's key stands in each ciphertext and is
// returned for a column of its own, so that rows under an old key are found by a query.
//
// Rotation is online: Add puts a new key into the keyring file, Promote makes it the one that seals, the owner of the rows
// reseals those for which NeedsReseal says so, in batches, whenever it likes; Retire removes the old key when none is
// left. With several replicas Promote waits until every replica has the file with the new key; on one machine Rotate does
// both at once. A running process reads a changed keyring file when it meets a key it does not know.
//
// PINs and recovery codes are short enough to guess from a plain hash. MAC hashes them under a key from the same file,
// another keyset, so that a copy of the database alone is no use.
//
// The package does not decide who may read a secret, and stores none.
package vault

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ErrSealed is returned when a ciphertext does not open: changed bytes, another row, or a key this keyring has not got.
// It deliberately does not say which.
var ErrSealed = errors.New("vault: the secret cannot be opened")

// KeyID names the service's key a secret is sealed with: 8 hex digits.
type KeyID string

// Row is the place a secret is sealed for. It must be given again, equal in every part, to open it.
type Row struct {
	Firm   string // id of the firm; empty for what belongs to the installation
	Table  string
	ID     string // primary key of the row
	Column string
}

// binding returns the row as associated data. Every part is preceded by its length, so that no two rows bind alike.
func (r Row) binding() []byte {
	var b []byte
	for _, part := range []string{"concord/row/1", r.Firm, r.Table, r.ID, r.Column} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

// Vault seals and opens with the keys of one keyring file. It is safe for concurrent use.
type Vault struct {
	path string
	keys atomic.Pointer[keys]
}

// Open reads a keyring file. It refuses one that everybody on the machine may read, or that its group may change.
func Open(path string) (*Vault, error) {
	v := &Vault{path: path}
	if err := v.Reload(); err != nil {
		return nil, err
	}
	return v, nil
}

// OpenOrCreate reads a keyring file, or creates it with fresh keys, readable by its owner only. It is for the one-machine
// product; elsewhere the file is given and its absence is an error.
func OpenOrCreate(path string) (*Vault, error) {
	if err := Create(path); err != nil && !errors.Is(err, ErrExists) {
		return nil, err
	}
	return Open(path)
}

// Reload reads the keyring file again. On error the keys in use stay.
func (v *Vault) Reload() error {
	ring, err := readKeyring(v.path)
	if err != nil {
		return err
	}
	k, err := ring.primitives()
	if err != nil {
		return fmt.Errorf("vault: %s: %w", v.path, err)
	}
	v.keys.Store(k)
	return nil
}

// Seal encrypts a secret for one row. It returns the ciphertext (about 100 bytes longer than the secret) and the id of
// the key, to be stored beside it.
func (v *Vault) Seal(secret []byte, row Row) (sealed []byte, key KeyID, err error) {
	k := v.keys.Load()
	sealed, err = k.envelope.Encrypt(secret, row.binding())
	if err != nil {
		return nil, "", fmt.Errorf("vault: seal: %w", err)
	}
	return sealed, k.sealing, nil
}

// Open decrypts what Seal returned for the same row.
func (v *Vault) Open(sealed []byte, row Row) ([]byte, error) {
	key, err := KeyOf(sealed)
	if err != nil {
		return nil, err
	}
	if !v.keys.Load().known[key] {
		// Another process may have rotated; a file that cannot be read now leaves the keys as they are.
		if err := v.Reload(); err != nil {
			return nil, errors.Join(ErrSealed, err)
		}
	}
	secret, err := v.keys.Load().envelope.Decrypt(sealed, row.binding())
	if err != nil {
		return nil, ErrSealed
	}
	return secret, nil
}

// NeedsReseal says whether a secret under this key should be opened and sealed again: true for every key but the one
// that seals now. A reseal loop reads the file again first (Reload) and stores the new ciphertext and key id only where
// the old ciphertext still stands.
func (v *Vault) NeedsReseal(key KeyID) bool { return key != v.keys.Load().sealing }

// SealingKey returns the key that seals now, for a query for the rows under other keys.
func (v *Vault) SealingKey() KeyID { return v.keys.Load().sealing }

// KeyOf reads from a ciphertext which key it is sealed with.
func KeyOf(sealed []byte) (KeyID, error) {
	// The envelope begins with the length of the sealed data key (4 bytes); the sealed data key begins with Tink's
	// prefix: 1, then the key id.
	const prefix = 4
	if len(sealed) < prefix+5 || sealed[prefix] != 1 {
		return "", ErrSealed
	}
	return KeyID(hex.EncodeToString(sealed[prefix+1 : prefix+5])), nil
}

// keys is what one reading of the keyring file gives; it never changes.
type keys struct {
	envelope *aead.KMSEnvelopeAEAD
	mac      tink.MAC
	sealing  KeyID
	known    map[KeyID]bool
}
