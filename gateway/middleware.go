package gateway

import (
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/concord-suite/concord/gateway/internal/problem"
)

// tlsOnly tells browsers to come back over TLS only, for a year (RFC 6797). Names below the suite's are left out: it has
// none of its own there, it may be reached at a practice's own domain, whose printers and intranet it would cut off for a
// year, and what such a name sends can't touch the session anyway, because its cookies carry the __Host- prefix.
const tlsOnly = "max-age=31536000"

// secure sets the headers that keep an API's answers from being used as anything else. overTLS is whether people reach the
// gateway over https: mostly a proxy in front ends TLS, so that the request does not show it.
func secure(overTLS bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-store")
		if overTLS || r.TLS != nil {
			h.Set("Strict-Transport-Security", tlsOnly)
		}
		next.ServeHTTP(w, r)
	})
}

// recoverer turns a panic into one answered request. http.ErrAbortHandler is the proxy's way to cut a broken answer and
// goes through.
func recoverer(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			logger.ErrorContext(r.Context(), "request panicked", "method", r.Method, "panic", p, "stack", string(debug.Stack()))
			problem.Write(w, r, problem.New(http.StatusInternalServerError, "INTERNAL", "something went wrong on our side"))
		}()
		next.ServeHTTP(w, r)
	})
}
