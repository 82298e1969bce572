package oauth

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"unicode/utf8"
)

// maxForm bounds what a client sends: all parameters of the contract at their longest are under 2 KiB.
const maxForm = 8 << 10

// form is the parameters of a request. One with an empty value counts as left out (RFC 6749 §3.1).
type form struct {
	values url.Values
	// twice are those given more than once, which no parameter may be.
	twice map[string]bool
}

func (f form) get(name string) string { return f.values.Get(name) }

// text is what is wrong with a request as a whole, empty when nothing is.
type text string

// parse reads parameters as they stand in an address or a body.
func parse(raw string) (form, text) {
	if len(raw) > maxForm {
		return form{}, "the request is too long"
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return form{}, "the parameters are not encoded as a form"
	}
	f := form{values: values, twice: map[string]bool{}}
	for name, given := range values {
		if !utf8.ValidString(name) || !utf8.ValidString(given[0]) {
			return form{}, "the parameters are not UTF-8"
		}
		if len(given) > 1 {
			f.twice[name] = true
		}
	}
	return f, ""
}

// body reads the parameters of a POST. They come in the body and nowhere else, once each.
func body(w http.ResponseWriter, r *http.Request) (form, *failure) {
	if r.Header.Get("Authorization") != "" {
		// Basic is what a client tries that takes itself for one with a secret.
		w.Header().Set("WWW-Authenticate", `Basic realm="concord"`)
		return form{}, &failure{status: http.StatusUnauthorized, Code: "invalid_client",
			Description: "there are no client secrets; send client_id in the body"}
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return form{}, invalid("send application/x-www-form-urlencoded")
	}
	if r.URL.RawQuery != "" {
		return form{}, invalid("send the parameters in the body, not in the address")
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if large := new(http.MaxBytesError); errors.As(err, &large) {
		return form{}, &failure{status: http.StatusRequestEntityTooLarge, Code: "invalid_request", Description: "the request is too long"}
	}
	if err != nil {
		return form{}, invalid("the body ended early")
	}
	f, wrong := parse(string(raw))
	if wrong != "" {
		return form{}, invalid(string(wrong))
	}
	if len(f.twice) > 0 {
		return form{}, invalid("a parameter is given more than once")
	}
	if f.get("client_secret") != "" || f.get("client_assertion") != "" {
		return form{}, &failure{status: http.StatusBadRequest, Code: "invalid_client", Description: "there are no client secrets"}
	}
	return f, nil
}
