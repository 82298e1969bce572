// Package mtlstest makes authorities and certificates for tests, and puts them where programs look for them as Kubernetes
// does.
package mtlstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/concord-suite/concord/platform/mtls"
)

// Domain is the trust domain of the certificates made here.
const Domain = "concord"

// Authority issues certificates.
type Authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// chain is what certificates come with, when the authority is one that another vouches for.
	chain []byte
}

// life is longer than any test and shorter than anything one would keep.
const life = 4 * time.Hour

// NewAuthority makes an authority that is valid for a day.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t}
	a.key, a.cert = a.sign(ownOf("authority"), nil)
	return a
}

// Below makes an authority that a vouches for: its certificates come with its own, and whoever believes a believes them.
func (a *Authority) Below() *Authority {
	a.t.Helper()
	b := &Authority{t: a.t}
	b.key, b.cert = b.sign(ownOf("authority below"), a)
	b.chain = certificate(b.cert)
	return b
}

// ownOf is the template of an authority's own certificate.
func ownOf(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

// PEM is the certificate of the authority.
func (a *Authority) PEM() []byte { return certificate(a.cert) }

// Issue makes the one certificate of a part, as a platform's issuer does: its identity as the only URI, and its names in a
// cluster; valid from an hour ago until after the test. Edits make another one of it.
func (a *Authority) Issue(part string, edits ...func(*x509.Certificate)) Pair {
	a.t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: part}, URIs: []*url.URL{URI(a.t, mtls.Identity(Domain, part))}, BasicConstraintsValid: true,
		DNSNames:  []string{part, part + ".concord", part + ".concord.svc", part + ".concord.svc.cluster.local"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, edit := range edits {
		edit(template)
	}
	key, cert := a.sign(template, a)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return Pair{Cert: append(certificate(cert), a.chain...), Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), Leaf: cert}
}

// sign completes a template; parent is nil for an authority's own.
func (a *Authority) sign(template *x509.Certificate, parent *Authority) (*ecdsa.PrivateKey, *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<60)); err != nil {
		a.t.Fatal(err)
	}
	signer, by := key, template
	if parent != nil {
		signer, by = parent.key, parent.cert
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, cert
}

func certificate(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// Pair is a certificate, with those between it and an authority that is believed, and its key, PEM.
type Pair struct {
	Cert, Key []byte
	Leaf      *x509.Certificate
}

// URI parses what a test knows to be a URI.
func URI(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Valid is an edit of Issue that sets when the certificate is valid, relative to now.
func Valid(from, until time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(until) }
}

// At is an edit of Issue that adds addresses, for servers whose clients look for them (NATS).
func At(addresses ...net.IP) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.IPAddresses = append(c.IPAddresses, addresses...) }
}
