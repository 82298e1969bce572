// Package stream carries the contract's server streams to browsers: run progress as server-sent events, client history
// as a CSV download.
package stream

import (
	"net/http"
	"regexp"
	"time"

	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

var (
	watchPath  = regexp.MustCompile(`^/v1/(firms/[^/]+/runs/[^/:]+):watch$`)
	exportPath = regexp.MustCompile(`^/v1/(firms/[^/]+/clients/[^/:]+)/history:export$`)
)

// Handlers serves the streams.
type Handlers struct {
	runs    syncv1.RunServiceClient
	clients syncv1.ClientServiceClient
	now     func() time.Time
}

// New makes the handlers; both clients carry the caller's own token.
func New(runs syncv1.RunServiceClient, clients syncv1.ClientServiceClient, now func() time.Time) *Handlers {
	return &Handlers{runs: runs, clients: clients, now: now}
}

// Match says whether a request is for a stream.
func (h *Handlers) Match(r *http.Request) bool {
	return r.Method == http.MethodGet && (watchPath.MatchString(r.URL.Path) || exportPath.MatchString(r.URL.Path))
}

// ServeHTTP answers it.
func (h *Handlers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m := watchPath.FindStringSubmatch(r.URL.Path); m != nil {
		h.watch(w, r, m[1])
		return
	}
	if m := exportPath.FindStringSubmatch(r.URL.Path); m != nil {
		h.export(w, r, m[1])
		return
	}
	http.NotFound(w, r)
}
