package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/mac"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
)

// keyring is the content of the file: one keyset per purpose, as Tink writes them, or all of it wrapped by a KMS. The
// file's permissions protect it; on Kubernetes it is a mounted Secret.
type keyring struct {
	Seal json.RawMessage `json:"seal,omitempty"`
	MAC  json.RawMessage `json:"mac,omitempty"`
	// Wrapped is a keyring as JSON, encrypted with a data key that the KMS encrypted.
	Wrapped []byte `json:"wrapped,omitempty"`
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

// fresh makes a keyring with one new key per purpose.
func fresh() (*keyring, error) {
	ring := &keyring{}
	for _, p := range purposes {
		handle, err := keyset.NewHandle(p.template())
		if err != nil {
			return nil, fmt.Errorf("vault: %w", err)
		}
		if err := p.write(ring, handle); err != nil {
			return nil, err
		}
	}
	return ring, nil
}

// load reads the file and unwraps it. wrapped says whether it had to.
func (f File) load() (ring *keyring, wrapped bool, err error) {
	info, err := os.Stat(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, fmt.Errorf("vault: %w; if there was one, restore it from a backup: what it sealed opens with no other", err)
	case err != nil:
		return nil, false, fmt.Errorf("vault: %w", err)
	case !info.Mode().IsRegular():
		return nil, false, f.noKeyring()
	}
	// The group may read: Kubernetes mounts a Secret for a pod's group. Nobody else may, and nobody may write but the owner.
	if mode := info.Mode().Perm(); mode&0o027 != 0 {
		return nil, false, fmt.Errorf("vault: %s has permissions %#o: others must not read it, nor its group change it (chmod 600)", f.Path, mode)
	}
	data, err := os.ReadFile(f.Path)
	if err != nil {
		return nil, false, fmt.Errorf("vault: %w", err)
	}
	ring = &keyring{}
	if json.Unmarshal(data, ring) != nil {
		return nil, false, f.noKeyring()
	}
	if len(ring.Wrapped) == 0 {
		return ring, false, nil
	}
	plain, err := f.unwrap(ring.Wrapped)
	if err != nil {
		return nil, true, err
	}
	ring = &keyring{}
	if json.Unmarshal(plain, ring) != nil {
		return nil, true, f.noKeyring()
	}
	return ring, true, nil
}

// noKeyring does not repeat what the file says: it could be a part of a key.
func (f File) noKeyring() error {
	return fmt.Errorf("vault: %s is no keyring file, or a damaged one; restore it from a backup", f.Path)
}

// save writes the file beside its place and puts it there whole, by place (os.Link or os.Rename). At no moment is there a
// file that cannot be read, and when anything fails the one before is untouched. With Print it writes no file.
func (f File) save(ring *keyring, wrapped bool, place func(from, to string) error) error {
	data, err := json.MarshalIndent(ring, "", "  ")
	if err == nil && wrapped {
		if data, err = f.wrap(data); err == nil {
			data, err = json.Marshal(keyring{Wrapped: data})
		}
	}
	if err == nil && f.Print != nil {
		_, err = f.Print.Write(append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	if f.Print != nil {
		return nil
	}
	path := f.place() // a link stays one
	dir := filepath.Dir(path)
	if err := sweep(dir); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, unfinished+"*") // created with permissions 0600
	if err != nil {
		return f.unwritten(err)
	}
	defer os.Remove(file.Name())
	err = likeBefore(file, path)
	if err == nil {
		_, err = file.Write(data)
	}
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = place(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	return syncDir(dir)
}

// unwritten says why the file cannot be changed where it is.
func (f File) unwritten(err error) error {
	if errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("vault: %s: %w", f.Path, ErrMounted)
	}
	return fmt.Errorf("vault: %w", err)
}

// unfinished begins the name of a file that is being written.
const unfinished = ".keyring-"

// sweep removes what a process left that was killed while it wrote: such a file holds keys, also ones that were retired or
// wrapped since. Whoever saves has the folder's lock, so nobody else is writing.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), unfinished) {
			continue
		}
		if rerr := os.Remove(filepath.Join(dir, e.Name())); !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	if err != nil {
		return fmt.Errorf("vault: removing what an interrupted change left: %w", err)
	}
	return nil
}

// likeBefore gives the new file the owner, group and permissions of the one it replaces: a rotation by root must not take
// the keyring from the service.
func likeBefore(file *os.File, path string) error {
	before, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	now, err := file.Stat()
	if err != nil {
		return err
	}
	old, new := before.Sys().(*syscall.Stat_t), now.Sys().(*syscall.Stat_t)
	if old.Uid != new.Uid || old.Gid != new.Gid {
		if err := file.Chown(int(old.Uid), int(old.Gid)); err != nil {
			return fmt.Errorf("the keyring belongs to user %d, and only that user or root may change it: %w", old.Uid, err)
		}
	}
	return file.Chmod(before.Mode().Perm())
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
		return nil, errors.New("no keyring file, or a damaged one; restore it from a backup") // Tink's words could repeat parts of the file
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
	return &keys{
		envelope: aead.NewKMSEnvelopeAEAD2(aead.AES256GCMKeyTemplate(), kek),
		mac:      hash,
		roles:    Keys{Seal: roles(sealing), MAC: roles(hashing)},
	}, nil
}

// roles lists the keys of a keyset, the oldest first. Tink keeps them in the order in which they were added.
func roles(handle *keyset.Handle) []Key {
	info := handle.KeysetInfo()
	role := Old
	var all []Key
	for _, key := range info.GetKeyInfo() {
		if key.GetKeyId() == info.GetPrimaryKeyId() {
			all, role = append(all, Key{keyID(key.GetKeyId()), Primary}), Pending
			continue
		}
		all = append(all, Key{keyID(key.GetKeyId()), role})
	}
	return all
}

func keyID(id uint32) KeyID { return KeyID(fmt.Sprintf("%08x", id)) }
