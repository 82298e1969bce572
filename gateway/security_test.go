package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/gateway"
)

// Every answer, of whatever kind, keeps a browser from guessing its type, from framing it and from telling others where it
// was; over https the cookies of a session are for this host alone.
func TestS13_AnswersAreSafeInABrowser(t *testing.T) {
	s := start(t, func(c *gateway.Config) { c.PublicURL = "https://app.example.com" })
	for _, path := range []string{"/v1/" + firm + "/clients", "/v1/nothing", "/nothing", "/openapi.json", "/oauth/callback?code=c&state=s"} {
		resp, _ := s.do(t, "GET", path, "")
		require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"), path)
		require.NotEmpty(t, resp.Header.Get("Referrer-Policy"), path)
		require.Contains(t, resp.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'", path)
		require.NotContains(t, resp.Header.Get("Content-Security-Policy"), "unsafe", path)
	}
	resp, _ := s.do(t, "POST", "/v1/sign-in/challenges/c:verify", `{"pin":"123456"}`, "X-Concord-Session", "cookie")
	require.NotEmpty(t, resp.Cookies())
	for _, c := range resp.Cookies() {
		require.True(t, strings.HasPrefix(c.Name, "__Host-"), c.Name)
		require.True(t, c.Secure && c.Path == "/" && c.Domain == "")
		require.NotEqual(t, http.SameSiteNoneMode, c.SameSite)
		require.NotZero(t, c.SameSite)
	}
}

// Browsers that have reached the suite over https once go there in no other way for a year: whatever was asked for, and
// although the proxy in front ends TLS. Names below the suite's are not its own, so they are left alone. Where people
// reach it without TLS nothing is said of it.
func TestS13_BrowsersComeBackOverTLSOnly(t *testing.T) {
	const rule = "Strict-Transport-Security"
	paths := []string{"/", "/sign-in", "/pages/api.mjs", "/v1/" + firm + "/clients", "/v1/bytes/nothing", "/nothing", "/openapi.json", "/oauth2/jwks", "/oauth/callback?code=c&state=s"}
	over := start(t, func(c *gateway.Config) { c.PublicURL = "HTTPS://app.example.com" })
	plain := start(t, nil)
	for _, path := range paths {
		resp, _ := over.do(t, "GET", path, "")
		require.Equal(t, []string{"max-age=31536000"}, resp.Header.Values(rule), path)
		resp, _ = plain.do(t, "GET", path, "")
		require.Empty(t, resp.Header.Values(rule), path)
	}
}

// The callback leads to one address, whatever a request asks for.
func TestS13_NoRequestSaysWhereToGo(t *testing.T) {
	s := start(t, nil)
	var first string
	for _, query := range []string{"code=c&state=s", "code=c&state=s&redirect=https://evil.example", "code=c&state=s&next=//evil.example", "error=x&state=https://evil.example"} {
		resp, body := s.do(t, "GET", "/oauth/callback?"+query, "", "Cookie", "concord_connect=b", "Host", "evil.example", "X-Forwarded-Host", "evil.example", "Referer", "https://evil.example/")
		require.Equal(t, http.StatusFound, resp.StatusCode, body)
		target := strings.SplitN(resp.Header.Get("Location"), "?", 2)[0]
		require.NotContains(t, resp.Header.Get("Location"), "evil")
		if first == "" {
			first = target
		}
		require.Equal(t, first, target)
	}
}

// What a request holds comes back as data: in an answer that no browser takes for a page.
func TestS13_NothingSentBecomesAPage(t *testing.T) {
	s := start(t, nil)
	for _, path := range []string{"/<script>alert(1)</script>", "/v1/firms/%3Cscript%3E", "/v1/" + firm + "/clients?query=%3Cscript%3E&%3Cscript%3E=1"} {
		resp, body := s.do(t, "GET", path, "", "Authorization", "Bearer "+token)
		if strings.Contains(body, "<script>") {
			require.Contains(t, resp.Header.Get("Content-Type"), "json", path)
		}
	}
}
