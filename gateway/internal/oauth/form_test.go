package oauth

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzForm reads what a stranger posts to the token endpoint: nothing panics, and what is taken is complete, given once and
// can travel in a message.
func FuzzForm(f *testing.F) {
	f.Add("grant_type=refresh_token&client_id=word&refresh_token=car_r")
	f.Add("grant_type=authorization_code&client_id=word&code=c&code_verifier=v&redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Fdone")
	f.Add("grant_type=password&&=&%ff=%ff;a=b&client_id=a&client_id=b")
	f.Fuzz(func(t *testing.T, raw string) {
		r := httptest.NewRequest(http.MethodPost, tokenPath, strings.NewReader(raw))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		got, wrong := body(httptest.NewRecorder(), r)
		if wrong != nil {
			if wrong.Code == "" || wrong.status < 400 || wrong.status >= 500 {
				t.Fatalf("%q: %+v", raw, wrong)
			}
			return
		}
		req, wrong := request(got)
		if wrong != nil {
			return
		}
		values, err := url.ParseQuery(raw)
		if err != nil || len(values["client_id"]) != 1 || values.Get("client_secret") != "" {
			t.Fatalf("%q was taken", raw)
		}
		for _, text := range []string{req.GetClientId(), req.GetCode(), req.GetCodeVerifier(), req.GetRedirectUri(), req.GetRefreshToken(), req.GetScope()} {
			if !utf8.ValidString(text) {
				t.Fatalf("%q holds what no message carries", raw)
			}
		}
		if (req.GetRefreshToken() == "") == (req.GetCode() == "") {
			t.Fatalf("%q is for both grants or none", raw)
		}
	})
}

// FuzzAuthorize reads an authorization request: whatever is asked for, it goes on only as code with PKCE, and the addresses
// that are made of it lead where they should.
func FuzzAuthorize(f *testing.F) {
	f.Add("response_type=code&client_id=word&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&state=s")
	f.Add("response_type=token&state=%0d%0aSet-Cookie:a=b&scope=openid+x")
	f.Add("a=b;c=d&state=a&state=b&#%zz")
	f.Fuzz(func(t *testing.T, raw string) {
		got, wrong := parse(raw)
		if wrong != "" {
			return
		}
		code, description := judge(got)
		if (code == "") != (description == "") {
			t.Fatalf("%q: %s without words", raw, code)
		}
		if code == "" && (got.get("response_type") != "code" || got.get("code_challenge_method") != "S256" || len(got.twice) > 0) {
			t.Fatalf("%q goes on", raw)
		}
		on := url.Values{"state": {got.get("state")}}.Encode()
		if strings.ContainsAny(on, "\r\n# ") {
			t.Fatalf("%q leaves its place in %q", raw, on)
		}
	})
}
