//go:build interop

package xero

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/concord-suite/concord/sim/nodetest"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/transport"
)

// TestInteropOAuthServer goes through consent, code, refreshes and revocation at a certified server that nobody here
// wrote. Its refresh tokens rotate, and a second use of one ends the consent, which Xero's does not.
func TestInteropOAuthServer(t *testing.T) {
	const redirect, asked = "http://127.0.0.1:7777/oauth/callback", "openid profile email offline_access practicemanager.client"
	issuer := nodetest.Serve(t, map[string]string{"CLIENT_ID": "an app", "CLIENT_SECRET": "with: strange/characters%",
		"REDIRECT_URI": redirect, "SCOPE": asked, "NAME": "Ada B", "EMAIL": "ada@x.example"}, "oidc-provider.mjs")
	at, err := url.Parse(issuer)
	require.NoError(t, err)
	x := New(Config{ClientID: "an app", ClientSecret: "with: strange/characters%", RedirectURL: redirect, Issuer: issuer,
		AuthorizeURL: at.JoinPath("connect/authorize"), IdentityURL: at, APIURL: at, Timeout: time.Minute}, transport.NewClient(), time.Now)

	consent := func() provider.Tokens {
		verifier := oauth2.GenerateVerifier()
		answer := browse(t, x.AuthorizeURL("the state", verifier, strings.Fields(asked)), redirect)
		require.Empty(t, answer.Get("error"), answer.Get("error_description"))
		require.Equal(t, "the state", answer.Get("state"))
		require.Equal(t, x.Issuer(), answer.Get("iss"))
		_, err := x.Exchange(t.Context(), answer.Get("code"), oauth2.GenerateVerifier())
		require.ErrorIs(t, err, provider.ErrGrant, "another verifier")
		answer = browse(t, x.AuthorizeURL("again", verifier, strings.Fields(asked)), redirect) // a code is good for one try
		first, err := x.Exchange(t.Context(), answer.Get("code"), verifier)
		require.NoError(t, err)
		return first
	}
	first := consent()
	require.Equal(t, "Ada B (ada@x.example)", first.Person)
	require.Contains(t, first.Scopes, "practicemanager.client")
	require.WithinDuration(t, time.Now().Add(30*time.Minute), first.Expires, time.Minute)

	last, seen := first, map[string]bool{first.Refresh: true, first.Access: true}
	for range 5 {
		next, err := x.Refresh(t.Context(), last.Refresh)
		require.NoError(t, err)
		require.False(t, seen[next.Refresh] || seen[next.Access], "tokens rotate")
		require.ElementsMatch(t, first.Scopes, next.Scopes)
		seen[next.Refresh], seen[next.Access], last = true, true, next
	}
	require.NoError(t, x.Revoke(t.Context(), last.Refresh))
	_, err = x.Refresh(t.Context(), last.Refresh)
	require.ErrorIs(t, err, provider.ErrGrant)
	require.NoError(t, x.Revoke(t.Context(), last.Refresh), "revoking twice is no error")

	other := New(Config{ClientID: "an app", ClientSecret: "wrong", RedirectURL: redirect, AuthorizeURL: at, IdentityURL: at, APIURL: at,
		Timeout: time.Minute}, transport.NewClient(), time.Now)
	second := consent()
	_, err = other.Refresh(t.Context(), second.Refresh)
	require.ErrorIs(t, err, provider.ErrClient, "a wrong secret is a settings mistake, not the end of a consent")
	_, err = x.Refresh(t.Context(), second.Refresh)
	require.NoError(t, err)
}

// browse follows redirects as a browser does, with its cookies, and returns what comes back to the callback.
func browse(t *testing.T, from, callback string) url.Values {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	resp, err := client.Get(from)
	require.NoError(t, err)
	defer resp.Body.Close()
	next, err := resp.Location()
	require.NoError(t, err, "the server sent the browser nowhere: %s", resp.Status)
	return next.Query()
}
