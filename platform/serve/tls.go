package serve

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// TLS names the files of a server's certificate. They are read again when they change, so that certificates can be
// renewed while the process runs.
type TLS struct {
	// CertFile and KeyFile are PEM files.
	CertFile, KeyFile string
	// ClientCAFile, when set, holds the authorities (PEM) of which every client must have a certificate.
	ClientCAFile string
}

func (t TLS) set() bool { return t != TLS{} }

// config reads the files once, so that mistakes show at start, and then whenever the certificate file has changed.
func (t TLS) config() (*tls.Config, error) {
	if t.CertFile == "" || t.KeyFile == "" {
		return nil, errors.New("serve: TLS needs a certificate file and a key file")
	}
	r := &reloader{files: t}
	if _, err := r.current(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{"h2"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return r.current() },
	}, nil
}

type reloader struct {
	files TLS

	mu     sync.Mutex
	loaded *tls.Config
	stamp  [3]time.Time
}

// current returns the configuration of the files as they are now. When changed files cannot be read (half written), the
// one before stays in use.
func (r *reloader) current() (*tls.Config, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	stamp := [3]time.Time{modified(r.files.CertFile), modified(r.files.KeyFile), modified(r.files.ClientCAFile)}
	if r.loaded != nil && stamp == r.stamp {
		return r.loaded, nil
	}
	c, err := r.files.load()
	if err != nil {
		if r.loaded != nil {
			return r.loaded, nil
		}
		return nil, err
	}
	r.loaded, r.stamp = c, stamp
	return c, nil
}

func (t TLS) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("serve: TLS certificate: %w", err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{pair}}
	if t.ClientCAFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(t.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("serve: client authorities: %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("serve: client authorities: no certificate in %s", t.ClientCAFile)
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	return c, nil
}

func modified(file string) time.Time {
	info, err := os.Stat(file)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
