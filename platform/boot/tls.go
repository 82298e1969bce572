package boot

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/concord-suite/concord/platform/mtls"
)

// tlsSettings are the one certificate of a service, by which it is known as server and as client.
type tlsSettings struct {
	Cert   string `config:"cert_file" doc:"The service's certificate (PEM), with the URI spiffe://<trust domain>/<service>. Read again when it is renewed, as the other two are."`
	Key    string `config:"key_file" doc:"The key of the certificate (PEM)."`
	CA     string `config:"ca_file" doc:"The authorities (PEM) that vouch for the other services; both, while one replaces the other."`
	Domain string `config:"trust_domain" default:"concord" doc:"The trust domain in the certificates of all services."`
}

// mistakes says what is wrong with them.
func (t tlsSettings) mistakes(insecure bool) (errs []error) {
	if set := t.Cert != "" || t.Key != "" || t.CA != ""; set && (t.Cert == "" || t.Key == "" || t.CA == "") {
		errs = append(errs, errors.New("tls: cert_file, key_file and ca_file go together"))
	} else if !set && !insecure {
		errs = append(errs, errors.New("tls: cert_file, key_file and ca_file are required (or insecure, on loopback addresses)"))
	}
	if !mtls.ValidDomain(t.Domain) {
		errs = append(errs, errors.New("tls.trust_domain: must be of a-z, 0-9, dot, dash and underscore"))
	}
	return errs
}

// callSettings are those of a program that other services call.
type callSettings struct {
	Callers []string      `config:"callers" doc:"More services that may call this one, the platform's own, by the name in their certificate. Those of the suite that need to are always let in."`
	Age     time.Duration `config:"max_connection_age" default:"10m" min:"1s" max:"24h" doc:"How old a connection of a caller gets before it is replaced, so that new replicas get their share and certificates are looked at again. Calls under way end in peace; streams end after as long again."`
}

// Validate implements what package config asks of settings with rules of their own.
func (c *callSettings) Validate() error {
	var errs []error
	for _, name := range c.Callers {
		if !mtls.ValidPart(name) {
			errs = append(errs, fmt.Errorf("callers: %q is no name of a service: a-z, 0-9 and dash", name))
		}
	}
	return errors.Join(errs...)
}

// openTLS reads the service's certificate, if it is to show one: with insecure there is plain text between services, and
// perhaps a bus that knows the service by it; and the authorities of the bus that has its own.
func (s *settings) openTLS(name string, log *slog.Logger) (err error) {
	if t := s.base.TLS; !s.base.Insecure || s.base.NATSOwnCert {
		s.own, err = mtls.Open(mtls.Config{
			Files: mtls.Files{Cert: t.Cert, Key: t.Key, CA: t.CA}, Domain: t.Domain, Part: name, Now: time.Now, Logger: log,
		})
		if err != nil {
			return fmt.Errorf("tls: %w", err)
		}
	}
	if !s.base.Insecure {
		s.tls = s.own
	}
	if s.base.NATSCA != "" {
		if s.busCA, err = mtls.OpenAuthorities(s.base.NATSCA, time.Now, log); err != nil {
			return fmt.Errorf("nats_ca_file: %w", err)
		}
	}
	return nil
}

// internal puts the suite's TLS over a listener for HTTP from other services: both sides show a certificate.
func (s settings) internal(lis net.Listener, callers []string) (net.Listener, error) {
	if s.tls == nil {
		return lis, onLoopback(lis.Addr().String())
	}
	c := s.tls.Server(callers...)
	c.NextProtos = []string{"http/1.1"}
	return tls.NewListener(lis, c), nil
}

// httpPeer says how to reach the internal HTTP of a service.
func (s settings) httpPeer(name string) (host string, connect func(ctx context.Context) (net.Conn, error), err error) {
	addresses, err := peerAddresses(s.base.Peers)
	if err != nil {
		return "", nil, err
	}
	host, plain, err := httpTarget(addresses[name+httpSuffix])
	if err != nil {
		return "", nil, err
	}
	if s.tls == nil {
		if err := onLoopback(host); err != nil {
			return "", nil, err
		}
		return host, func(ctx context.Context) (net.Conn, error) { return plain.DialContext(ctx, "tcp", host) }, nil
	}
	c := s.tls.Client(name)
	c.NextProtos = []string{"http/1.1"}
	dialer := &tls.Dialer{NetDialer: plain, Config: c}
	return host, func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", host) }, nil
}

// onLoopback refuses plain text where others could listen in.
func onLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip, err := netip.ParseAddr(host); host == "localhost" || (err == nil && ip.IsLoopback()) {
		return nil
	}
	return errors.New("insecure: plain text is for loopback addresses only, not " + address)
}
