package boot

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
)

// internal puts the suite's TLS over a listener for HTTP from other services: both sides show a certificate.
func (s settings) internal(lis net.Listener) (net.Listener, error) {
	if s.base.Insecure {
		if err := onLoopback(lis.Addr().String()); err != nil {
			return lis, err
		}
		return lis, nil
	}
	authorities, err := s.authorities()
	if err != nil {
		return lis, err
	}
	if _, err := s.certificate(); err != nil {
		return lis, err
	}
	return tls.NewListener(lis, &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authorities, NextProtos: []string{"http/1.1"},
		// Read at each handshake, so that a renewed certificate is used; connections are kept, so handshakes are few.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate() },
	}), nil
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
	if s.base.Insecure {
		if err := onLoopback(host); err != nil {
			return "", nil, err
		}
		return host, func(ctx context.Context) (net.Conn, error) { return plain.DialContext(ctx, "tcp", host) }, nil
	}
	authorities, err := s.authorities()
	if err != nil {
		return "", nil, err
	}
	dialer := &tls.Dialer{NetDialer: plain, Config: &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: authorities, NextProtos: []string{"http/1.1"},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.certificate() },
	}}
	return host, func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", host) }, nil
}

func (s settings) certificate() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(s.base.TLS.Cert, s.base.TLS.Key)
	if err != nil {
		return nil, fmt.Errorf("tls.cert_file: %w", err)
	}
	return &pair, nil
}

func (s settings) authorities() (*x509.CertPool, error) {
	pem, err := os.ReadFile(s.base.TLS.CA)
	if err != nil {
		return nil, fmt.Errorf("tls.ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("tls.ca_file: no certificate in %s", s.base.TLS.CA)
	}
	return pool, nil
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
