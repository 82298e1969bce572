package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/concord-suite/concord/gateway"
	"github.com/concord-suite/concord/gateway/internal/session"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

// What the requirements say about browsers. How the pages themselves keep to it is tested where they are, and in Chromium.

// The session lives in a cookie that only this host sets, only TLS carries, no script reads and no other site's request
// brings along to change something. Its value is opaque, and the answer has it nowhere else.
func TestN36_TheSessionIsAHostCookie(t *testing.T) {
	s := start(t, func(c *gateway.Config) { c.PublicURL = "https://app.example.com" })
	resp, body := s.do(t, "POST", "/v1/sign-in/challenges/c:verify", `{"pin":"123456"}`, "X-Concord-Session", "cookie")
	require.Equal(t, 200, resp.StatusCode, body)
	require.NotContains(t, body, token)
	cookies := map[string]*http.Cookie{}
	for _, c := range resp.Cookies() {
		cookies[c.Name] = c
		require.True(t, strings.HasPrefix(c.Name, "__Host-"), c.Name)
		require.True(t, c.Secure, c.Name)
		require.Equal(t, "/", c.Path, c.Name)
		require.Empty(t, c.Domain, c.Name)
	}
	require.True(t, cookies["__Host-concord_session"].HttpOnly)
	require.Equal(t, http.SameSiteLaxMode, cookies["__Host-concord_session"].SameSite)
	require.Equal(t, token, cookies["__Host-concord_session"].Value)
	require.Equal(t, http.SameSiteStrictMode, cookies["__Host-concord_csrf"].SameSite)
	require.Len(t, cookies, 2)
	require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
}

// A change by a cookie proves the session it belongs to: with no proof, a guess, or another session's, nothing happens.
func TestN41_AChangeProvesItsSession(t *testing.T) {
	s := start(t, nil)
	for _, proof := range []string{"", "guessed", session.CSRF("another-session-token"), session.CSRF(token) + "x"} {
		resp, body := s.do(t, "POST", "/v1/"+firm+"/clients", "{}", "Cookie", "concord_session="+token, "X-Concord-Csrf", proof)
		require.Equal(t, 403, resp.StatusCode, body)
		require.Equal(t, "CSRF", problemOf(t, resp, body)["reason"])
	}
	// Proven, but made by another site's page.
	resp, _ := s.do(t, "POST", "/v1/session:signOut", "{}", "Cookie", "concord_session="+token, "X-Concord-Csrf", session.CSRF(token),
		"Sec-Fetch-Site", "cross-site")
	require.Equal(t, 403, resp.StatusCode)
	resp, _ = s.do(t, "POST", "/v1/session:signOut", "{}", "Cookie", "concord_session="+token, "X-Concord-Csrf", session.CSRF(token))
	require.Equal(t, 200, resp.StatusCode)
}

// answered are the secrets that an answer over REST may hold, and why a browser may see them. Those of a session go into
// the cookie when a browser signs in.
var answered = map[string]string{
	"session_token":   "of this suite, moved into the cookie",
	"browser_binding": "of this suite, moved into a cookie",
	"code":            "of this suite: the Add-In's, for its loopback address",
	"credential":      "of this suite: an agent's, shown once to the administrator who makes it",
	"secret":          "the person's own, for their authenticator program",
	"otpauth_uri":     "the same, for the QR code",
	"recovery_codes":  "the person's own",
	"recovery_code":   "handed to the person by their administrator",
	"upload_path":     "one document, once",
	"download_path":   "one document, for minutes",
	"token":           "the same, without the path",
}

// No token of a provider is in any answer that a browser can ask for: what is secret in an answer is known, and of this
// suite; and connector, which keeps the providers' tokens, answers none at all.
func TestN54_NoProviderTokenReachesABrowser(t *testing.T) {
	methods := 0
	protoregistry.GlobalFiles.RangeFilesByPackage("concord.connector.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			for j := range f.Services().Get(i).Methods().Len() {
				m := f.Services().Get(i).Methods().Get(j)
				if !proto.HasExtension(m.Options(), annotations.E_Http) {
					continue
				}
				methods++
				for _, field := range secretsOf(m.Output(), map[protoreflect.FullName]bool{}) {
					require.Contains(t, []string{"browser_binding", "credential"}, string(field.Name()), "%s", m.FullName())
				}
			}
		}
		return true
	})
	require.GreaterOrEqual(t, methods, 10)
	used := map[string]bool{}
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			for j := range f.Services().Get(i).Methods().Len() {
				m := f.Services().Get(i).Methods().Get(j)
				if !proto.HasExtension(m.Options(), annotations.E_Http) {
					continue
				}
				for _, field := range secretsOf(m.Output(), map[protoreflect.FullName]bool{}) {
					require.Contains(t, answered, string(field.Name()), "%s answers a secret that nobody said a browser may see", m.FullName())
					used[string(field.Name())] = true
				}
			}
		}
		return true
	})
	for name := range answered {
		require.True(t, used[name], "no answer has %s", name)
	}
}

// secretsOf are the fields of a message, and of those in it, that are secret or look it.
func secretsOf(m protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) (found []protoreflect.FieldDescriptor) {
	if seen[m.FullName()] {
		return nil
	}
	seen[m.FullName()] = true
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if f.Message() != nil {
			found = append(found, secretsOf(f.Message(), seen)...)
			continue
		}
		name := string(f.Name())
		secret, _ := proto.GetExtension(f.Options(), optionsv1.E_Secret).(bool)
		looks := strings.HasSuffix(name, "_token") && name != "next_page_token" && name != "page_token"
		if secret || looks || strings.Contains(name, "refresh") && f.Kind() == protoreflect.StringKind || strings.Contains(name, "access_token") {
			found = append(found, f)
		}
	}
	return found
}
