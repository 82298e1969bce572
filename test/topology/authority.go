package topology

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// certificateLife is longer than any test and shorter than anything one would keep.
const certificateLife = 2 * time.Hour

// Authority vouches for the parts of a suite, as a platform's own does.
type Authority struct {
	// PEM is its certificate.
	PEM []byte

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes one.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	a := &Authority{}
	made := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, key := a.sign(t, made)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, a.key, a.PEM = cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// Issue makes the one certificate of a part: its identity as a URI, its names in the cluster, and addresses.
func (a *Authority) Issue(t testing.TB, part string, addresses ...net.IP) (cert, key []byte) {
	t.Helper()
	id := &url.URL{Scheme: "spiffe", Host: "concord", Path: "/" + part}
	der, private := a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: part}, URIs: []*url.URL{id}, IPAddresses: addresses,
		DNSNames:    []string{part, part + ".concord", part + ".concord.svc", part + ".concord.svc.cluster.local"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

// sign makes a key and a certificate of it, signed by a, or by itself while a has no certificate.
func (a *Authority) sign(t testing.TB, made *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	made.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	made.NotBefore, made.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(certificateLife)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = made, key
	}
	der, err := x509.CreateCertificate(rand.Reader, made, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

// Volume is a folder as a secret is mounted: its files are links through one link that is replaced at once, so that a
// reader sees the old files or the new ones.
type Volume struct {
	// Dir is the folder.
	Dir string

	version int
}

// data is the link that is replaced.
const data = "..data"

// Write replaces all files.
func (v *Volume) Write(t testing.TB, files map[string][]byte) {
	t.Helper()
	v.version++
	version := fmt.Sprintf("..%d", v.version)
	if err := os.MkdirAll(filepath.Join(v.Dir, version), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		write(t, filepath.Join(v.Dir, version, name), content)
		if err := os.Symlink(filepath.Join(data, name), filepath.Join(v.Dir, name)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	next := filepath.Join(v.Dir, "..next")
	if err := os.Symlink(version, next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(v.Dir, data)); err != nil {
		t.Fatal(err)
	}
}

// Read answers a file as it is now.
func (v *Volume) Read(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(v.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}
