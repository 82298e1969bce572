package mtls

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"
)

// Files are the certificate of a part, its key, and the authorities it believes, all PEM.
type Files struct {
	// Cert holds the part's certificate, followed by intermediate ones if there are any.
	Cert string
	// Key is the key of the certificate.
	Key string
	// CA holds the authorities that vouch for all parts, its own among them. While authorities change it holds both.
	CA string
}

// content is what the files hold.
type content [3][]byte

func (f Files) read() (content, error) {
	var all content
	for i, file := range []struct{ what, path string }{{"certificate", f.Cert}, {"key", f.Key}, {"authorities", f.CA}} {
		b, err := os.ReadFile(file.path)
		if err != nil {
			return content{}, fmt.Errorf("mtls: %s: %w", file.what, err)
		}
		all[i] = b
	}
	return all, nil
}

func (c content) equal(other content) bool {
	for i := range c {
		if !bytes.Equal(c[i], other[i]) {
			return false
		}
	}
	return true
}

// material is what one state of the files means.
type material struct {
	own         *tls.Certificate
	authorities *x509.CertPool
	from, until time.Time // when the whole chain of the own certificate is valid
}

// parse reads files that belong together. A certificate without its key, as between the two writes of a renewal that is no
// swap, is an error, and so is a bundle that breaks off in a certificate.
func (f Files) parse(c content) (*material, error) {
	pair, err := tls.X509KeyPair(c[0], c[1])
	if err != nil {
		return nil, fmt.Errorf("mtls: certificate %s and key %s: %w", f.Cert, f.Key, err)
	}
	m := &material{own: &pair, authorities: x509.NewCertPool(), from: pair.Leaf.NotBefore, until: pair.Leaf.NotAfter}
	for _, der := range pair.Certificate[1:] {
		between, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("mtls: certificate %s: %w", f.Cert, err)
		}
		if between.NotAfter.Before(m.until) {
			m.until = between.NotAfter
		}
	}
	authorities, err := bundle(c[2])
	if err != nil {
		return nil, fmt.Errorf("mtls: authorities %s: %w", f.CA, err)
	}
	for _, a := range authorities {
		m.authorities.AddCert(a)
	}
	return m, nil
}

// bundle reads every certificate of a PEM file. The library's own reader passes over what it cannot read, so that a file
// that is half written would be believed to hold fewer authorities than it does.
func bundle(file []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		block, rest := pem.Decode(file)
		if block == nil {
			break
		}
		file = rest
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("holds a %s", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, cert)
	}
	if bytes.Contains(file, []byte("-----BEGIN")) {
		return nil, errors.New("breaks off in a certificate")
	}
	if len(all) == 0 {
		return nil, errors.New("holds no certificate")
	}
	return all, nil
}
