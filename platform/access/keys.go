package access

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"sync"
)

// ErrUnknownKey says that no key with this id is trusted for this issuer.
var ErrUnknownKey = errors.New("access: unknown key")

// Key is a public key under which tokens of an issuer are believed.
type Key struct {
	// ID is the key id (kid header), see KeyID.
	ID string
	// Public is the Ed25519 public key.
	Public ed25519.PublicKey
}

// KeySource finds the public key of an issuer; it answers ErrUnknownKey for one that is not trusted.
type KeySource interface {
	Key(ctx context.Context, issuer, kid string) (ed25519.PublicKey, error)
}

// KeyID derives the id of a key from its public half: 128 bits of its SHA-256, base64url. Two holders of the key agree
// on it without being told.
func KeyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Trust is a set of trusted keys, several per issuer while keys rotate. It is safe for concurrent use.
type Trust struct {
	mu   sync.RWMutex
	keys map[string]map[string]ed25519.PublicKey
}

// NewTrust returns an empty set. The all-in-one fills it at every start with the keys it has just made; ParseTrust
// reads one from a file.
func NewTrust() *Trust { return &Trust{keys: map[string]map[string]ed25519.PublicKey{}} }

// Add trusts a key for an issuer.
func (t *Trust) Add(issuer string, public ed25519.PublicKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keys[issuer] == nil {
		t.keys[issuer] = map[string]ed25519.PublicKey{}
	}
	t.keys[issuer][KeyID(public)] = public
}

// Issue makes a new key for an issuer, trusts it and returns the signer that holds it.
func (t *Trust) Issue(issuer string, now Clock) (*Signer, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("access: key of %s: %w", issuer, err)
	}
	s, err := NewSigner(issuer, private, now)
	if err != nil {
		return nil, err
	}
	t.Add(issuer, public)
	return s, nil
}

// Key implements KeySource.
func (t *Trust) Key(_ context.Context, issuer, kid string) (ed25519.PublicKey, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if k, ok := t.keys[issuer][kid]; ok {
		return k, nil
	}
	return nil, ErrUnknownKey
}

// Issuers returns the keys by issuer and key id, as a copy.
func (t *Trust) Issuers() map[string]map[string]ed25519.PublicKey {
	t.mu.RLock()
	defer t.mu.RUnlock()
	out := make(map[string]map[string]ed25519.PublicKey, len(t.keys))
	for issuer, keys := range t.keys {
		out[issuer] = maps.Clone(keys)
	}
	return out
}

// Sources asks several sources in order; the first that knows the key answers.
type Sources []KeySource

// Key implements KeySource.
func (s Sources) Key(ctx context.Context, issuer, kid string) (ed25519.PublicKey, error) {
	for _, source := range s {
		k, err := source.Key(ctx, issuer, kid)
		if !errors.Is(err, ErrUnknownKey) {
			return k, err
		}
	}
	return nil, ErrUnknownKey
}

// trustEntry is one key in a trust file.
type trustEntry struct {
	KeyID     string `json:"kid"`
	PublicKey []byte `json:"public_key"` // 32 bytes, base64 in the file
}

// ParseTrust reads a trust file: a JSON object from issuer to a list of {"kid", "public_key"}, the key in standard
// base64. A wrong file is an error that names the issuer; nothing of it is used.
func ParseTrust(file []byte) (*Trust, error) {
	var entries map[string][]trustEntry
	if err := json.Unmarshal(file, &entries); err != nil {
		return nil, fmt.Errorf("access: trust file: %w", err)
	}
	t := NewTrust()
	for issuer, keys := range entries {
		if issuer == "" || len(keys) == 0 {
			return nil, fmt.Errorf("access: trust file: issuer %q has no keys", issuer)
		}
		for _, k := range keys {
			if len(k.PublicKey) != ed25519.PublicKeySize {
				return nil, fmt.Errorf("access: trust file: a key of %q is not an Ed25519 public key", issuer)
			}
			if id := KeyID(k.PublicKey); k.KeyID != "" && k.KeyID != id {
				return nil, fmt.Errorf("access: trust file: key %q of %q has the id %q", k.KeyID, issuer, id)
			}
			t.Add(issuer, k.PublicKey)
		}
	}
	return t, nil
}

// MarshalJSON writes the trust file that ParseTrust reads.
func (t *Trust) MarshalJSON() ([]byte, error) {
	out := map[string][]trustEntry{}
	for issuer, keys := range t.Issuers() {
		for kid, public := range keys {
			out[issuer] = append(out[issuer], trustEntry{KeyID: kid, PublicKey: public})
		}
	}
	return json.Marshal(out)
}

// ParseKey reads a private key: PKCS #8 in PEM, as `openssl genpkey -algorithm ed25519` writes it.
func ParseKey(file []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(file)
	if block == nil {
		return nil, errors.New("access: identity key: not a PEM file")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("access: identity key: not a PKCS #8 key")
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("access: identity key: not an Ed25519 key")
	}
	return private, nil
}

// FormatKey writes a private key as ParseKey reads it.
func FormatKey(key ed25519.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("access: identity key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
