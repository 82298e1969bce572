// Package stream carries the contract's server streams to browsers: run progress as server-sent events, client history
// and the audit ledger as downloads.
package stream

import (
	"net/http"
	"regexp"
	"time"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

var (
	watchPath  = regexp.MustCompile(`^/v1/(firms/[^/]+/runs/[^/:]+):watch$`)
	exportPath = regexp.MustCompile(`^/v1/(firms/[^/]+/clients/[^/:]+)/history:export$`)
	auditPath  = regexp.MustCompile(`^/v1/(firms/[^/:]+)/auditEntries:export$`)
)

// Handlers serves the streams.
type Handlers struct {
	runs    syncv1.RunServiceClient
	clients syncv1.ClientServiceClient
	ledger  authv1.LedgerServiceClient
	now     func() time.Time
}

// New makes the handlers; the clients carry the caller's own token.
func New(
	runs syncv1.RunServiceClient, clients syncv1.ClientServiceClient, ledger authv1.LedgerServiceClient, now func() time.Time,
) *Handlers {
	return &Handlers{runs: runs, clients: clients, ledger: ledger, now: now}
}

// Match says whether a request is for a stream.
func (h *Handlers) Match(r *http.Request) bool {
	return r.Method == http.MethodGet && (watchPath.MatchString(r.URL.Path) || exportPath.MatchString(r.URL.Path) ||
		auditPath.MatchString(r.URL.Path))
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
	if m := auditPath.FindStringSubmatch(r.URL.Path); m != nil {
		h.audit(w, r, m[1])
		return
	}
	http.NotFound(w, r)
}
