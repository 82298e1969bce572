package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
)

// Keeper is a key in a KMS that never leaves it. Package kms of the platform opens one by URL.
type Keeper interface {
	Encrypt(ctx context.Context, plain []byte) ([]byte, error)
	Decrypt(ctx context.Context, sealed []byte) ([]byte, error)
}

var (
	// ErrWrapped is returned for a wrapped keyring file when no KMS is set.
	ErrWrapped = errors.New("vault: the keyring file is wrapped by a KMS, and no KMS is set (keyring_kms)")
	// ErrKMS is returned when the KMS cannot be reached or refuses.
	ErrKMS = errors.New("vault: the KMS did not unwrap or wrap the keyring file")
)

// kmsWait bounds one call to the KMS. One takes some ten milliseconds; a start that hangs tells nobody why.
const kmsWait = 10 * time.Second

// Wrap encrypts the file with a key of the KMS to, which becomes the one to open it with. The file was plain, or wrapped
// by f.KMS. Before the new file takes the place of the old, it has been opened. No plain copy is left on the disk.
func (f File) Wrap(to Keeper) error {
	return f.rewrite(File{Path: f.Path, KMS: to, Print: f.Print}, true)
}

// Unwrap writes the file in plain. The file's permissions are its only protection then.
func (f File) Unwrap() error { return f.rewrite(f, false) }

func (f File) rewrite(to File, wrapped bool) error {
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	ring, _, err := f.load()
	if err != nil {
		return err
	}
	if _, err := ring.primitives(); err != nil {
		return fmt.Errorf("vault: %s: %w", f.Path, err)
	}
	return to.save(ring, wrapped, os.Rename)
}

// wrap encrypts a keyring with a new data key, and that with the KMS: some KMS encrypt a few hundred bytes at most. The
// result is opened before it is believed.
func (f File) wrap(plain []byte) ([]byte, error) {
	if f.KMS == nil {
		return nil, ErrWrapped
	}
	sealed, err := aead.NewKMSEnvelopeAEAD2(aead.AES256GCMKeyTemplate(), remote{f.KMS}).Encrypt(plain, wrapping)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKMS, err)
	}
	opened, err := f.unwrap(sealed)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(opened, plain) {
		return nil, fmt.Errorf("%w: what it wrapped does not unwrap to the same", ErrKMS)
	}
	return sealed, nil
}

func (f File) unwrap(sealed []byte) ([]byte, error) {
	if f.KMS == nil {
		return nil, fmt.Errorf("%s: %w", f.Path, ErrWrapped)
	}
	var asked error
	plain, err := aead.NewKMSEnvelopeAEAD2(aead.AES256GCMKeyTemplate(), telling{remote{f.KMS}, &asked}).Decrypt(sealed, wrapping)
	if err == nil && !json.Valid(plain) {
		return nil, f.noKeyring()
	}
	if asked != nil { // the envelope repeats some of it, or nothing
		err = asked
	}
	if err != nil {
		return nil, fmt.Errorf("%w (%s): %w", ErrKMS, f.Path, err)
	}
	return plain, nil
}

// wrapping is the associated data of a wrapped keyring.
var wrapping = []byte("concord/keyring/1")

// remote is a Keeper as Tink's envelope takes it. The envelope gives no associated data to it.
type remote struct{ keeper Keeper }

// Encrypt implements tink.AEAD.
func (r remote) Encrypt(plain, _ []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), kmsWait)
	defer cancel()
	return r.keeper.Encrypt(ctx, plain)
}

// Decrypt implements tink.AEAD.
func (r remote) Decrypt(sealed, _ []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), kmsWait)
	defer cancel()
	return r.keeper.Decrypt(ctx, sealed)
}

// telling keeps why the KMS did not decrypt: the envelope does not repeat it.
type telling struct {
	remote
	why *error
}

// Decrypt implements tink.AEAD.
func (t telling) Decrypt(sealed, data []byte) ([]byte, error) {
	plain, err := t.remote.Decrypt(sealed, data)
	*t.why = err
	return plain, err
}
