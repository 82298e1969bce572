package session

import (
	"context"
	"net/http"
	"strings"

	"github.com/concord-suite/concord/gateway/internal/problem"
	"github.com/concord-suite/concord/platform/access"
)

type ctxKey int

const (
	callerKey ctxKey = iota
	addressKey
)

// caller is what a request said about who makes it.
type caller struct {
	token      string
	fromCookie bool
	wantCookie bool
}

// Middleware reads the session of a request and refuses a browser's change that carries no CSRF token, or that another
// site's page made.
func Middleware(c Cookies, next http.Handler) http.Handler {
	foreign := http.NewCrossOriginProtection()
	// The provider's page sends the browser back by GET, which is always let through; nothing else may be foreign.
	_ = foreign.AddTrustedOrigin(c.origin)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := caller{wantCookie: strings.EqualFold(r.Header.Get(ModeHeader), "cookie")}
		if t, ok := bearer(r); ok {
			who.token = t
		} else if t := value(r, c.session); t != "" {
			who.token, who.fromCookie, who.wantCookie = t, true, true
		}
		if who.fromCookie && changes(r) {
			if foreign.Check(r) != nil || !csrfFits(who.token, r.Header.Get(CSRFHeader)) {
				problem.Write(w, r, problem.New(http.StatusForbidden, "CSRF",
					"the request does not prove that it comes from this session's page; send the "+CSRFHeader+" header"))
				return
			}
		}
		ctx := access.WithAgent(r.Context(), r.UserAgent()) // for the record of every service that is called
		next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, callerKey, who)))
	})
}

// WithAddress remembers the address of the client, for the audit ledger.
func WithAddress(ctx context.Context, address string) context.Context {
	return context.WithValue(ctx, addressKey, address)
}

// Address is the client's address.
func Address(ctx context.Context) string {
	a, _ := ctx.Value(addressKey).(string)
	return a
}

// WantsCookie says whether the session token of an answer belongs into a cookie.
func WantsCookie(ctx context.Context) bool { return callerOf(ctx).wantCookie }

// FromCookie says whether a browser's cookie brought the session of the request.
func FromCookie(ctx context.Context) bool { return callerOf(ctx).fromCookie }

// Token is the opaque session token of the request, empty when there is none.
func Token(ctx context.Context) string { return callerOf(ctx).token }

func callerOf(ctx context.Context) caller {
	who, _ := ctx.Value(callerKey).(caller)
	return who
}

func bearer(r *http.Request) (string, bool) {
	kind, t, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(kind, "Bearer") || t == "" {
		return "", false
	}
	// What is no text cannot be put to auth; put into words it is a token like any other that was never given out.
	return strings.ToValidUTF8(t, "\ufffd"), true
}

func changes(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	return true
}
