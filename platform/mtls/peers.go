package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Server is the TLS of a server that answers the callers named and nobody else. Everybody else's handshake fails, and one
// line in the log says who it was and who may.
func (s *Source) Server(callers ...string) *tls.Config {
	callers = slices.Compact(slices.Sorted(slices.Values(callers)))
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		ClientAuth:             tls.RequireAnyClientCert, // and VerifyConnection verifies it, with authorities as they are then
		SessionTicketsDisabled: true,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.pair.current().own, nil },
		VerifyConnection: func(state tls.ConnectionState) error {
			part, err := s.verify(state, x509.ExtKeyUsageClientAuth)
			if err == nil && !slices.Contains(callers, part) {
				err = fmt.Errorf("%s may not call %s", part, s.cfg.Part)
			}
			if err != nil {
				s.refused("a caller was refused", state, err, "callers", strings.Join(callers, " "))
				return fmt.Errorf("mtls: %w", err)
			}
			return nil
		},
	}
}

// Client is the TLS of a client of one part: a server with any other identity is not talked to, and one line in the log
// says who it was.
func (s *Source) Client(part string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// The library can only look for names in DNS, and at authorities that were read once. VerifyConnection, which is
		// always called, looks at the authorities of now, and at who it is.
		InsecureSkipVerify:   true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.pair.current().own, nil },
		VerifyConnection: func(state tls.ConnectionState) error {
			reached, err := s.verify(state, x509.ExtKeyUsageServerAuth)
			if err == nil && reached != part {
				err = fmt.Errorf("%s answers where %s should", reached, part)
			}
			if err != nil {
				s.refused("a server was refused", state, err, "meant", Identity(s.cfg.Domain, part))
				return fmt.Errorf("mtls: %w", err)
			}
			return nil
		},
	}
}

var (
	errNoCertificate = errors.New("it showed no certificate")
	errAuthority     = errors.New("its certificate is an authority's")
	errStranger      = errors.New("no authority vouches for its certificate")
)

// verify returns the part at the other end, when an authority vouches for its certificate now and for this use.
func (s *Source) verify(state tls.ConnectionState, use x509.ExtKeyUsage) (string, error) {
	if len(state.PeerCertificates) == 0 {
		return "", errNoCertificate
	}
	leaf, between := state.PeerCertificates[0], x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: s.authorities.current(), Intermediates: between, CurrentTime: s.cfg.Now(), KeyUsages: []x509.ExtKeyUsage{use},
	})
	if err != nil {
		return "", fmt.Errorf("%w: %w", errStranger, err)
	}
	if leaf.IsCA {
		return "", errAuthority
	}
	return partOf(leaf, s.cfg.Domain)
}

// refused says once in a while who was refused.
func (s *Source) refused(what string, state tls.ConnectionState, err error, about ...any) {
	who := "nobody"
	if len(state.PeerCertificates) > 0 {
		who = names(state.PeerCertificates[0])
	}
	about = append([]any{"identity", who, "error", err}, about...)
	key := what + err.Error()
	if errors.Is(err, errStranger) { // one line for all of them: what strangers call themselves is up to them
		key = what
	}
	if s.said.due(key, silence) {
		s.cfg.Logger.Warn(what, about...)
	}
}

// names is what a certificate calls itself, whoever vouches for it.
func names(cert *x509.Certificate) string {
	if len(cert.URIs) == 0 {
		return fmt.Sprintf("%.100q (no URI)", cert.Subject.String())
	}
	var all []string
	for _, u := range cert.URIs[:min(len(cert.URIs), 3)] { // enough to see what is wrong
		all = append(all, fmt.Sprintf("%.100s", u))
	}
	return strings.Join(all, " ")
}

// Part returns the part at the other end of a connection that a Source verified, "" when it did not.
func (s *Source) Part(state tls.ConnectionState) string {
	if !state.HandshakeComplete || len(state.PeerCertificates) == 0 {
		return ""
	}
	part, err := partOf(state.PeerCertificates[0], s.cfg.Domain)
	if err != nil {
		return ""
	}
	return part
}
