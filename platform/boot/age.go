package boot

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/concord-suite/concord/platform/access"
)

type dueKey struct{}

// age has a server end connections with the first answer after they have come to their age, give or take a tenth so that
// not all come at once. Nothing is cut: whoever called has had the answer and connects anew. Zero means that it does not.
func age(server *http.Server, limit time.Duration, now access.Clock) {
	if limit <= 0 {
		return
	}
	server.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, dueKey{}, now().Add(limit*9/10+rand.N(limit/5+1)))
	}
	inner := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if due, ok := r.Context().Value(dueKey{}).(time.Time); ok && now().After(due) {
			w.Header().Set("Connection", "close")
		}
		inner.ServeHTTP(w, r)
	})
}
