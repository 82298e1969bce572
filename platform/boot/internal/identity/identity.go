// Package identity has the keys by which services know each other's tokens: a service's own, in a file of its own, and the
// public ones of all, in the trust file that every service reads.
package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/concord-suite/concord/platform/access"
)

// Read reads a service's own key: Ed25519, PKCS #8 in PEM. A file that everybody on the machine may read, or its group may
// change, is refused; the group may read it, since that is how Kubernetes gives a pod its Secret.
func Read(path string) (ed25519.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o027 != 0 {
		return nil, fmt.Errorf("%s has permissions %#o: others must not read it, nor its group change it (chmod 600)", path, mode)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := access.ParseKey(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// Create writes a new key to a file that is not there yet, for its owner's eyes, and its public half, in PEM, to public.
func Create(public io.Writer, path string) error {
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	file, err := access.FormatKey(private)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already: a key is never replaced in place, since others still trust the old one", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(file)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return err
	}
	return pem.Encode(public, &pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// WriteTrust writes the trust file of services given as NAME=FILE, each file with a public key as Create prints it, or with
// the service's own. A name may come several times: while its key is replaced, the old and the new one are trusted.
func WriteTrust(out io.Writer, services []string) error {
	trust := access.NewTrust()
	for _, service := range services {
		name, path, found := strings.Cut(service, "=")
		if !found || name == "" || path == "" {
			return fmt.Errorf("want NAME=FILE, not %q", service)
		}
		key, err := readPublic(path)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		trust.Add(name, key)
	}
	text, err := json.MarshalIndent(trust, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", text)
	return err
}

func readPublic(path string) (ed25519.PublicKey, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if private, err := access.ParseKey(file); err == nil {
		return private.Public().(ed25519.PublicKey), nil
	}
	if block, _ := pem.Decode(file); block != nil {
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if public, ok := key.(ed25519.PublicKey); err == nil && ok {
			return public, nil
		}
	}
	return nil, fmt.Errorf("%s holds no Ed25519 key in PEM", path)
}
