package mtls_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/mtls"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
)

// lines are the lines of a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take returns what was logged since it was asked last.
func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

// logged opens a volume as the source of a part, with its log.
func logged(t *testing.T, v *mtlstest.Volume, part string, now func() time.Time) (*mtls.Source, *lines) {
	t.Helper()
	log := &lines{}
	s, err := mtls.Open(mtls.Config{Files: v.Files(), Domain: mtlstest.Domain, Part: part, Now: now, Logger: slog.New(slog.NewTextHandler(log, nil))})
	require.NoError(t, err)
	return s, log
}

// shake connects a client to a server, and returns the client's side and what each of them has against it.
func shake(t *testing.T, server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := lis.Accept()
		if err == nil {
			defer conn.Close()
			over := tls.Server(conn, server)
			if err = over.HandshakeContext(t.Context()); err == nil {
				_, err = over.Write([]byte("hello"))
			}
			_, _ = io.Copy(io.Discard, conn) // until the client has read what there is
		}
		done <- err
	}()
	raw, err := net.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	if client = client.Clone(); client.ServerName == "" {
		client.ServerName = "127.0.0.1"
	}
	over := tls.Client(raw, client)
	clientErr = over.HandshakeContext(t.Context())
	if clientErr == nil { // the server looks at the client's certificate after the client has finished
		_, clientErr = over.Read(make([]byte, 5))
	}
	state = over.ConnectionState()
	require.NoError(t, raw.Close())
	return state, <-done, clientErr
}

func TestAServerAnswersItsCallersAndNobodyElse(t *testing.T) {
	ca := mtlstest.NewAuthority(t)
	server, log := logged(t, mtlstest.Mount(t, ca.Issue("auth"), ca), "auth", time.Now)
	callers := server.Server("sync", "gateway")

	_, serverErr, clientErr := shake(t, callers, ca.Source("gateway").Client("auth"))
	require.NoError(t, serverErr)
	require.NoError(t, clientErr)
	require.Empty(t, log.take())

	uris := func(all ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.URIs = nil
			for _, s := range all {
				c.URIs = append(c.URIs, mtlstest.URI(t, s))
			}
		}
	}
	foreign := mtlstest.NewAuthority(t)
	for name, c := range map[string]struct {
		client *mtls.Source
		says   string
	}{
		"not on the list":       {ca.Source("connector"), "connector may not call auth"},
		"a longer name":         {ca.Source("gateway2"), "gateway2 may not call auth"},
		"two names":             {ca.Source("gateway", uris("spiffe://concord/gateway", "spiffe://concord/sync")), "more than one URI"},
		"a name and a URL":      {ca.Source("gateway", uris("spiffe://concord/gateway", "https://concord.example")), "more than one URI"},
		"no name":               {ca.Source("gateway", uris()), "has no URI"},
		"another trust domain":  {ca.Source("gateway", uris("spiffe://concord.example/gateway")), "another trust domain"},
		"a path":                {ca.Source("gateway", uris("spiffe://concord/ns/gateway")), "is not of the form"},
		"another scheme":        {ca.Source("gateway", uris("https://concord/gateway")), "is not of the form"},
		"an unknown authority":  {mtlstest.Mount(t, foreign.Issue("gateway"), ca).Open("gateway"), "unknown authority"},
		"expired":               {ca.Source("gateway", mtlstest.Valid(-2*time.Hour, -time.Second)), "has expired"},
		"not valid yet":         {ca.Source("gateway", mtlstest.Valid(time.Hour, 2*time.Hour)), "not yet valid"},
		"for servers only":      {ca.Source("gateway", func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] }), "incompatible key usage"},
		"an authority's itself": {ca.Source("gateway", func(c *x509.Certificate) { c.IsCA = true }), "is an authority's"},
	} {
		t.Run(name, func(t *testing.T) {
			server, log := logged(t, mtlstest.Mount(t, ca.Issue("auth"), ca), "auth", time.Now)
			_, serverErr, clientErr := shake(t, server.Server("sync", "gateway"), c.client.Client("auth"))
			require.ErrorContains(t, serverErr, c.says)
			require.ErrorContains(t, clientErr, "bad certificate")
			line := log.take()
			require.Equal(t, 1, strings.Count(line, "\n"), line)
			require.Contains(t, line, c.says)
			require.Contains(t, line, `callers="gateway sync"`)
		})
	}

	t.Run("who it was stands in the line, once", func(t *testing.T) {
		for range 3 {
			_, serverErr, _ := shake(t, callers, ca.Source("connector").Client("auth"))
			require.Error(t, serverErr)
		}
		line := log.take()
		require.Equal(t, 1, strings.Count(line, "\n"), line)
		require.Contains(t, line, "identity=spiffe://concord/connector")
	})
	t.Run("without a certificate", func(t *testing.T) {
		_, serverErr, _ := shake(t, callers, &tls.Config{InsecureSkipVerify: true})
		require.ErrorContains(t, serverErr, "didn't provide a certificate")
	})
	t.Run("a list of nobody", func(t *testing.T) {
		_, serverErr, _ := shake(t, server.Server(), ca.Source("gateway").Client("auth"))
		require.ErrorContains(t, serverErr, "gateway may not call auth")
	})
}

func TestAClientTalksToThePartItMeans(t *testing.T) {
	ca, foreign := mtlstest.NewAuthority(t), mtlstest.NewAuthority(t)
	for name, c := range map[string]struct {
		server *mtls.Source
		says   string
	}{
		"another part": {ca.Source("sync"), "sync answers where auth should"},
		"a name in DNS is no identity": {ca.Source("sync", func(c *x509.Certificate) {
			c.URIs, c.DNSNames, c.IPAddresses = nil, []string{"auth"}, []net.IP{net.IPv4(127, 0, 0, 1)}
		}), "has no URI"},
		"an unknown authority": {foreign.Source("auth"), "unknown authority"},
		"expired":              {ca.Source("auth", mtlstest.Valid(-2*time.Hour, -time.Second)), "has expired"},
		"for clients only":     {ca.Source("auth", func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] }), "incompatible key usage"},
	} {
		t.Run(name, func(t *testing.T) {
			client, log := logged(t, mtlstest.Mount(t, ca.Issue("gateway"), ca), "gateway", time.Now)
			_, _, clientErr := shake(t, c.server.Server("gateway"), client.Client("auth"))
			require.ErrorContains(t, clientErr, c.says)
			line := log.take()
			require.Equal(t, 1, strings.Count(line, "\n"), line)
			require.Contains(t, line, "meant=spiffe://concord/auth")
		})
	}
}

// TestAuthoritiesAreReplacedInThreeSteps is what a platform team does: both authorities everywhere, certificates of the new
// one, the new one alone. Each configuration is made once, before, and nothing is restarted.
func TestAuthoritiesAreReplacedInThreeSteps(t *testing.T) {
	old, young := mtlstest.NewAuthority(t), mtlstest.NewAuthority(t)
	serving, calling := mtlstest.Mount(t, old.Issue("auth"), old), mtlstest.Mount(t, old.Issue("gateway"), old)
	server, client := serving.Open("auth").Server("gateway"), calling.Open("gateway").Client("auth")
	left := mtlstest.Mount(t, old.Issue("gateway"), old, young).Open("gateway").Client("auth") // somebody who has kept the old one
	leftServer := mtlstest.Mount(t, old.Issue("auth"), old, young).Open("auth").Server("gateway")
	meet := func(step string) {
		t.Helper()
		_, serverErr, clientErr := shake(t, server, client)
		require.NoError(t, serverErr, step)
		require.NoError(t, clientErr, step)
	}
	meet("before")
	serving.Swap(old.Issue("auth"), old, young)
	meet("the server believes both")
	calling.Swap(young.Issue("gateway"), old, young)
	meet("the client has a certificate of the new one")
	serving.Swap(young.Issue("auth"), old, young)
	meet("both have")
	_, serverErr, _ := shake(t, server, left)
	require.NoError(t, serverErr, "the old certificate still holds")

	serving.Swap(young.Issue("auth"), young)
	calling.Swap(young.Issue("gateway"), young)
	meet("the new one alone")
	_, serverErr, clientErr := shake(t, server, left)
	require.ErrorContains(t, serverErr, "unknown authority")
	require.ErrorContains(t, clientErr, "bad certificate")
	_, _, clientErr = shake(t, leftServer, client)
	require.ErrorContains(t, clientErr, "unknown authority", "nor does a client talk to a server that has kept the old one")
}

func FuzzParseIdentity(f *testing.F) {
	for _, s := range []string{
		"spiffe://concord/auth", "spiffe://concord.example/auth", "spiffe://concord/ns/auth", "spiffe://concord/", "spiffe://concord",
		"spiffe:///auth", "SPIFFE://concord/auth", "spiffe://concord:1/auth", "spiffe://a@concord/auth", "spiffe://concord/auth?x", "spiffe://concord/au%74h",
		"spiffe://concord/..", "spiffe://concord/Auth", "spiffe://Concord/auth", "spiffe://concord/auth#", "spiffe://concord//auth", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		domain, part, err := mtls.ParseIdentity(s)
		if err != nil {
			return
		}
		if mtls.Identity(domain, part) != s {
			t.Fatalf("%q was read as %q of %q", s, part, domain)
		}
		u, err := url.Parse(s)
		if err != nil || u.String() != s || u.Host != domain || u.Path != "/"+part || u.Scheme != "spiffe" {
			t.Fatalf("%q means something else as a URI: %#v %v", s, u, err)
		}
	})
}

func TestIdentities(t *testing.T) {
	domain, part, err := mtls.ParseIdentity("spiffe://concord.example/auth")
	require.NoError(t, err)
	require.Equal(t, "concord.example auth", domain+" "+part)
	for _, s := range []string{
		"spiffe://concord/ns/auth", "spiffe://concord/", "spiffe://concord", "spiffe:///auth", "SPIFFE://concord/auth", "spiffe://concord:1/auth",
		"spiffe://a@concord/auth", "spiffe://concord/auth?x", "spiffe://concord/au%74h", "spiffe://concord/..", "spiffe://concord/Auth",
		"spiffe://Concord/auth", "spiffe://concord//auth", "https://concord/auth", "spiffe://concord/-auth", "",
		"spiffe://concord/" + strings.Repeat("a", 64), "spiffe://" + strings.Repeat("a", 256) + "/auth",
	} {
		_, _, err := mtls.ParseIdentity(s)
		require.Error(t, err, s)
	}
}
