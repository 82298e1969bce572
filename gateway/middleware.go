package gateway

import (
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/concord-suite/concord/gateway/internal/problem"
)

// secure sets the headers that keep an API's answers from being used as anything else.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-store")
		if r.TLS != nil {
			h.Set("Strict-Transport-Security", "max-age=31536000")
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
