package xero

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/connector/internal/provider"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// at makes an Identity whose every endpoint is answered by h.
func at(t *testing.T, h http.HandlerFunc) *Identity {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	return New(Config{ClientID: "id", ClientSecret: "secret", RedirectURL: "https://app.example.com/cb",
		AuthorizeURL: u.JoinPath("authorize"), IdentityURL: u, APIURL: u, Issuer: "issuer", Timeout: 2 * time.Second},
		server.Client(), func() time.Time { return noon })
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func TestAuthorizeURL(t *testing.T) {
	u, err := url.Parse(at(t, nil).AuthorizeURL("the-state", "the-verifier", []string{"a", "b"}))
	require.NoError(t, err)
	q := u.Query()
	require.Equal(t, "/authorize", u.Path)
	for name, want := range map[string]string{"response_type": "code", "client_id": "id", "redirect_uri": "https://app.example.com/cb",
		"scope": "a b", "state": "the-state", "code_challenge_method": "S256"} {
		require.Equal(t, want, q.Get(name), name)
	}
	require.NotContains(t, u.String(), "the-verifier")
	require.NotContains(t, u.String(), "secret")
}

func TestTokens(t *testing.T) {
	claims := base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"s","xero_userid":"u","authentication_event_id":"e","scope":["x","y"]}`))
	x := at(t, func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if id != "id" || secret != "secret" || r.FormValue("grant_type") != "authorization_code" || r.FormValue("code") != "c" || r.FormValue("code_verifier") != "v" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		answer(200, `{"access_token":"h.`+claims+`.s","refresh_token":"r","expires_in":1800,"token_type":"Bearer","scope":"z"}`)(w, r)
	})
	got, err := x.Exchange(t.Context(), "c", "v")
	require.NoError(t, err)
	require.Equal(t, provider.Tokens{Access: "h." + claims + ".s", Refresh: "r", Expires: noon.Add(30 * time.Minute),
		Scopes: []string{"x", "y"}, Subject: "u", AuthEvent: "e"}, got)

	opaque := at(t, answer(200, `{"access_token":"opaque","refresh_token":"r","token_type":"Bearer","scope":"z w"}`))
	got, err = opaque.Refresh(t.Context(), "old")
	require.NoError(t, err)
	require.Equal(t, []string{"z", "w"}, got.Scopes)
	require.Empty(t, got.Subject)
	require.Equal(t, noon.Add(30*time.Minute), got.Expires)
	for _, token := range []string{"", "a.b", "a.!.c", "a." + base64.RawURLEncoding.EncodeToString([]byte("no json")) + ".c"} {
		require.Equal(t, claimsOf(token), claimsOf(""), token)
	}
}

// TestWhoConsented: the name to show is read from the id token, as far as there is one.
func TestWhoConsented(t *testing.T) {
	for claims, want := range map[string]string{
		`{"name":"Ada B","email":"ada@x.example"}`:                       "Ada B (ada@x.example)",
		`{"given_name":"Ada","family_name":"B","email":"ada@x.example"}`: "Ada B (ada@x.example)",
		`{"email":"ada@x.example"}`:                                      "ada@x.example",
		`{"name":"two\nlines\u0000"}`:                                    "two lines",
		`{}`:                                                             "", `no json`: "",
	} {
		id := "h." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".s"
		x := at(t, answer(200, `{"id_token":"`+id+`","access_token":"a","refresh_token":"r","token_type":"Bearer","scope":"z"}`))
		got, err := x.Refresh(t.Context(), "old")
		require.NoError(t, err)
		require.Equal(t, want, got.Person)
	}
}

func claimsOf(token string) string { return fmt.Sprint(read(token)) }

func TestWhatTheTokenEndpointMaySay(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		kind   error
	}{
		"invalid_grant":       {400, `{"error":"invalid_grant"}`, provider.ErrGrant},
		"invalid_client":      {400, `{"error":"invalid_client"}`, provider.ErrClient},
		"invalid_client, 401": {401, `{"error":"invalid_client"}`, provider.ErrClient},
		"unauthorized_client": {400, `{"error":"unauthorized_client"}`, provider.ErrClient},
		"invalid_scope":       {400, `{"error":"invalid_scope"}`, provider.ErrClient},
		"server_error":        {500, `{"error":"server_error"}`, provider.ErrUnavailable},
		"down":                {503, `<html>`, provider.ErrUnavailable},
		"limit":               {429, ``, provider.ErrLimit},
		"nonsense":            {200, `<html>`, provider.ErrInvalid},
		"no token":            {200, `{}`, provider.ErrInvalid},
		"no refresh token":    {200, `{"access_token":"a","token_type":"Bearer"}`, provider.ErrInvalid},
	} {
		_, err := at(t, answer(c.status, c.body)).Exchange(t.Context(), "hush-code", "hush-verifier")
		require.ErrorIs(t, err, c.kind, name)
		require.NotContains(t, err.Error(), "hush", name)
	}
	cut := at(t, func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	_, err := cut.Refresh(t.Context(), "hush-token")
	require.ErrorIs(t, err, provider.ErrUnavailable)
	require.NotContains(t, err.Error(), "hush")
	slow := at(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server notices who left only when it has read everything
		<-r.Context().Done()
	})
	slow.cfg.Timeout = 50 * time.Millisecond
	_, err = slow.Refresh(t.Context(), "token")
	require.ErrorIs(t, err, provider.ErrUnavailable)
}

func TestTenants(t *testing.T) {
	x := at(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer access" || r.URL.Path != "/connections" || r.URL.Query().Get("authEventId") != "e" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		answer(200, `[{"id":"c","authEventId":"e","tenantId":"t","tenantType":"PRACTICEMANAGER","tenantName":"n","createdDateUtc":"2019-12-07T18:46:19.5165400",
			"updatedDateUtc":"2019-12-07T18:46:19.5187840"},{"id":"d","tenantId":"u","tenantType":"ORGANISATION","updatedDateUtc":"soon"}]`)(w, r)
	})
	list, err := x.Tenants(t.Context(), "access", "e")
	require.NoError(t, err)
	require.Equal(t, "t", list[0].ID)
	require.Equal(t, "c", list[0].UpstreamID)
	require.Equal(t, time.Date(2019, 12, 7, 18, 46, 19, 518784000, time.UTC), list[0].Updated)
	require.Equal(t, "u", list[1].Name, "a tenant without a name goes by its id")
	require.True(t, list[1].Updated.IsZero())
	for body, kind := range map[string]error{`{"not":"a list"}`: provider.ErrInvalid, `[{"id":"c"}]`: provider.ErrInvalid, `[{"id":"c","tena`: provider.ErrInvalid} {
		_, err := at(t, answer(200, body)).Tenants(t.Context(), "a", "")
		require.ErrorIs(t, err, kind, body)
	}
	_, err = at(t, answer(401, `{}`)).Tenants(t.Context(), "hush", "")
	require.ErrorIs(t, err, provider.ErrToken)
	require.NotContains(t, err.Error(), "hush")
}

func TestRemoveAndRevoke(t *testing.T) {
	for status, ok := range map[int]bool{204: true, 404: true, 200: true, 401: false, 500: false} {
		err := at(t, answer(status, "")).Remove(t.Context(), "access", "id/../with strange parts")
		require.Equal(t, ok, err == nil, "%d: %v", status, err)
	}
	var said url.Values
	x := at(t, func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if err := r.ParseForm(); err != nil || id != "id" || secret != "secret" || r.URL.Path != "/connect/revocation" {
			w.WriteHeader(http.StatusTeapot)
		}
		said = r.PostForm
	})
	require.NoError(t, x.Revoke(t.Context(), "refresh"))
	require.Equal(t, url.Values{"token": {"refresh"}}, said)
	require.True(t, errors.Is(at(t, answer(503, "")).Revoke(t.Context(), "r"), provider.ErrUnavailable))
}

// An answer that was long on its way does not make its token live longer than the provider takes it.
func TestATokensLifeCountsFromWhenItWasAskedFor(t *testing.T) {
	var now atomic.Pointer[time.Time]
	now.Store(&noon)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		late := now.Load().Add(10 * time.Minute)
		now.Store(&late)
		answer(http.StatusOK, `{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":1800}`)(w, r)
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	x := New(Config{ClientID: "id", ClientSecret: "secret", AuthorizeURL: u, IdentityURL: u, APIURL: u, Timeout: 2 * time.Second},
		server.Client(), func() time.Time { return *now.Load() })
	tokens, err := x.Refresh(t.Context(), "old")
	require.NoError(t, err)
	require.Equal(t, noon.Add(30*time.Minute), tokens.Expires)
	tokens, err = x.Exchange(t.Context(), "code", "verifier")
	require.NoError(t, err)
	require.Equal(t, noon.Add(40*time.Minute), tokens.Expires)
}
