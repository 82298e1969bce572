package eventstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates for tests and writes them as files, as a platform mounts them: <name>.crt, <name>.key and,
// for the authority itself, ca.crt.
type Authority struct {
	Dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// NewAuthority makes an authority whose files lie in a directory of the test.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{Dir: t.TempDir()}
	a.Renew(t)
	return a
}

// CA is the file with the authority's own certificate.
func (a *Authority) CA() string { return filepath.Join(a.Dir, "ca.crt") }

// Files are those of the certificate called name.
func (a *Authority) Files(name string) (cert, key string) {
	return filepath.Join(a.Dir, name+".crt"), filepath.Join(a.Dir, name+".key")
}

// Renew replaces the authority by another one: what it signed before is not believed any more.
func (a *Authority) Renew(t testing.TB) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	a.cert, err = x509.ParseCertificate(der)
	must(t, err)
	a.key = key
	write(t, a.CA(), "CERTIFICATE", der)
}

// Issue writes a certificate for name that is good for a while, negative when it has expired; identity is the URI in it,
// none when empty.
func (a *Authority) Issue(t testing.TB, name, identity string, good time.Duration) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name, "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(good), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if identity != "" {
		uri, err := url.Parse(identity)
		must(t, err)
		template.URIs = []*url.URL{uri}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	cert, keyFile := a.Files(name)
	write(t, keyFile, "PRIVATE KEY", private)
	write(t, cert, "CERTIFICATE", der)
}

// write replaces a file at once, as a platform does with what it mounts.
func write(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	must(t, os.WriteFile(path+".new", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	must(t, os.Rename(path+".new", path))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
