package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/gateway"
	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

const (
	loopback  = "http://127.0.0.1:49152/done"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	site      = "https://app.example.com"
)

// addInPeer is the far side of the authorization server: one Add-In at one address, and the answer that a test scripts.
type addInPeer struct {
	authv1.UnimplementedAddInServiceServer

	addIns  sync.Mutex
	issued  []*authv1.IssueAddInTokenRequest
	revoked []*authv1.RevokeAddInTokenRequest
	refusal error
}

func (p *addInPeer) script(refusal error) {
	p.addIns.Lock()
	defer p.addIns.Unlock()
	p.refusal = refusal
}

func (p *addInPeer) GetAddIn(_ context.Context, r *authv1.GetAddInRequest) (*authv1.GetAddInResponse, error) {
	p.addIns.Lock()
	defer p.addIns.Unlock()
	if r.GetName() != "addIns/word" || r.GetRedirectUri() != loopback {
		return nil, rpcerr.New(codes.NotFound, authv1.ErrorReason_ERROR_REASON_CLIENT_UNKNOWN, "no such Add-In")
	}
	return &authv1.GetAddInResponse{DisplayName: "Concord for Word"}, p.refusal
}

func (p *addInPeer) GetAddInKeys(context.Context, *authv1.GetAddInKeysRequest) (*authv1.GetAddInKeysResponse, error) {
	return &authv1.GetAddInKeysResponse{Jwks: []byte(`{"keys":[]}`), Issuer: site}, nil
}

func (p *addInPeer) IssueAddInToken(_ context.Context, r *authv1.IssueAddInTokenRequest) (*authv1.IssueAddInTokenResponse, error) {
	p.addIns.Lock()
	defer p.addIns.Unlock()
	p.issued = append(p.issued, r)
	return &authv1.IssueAddInTokenResponse{AccessToken: "cai_a", RefreshToken: "car_r", ExpiresIn: 600, Scope: "offline_access"}, p.refusal
}

func (p *addInPeer) RevokeAddInToken(_ context.Context, r *authv1.RevokeAddInTokenRequest) (*authv1.RevokeAddInTokenResponse, error) {
	p.addIns.Lock()
	defer p.addIns.Unlock()
	p.revoked = append(p.revoked, r)
	return &authv1.RevokeAddInTokenResponse{}, p.refusal
}

// asked is a good authorization request; pairs change parameters, or take them away when the value is empty.
func asked(pairs ...string) string {
	q := url.Values{
		"response_type": {"code"}, "client_id": {"word"}, "redirect_uri": {loopback}, "code_challenge": {challenge},
		"code_challenge_method": {"S256"}, "state": {"s t&a=te"}, "scope": {"openid offline_access"}, "nonce": {"n"},
	}
	for i := 0; i < len(pairs); i += 2 {
		if q.Del(pairs[i]); pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return "/oauth2/authorize?" + q.Encode()
}

// form posts a form and answers the JSON that came back.
func (s *suite) form(t *testing.T, path, body string, headers ...string) (*http.Response, map[string]any) {
	t.Helper()
	resp, text := s.do(t, "POST", path, body, append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)...)
	got := map[string]any{}
	if text != "" {
		require.Equal(t, "application/json", resp.Header.Get("Content-Type"), text)
		require.NoError(t, json.Unmarshal([]byte(text), &got))
		require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
		require.Equal(t, "no-cache", resp.Header.Get("Pragma"))
	}
	return resp, got
}

func TestS01_OnlyOAuth2AndOnlyTheCodeFlow(t *testing.T) {
	s := start(t, nil)
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		resp, body := s.do(t, "GET", path, "", "Origin", "https://elsewhere.example")
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
		require.Empty(t, resp.Header.Get("Access-Control-Allow-Origin"))
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(body), &m))
		require.Equal(t, site, m["issuer"])
		require.Equal(t, []any{"code"}, m["response_types_supported"])
		require.Equal(t, []any{"authorization_code", "refresh_token"}, m["grant_types_supported"])
		require.Equal(t, []any{"S256"}, m["code_challenge_methods_supported"])
		require.Equal(t, []any{"none"}, m["token_endpoint_auth_methods_supported"])
		require.Equal(t, true, m["authorization_response_iss_parameter_supported"])
		require.NotContains(t, body, "device")
		for name, path := range map[string]string{"authorization_endpoint": "/oauth2/authorize", "token_endpoint": "/oauth2/token", "revocation_endpoint": "/oauth2/revoke", "jwks_uri": "/oauth2/jwks"} {
			require.Equal(t, site+path, m[name])
			delete(m, name)
		}
		for name := range m {
			require.False(t, strings.HasSuffix(name, "_endpoint"), "%s leads nowhere", name)
		}
	}
	resp, body := s.do(t, "GET", "/oauth2/jwks", "")
	require.Equal(t, `{"keys":[]}`, body)
	require.Equal(t, "public, max-age=300", resp.Header.Get("Cache-Control"))
	for _, path := range []string{"/oauth2/device_authorization", "/oauth2/device", "/oauth2/register", "/oauth2/userinfo"} {
		resp, _ := s.do(t, "POST", path, "")
		require.Equal(t, 404, resp.StatusCode, path)
	}
}

func TestS05_AddressesWithSecretsAnswer302AndNoPage(t *testing.T) {
	s := start(t, nil)
	for _, path := range []string{
		"/oauth/callback?state=s&code=secret", "/oauth/callback?state=s&error=access_denied", "/oauth/callback",
		asked(), asked("response_type", "token"),
	} {
		resp, body := s.do(t, "GET", path, "")
		require.Equal(t, 302, resp.StatusCode, path)
		require.Empty(t, body, path)
		require.Empty(t, resp.Header.Get("Content-Type"))
		require.Equal(t, "no-referrer", resp.Header.Get("Referrer-Policy"))
		require.NotContains(t, resp.Header.Get("Location"), "secret")
	}
}

func TestN48_UnprovenAddressesGetAPageAndNoRedirect(t *testing.T) {
	s := start(t, nil)
	for _, path := range []string{
		asked("client_id", "powerpoint"), asked("client_id", ""), asked("client_id", "../word"), asked("redirect_uri", ""),
		asked("redirect_uri", "https://evil.example/<script>alert(1)</script>"), asked("redirect_uri", loopback+"/"), asked() + "&client_id=word",
		asked() + "&redirect_uri=" + url.QueryEscape(loopback), asked("response_type", "token", "redirect_uri", "https://evil.example/"),
		asked() + "&%zz", asked() + "&x=" + strings.Repeat("a", 9000), asked("client_id", "w\xff"),
	} {
		resp, body := s.do(t, "GET", path, "")
		require.Equal(t, 400, resp.StatusCode, path)
		require.Empty(t, resp.Header.Get("Location"))
		require.Equal(t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))
		require.Contains(t, resp.Header.Get("Content-Security-Policy"), "default-src 'none'")
		require.NotContains(t, body, "evil", "nothing of the request is repeated")
	}
	s.script(rpcerr.Default(codes.Unavailable))
	resp, _ := s.do(t, "GET", asked(), "")
	require.Equal(t, 503, resp.StatusCode)
	require.Empty(t, resp.Header.Get("Location"))
	resp, _ = s.do(t, "POST", asked(), "")
	require.Equal(t, 405, resp.StatusCode)
}

func TestN52_TheAnswerNamesItsIssuerAndBringsTheStateBack(t *testing.T) {
	s := start(t, nil)
	for path, want := range map[string]string{
		asked("response_type", "token"): "unsupported_response_type", asked("response_type", "code id_token"): "unsupported_response_type",
		asked("response_type", ""): "invalid_request", asked("response_mode", "fragment"): "invalid_request",
		asked("code_challenge_method", "plain"): "invalid_request", asked("code_challenge_method", ""): "invalid_request",
		asked("code_challenge", ""): "invalid_request", asked("code_challenge", challenge[1:]): "invalid_request",
		asked("scope", "openid email"): "invalid_scope", asked("request", "ey"): "request_not_supported",
		asked("request_uri", "https://evil.example/"): "request_uri_not_supported", asked("max_age", "1"): "invalid_request",
		asked("prompt", "none"): "interaction_required", asked("nonce", strings.Repeat("n", 129)): "invalid_request",
		asked() + "&scope=openid": "invalid_request",
	} {
		resp, _ := s.do(t, "GET", path, "")
		require.Equal(t, 302, resp.StatusCode, path)
		back, err := url.Parse(resp.Header.Get("Location"))
		require.NoError(t, err)
		require.Equal(t, "127.0.0.1:49152", back.Host)
		require.Equal(t, want, back.Query().Get("error"), path)
		require.NotEmpty(t, back.Query().Get("error_description"))
		require.Equal(t, "s t&a=te", back.Query().Get("state"))
		require.Equal(t, site, back.Query().Get("iss"), "RFC 9207")
		require.Empty(t, back.Fragment)
	}
	resp, _ := s.do(t, "GET", asked()+"&state=other", "")
	back, err := url.Parse(resp.Header.Get("Location"))
	require.NoError(t, err)
	require.Empty(t, back.Query().Get("state"), "which of them is meant is not known")

	resp, _ = s.do(t, "GET", asked()+"&unknown=x&ui_locales=en", "")
	at, params, _ := strings.Cut(resp.Header.Get("Location"), "#")
	require.Equal(t, "/oauth2/consent", at)
	got, err := url.ParseQuery(params)
	require.NoError(t, err)
	require.Equal(t, url.Values{
		"client_id": {"word"}, "redirect_uri": {loopback}, "scope": {"openid offline_access"}, "state": {"s t&a=te"}, "nonce": {"n"},
		"code_challenge": {challenge},
	}, got)
}

func TestN55_NoAddressRedirectsWhereARequestWants(t *testing.T) {
	s := start(t, nil)
	elsewhere := []string{"https://evil.example/", "//evil.example/", `\\evil.example\`, "javascript:alert(1)", "/oauth2/consent@evil.example"}
	for _, to := range elsewhere {
		for _, name := range []string{"next", "return_to", "redirect", "redirect_uri", "url", "state", "client_id", "scope", "post_logout_redirect_uri"} {
			for _, path := range []string{"/oauth/callback?code=c&", asked() + "&", "/oauth2/consent?", "/sign-in?", "/?", "/connect/done.html?"} {
				resp, _ := s.do(t, "GET", path+name+"="+url.QueryEscape(to), "")
				require.NotEqual(t, 307, resp.StatusCode)
				require.NotEqual(t, 308, resp.StatusCode)
				location := resp.Header.Get("Location")
				own := location == "" || strings.HasPrefix(location, loopback+"?error=") ||
					strings.HasPrefix(location, "/") && !strings.HasPrefix(location, "//") && !strings.HasPrefix(location, `/\`)
				require.True(t, own, "%s%s=%s leads to %s", path, name, to, location)
			}
		}
	}
}

func TestTokenEndpoint(t *testing.T) {
	s := start(t, nil)
	resp, got := s.form(t, "/oauth2/token", "grant_type=authorization_code&client_id=word&code=cac_c&code_verifier=v&redirect_uri="+url.QueryEscape(loopback)+"&resource=ignored&scope=")
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, map[string]any{"access_token": "cai_a", "token_type": "Bearer", "expires_in": 600., "refresh_token": "car_r", "scope": "offline_access"}, got)
	resp, _ = s.form(t, "/oauth2/token", "grant_type=refresh_token&client_id=word&refresh_token=car_r&scope=openid", "Content-Type", "", "Origin", "https://elsewhere.example")
	require.Equal(t, 200, resp.StatusCode)
	require.Empty(t, resp.Header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "v", s.issued[0].GetCodeVerifier())
	require.Equal(t, "127.0.0.1", s.issued[0].GetAddress())
	require.Equal(t, "car_r", s.issued[1].GetRefreshToken())
	require.Equal(t, "openid", s.issued[1].GetScope())
	resp, _ = s.form(t, "/oauth2/revoke", "client_id=word&token=car_r&token_type_hint=refresh_token")
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "car_r", s.revoked[0].GetToken())
}

func TestN50_TheTokenEndpointTakesTwoGrantsAndNoSecrets(t *testing.T) {
	s := start(t, nil)
	good := "grant_type=refresh_token&client_id=word&refresh_token=car_r"
	for _, c := range []struct {
		body, want string
		status     int
		headers    []string
	}{
		{"", "invalid_request", 400, nil},
		{"grant_type=password&client_id=word&username=a&password=b", "unsupported_grant_type", 400, nil},
		{"grant_type=client_credentials&client_id=word", "unsupported_grant_type", 400, nil},
		{"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&client_id=word&device_code=d", "unsupported_grant_type", 400, nil},
		{"grant_type=authorization_code&client_id=word&code=c&redirect_uri=x", "invalid_request", 400, nil}, // no verifier
		{"grant_type=refresh_token&client_id=word", "invalid_request", 400, nil},
		{"grant_type=refresh_token&refresh_token=car_r", "invalid_request", 400, nil},
		{good + "&client_id=word", "invalid_request", 400, nil},
		{good + "&unknown=1&unknown=2", "invalid_request", 400, nil},
		{good + "&%zz", "invalid_request", 400, nil},
		{good + "&a=%ff", "invalid_request", 400, nil},
		{good + "&client_secret=s", "invalid_client", 400, nil},
		{good, "invalid_client", 401, []string{"Authorization", "Basic d29yZDpz"}},
		{good + "&x=" + strings.Repeat("a", 9000), "invalid_request", 413, nil},
	} {
		resp, got := s.form(t, "/oauth2/token", c.body, c.headers...)
		require.Equal(t, c.want, got["error"], "%.80s", c.body)
		require.Equal(t, c.status, resp.StatusCode, "%.80s", c.body)
		require.Equal(t, c.status == 401, resp.Header.Get("WWW-Authenticate") != "")
	}
	for _, kind := range []string{"application/json", "text/plain", "multipart/form-data; boundary=x", "x"} {
		resp, body := s.do(t, "POST", "/oauth2/token", good, "Content-Type", kind)
		require.Equal(t, 400, resp.StatusCode)
		require.Contains(t, body, "invalid_request")
	}
	resp, got := s.form(t, "/oauth2/token?client_id=word", "grant_type=refresh_token&refresh_token=car_r")
	require.Equal(t, 400, resp.StatusCode)
	require.Equal(t, "invalid_request", got["error"])
	resp, _ = s.do(t, "GET", "/oauth2/token?"+good, "")
	require.Equal(t, 405, resp.StatusCode)
	require.Equal(t, "POST", resp.Header.Get("Allow"))
	resp, got = s.form(t, "/oauth2/revoke", "client_id=word")
	require.Equal(t, 400, resp.StatusCode)
	require.Equal(t, "invalid_request", got["error"])
	require.Empty(t, s.issued, "none of it went further")
	require.Empty(t, s.revoked)
}

func TestTokenErrorsAreThoseOfOAuth(t *testing.T) {
	s := start(t, nil)
	for _, c := range []struct {
		err    error
		want   string
		status int
	}{
		{rpcerr.New(codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_GRANT_INVALID, "used"), "invalid_grant", 400},
		{rpcerr.New(codes.NotFound, authv1.ErrorReason_ERROR_REASON_CLIENT_UNKNOWN, "unknown"), "invalid_client", 400},
		{rpcerr.Default(codes.InvalidArgument).Field("scope", "scope", "holds more"), "invalid_scope", 400},
		{rpcerr.Default(codes.InvalidArgument).Field("code", "max_len", "is too long"), "invalid_request", 400},
		{rpcerr.Default(codes.Unavailable), "temporarily_unavailable", 503},
		{rpcerr.Default(codes.ResourceExhausted), "temporarily_unavailable", 429},
		{rpcerr.Default(codes.Internal), "server_error", 500},
	} {
		s.script(c.err)
		resp, got := s.form(t, "/oauth2/token", "grant_type=refresh_token&client_id=word&refresh_token=car_r")
		require.Equal(t, c.want, got["error"])
		require.Equal(t, c.status, resp.StatusCode, c.want)
		require.NotEmpty(t, got["error_description"])
		resp, got = s.form(t, "/oauth2/revoke", "client_id=word&token=car_r")
		require.Equal(t, c.want, got["error"])
		require.Equal(t, c.status, resp.StatusCode, c.want)
	}
}

func TestAFloodOfTokenRequestsIsCutOff(t *testing.T) {
	s := start(t, func(c *gateway.Config) { c.RequestsPerMinute = 5 })
	last := 0
	for range 6 {
		resp, _ := s.do(t, "POST", "/oauth2/token", "grant_type=refresh_token&client_id=word&refresh_token=car_r", "Content-Type", "application/x-www-form-urlencoded")
		last = resp.StatusCode
	}
	require.Equal(t, 429, last)
}
