package tlsscan

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// site is a server with a certificate for 127.0.0.1 that ends at a time.
func site(t *testing.T, c *tls.Config, ends time.Time, hsts string) (*url.URL, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "site"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: ends,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	c.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if hsts != "" {
			w.Header().Set("Strict-Transport-Security", hsts)
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	server.TLS, server.Config.ErrorLog = c, log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	u, err := Target(server.URL)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return u, roots
}

func names(r *Result, version string) (all []string) {
	for _, s := range r.Suites {
		if s.Version == version {
			all = append(all, s.Name)
		}
	}
	return all
}

func TestS04_TheScanSeesVersionsSuitesCertificateAndHSTS(t *testing.T) {
	year := time.Now().Add(365 * 24 * time.Hour)
	good, roots := site(t, &tls.Config{
		MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
	}, year, "max-age=31536000; includeSubDomains")
	r, err := Scan(t.Context(), good, roots, time.Now)
	require.NoError(t, err)
	require.Equal(t, []string{"TLS 1.2"}, r.Versions)
	require.ElementsMatch(t, []string{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"}, names(r, "TLS 1.2"))
	require.Empty(t, r.Findings)
	require.True(t, r.Certificate.Trusted)
	require.Equal(t, []string{"127.0.0.1"}, r.Certificate.Names)
	require.Equal(t, "ECDSA", r.Certificate.Key)

	// Go's own server takes AES-128 in TLS 1.3, and cannot be told not to.
	modern, roots := site(t, &tls.Config{MinVersion: tls.VersionTLS13}, year, "max-age=31536000")
	r, err = Scan(t.Context(), modern, roots, time.Now)
	require.NoError(t, err)
	require.Equal(t, []string{"TLS 1.3"}, r.Versions)
	require.Equal(t, []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}, names(r, "TLS 1.3"))
	require.Len(t, r.Findings, 1)
	require.Contains(t, r.Findings[0], "TLS_AES_128_GCM_SHA256")

	poor, _ := site(t, &tls.Config{MinVersion: tls.VersionTLS10, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}},
		time.Now().Add(48*time.Hour), "max-age=60")
	r, err = Scan(t.Context(), poor, x509.NewCertPool(), time.Now)
	require.NoError(t, err)
	require.Equal(t, []string{"TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3"}, r.Versions)
	told := strings.Join(r.Findings, "\n")
	for _, want := range []string{"TLS 1.0 is taken", "TLS 1.1 is taken", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "in 1 days", "not trusted here", `"max-age=60"`} {
		require.Contains(t, told, want)
	}
	ended, roots := site(t, &tls.Config{MinVersion: tls.VersionTLS12}, year, "")
	r, err = Scan(t.Context(), ended, roots, func() time.Time { return year.Add(time.Hour) })
	require.NoError(t, err)
	told = strings.Join(r.Findings, "\n")
	require.Contains(t, told, "the certificate ended on")
	require.Contains(t, told, `Strict-Transport-Security is ""`)
}

func TestNobodyThere(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	u := &url.URL{Scheme: "https", Host: lis.Addr().String()}
	require.NoError(t, lis.Close())
	_, err = Scan(t.Context(), u, nil, time.Now)
	require.ErrorContains(t, err, "scanning https://127.0.0.1")
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	_, err = Scan(t.Context(), &url.URL{Scheme: "https", Host: plain.Listener.Addr().String()}, nil, time.Now)
	require.Error(t, err, "somebody who speaks no TLS")
}

func TestTargets(t *testing.T) {
	for _, good := range []string{"https://app.example.com", "https://app.example.com/", "https://127.0.0.1:8443"} {
		_, err := Target(good)
		require.NoError(t, err)
	}
	for _, bad := range []string{"", "app.example.com", "http://app.example.com", "https://", "https://a/b", "https://u:p@a", "https://a?b"} {
		_, err := Target(bad)
		require.Error(t, err, bad)
	}
}

func TestWhatAServerAnswersMayBeAnything(t *testing.T) {
	for _, answer := range []string{"", "\x16", "\x16\x03\x03\x00\x02\x02\x00", "\x15\x03\x03\x00\x02\x02\x28", "HTTP/1.1 400 Bad Request\r\n\r\n",
		"\x16\x03\x03\x00\x30\x02" + strings.Repeat("\xff", 47), "\x16\x03\x03\x00\x04\x01\x00\x00\x00"} {
		_, err := serverSuite(strings.NewReader(answer))
		require.Error(t, err, "%q", answer)
	}
}
