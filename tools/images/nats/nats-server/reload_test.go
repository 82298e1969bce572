package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// A renewed certificate is shown to the next client, without a signal and without a restart.
func TestRenewedCertificateIsUsed(t *testing.T) {
	dir := t.TempDir()
	crt, key, conf := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "nats.conf")
	certify(t, crt, key, 1)
	text := fmt.Sprintf("listen: \"127.0.0.1:-1\"\ntls { cert_file: %q, key_file: %q, handshake_first: true }\n", crt, key)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	options.NoSigs, options.NoLog = true, true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer s.Shutdown()
	every := make(chan time.Time)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); follow(ctx, s, every, crt, key) }()
	defer func() { cancel(); <-ended }()

	if got := shown(t, s.Addr()); got != 1 {
		t.Fatalf("shows certificate %d", got)
	}
	certify(t, crt, key, 2)
	every <- time.Time{}
	every <- time.Time{} // taken when the reload has ended
	if got := shown(t, s.Addr()); got != 2 {
		t.Fatalf("shows certificate %d after it was renewed", got)
	}
	if err := os.WriteFile(crt, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	every <- time.Time{}
	every <- time.Time{}
	if got := shown(t, s.Addr()); got != 2 {
		t.Fatalf("shows certificate %d after one that can't be used", got)
	}
}

// shown returns the serial number of the certificate that a client sees.
func shown(t *testing.T, addr net.Addr) int64 {
	t.Helper()
	conn, err := tls.Dial("tcp", addr.String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// certify writes a certificate that vouches for itself.
func certify(t *testing.T, crt, key string, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"nats"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{crt: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
