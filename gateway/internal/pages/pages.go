// Package pages serves the pages that people sign in and keep their account with, for browsers and for the programs that
// open one: sign-in, account security, consent to an Add-In.
//
// They are plain HTML with scripts of their own, embedded in the program, and know nothing that any other frontend could
// not know: everything goes through the REST API, the session is the cookie that scripts can't read. A page holds nothing
// of the person or the request: codes of e-mails and the parameters of an Add-In stand in the fragment of the address,
// which is not sent (security standard for consumers of the Xero API, "302 for endpoints that receive tokens in the URL").
package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var static embed.FS

// policy lets a page load its own scripts and sheet, call its own origin, and nothing else: no inline script, no frame
// around it, no form that leaves without the script, no text that becomes markup.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; " +
	"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// at is where each page is found. Invitations and resets lead to the sign-in page, which reads the code in the fragment.
var at = map[string]string{
	"/sign-in": "sign-in.html", "/invitation": "sign-in.html", "/reset": "sign-in.html",
	"/account/security": "security.html", "/oauth2/consent": "consent.html",
}

// types are the media types of what a page loads.
var types = map[string]string{".mjs": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}

// Pages are the handlers of all pages and of what they load, by the pattern of http.ServeMux.
type Pages map[string]http.Handler

// New reads the pages. The error is a mistake in one of them.
func New() (Pages, error) {
	files, err := fs.Sub(static, "static")
	if err != nil {
		return nil, err
	}
	layout, err := template.ParseFS(files, "*.html")
	if err != nil {
		return nil, err
	}
	pages := Pages{"GET /{$}": http.RedirectHandler("/account/security", http.StatusFound)}
	for address, name := range at {
		var page bytes.Buffer
		if err := layout.ExecuteTemplate(&page, name, nil); err != nil {
			return nil, err
		}
		pages["GET "+address] = serve("text/html; charset=utf-8", page.Bytes())
	}
	err = fs.WalkDir(files, ".", func(name string, _ fs.DirEntry, err error) error {
		kind := types[path.Ext(name)]
		if err != nil || kind == "" {
			return err
		}
		content, err := fs.ReadFile(files, name)
		pages["GET /pages/"+name] = serve(kind, content)
		return err
	})
	return pages, err
}

// Register lays the pages over a mux.
func (p Pages) Register(mux *http.ServeMux) {
	for pattern, handler := range p {
		mux.Handle(pattern, handler)
	}
}

// serve answers one file. Browsers ask each time whether it is still the same: a page and its scripts of two releases
// would not fit together.
func serve(kind string, content []byte) http.Handler {
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("ETag", tag)
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "publickey-credentials-get=(self), publickey-credentials-create=(self)")
		if strings.Contains(r.Header.Get("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Content-Type", kind)
		_, _ = w.Write(content)
	})
}
