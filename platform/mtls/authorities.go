package mtls

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Authorities are the certificates of one file, followed as those of a Source are. They are for connections to what is no
// part of the suite and has authorities of its own, as a bus of the platform's. It is safe for concurrent use.
type Authorities struct{ followed[*x509.CertPool] }

// OpenAuthorities reads a file of authorities (PEM).
func OpenAuthorities(path string, now func() time.Time, log *slog.Logger) (*Authorities, error) {
	if path == "" || now == nil || log == nil {
		return nil, errors.New("mtls: the file of the authorities, or the clock or the logger, is missing")
	}
	return openAuthorities(path, newNotices(now), log)
}

func openAuthorities(path string, said *notices, log *slog.Logger) (*Authorities, error) {
	a := &Authorities{followed[*x509.CertPool]{
		what: "the authorities", files: []file{{"authorities", path}}, said: said, log: log,
		parse: func(c content) (*x509.CertPool, error) {
			all, err := bundle(c[0])
			if err != nil {
				return nil, fmt.Errorf("mtls: authorities %s: %w", path, err)
			}
			pool := x509.NewCertPool()
			for _, a := range all {
				pool.AddCert(a)
			}
			return pool, nil
		},
	}}
	if err := a.open(); err != nil {
		return nil, err
	}
	return a, nil
}

// Pool are the authorities as they are now, for protocols that ask for them at each handshake (NATS).
func (a *Authorities) Pool() (*x509.CertPool, error) { return a.current(), nil }
