// Package session carries who is signed in through the gateway: from a cookie or a bearer token on the way in, to the
// internal token of the called service on the way out.
//
// Browsers hold the opaque session token in a cookie that scripts can't read. A second cookie holds the CSRF token,
// which is a keyed hash of the session token, so that it belongs to exactly this session and needs no storage; scripts
// send it back in a header. Programs send the session token as a bearer token and need neither.
package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// CSRFHeader is the header in which a browser's script sends the CSRF cookie back.
const CSRFHeader = "X-Concord-Csrf"

// ModeHeader asks, with the value "cookie", for the session token as a cookie instead of in the body.
const ModeHeader = "X-Concord-Session"

// Cookies names and sets the cookies.
type Cookies struct {
	secure                   bool
	session, csrf, attempted string
	origin                   string
}

// NewCookies takes the public address. Without TLS (one machine, loopback) the names lack the __Host- prefix, which
// browsers only accept on secure cookies.
func NewCookies(publicURL string) (Cookies, error) {
	u, err := url.Parse(publicURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return Cookies{}, fmt.Errorf("public_url: must be an http or https address, not %q", publicURL)
	}
	c := Cookies{session: "concord_session", csrf: "concord_csrf", attempted: "concord_connect", origin: u.Scheme + "://" + u.Host}
	if u.Scheme == "https" {
		c.secure = true
		c.session, c.csrf, c.attempted = "__Host-"+c.session, "__Host-"+c.csrf, "__Host-"+c.attempted
	}
	return c, nil
}

// Secure tells whether people reach the gateway over https.
func (c Cookies) Secure() bool { return c.secure }

// SetSession hands the session to a browser.
func (c Cookies) SetSession(w http.ResponseWriter, token string, expires time.Time) {
	c.set(w, c.session, token, expires, true, http.SameSiteLaxMode)
	c.set(w, c.csrf, CSRF(token), expires, false, http.SameSiteStrictMode)
}

// ClearSession takes the session from a browser.
func (c Cookies) ClearSession(w http.ResponseWriter) {
	for _, name := range []string{c.session, c.csrf} {
		http.SetCookie(w, &http.Cookie{Name: name, Path: "/", MaxAge: -1, Secure: c.secure, HttpOnly: name == c.session})
	}
}

// SetAttempt binds a connect attempt to the browser. Lax, so that it comes along when the provider sends the browser
// back.
func (c Cookies) SetAttempt(w http.ResponseWriter, binding string, expires time.Time) {
	c.set(w, c.attempted, binding, expires, true, http.SameSiteLaxMode)
}

// Attempt is the binding the browser holds, empty when it holds none.
func (c Cookies) Attempt(r *http.Request) string { return value(r, c.attempted) }

func (c Cookies) set(w http.ResponseWriter, name, v string, expires time.Time, httpOnly bool, same http.SameSite) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: v, Path: "/", Expires: expires, Secure: c.secure, HttpOnly: httpOnly, SameSite: same,
	})
}

func value(r *http.Request, name string) string {
	ck, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return ck.Value
}

// CSRF is the token that proves a request was made by a page which could read this session's CSRF cookie.
func CSRF(token string) string {
	m := hmac.New(sha256.New, []byte(token))
	m.Write([]byte("concord csrf"))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

func csrfFits(token, sent string) bool {
	return subtle.ConstantTimeCompare([]byte(CSRF(token)), []byte(sent)) == 1
}
