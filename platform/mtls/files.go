package mtls

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
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

// pair is a certificate with its key.
type pair struct {
	own         *tls.Certificate
	from, until time.Time // when the whole chain is valid
}

// parsePair reads a certificate and a key that belong together. A certificate without its key, as between the two writes of
// a renewal that is no swap, is an error, and so is a chain that breaks off: the library would take what is left of it.
func (f Files) parsePair(c content) (*pair, error) {
	both, err := tls.X509KeyPair(c[0], c[1])
	if err == nil {
		err = whole(c[0])
	}
	if err != nil {
		return nil, fmt.Errorf("mtls: certificate %s and key %s: %w", f.Cert, f.Key, err)
	}
	p := &pair{own: &both, from: both.Leaf.NotBefore, until: both.Leaf.NotAfter}
	for _, der := range both.Certificate[1:] {
		between, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("mtls: certificate %s: %w", f.Cert, err)
		}
		if between.NotAfter.Before(p.until) {
			p.until = between.NotAfter
		}
		if between.NotBefore.After(p.from) {
			p.from = between.NotBefore
		}
	}
	return p, nil
}

// bundle reads every certificate of a PEM file. The library's own reader passes over what it cannot read, so that a file
// that is half written would be believed to hold fewer authorities than it does.
func bundle(file []byte) ([]*x509.Certificate, error) {
	if err := whole(file); err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("holds a %s", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, cert)
	}
	if len(all) == 0 {
		return nil, errors.New("holds no certificate")
	}
	return all, nil
}

// beginning is how each block of a PEM file begins.
const beginning = "-----BEGIN "

// whole says when a PEM file breaks off, or has a block that the library cannot read and would pass over, as when two files
// were put together of which the first had no end of line.
func whole(file []byte) error {
	begun, read := bytes.Count(file, []byte(beginning)), 0
	block, rest := pem.Decode(file)
	for ; block != nil; block, rest = pem.Decode(rest) {
		read++
	}
	last := rest[bytes.LastIndexByte(rest, '\n')+1:]
	if read < begun || len(last) > 0 && bytes.HasPrefix([]byte(beginning), last) {
		return errors.New("breaks off, or has a block that cannot be read")
	}
	return nil
}
