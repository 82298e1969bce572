// Package vault seals secrets before they reach a database, and keys the hashes of short ones.
//
// A secret (a provider's token, a TOTP seed) is encrypted with a data key of its own, and that data key with the
// service's key: Tink's envelope, AES-256-GCM both times. Every ciphertext is bound to the row and column it was sealed
// for; moved to another row, table or firm it does not open. The id of the service's key stands in each ciphertext and is
// returned for a column of its own, so that rows under an old key are found by a query.
//
// Rotation is online: Add puts a new key into the keyring file, Promote makes it the one that seals, package rotation
// seals every row anew and makes sure that no process and no row needs the old key, Retire removes it. A running process
// sees a changed file before it seals, when it meets a key it does not know, and every few seconds (Follow). What it read
// from the database before a key was retired it opens for minutes afterwards.
//
// The file may be wrapped by a KMS (File.KMS). It is asked when the file is read and when it is written; what seals and
// opens is in memory, so a KMS that is down stops starts and rotations, and nothing else.
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
	"sync"
	"sync/atomic"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ErrSealed is returned when a ciphertext does not open: changed bytes, another row, or a key this keyring has not got.
// It deliberately does not say which.
var ErrSealed = errors.New("vault: the secret cannot be opened")

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
	file File
	keys atomic.Pointer[keys]
	seen atomic.Pointer[state] // of the file when it was last read, or could not be

	reading sync.Mutex  // held while the file is read
	failed  atomic.Bool // the file could not be read the last time
	former  atomic.Pointer[[]former]
	waiting atomic.Pointer[chan struct{}] // closed with the next change
}

// Open reads a plain keyring file; see File.Open.
func Open(path string) (*Vault, error) { return File{Path: path}.Open() }

// OpenOrCreate reads a plain keyring file, or creates it; see File.OpenOrCreate.
func OpenOrCreate(path string) (*Vault, error) { return File{Path: path}.OpenOrCreate() }

// Seal encrypts a secret for one row. It returns the ciphertext (about 100 bytes longer than the secret) and the id of
// the key, to be stored beside it.
func (v *Vault) Seal(secret []byte, row Row) (sealed []byte, key KeyID, err error) {
	k := v.latest()
	sealed, err = k.envelope.Encrypt(secret, row.binding())
	if err != nil {
		return nil, "", fmt.Errorf("vault: seal: %w", err)
	}
	return sealed, k.roles.Sealing(), nil
}

// Open decrypts what Seal returned for the same row.
func (v *Vault) Open(sealed []byte, row Row) ([]byte, error) {
	key, err := KeyOf(sealed)
	if err != nil {
		return nil, err
	}
	k, err := v.with(key)
	if err != nil {
		return nil, errors.Join(ErrSealed, err)
	}
	secret, err := k.envelope.Decrypt(sealed, row.binding())
	if err != nil {
		return nil, ErrSealed
	}
	return secret, nil
}

// NeedsReseal says whether a secret under this key should be opened and sealed again: true for every key but the one
// that seals now.
func (v *Vault) NeedsReseal(key KeyID) bool { return key != v.SealingKey() }

// SealingKey returns the key that seals now.
func (v *Vault) SealingKey() KeyID { return v.keys.Load().roles.Sealing() }

// Keys returns the keys in memory with what each is for.
func (v *Vault) Keys() Keys { return v.keys.Load().roles }

// KeyOf reads from a ciphertext which key it is sealed with.
func KeyOf(sealed []byte) (KeyID, error) {
	// The envelope begins with the length of the sealed data key (4 bytes); the sealed data key begins with Tink's
	// prefix: 1, then the key id.
	const prefix = 4
	if len(sealed) < prefix+5 || sealed[prefix] != tinkPrefix {
		return "", ErrSealed
	}
	return KeyID(hex.EncodeToString(sealed[prefix+1 : prefix+5])), nil
}

// keys is what one reading of the keyring file gives; it never changes.
type keys struct {
	envelope *aead.KMSEnvelopeAEAD
	mac      tink.MAC
	roles    Keys
}
