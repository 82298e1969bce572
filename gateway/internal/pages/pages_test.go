package pages_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/gateway/internal/pages"
)

var addresses = []string{"/sign-in", "/invitation", "/reset", "/account/security", "/oauth2/consent"}

func serve(t *testing.T) func(path string, header ...string) (*http.Response, string) {
	t.Helper()
	all, err := pages.New()
	require.NoError(t, err)
	mux := http.NewServeMux()
	all.Register(mux)
	return func(path string, header ...string) (*http.Response, string) {
		r := httptest.NewRequest("GET", path, nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		body, err := io.ReadAll(w.Result().Body)
		require.NoError(t, err)
		return w.Result(), string(body)
	}
}

func TestPagesLoadNothingButTheirOwn(t *testing.T) {
	get := serve(t)
	loads := regexp.MustCompile(`(?:src|href)="([^"]*)"`)
	for _, address := range addresses {
		resp, body := get(address)
		require.Equal(t, 200, resp.StatusCode, address)
		csp := resp.Header.Get("Content-Security-Policy")
		for _, rule := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'"} {
			require.Contains(t, csp, rule)
		}
		require.NotContains(t, csp, "unsafe")
		require.NotRegexp(t, `(?i)<script(?:[^>]*[^>"])?>[^<]|<style|\son[a-z]+=|\sstyle=|javascript:|https?://`, body)
		for _, found := range loads.FindAllStringSubmatch(body, -1) {
			loaded, content := get(found[1])
			require.Equal(t, 200, loaded.StatusCode, found[1])
			require.Contains(t, []string{"text/javascript; charset=utf-8", "text/css; charset=utf-8"}, loaded.Header.Get("Content-Type"))
			require.NotEmpty(t, content)
		}
	}
}

// What scripts import is there, and no script has a way to make markup or code of text.
func TestScriptsAreWhole(t *testing.T) {
	get := serve(t)
	scripts, err := filepath.Glob("static/*.mjs")
	require.NoError(t, err)
	require.NotEmpty(t, scripts)
	imports := regexp.MustCompile(`from '\./([a-z-]+\.mjs)'`)
	for _, file := range scripts {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, found := range imports.FindAllStringSubmatch(string(text), -1) {
			resp, _ := get("/pages/" + found[1])
			require.Equal(t, 200, resp.StatusCode, "%s imports %s", file, found[1])
		}
		require.NotRegexp(t, `innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function`, string(text), file)
	}
}

func TestAFileIsSentOnce(t *testing.T) {
	get := serve(t)
	resp, _ := get("/pages/api.mjs")
	again, body := get("/pages/api.mjs", "If-None-Match", resp.Header.Get("ETag"))
	require.Equal(t, http.StatusNotModified, again.StatusCode)
	require.Empty(t, body)
	require.Equal(t, "no-cache", resp.Header.Get("Cache-Control"))
}

func TestTheRootLeadsToTheAccount(t *testing.T) {
	resp, _ := serve(t)("/")
	require.Equal(t, http.StatusFound, resp.StatusCode)
	require.Equal(t, "/account/security", resp.Header.Get("Location"))
}

// inputs are the fields of a page by their id.
func inputs(body string) map[string]string {
	all := map[string]string{}
	id := regexp.MustCompile(` id="([^"]+)"`)
	for _, tag := range regexp.MustCompile(`<input[^>]*>`).FindAllString(body, -1) {
		all[id.FindStringSubmatch(tag)[1]] = tag
	}
	return all
}

// Passwords can be pasted and filled by password programs: the fields say what they are, and nothing stands in the way.
func TestN06_PasswordsCanBePastedAndFilled(t *testing.T) {
	get := serve(t)
	passwords := 0
	for _, address := range addresses {
		_, body := get(address)
		for id, tag := range inputs(body) {
			if !strings.Contains(tag, `type="password"`) {
				continue
			}
			passwords++
			require.Regexp(t, `autocomplete="(current|new)-password"`, tag, id)
			require.Contains(t, tag, `maxlength="1024"`, id)
			require.NotContains(t, tag, "readonly")
		}
	}
	require.Positive(t, passwords)
	_, body := get("/sign-in")
	require.Contains(t, inputs(body)["email"], `autocomplete="username"`)
	scripts, err := filepath.Glob("static/*.mjs")
	require.NoError(t, err)
	for _, file := range scripts {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NotRegexp(t, `'(paste|copy|beforeinput|keydown|keypress|contextmenu)'|onpaste`, string(text), file)
	}
}

// A field for a PIN is offered the PIN of the text message, and shows digits to type on a phone.
func TestN21_PINFieldsTakeTheCodeOfTheMessage(t *testing.T) {
	get := serve(t)
	fields := map[string][]string{"/sign-in": {"pin", "email-pin", "totp"}, "/account/security": {"pin", "email-pin", "totp", "enrol-totp", "mobile-pin"}}
	for address, ids := range fields {
		_, body := get(address)
		for _, id := range ids {
			tag := inputs(body)[id]
			for _, attribute := range []string{`type="text"`, `inputmode="numeric"`, `autocomplete="one-time-code"`} {
				require.Contains(t, tag, attribute, "%s %s", address, id)
			}
		}
	}
}

// Every field has a label, every step a heading, and what happens is announced.
func TestPagesCanBeUsedWithoutSeeing(t *testing.T) {
	get := serve(t)
	for _, address := range addresses {
		_, body := get(address)
		require.Contains(t, body, `<html lang="en">`)
		require.Contains(t, body, `role="alert"`)
		require.Contains(t, body, `role="status"`)
		for id, tag := range inputs(body) {
			if !strings.Contains(tag, "hidden") {
				require.Contains(t, body, `<label for="`+id+`"`, address)
			}
		}
		sections := strings.Count(body, "<section ")
		require.Equal(t, sections, strings.Count(body, `<h1 tabindex="-1">`), address)
		require.Equal(t, strings.Count(body, "<form "), strings.Count(body, ` method="post"`), "a password never goes into an address")
	}
}

// A way that can't be phished is offered where people sign in and where they keep their account, and none of the ways that
// are weaker is spoken of without it.
func TestN29_PasskeysAreOfferedToEverybody(t *testing.T) {
	get := serve(t)
	_, body := get("/sign-in")
	require.Contains(t, body, "Sign in with a passkey")
	_, body = get("/account/security")
	require.Less(t, strings.Index(body, "Add a passkey"), strings.Index(body, "Change the mobile"))
	require.Contains(t, body, "A text message can be read by whoever takes over your number. A passkey can't.")
}

// Whoever signed in by a PIN that was sent meets a notice of the risk on the page that follows, before everything else there,
// with the safer way a button away. What it says comes from the API.
func TestN17_TheRiskOfPINsIsNamedBesideTheSaferWay(t *testing.T) {
	_, body := serve(t)("/account/security")
	require.Regexp(t, `(?s)<div id="risk" hidden>\s*<p class="hint" id="risk-notice"></p>.{0,60}<button type="button" id="safer" aria-describedby="risk-notice">Set up the safer way<`, body)
	require.Less(t, strings.Index(body, `id="risk"`), strings.Index(body, "<h2"))
	script, err := os.ReadFile("static/security.mjs")
	require.NoError(t, err)
	require.Contains(t, string(script), "session.riskNotice")
}

// The browser keeps nothing of a session but the cookies of the gateway, and gets no token in words.
func TestN36_NothingIsStoredByScripts(t *testing.T) {
	scripts, err := filepath.Glob("static/*.mjs")
	require.NoError(t, err)
	for _, file := range scripts {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NotRegexp(t, `localStorage|sessionStorage|indexedDB|caches\b|document\.cookie\s*=|sessionToken|session_token`, string(text), file)
	}
}
