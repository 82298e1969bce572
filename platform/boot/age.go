package boot

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/concord-suite/concord/platform/access"
)

type dueKey struct{}

// age has a server end connections with the first answer after they have come to their age, give or take a tenth so that
// not all come at once; zero means that they have none. From the call of leave on it ends every connection with its next
// answer: whoever keeps one then finds another server, and sends nothing into a connection that is being closed. Nothing
// is cut either way.
func age(server *http.Server, limit time.Duration, now access.Clock) (leave func()) {
	var leaving atomic.Bool
	if limit > 0 {
		server.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, dueKey{}, now().Add(limit*9/10+rand.N(limit/5+1)))
		}
	}
	inner := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if due, ok := r.Context().Value(dueKey{}).(time.Time); leaving.Load() || (ok && now().After(due)) {
			w.Header().Set("Connection", "close")
		}
		inner.ServeHTTP(w, r)
	})
	return func() { leaving.Store(true) }
}
