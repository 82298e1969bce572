// Package transfer moves document bytes over plain HTTP: PUT, GET and HEAD of /v1/bytes/{ticket}.
//
// A ticket is made by an RPC for one object, one direction and one caller, and is good for a short while; it is the only
// authority here. What it permits is written in the database, so that it can be looked at again when bytes move: a
// session that ended, or a contact that no longer relates to the client, gets nothing.
//
// An upload exists before its first byte. Its bytes are staged, measured and hashed as they come; only when they are what
// was declared are they made durable, and only then does one transaction make the document. Whatever happens in between
// leaves bytes that nothing refers to, which the sweep takes away, or an upload that can be sent again.
package transfer

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/audit"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
)

// Path is where tickets are taken; the ticket follows.
const Path = "/v1/bytes/"

// Deps is what the handler works with.
type Deps struct {
	DB      *sqldb.DB
	Blobs   blob.Store
	Cabinet *cabinet.Cabinet
	Tickets *Tickets
	// Scope says whether what contacts may see is known freshly enough, for a firm.
	Scope func(ctx context.Context, firm string) error
	// Revocations knows the sessions that ended.
	Revocations *access.Revocations
	// Audit records who moved what.
	Audit *audit.Recorder
	// Render makes the answer to an upload.
	Render func(filing.Document) proto.Message
	Now    func() time.Time
	Logger *slog.Logger
	// Idle is how long a sender may say nothing. It cuts those that are gone, or that hold a connection for its own sake.
	Idle time.Duration
}

// Handler moves bytes.
type Handler struct {
	Deps
	turns turns
}

// New makes the handler.
func New(d Deps) *Handler { return &Handler{Deps: d} }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ticket, ok := strings.CutPrefix(r.URL.Path, Path)
	if !ok {
		unknown.write(w)
		return
	}
	switch r.Method {
	case http.MethodPut:
		h.put(w, r, ticket)
	case http.MethodGet, http.MethodHead:
		h.get(w, r, ticket)
	default:
		w.Header().Set("Allow", "GET, HEAD, PUT")
		problem{Status: http.StatusMethodNotAllowed, Reason: "METHOD_NOT_ALLOWED", Detail: "bytes are read by GET and sent by PUT"}.write(w)
	}
}

// admitted looks at a caller again, since its ticket may be minutes old. It may wait for what a contact sees to be known; so
// that is read after it.
func (h *Handler) admitted(ctx context.Context, firm string, c filing.Caller) *problem {
	if h.Revocations != nil && h.Revocations.Contains(c.Session) {
		return &ended
	}
	if c.Contact == "" {
		return nil
	}
	if err := h.Scope(ctx, firm); err != nil {
		return &stale
	}
	return nil
}

// as is the context in which the audit ledger names the caller of a ticket.
func as(ctx context.Context, firm string, c filing.Caller) context.Context {
	p := access.Principal{Kind: access.Kind(c.Kind), ID: c.ID, Firm: firm, Session: c.Session, Address: c.Address}
	if p.Kind == access.AddIn {
		p.ActsFor = &access.StaffMember{Account: c.Name[strings.LastIndexByte(c.Name, '/')+1:]}
	}
	return access.With(ctx, p)
}
