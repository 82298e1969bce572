package postal_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/documents/internal/postal"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/sinks"
	"github.com/concord-suite/concord/sim/world"
)

// mailbox serves mail on a listener and returns a function that reads what came for an address.
func mailbox(t *testing.T, lis net.Listener) func(to string) []world.Message {
	t.Helper()
	store, err := world.Open("", time.Now)
	require.NoError(t, err)
	box := sinks.NewInbox(store)
	mux := http.NewServeMux()
	box.Register(mux)
	pages := httptest.NewServer(mux)
	ctx, cancel := context.WithCancel(context.Background())
	served := sinks.ServeMail(ctx, lis, box, faults.New(store))
	t.Cleanup(func() {
		cancel()
		pages.Close()
		_ = served.Close()
		_ = store.Close()
	})
	return func(to string) []world.Message {
		resp, err := http.Get(pages.URL + "/inbox/messages?" + url.Values{"to": {to}}.Encode())
		require.NoError(t, err)
		defer resp.Body.Close()
		var answer struct{ Messages []world.Message }
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
		return answer.Messages
	}
}

func listen(t *testing.T) (net.Listener, postal.Server) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, _ := net.SplitHostPort(lis.Addr().String())
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	return lis, postal.Server{Host: "127.0.0.1", Port: n, Security: "plain", From: "Firm <firm@example.com>", Timeout: 20 * time.Second}
}

var letter = postal.Letter{ID: "0198a000-0000-7000-8000-000000000001", To: "anna@example.com", Subject: "Gr\u00fc\u00dfe", Text: "Guten Tag\n"}

func TestSendingInTheClear(t *testing.T) {
	lis, server := listen(t)
	read := mailbox(t, lis)
	require.NoError(t, server.Send(t.Context(), letter))
	got := read("anna@example.com")
	require.Len(t, got, 1)
	require.Equal(t, "Gr\u00fc\u00dfe", got[0].Subject)
	require.Contains(t, got[0].Raw, "Message-ID: <0198a000-0000-7000-8000-000000000001@documents.concord>")
	require.Contains(t, got[0].Raw, "Auto-Submitted: auto-generated")
}

func TestSendingByTLS(t *testing.T) {
	lis, server := listen(t)
	certificate, roots := selfSigned(t)
	read := mailbox(t, tls.NewListener(lis, &tls.Config{Certificates: []tls.Certificate{certificate}}))
	server.Security = "tls"
	require.Error(t, server.Send(t.Context(), letter), "a certificate nobody vouches for")
	require.Empty(t, read("anna@example.com"))
	server.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	require.NoError(t, server.Send(t.Context(), letter))
	require.Len(t, read("anna@example.com"), 1)
}

// A server that offers no TLS gets nothing when TLS is insisted on.
func TestStartTLSIsInsistedOn(t *testing.T) {
	lis, server := listen(t)
	read := mailbox(t, lis)
	server.Security = "starttls"
	err := server.Send(t.Context(), letter)
	require.Error(t, err)
	var refusal *postal.Refusal
	require.False(t, errors.As(err, &refusal), "the server may learn TLS")
	require.Empty(t, read("anna@example.com"))
}

func TestWhatCanNotBeSent(t *testing.T) {
	lis, server := listen(t)
	mailbox(t, lis)
	bad := letter
	bad.To = "not an address"
	var refusal *postal.Refusal
	require.ErrorAs(t, server.Send(t.Context(), bad), &refusal)
	injected := letter
	injected.To = "anna@example.com\r\nBcc: eve@example.com"
	require.ErrorAs(t, server.Send(t.Context(), injected), &refusal)
	server.Port = 1 // nobody there
	err := server.Send(t.Context(), letter)
	require.ErrorContains(t, err, "could not be reached")
	require.NotContains(t, err.Error(), "anna")
}

// A server that takes the connection and says nothing costs its time-out.
func TestAServerThatHangs(t *testing.T) {
	lis, server := listen(t)
	defer lis.Close()
	server.Timeout = 200 * time.Millisecond
	require.ErrorContains(t, server.Send(t.Context(), letter), "could not be reached")
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
