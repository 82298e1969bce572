package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/concord-suite/concord/gateway"
)

// Whatever a request is — address, query, headers, cookies, body — the gateway answers it, never as a mistake of its own,
// and an error always as a problem document.
func FuzzRequest(f *testing.F) {
	s := start(f, func(c *gateway.Config) { c.RequestsPerMinute, c.SignInsPerMinute = 1e9, 1e9 })
	clients := "/v1/" + firm + "/clients"
	for _, seed := range [][6]string{
		{"GET", clients, "page_size=5&page_token=x", "Bearer " + token, "", ""},
		{"GET", clients, "", "Bearer not\xc6text", "", ""},
		{"GET", clients + "/%ff", "query=%ff", "Bearer " + token, "", ""},
		{"POST", clients, "request_id=" + other, "Bearer " + token, "", `{"display_name":"A"}`},
		{"POST", "/v1/sign-in", "", "", "", `{"email":"a@b.example","password":"p"}`},
		{"POST", "/v1/sign-in/challenges/c:verify", "", "", "concord_session=" + token + "; concord_csrf=x", `{"pin":"123456"}`},
		{"PATCH", "/v1/" + firm + "/connections/" + other, "updateMask=a,b", "Bearer " + token, "", `{"options":{}}`},
		{"GET", "/oauth/callback", "code=c&state=s", "", "concord_connect=b", ""},
		{"POST", "/webhooks/xero", "", "", "", `{"events":[]}`},
		{"POST", "/webhooks/sms/twilio", "", "", "", "MessageSid=SM1&MessageStatus=delivered"},
		{"POST", "/oauth2/token", "", "Basic YTpi", "", "grant_type=authorization_code&code=x"},
		{"GET", "/oauth2/authorize", "response_type=code&client_id=word&redirect_uri=http://127.0.0.1:1/", "", "", ""},
		{"GET", "/v1/" + firm + "/runs/" + other + ":watch", "", "Bearer " + token, "", ""},
		{"GET", clients + "/" + other + "/history:export", "kind=X", "Bearer " + token, "", ""},
		{"POST", "/v1/" + firm + "/folders/" + other + "/documents:upload", "display_name=a.txt&sha256=00", "Bearer " + token, "", "bytes"},
		{"PUT", "/v1/bytes/ticket", "", "", "", "bytes"},
		{"GET", "/v1/firms/%2e%2e/clients", "%zz", "bearer", ";=;", "\x00"},
		{"POST", clients, "", "Bearer " + token, "", strings.Repeat("[", 20_000)},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4], []byte(seed[5]))
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	f.Fuzz(func(t *testing.T, method, path, query, authorization, cookies string, body []byte) {
		address, err := url.Parse(s.url)
		if err != nil {
			t.Fatal(err)
		}
		address.Opaque = "//" + address.Host + path + "?" + query // as it is, without being made tidy
		r, err := http.NewRequestWithContext(t.Context(), method, s.url, strings.NewReader(string(body)))
		if err != nil {
			return // no client could send it
		}
		r.URL = address
		r.Header.Set("Authorization", authorization)
		r.Header.Set("Cookie", cookies)
		r.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(r)
		if err != nil {
			return // neither this
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if err != nil {
			return // a stream that the far side ends
		}
		// The far side answers much with "unimplemented" and scripts some faults; those are not the gateway's.
		if resp.StatusCode == http.StatusInternalServerError {
			t.Fatalf("%s %s?%s: %s\n%s", method, path, query, resp.Status, answer)
		}
		media := resp.Header.Get("Content-Type")
		if resp.StatusCode >= 400 && media == "application/problem+json" && !json.Valid(answer) {
			t.Fatalf("no problem document: %q", answer)
		}
		if strings.HasPrefix(media, "text/html") && strings.Contains(resp.Header.Get("Content-Security-Policy"), "unsafe-inline") {
			t.Fatal("a page may run what stands in it")
		}
	})
}
