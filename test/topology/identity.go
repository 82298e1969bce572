package topology

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// identities makes a key for each service, in the files that a platform team would mount, and the file in which they
// trust each other.
func identities(t testing.TB, dir string, services []string) {
	t.Helper()
	type public struct {
		Key []byte `json:"public_key"`
	}
	trust := map[string][]public{}
	for _, name := range services {
		pub, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		trust[name] = []public{{pub}}
	}
	b, err := json.Marshal(trust)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "trust.json"), b)
}

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// ServiceToken makes the token by which a service is known to another, as the service itself does with its key: with a
// process per service, whoever holds the key file is the service. firm may be empty.
func (s *Suite) ServiceToken(t testing.TB, service, audience, firm string) string {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(s.Dir, service+".key"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(file)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key := parsed.(ed25519.PrivateKey)
	id := sha256.Sum256(key.Public().(ed25519.PublicKey))
	now := time.Now()
	signed := segment(t, map[string]any{"alg": "EdDSA", "typ": "concord-internal+jwt", "kid": base64.RawURLEncoding.EncodeToString(id[:16])}) +
		"." + segment(t, map[string]any{
		"iss": service, "aud": audience, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
		"prn": map[string]any{"k": "SERVICE", "id": service, "f": firm},
	})
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(signed)))
}

func segment(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}
