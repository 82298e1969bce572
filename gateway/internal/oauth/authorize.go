package oauth

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// passed are the parameters that go on to the consent page.
var passed = []string{"client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge"}

var (
	challengePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	clientPattern    = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)
)

// maxNonce is the contract's.
const maxNonce = 128

// authorize sends the browser on to the consent page, or back to the Add-In with what is wrong (RFC 6749 §4.1.2.1). Who the
// Add-In is and where it is answered comes first: as long as that is not proven the browser is sent nowhere.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	f, wrong := parse(r.URL.RawQuery)
	client, redirect := f.get("client_id"), f.get("redirect_uri")
	if wrong != "" || f.twice["client_id"] || f.twice["redirect_uri"] || redirect == "" || !clientPattern.MatchString(client) {
		refuse(w, http.StatusBadRequest)
		return
	}
	_, err := s.strangers.GetAddIn(r.Context(), &authv1.GetAddInRequest{Name: "addIns/" + client, RedirectUri: redirect})
	if err == nil {
		s.send(w, r, f, redirect)
		return
	}
	switch rpcerr.From(err).Code() {
	case codes.NotFound, codes.InvalidArgument:
		refuse(w, http.StatusBadRequest)
	default:
		refuse(w, http.StatusServiceUnavailable)
	}
}

// send redirects to the consent page or, with an error, to the Add-In. The parameters stand
// in the fragment, which is sent to nobody and logged nowhere.
func (s *Server) send(w http.ResponseWriter, r *http.Request, f form, redirect string) {
	code, description := judge(f)
	if code == "" {
		on := url.Values{}
		for _, name := range passed {
			if v := f.get(name); v != "" {
				on.Set(name, v)
			}
		}
		redirectTo(w, consentPath+"#"+on.Encode())
		return
	}
	issuer, err := s.issuer(r.Context())
	if err != nil {
		refuse(w, http.StatusServiceUnavailable)
		return
	}
	back := url.Values{"error": {code}, "error_description": {description}, "iss": {issuer}} // RFC 9207
	if state := f.get("state"); state != "" && !f.twice["state"] {
		back.Set("state", state)
	}
	redirectTo(w, redirect+"?"+back.Encode())
}

// redirectTo sends the browser on by 302 and an empty body: a browser makes a GET of it, whatever it came with (RFC 9700
// §4.12), and no page comes of an address with parameters in it.
func redirectTo(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusFound)
}

// unsupported are parameters by which OpenID Connect would change what a request means, and the errors it has for them.
var unsupported = map[string]string{
	"request": "request_not_supported", "request_uri": "request_uri_not_supported", "registration": "registration_not_supported",
	"max_age": "invalid_request",
}

// judge says what is wrong with an authorization request, by the error codes of RFC 6749 §4.1.2.1 and OpenID Connect Core
// §3.1.2.6, and in words.
func judge(f form) (code, description string) {
	if len(f.twice) > 0 {
		return "invalid_request", "a parameter is given more than once"
	}
	for name, code := range unsupported {
		if f.get(name) != "" {
			return code, name + " is not supported"
		}
	}
	switch f.get("response_type") {
	case "code":
	case "":
		return "invalid_request", "response_type is missing"
	default:
		return "unsupported_response_type", "response_type is code"
	}
	if mode := f.get("response_mode"); mode != "" && mode != "query" {
		return "invalid_request", "response_mode is query"
	}
	if f.get("code_challenge_method") != "S256" {
		return "invalid_request", "code_challenge_method is S256" // left out it means plain (RFC 7636 §4.3)
	}
	if !challengePattern.MatchString(f.get("code_challenge")) {
		return "invalid_request", "code_challenge is the SHA-256 of the verifier, 43 characters"
	}
	if len(f.get("nonce")) > maxNonce {
		return "invalid_request", "nonce is too long"
	}
	for scope := range strings.FieldsSeq(f.get("scope")) {
		if !slices.Contains(scopes, scope) {
			return "invalid_scope", "there are the scopes " + strings.Join(scopes, " and ")
		}
	}
	if slices.Contains(strings.Fields(f.get("prompt")), "none") {
		return "interaction_required", "a person is asked each time"
	}
	return "", ""
}

// refusal is all that a request gets whose Add-In or address is not proven. It repeats nothing of the request.
const refusal = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Concord</title>` +
	`<h1>This request can't be answered</h1><p>A program opened this page to sign you in, but not as a registered program does. ` +
	`Close the page, and start again from the program.</p></html>`

const later = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Concord</title>` +
	`<h1>Try again in a moment</h1><p>Nobody can be signed in right now.</p></html>`

func refuse(w http.ResponseWriter, status int) {
	page := refusal
	if status != http.StatusBadRequest {
		page = later
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(page))
}
