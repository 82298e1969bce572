package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/mac"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
)

// ErrExists is returned by Create when there is a keyring file already. Overwriting one would make every secret sealed
// with it unreadable.
var ErrExists = errors.New("vault: the keyring file exists already")

// keyring is the content of the file: one keyset per purpose, as Tink writes them. The file's permissions protect it; on
// Kubernetes it is a mounted Secret.
type keyring struct {
	Seal json.RawMessage `json:"seal"`
	MAC  json.RawMessage `json:"mac"`
}

// purpose is one keyset of the file.
type purpose struct {
	part     func(*keyring) *json.RawMessage
	template func() *tinkpb.KeyTemplate
}

// purposes are never mixed: a key that seals does not hash.
var purposes = []purpose{
	{func(r *keyring) *json.RawMessage { return &r.Seal }, aead.AES256GCMKeyTemplate},
	{func(r *keyring) *json.RawMessage { return &r.MAC }, mac.HMACSHA256Tag256KeyTemplate},
}

// Create writes a new keyring file with fresh keys, readable by its owner only. Of two processes that create it at once,
// one gets ErrExists, and both may open it then.
func Create(path string) error {
	var ring keyring
	for _, p := range purposes {
		handle, err := keyset.NewHandle(p.template())
		if err != nil {
			return fmt.Errorf("vault: %w", err)
		}
		if err := p.write(&ring, handle); err != nil {
			return err
		}
	}
	err := ring.save(path, os.Link) // unlike a rename, a link refuses to replace
	if errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	return err
}

func readKeyring(path string) (*keyring, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	// The group may read: Kubernetes mounts a Secret for a pod's group. Nobody else may, and nobody may write but the owner.
	if mode := info.Mode().Perm(); mode&0o027 != 0 {
		return nil, fmt.Errorf("vault: %s has permissions %#o: others must not read it, nor its group change it (chmod 600)", path, mode)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	var ring keyring
	if err := json.Unmarshal(data, &ring); err != nil {
		return nil, fmt.Errorf("vault: %s is no keyring file", path)
	}
	return &ring, nil
}

// save writes the file beside its place and puts it there whole, by place (os.Link or os.Rename).
func (r *keyring) save(path string, place func(from, to string) error) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".keyring-*") // created with permissions 0600
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = place(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	return syncDir(dir)
}

// syncDir makes the new name durable: a key lost after the first secret was sealed with it cannot be made again.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	return nil
}

// read returns the keyset of one purpose.
func (p purpose) read(r *keyring) (*keyset.Handle, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(*p.part(r))))
	if err != nil {
		return nil, errors.New("no keyring file") // Tink's words could repeat parts of the file
	}
	return handle, nil
}

// write puts the keyset of one purpose into the ring.
func (p purpose) write(r *keyring, handle *keyset.Handle) error {
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&b)); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	*p.part(r) = b.Bytes()
	return nil
}

// primitives turns the keysets into what seals and hashes.
func (r *keyring) primitives() (*keys, error) {
	sealing, err := purposes[0].read(r)
	if err != nil {
		return nil, err
	}
	hashing, err := purposes[1].read(r)
	if err != nil {
		return nil, err
	}
	kek, err := aead.New(sealing)
	if err != nil {
		return nil, err
	}
	hash, err := mac.New(hashing)
	if err != nil {
		return nil, err
	}
	k := &keys{
		envelope: aead.NewKMSEnvelopeAEAD2(aead.AES256GCMKeyTemplate(), kek),
		mac:      hash,
		sealing:  keyID(sealing.KeysetInfo().GetPrimaryKeyId()),
		known:    map[KeyID]bool{},
	}
	for _, handle := range []*keyset.Handle{sealing, hashing} {
		for _, info := range handle.KeysetInfo().GetKeyInfo() {
			k.known[keyID(info.GetKeyId())] = true
		}
	}
	return k, nil
}

func keyID(id uint32) KeyID { return KeyID(fmt.Sprintf("%08x", id)) }
