package gateway_test

import (
	"crypto/ed25519"
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concord-suite/concord/gateway"
	"github.com/concord-suite/concord/gateway/internal/session"
	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/rpcerr"
)

func signer(t testing.TB) *access.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	s, err := access.NewSigner("gateway", key, time.Now)
	require.NoError(t, err)
	return s
}

func problemOf(t *testing.T, resp *http.Response, body string) map[string]any {
	t.Helper()
	require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"), body)
	var p map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &p))
	return p
}

// The service that is called gets its own internal token and never the session's; auth is asked once for many requests.
func TestSessionBecomesInternalToken(t *testing.T) {
	s := start(t, nil)
	for range 5 {
		resp, body := s.do(t, "GET", "/v1/"+firm+"/clients", "", "Authorization", "Bearer "+token)
		require.Equal(t, 200, resp.StatusCode, body)
	}
	require.Equal(t, "Bearer internal-for-sync", s.authorization("ListClients"))
	require.EqualValues(t, 1, s.resolved.Load())
	s.do(t, "GET", "/v1/"+firm, "", "Authorization", "Bearer "+token)
	require.Equal(t, "Bearer internal-for-auth", s.authorization("GetFirm"))
	require.EqualValues(t, 2, s.resolved.Load())
}

// Whoever uses a session from another address is known by that one, not by the address that used it a moment before.
func TestAnotherAddressGetsAnotherToken(t *testing.T) {
	s := start(t, func(c *gateway.Config) { c.TrustedProxies = 1 })
	for _, address := range []string{"192.0.2.7", "203.0.113.9", "192.0.2.7"} {
		resp, body := s.do(t, "GET", "/v1/"+firm+"/clients", "", "Authorization", "Bearer "+token, "X-Forwarded-For", address)
		require.Equal(t, 200, resp.StatusCode, body)
		require.Equal(t, "Bearer internal-for-sync-from-"+address, s.authorization("ListClients"))
	}
	require.EqualValues(t, 2, s.resolved.Load())
}

// Every way to change something by a browser's cookie asks for the proof of the page, uploads and bytes included; methods
// nobody expects count as changes.
func TestNothingChangesByACookieAlone(t *testing.T) {
	s := start(t, nil)
	jar := "concord_session=" + token
	for _, c := range [][2]string{
		{"POST", "/v1/" + firm + "/clients"}, {"PATCH", "/v1/" + firm + "/connections/" + other}, {"DELETE", "/v1/" + firm + "/contacts/" + other},
		{"POST", "/v1/" + firm + "/folders/" + other + "/documents:upload?display_name=a.txt"}, {"PUT", "/v1/bytes/ticket"},
		{"POST", "/v1/" + firm + "/runs/" + other + ":watch"}, {"POST", "/v1/session:startStepUp"}, {"POST", "/v1/sign-in"},
		{"POST", "/oauth/callback"}, {"FROB", "/v1/" + firm + "/clients"}, {"get", "/v1/" + firm + "/clients"},
	} {
		for _, more := range [][]string{
			nil, {"X-Concord-Csrf", "guessed"}, {"X-Concord-Csrf", ""}, {"Authorization", "Basic x"}, {"Authorization", "Bearer "},
			{"X-HTTP-Method-Override", "GET"}, {"Content-Type", "text/plain", "Sec-Fetch-Site", "same-site"},
		} {
			resp, body := s.do(t, c[0], c[1], "{}", append([]string{"Cookie", jar}, more...)...)
			require.Equal(t, 403, resp.StatusCode, "%v %v: %s", c, more, body)
			require.Equal(t, "CSRF", problemOf(t, resp, body)["reason"])
		}
	}
	require.Zero(t, s.resolved.Load())
	// And the proof of another session is none.
	resp, _ := s.do(t, "POST", "/v1/session:signOut", "{}", "Cookie", jar, "X-Concord-Csrf", session.CSRF("another-session-token"))
	require.Equal(t, 403, resp.StatusCode)
}

func TestEndedSessionIsRefused(t *testing.T) {
	s := start(t, nil)
	resp, body := s.do(t, "GET", "/v1/"+firm+"/clients", "", "Authorization", "Bearer something-else-entirely")
	require.Equal(t, 401, resp.StatusCode)
	require.NotEmpty(t, resp.Header.Get("WWW-Authenticate"))
	require.Equal(t, "UNAUTHENTICATED", problemOf(t, resp, body)["code"])
	require.Empty(t, s.authorization("ListClients"))
}

// A header of the outside never reaches a service as identity.
func TestForeignMetadataStaysOutside(t *testing.T) {
	s := start(t, nil)
	s.do(t, "GET", "/v1/"+firm+"/clients", "", "Grpc-Metadata-Authorization", "Bearer forged", "Authorization", "Bearer "+token)
	require.Equal(t, "Bearer internal-for-sync", s.authorization("ListClients"))
}

func TestBrowserSessionLivesInCookies(t *testing.T) {
	s := start(t, nil)
	resp, body := s.do(t, "POST", "/v1/sign-in/challenges/c:verify", `{"pin":"123456"}`, "X-Concord-Session", "cookie")
	require.Equal(t, 200, resp.StatusCode, body)
	require.NotContains(t, body, token)
	cookies := map[string]*http.Cookie{}
	for _, c := range resp.Cookies() {
		cookies[c.Name] = c
	}
	require.Equal(t, token, cookies["concord_session"].Value)
	require.True(t, cookies["concord_session"].HttpOnly)
	csrf := cookies["concord_csrf"]
	require.False(t, csrf.HttpOnly)

	jar := "concord_session=" + token + "; concord_csrf=" + csrf.Value
	resp, _ = s.do(t, "GET", "/v1/"+firm+"/clients", "", "Cookie", jar)
	require.Equal(t, 200, resp.StatusCode, "reading needs no CSRF token")
	resp, body = s.do(t, "POST", "/v1/session:signOut", "{}", "Cookie", jar)
	require.Equal(t, 403, resp.StatusCode)
	require.Equal(t, "CSRF", problemOf(t, resp, body)["reason"])
	resp, _ = s.do(t, "POST", "/v1/session:signOut", "{}", "Cookie", jar, "X-Concord-Csrf", csrf.Value, "Sec-Fetch-Site", "cross-site")
	require.Equal(t, 403, resp.StatusCode, "another site's page has no business here, whatever it knows")
	resp, _ = s.do(t, "POST", "/v1/session:signOut", "{}", "Cookie", jar, "X-Concord-Csrf", csrf.Value)
	require.Equal(t, 200, resp.StatusCode)
	require.Negative(t, resp.Cookies()[0].MaxAge)
}

// Somebody whose browser holds an ended session, or another person's, can still sign in.
func TestSigningInNeedsNoSession(t *testing.T) {
	s := start(t, nil)
	for _, old := range []string{token, "a-session-that-has-ended"} {
		resp, body := s.do(t, "POST", "/v1/sign-in/challenges/c:verify", `{"pin":"123456"}`, "Authorization", "Bearer "+old)
		require.Equal(t, 200, resp.StatusCode, body)
		require.NotContains(t, s.authorization("VerifyPin"), "internal")
	}
}

func TestProgramsGetTheTokenInTheBody(t *testing.T) {
	s := start(t, nil)
	resp, body := s.do(t, "POST", "/v1/sign-in/challenges/c:verify", `{"pin":"123456"}`)
	require.Contains(t, body, token)
	require.Empty(t, resp.Cookies())
}

func TestSecureCookiesBehindTLS(t *testing.T) {
	s := start(t, func(c *gateway.Config) { c.PublicURL = "https://concord.example" })
	resp, _ := s.do(t, "POST", "/v1/sign-in/challenges/c:verify", `{"pin":"123456"}`, "X-Concord-Session", "cookie")
	for _, c := range resp.Cookies() {
		require.True(t, strings.HasPrefix(c.Name, "__Host-"), c.Name)
		require.True(t, c.Secure)
		require.Equal(t, "/", c.Path)
		require.Empty(t, c.Domain)
	}
	require.Len(t, resp.Cookies(), 2)
}

func TestErrorsAreProblems(t *testing.T) {
	s := start(t, nil)
	st, err := status.New(codes.InvalidArgument, "page_size is too large").WithDetails(
		&errdetails.ErrorInfo{Reason: "INVALID", Domain: "concord", Metadata: map[string]string{"retry_after": "7"}},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "page_size", Description: "at most 1000"}}},
	)
	require.NoError(t, err)
	s.listErr = st.Err()
	resp, body := s.do(t, "GET", "/v1/"+firm+"/clients", "", "Authorization", "Bearer "+token)
	require.Equal(t, 400, resp.StatusCode)
	require.Equal(t, "7", resp.Header.Get("Retry-After"))
	p := problemOf(t, resp, body)
	require.Equal(t, "INVALID", p["reason"])
	require.Equal(t, "INVALID_ARGUMENT", p["code"])
	require.Equal(t, "pageSize", p["fields"].([]any)[0].(map[string]any)["field"])
}

func TestBadRequestsSayWhatIsWrong(t *testing.T) {
	s := start(t, nil)
	for name, c := range map[string]struct {
		method, path, body string
		want               int
	}{
		"unknown field":  {"POST", "/v1/sign-in", `{"email":"a@b.example","passwrd":"x"}`, 400},
		"broken JSON":    {"POST", "/v1/sign-in", `{"email":`, 400},
		"unknown path":   {"GET", "/v1/nothing", "", 404},
		"outside the v1": {"GET", "/nothing", "", 404},
		"wrong method":   {"DELETE", "/v1/sign-in", "", 405},
		"huge body":      {"POST", "/v1/sign-in", `{"email":"` + strings.Repeat("a", 2<<20) + `"}`, 413},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := s.do(t, c.method, c.path, c.body)
			require.Equal(t, c.want, resp.StatusCode, body)
			require.NotEmpty(t, problemOf(t, resp, body)["detail"])
		})
	}
}

func TestFloodIsSlowedDown(t *testing.T) {
	s := start(t, func(c *gateway.Config) { c.SignInsPerMinute = 3 })
	var last *http.Response
	for range 4 {
		last, _ = s.do(t, "POST", "/v1/sign-in/challenges/c:verify", `{"pin":"123456"}`)
	}
	require.Equal(t, 429, last.StatusCode)
	require.NotEmpty(t, last.Header.Get("Retry-After"))
	resp, _ := s.do(t, "GET", "/v1/"+firm+"/clients", "", "Authorization", "Bearer "+token)
	require.Equal(t, 200, resp.StatusCode, "what is not a guess goes on")
}

func TestCallbackRedirectsAndBindsTheBrowser(t *testing.T) {
	s := start(t, nil)
	resp, body := s.do(t, "POST", "/v1/"+firm+"/connectAttempts", `{"provider":"PROVIDER_XPM"}`, "Authorization", "Bearer "+token)
	require.Equal(t, 200, resp.StatusCode, body)
	require.NotContains(t, body, "bound")
	ck := resp.Cookies()[0]
	require.Equal(t, "bound", ck.Value)
	require.Equal(t, http.SameSiteLaxMode, ck.SameSite)

	resp, body = s.do(t, "GET", "/oauth/callback?state=s&code=secret", "", "Cookie", ck.Name+"="+ck.Value)
	require.Equal(t, 302, resp.StatusCode)
	require.Equal(t, "/connect/done.html#ok", resp.Header.Get("Location"))
	require.NotContains(t, body, "secret")
	require.Equal(t, "bound", s.complete.GetBrowserBinding())
	require.Contains(t, s.authorization("CompleteConnectAttempt"), "Bearer ")

	resp, body = s.do(t, "GET", "/connect/done.html", "")
	require.Contains(t, body, "window.close()")
	require.Contains(t, resp.Header.Get("Content-Security-Policy"), "sha256-")
}

func TestRunProgressAsServerSentEvents(t *testing.T) {
	s := start(t, nil)
	resp, body := s.do(t, "GET", "/v1/"+firm+"/runs/"+other+":watch", "", "Authorization", "Bearer "+token)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	require.Equal(t, 2, strings.Count(body, "event: run\n"))
	require.True(t, strings.HasSuffix(body, "event: end\ndata: {}\n\n"), body)
}

func TestHistoryAsCSV(t *testing.T) {
	s := start(t, nil)
	resp, body := s.do(t, "GET", "/v1/"+firm+"/clients/"+other+"/history:export?kind=X", "", "Authorization", "Bearer "+token)
	require.Equal(t, "text/csv; charset=utf-8", resp.Header.Get("Content-Type"))
	require.Equal(t, "sequence,summary\r\n1,X\r\n", body)
	_, params, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition"))
	require.NoError(t, err)
	require.Equal(t, "Client history Zoë the Baker Sons "+time.Now().UTC().Format(time.DateOnly)+".csv", params["filename"])
}

func TestBytesPassThroughWithoutIdentity(t *testing.T) {
	s := start(t, nil)
	path := "/v1/" + firm + "/documents/" + other + "/content"
	resp, body := s.do(t, "GET", path, "", "Authorization", "Bearer "+token, "Range", "bytes=2-4")
	require.Equal(t, 206, resp.StatusCode)
	require.Equal(t, "234", body)
	require.Equal(t, "/v1/bytes/down", s.bytes.URL.Path)
	require.Empty(t, s.bytes.Header.Get("Authorization"))
	require.Equal(t, []string{"nosniff"}, resp.Header.Values("X-Content-Type-Options"))
	require.Equal(t, []string{"no-store"}, resp.Header.Values("Cache-Control"))

	up := strings.Repeat("x", 3<<20) // more than a JSON body may have
	resp, _ = s.do(t, "POST", "/v1/"+firm+"/folders/"+other+"/documents:upload?display_name=a.pdf", up, "Authorization", "Bearer "+token)
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, http.MethodPut, s.bytes.Method)
	require.Equal(t, "/v1/bytes/up", s.bytes.URL.Path)
	require.Equal(t, up, s.body)
	require.Equal(t, "a.pdf", s.uploads[0].GetDisplayName())
	require.EqualValues(t, 3<<20, s.uploads[0].GetSize())
}

func TestOpenAPIIsServed(t *testing.T) {
	s := start(t, nil)
	resp, body := s.do(t, "GET", "/openapi.json", "")
	require.Equal(t, 200, resp.StatusCode)
	require.Contains(t, body, `"/v1/sign-in"`)
	// What it says of the gateway's own: the bound of a body, and the reasons of its refusals.
	var doc struct {
		Paths map[string]map[string]struct {
			RequestBody map[string]any `json:"requestBody"`
		}
		Components struct {
			Schemas map[string]struct {
				Reasons map[string]string `json:"x-concord-reasons"`
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &doc))
	require.EqualValues(t, 1<<20, doc.Paths["/v1/sign-in"]["post"].RequestBody["x-concord-max-bytes"])
	resp, body = s.do(t, "POST", "/v1/sign-in", `"`+strings.Repeat("x", 1<<20)+`"`)
	require.Equal(t, 413, resp.StatusCode)
	reasons := doc.Components.Schemas["Reason"].Reasons
	require.NotEmpty(t, reasons[problemOf(t, resp, body)["reason"].(string)])
	for _, reason := range []string{
		"CSRF", "LENGTH_REQUIRED", "METHOD_NOT_ALLOWED", "NOT_FOUND", "NOT_READY", "STORAGE_UNAVAILABLE", "TOO_MANY_REQUESTS", "INTERNAL",
	} {
		require.NotEmpty(t, reasons[reason], reason)
	}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		require.NotEmpty(t, reasons[rpcerr.Default(code).Reason()], code)
	}
}
