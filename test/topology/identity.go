package topology

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
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
