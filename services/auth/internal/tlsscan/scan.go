// Package tlsscan looks at a public address as a stranger does: which versions of TLS and cipher suites it takes, what its
// certificate says, and whether it tells browsers to insist on TLS.
package tlsscan

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// stepWait bounds one connection, all bounds the scan: it makes about forty.
	stepWait = 5 * time.Second
	all      = time.Minute
	// soon is when a certificate's end is worth a word: those of free authorities are renewed a month ahead.
	soon = 14 * 24 * time.Hour
	// hstsMin is the least time browsers should insist on TLS for.
	hstsMin = 180 * 24 * time.Hour
)

// Result is what was seen.
type Result struct {
	Address string    `json:"address"`
	Time    time.Time `json:"time"`
	// Versions are those that the server takes, the oldest first.
	Versions []string `json:"versions"`
	// Suites are the cipher suites it takes, by version.
	Suites []Suite `json:"cipher_suites"`
	// Certificate is the server's.
	Certificate Certificate `json:"certificate"`
	// HSTS is the header Strict-Transport-Security of the answer to GET /; empty without one.
	HSTS string `json:"strict_transport_security"`
	// Findings says what is not as the security standards ask; none means that all is.
	Findings []string `json:"findings"`
}

// Suite is a cipher suite that was taken.
type Suite struct {
	Version string `json:"version"`
	Name    string `json:"name"`
	// Strong is true for 256-bit encryption with authentication, with keys that are worth nothing later.
	Strong bool `json:"strong"`
}

// Certificate is what a certificate says.
type Certificate struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Names     []string  `json:"names"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Key       string    `json:"key"`
	Signature string    `json:"signature"`
	// Trusted is true when this machine's authorities vouch for it, for this host; Why says why not.
	Trusted bool   `json:"trusted"`
	Why     string `json:"why,omitempty"`
}

type scanner struct {
	host, address string
	roots         *x509.CertPool
	now           func() time.Time
	out           *Result
}

// Target reads an address to scan: https://host or https://host:port.
func Target(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, fmt.Errorf("%q is no address like https://host", text)
	}
	return u, nil
}

// Scan looks at an address. Roots are the authorities to trust, nil for this machine's. An error means that nobody
// answered.
func Scan(ctx context.Context, target *url.URL, roots *x509.CertPool, now func() time.Time) (*Result, error) {
	ctx, cancel := context.WithTimeout(ctx, all)
	defer cancel()
	port := target.Port()
	if port == "" {
		port = "443"
	}
	s := &scanner{
		host: target.Hostname(), address: net.JoinHostPort(target.Hostname(), port), roots: roots, now: now,
		out: &Result{Address: target.Scheme + "://" + target.Host, Time: now().UTC(), Versions: []string{}, Suites: []Suite{}, Findings: []string{}},
	}
	if err := s.certificate(ctx); err != nil {
		return nil, fmt.Errorf("scanning %s: %w", s.out.Address, err)
	}
	for _, step := range []func(context.Context) error{s.old, s.new, s.headers} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("scanning %s: %w", s.out.Address, err)
		}
	}
	s.judge()
	return s.out, nil
}

// shake makes a handshake, with whatever certificate, and answers what was agreed.
func (s *scanner) shake(ctx context.Context, c *tls.Config) (*tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(ctx, stepWait)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	c.InsecureSkipVerify = true // what the certificate is worth is looked at apart; no secret goes over this connection
	c.ServerName = s.host
	client := tls.Client(conn, c)
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, &refusal{err}
	}
	state := client.ConnectionState()
	return &state, nil
}

// refusal is a server that answers, and does not agree.
type refusal struct{ error }

// certificate looks at the certificate a browser of today gets. A server that takes nothing newer than TLS 1.1 is looked at
// all the same.
func (s *scanner) certificate(ctx context.Context) error {
	state, err := s.shake(ctx, &tls.Config{MinVersion: tls.VersionTLS10, CipherSuites: everySuite()})
	if err != nil {
		return err
	}
	leaf := state.PeerCertificates[0]
	c := Certificate{
		Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String(), Names: slices.Clone(leaf.DNSNames), NotBefore: leaf.NotBefore.UTC(),
		NotAfter: leaf.NotAfter.UTC(), Key: leaf.PublicKeyAlgorithm.String(), Signature: leaf.SignatureAlgorithm.String(),
	}
	for _, ip := range leaf.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	between := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	_, err = leaf.Verify(x509.VerifyOptions{DNSName: s.host, Roots: s.roots, Intermediates: between, CurrentTime: s.now()})
	if c.Trusted = err == nil; err != nil {
		c.Why = err.Error()
	}
	s.out.Certificate = c
	return nil
}

var versions = []struct {
	id   uint16
	name string
}{{tls.VersionTLS10, "TLS 1.0"}, {tls.VersionTLS11, "TLS 1.1"}, {tls.VersionTLS12, "TLS 1.2"}}

func everySuite() (ids []uint16) {
	for _, c := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if slices.ContainsFunc(c.SupportedVersions, func(v uint16) bool { return v < tls.VersionTLS13 }) {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// old tries the versions up to TLS 1.2: each suite alone, as long as any is taken.
func (s *scanner) old(ctx context.Context) error {
	for _, v := range versions {
		left := everySuite()
		for {
			state, err := s.shake(ctx, &tls.Config{MinVersion: v.id, MaxVersion: v.id, CipherSuites: left})
			var refused *refusal
			if errors.As(err, &refused) {
				break
			}
			if err != nil {
				return err
			}
			if !slices.Contains(s.out.Versions, v.name) {
				s.out.Versions = append(s.out.Versions, v.name)
			}
			name := tls.CipherSuiteName(state.CipherSuite)
			s.out.Suites = append(s.out.Suites, Suite{Version: v.name, Name: name, Strong: v.id == tls.VersionTLS12 && strong(name)})
			i := slices.Index(left, state.CipherSuite)
			if i < 0 {
				break // it took what was not offered
			}
			if left = slices.Delete(left, i, i+1); len(left) == 0 {
				break
			}
		}
	}
	return nil
}

// new tries the suites of TLS 1.3.
func (s *scanner) new(ctx context.Context) error {
	ids := make([]uint16, 0, len(suites13))
	for id := range suites13 {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		taken, err := s.greet(ctx, id)
		if err != nil {
			return err
		}
		if !taken {
			continue
		}
		if !slices.Contains(s.out.Versions, "TLS 1.3") {
			s.out.Versions = append(s.out.Versions, "TLS 1.3")
		}
		s.out.Suites = append(s.out.Suites, Suite{Version: "TLS 1.3", Name: suites13[id], Strong: strong(suites13[id])})
	}
	return nil
}

// strong tells whether a suite encrypts with 256 bits, authenticates what it encrypts, and forgets its keys.
func strong(name string) bool {
	if !strings.Contains(name, "AES_256_GCM") && !strings.Contains(name, "CHACHA20_POLY1305") {
		return false
	}
	return strings.HasPrefix(name, "TLS_ECDHE_") || !strings.Contains(name, "_WITH_")
}

// headers asks for the first page, without following where it leads.
func (s *scanner) headers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepWait)
	defer cancel()
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return s.dial(ctx) },
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, ServerName: s.host, MinVersion: tls.VersionTLS10},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.out.Address+"/", nil)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		s.out.Findings = append(s.out.Findings, "GET / was not answered, so nothing is known of Strict-Transport-Security")
		return nil //nolint:nilerr // it is the finding
	}
	s.out.HSTS = resp.Header.Get("Strict-Transport-Security")
	return resp.Body.Close()
}
