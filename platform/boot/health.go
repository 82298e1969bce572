package boot

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/concord-suite/concord/platform/telemetry"
)

// readyTime bounds one readiness check over HTTP, as serve bounds it over gRPC.
const readyTime = 2 * time.Second

// health answers /livez, /readyz and /version, for whoever cannot ask by gRPC with a certificate (kubelet cannot).
type health struct {
	ready    func(ctx context.Context) error
	stopping atomic.Bool
}

// start serves until the returned function is called. Without a listener it does nothing.
func (h *health) start(lis net.Listener) (stop func()) {
	if lis == nil {
		return func() {}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", h.answerReady)
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, telemetry.ReadBuild()) })
	server := newHTTPServer(mux)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(lis) // ends with Close
	}()
	return func() {
		server.Close()
		<-done
	}
}

func (h *health) answerReady(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTime)
	defer cancel()
	if h.stopping.Load() {
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	}
	answer := make(chan error, 1) // a check that hangs must not hang the answer
	go func() { answer <- h.ready(ctx) }()
	select {
	case err := <-answer:
		if err != nil {
			// Why stands in the log: this port may be seen by others.
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	case <-ctx.Done():
		http.Error(w, "not ready: the check did not answer", http.StatusServiceUnavailable)
	}
}
