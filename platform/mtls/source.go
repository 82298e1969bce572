// Package mtls is how the parts of the suite know who is at the other end of a connection. Each part has one certificate,
// for everything it serves and calls, that names it in one URI: spiffe://<trust domain>/<part>. A server answers the parts
// on its list of callers, a client talks to the part it means, and both only when an authority they believe vouches for
// the certificate. The URI is looked at in both directions, and names in DNS are not: who answers behind a name is decided
// by whoever runs DNS, and replicas have addresses that no certificate lists.
//
// # Renewal
//
// Certificate, key and authorities are read again at each handshake and used as soon as they are complete; connections are
// kept for minutes, so handshakes are few. Files that are half written, or that do not belong together, leave in use what
// was there before, and so does a new certificate that cannot be used yet, or any more, or is another part's, while the one
// before can. The certificate and its key are one thing and the authorities another: neither waits for the other, since a
// bundle that cannot be read must not keep a certificate from its renewal, nor a wrong key an authority from its removal.
// A file that is written in place and breaks off exactly between two certificates looks like a whole one with fewer: swap
// files, as Kubernetes does.
//
// To replace an authority, give every part both, then every part certificates of the new one, then the new one alone: from
// then on a certificate of the old one is refused at its next handshake, and the connections that are open then end by
// serve.Config.MaxConnectionAge.
//
// Sessions are not resumed: a handshake that skips the certificate would outlive it.
package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Config is what a Source is made of.
type Config struct {
	Files Files
	// Domain is the trust domain of the installation.
	Domain string
	// Part is the name of the part whose certificate this is.
	Part string
	// Now is the clock.
	Now func() time.Time
	// Logger gets a line when a connection is refused and when files cannot be used.
	Logger *slog.Logger
}

// Source is the certificate of one part and the authorities it believes, as its files are now. It is safe for concurrent
// use; a process has one.
type Source struct {
	cfg         Config
	said        *notices
	pair        followed[*pair]
	authorities *Authorities
}

// Open reads the files. That the certificate has expired is no error here, since it can be renewed where it lies: Check
// says so.
func Open(cfg Config) (*Source, error) {
	if !ValidDomain(cfg.Domain) || !ValidPart(cfg.Part) || cfg.Now == nil || cfg.Logger == nil {
		return nil, fmt.Errorf("mtls: the identity %q, or the clock or the logger, is missing or wrong", Identity(cfg.Domain, cfg.Part))
	}
	if cfg.Files.Cert == "" || cfg.Files.Key == "" || cfg.Files.CA == "" {
		return nil, errors.New("mtls: a certificate, its key and the authorities go together")
	}
	s := &Source{cfg: cfg, said: newNotices(cfg.Now)}
	s.pair = followed[*pair]{
		what: "the certificate and its key", files: []file{{"certificate", cfg.Files.Cert}, {"key", cfg.Files.Key}},
		parse: cfg.Files.parsePair, refuse: s.worse, about: func(p *pair) []any { return []any{"expires", p.until} },
		said: s.said, log: cfg.Logger,
	}
	if err := s.pair.open(); err != nil {
		return nil, err
	}
	var err error
	if s.authorities, err = openAuthorities(cfg.Files.CA, s.said, cfg.Logger); err != nil {
		return nil, err
	}
	return s, nil
}

// worse says why a new certificate cannot be used while the one before can.
func (s *Source) worse(before, now *pair) error {
	err := s.usable(now)
	if err == nil || s.usable(before) != nil {
		return nil
	}
	return err
}

// Certificate is the part's own certificate with its key, for protocols that ask for it at each handshake (NATS).
func (s *Source) Certificate() (tls.Certificate, error) { return *s.pair.current().own, nil }

// Authorities are the authorities that the part believes, for protocols that ask for them at each handshake (NATS).
func (s *Source) Authorities() (*x509.CertPool, error) { return s.authorities.Pool() }

const (
	// silence is how long the same complaint is not repeated: a peer that is refused tries again every few seconds.
	silence = 30 * time.Second
	// noticesMax bounds the memory of complaints; beyond it some are repeated early.
	noticesMax = 256
)

// notices remembers what was said when.
type notices struct {
	now  func() time.Time
	mu   sync.Mutex
	last map[string]time.Time
}

func newNotices(now func() time.Time) *notices {
	return &notices{now: now, last: map[string]time.Time{}}
}

// due tells whether something may be said again, and notes that it is.
func (n *notices) due(what string, every time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	if last, said := n.last[what]; said && !now.Before(last) && now.Sub(last) < every { // a clock that was put back silences nothing
		return false
	}
	if len(n.last) >= noticesMax {
		clear(n.last)
	}
	n.last[what] = now
	return true
}
