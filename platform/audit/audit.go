// Package audit writes down who did or viewed what, from where, and whether it worked. It never writes down the data.
//
// A Recorder belongs to the database of one service. Entries leave it as AuditRecorded events through the outbox, to the
// ledger that auth keeps. How an entry is written depends on what the contract says of the RPC:
//
//   - A change is recorded in the transaction of the change: both are committed or neither. When the call fails, or
//     changes nothing, it is recorded in a transaction of its own before the caller gets the answer. A call that
//     committed and then failed has both entries, since both are true.
//   - A view is recorded within a second, in batches of at most 100. That second is what a crash can lose.
//   - A call that permission refused is recorded like a view, at most ten a minute for one caller, so that somebody who
//     hammers on doors does not fill the ledger.
//
// Package serve calls Begin and Denied. Acts that are no calls (sagas, schedules) are recorded with Record.
package audit

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

// The kinds of entries.
const (
	View   = optionsv1.AuditKind_AUDIT_KIND_VIEW
	Change = optionsv1.AuditKind_AUDIT_KIND_CHANGE
)

const (
	// flushEvery is the stated bound of what a crash can lose of views; batch keeps one event small.
	flushEvery = time.Second
	batch      = 100
	// backlog bounds the views that wait while the database does not answer. Then nobody can view anything either.
	backlog = 10_000
	// writeTimeout bounds a write of its own: it happens while a caller waits, maybe after their deadline.
	writeTimeout = 5 * time.Second
	// maxResource bounds a resource name in an entry; the contract's names are below 200.
	maxResource = 300
)

// Options is what a Recorder needs besides its database.
type Options struct {
	// Service is the name of the service that records.
	Service string
	// Now is the clock; default time.Now.
	Now access.Clock
	// Logger hears of entries that could not be written; default slog.Default().
	Logger *slog.Logger
}

// Recorder records the calls and acts of one service. It is safe for concurrent use. Run it, or every view is written by
// itself.
type Recorder struct {
	db      *sqldb.DB
	service string
	now     access.Clock
	log     *slog.Logger
	doors   *doors

	mu      sync.Mutex
	running bool
	waiting []*auditeventsv1.AuditEntry
	full    chan struct{} // a batch is full
	flush   sync.Mutex    // held while writing a batch
}

// New makes the recorder of a database that has the tables of package events.
func New(db *sqldb.DB, o Options) *Recorder {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Recorder{
		db: db, service: o.Service, now: o.Now, log: o.Logger, doors: newDoors(o.Now), full: make(chan struct{}, 1),
	}
}

// Begin starts the record of a permitted call. The handler runs under the context it returns; the function is called
// once with the outcome.
func (r *Recorder) Begin(ctx context.Context, call *access.Call) (context.Context, func(err error)) {
	if call.Rule.Audit != Change {
		return ctx, func(err error) { r.later(ctx, r.entryOf(ctx, call, err)) }
	}
	id := newID() // one entry, however often the transaction is tried
	under := sqldb.BeforeCommit(ctx, func(tx *sqldb.Tx) error {
		e := r.entryOf(ctx, call, nil)
		e.EntryId = id
		return add(tx, e)
	})
	return under, func(err error) {
		if err == nil && sqldb.HooksCommitted(under) {
			return
		}
		r.atOnce(ctx, r.entryOf(ctx, call, err)) // under ctx, which has no hook: this is not the change
	}
}

// Denied records a call that was refused for want of permission.
func (r *Recorder) Denied(ctx context.Context, call *access.Call, err error) {
	if r.doors.knock(call.Principal) {
		r.later(ctx, r.entryOf(ctx, call, err))
	}
}

// Act is something a service did without being called for it.
type Act struct {
	// Firm is the id of the firm it belongs to; empty outside every firm.
	Firm string
	// Action names it, "saga.offboarding.commit" for example; never data.
	Action string
	// Permission is the permission it stands for, when there is one.
	Permission string
	// Resource is the resource name it is about.
	Resource string
	// Kind is View or Change.
	Kind optionsv1.AuditKind
	// Reason is empty when it worked, else the reason code.
	Reason string
}

// Record records an act in tx. Who acts is the principal of the transaction's context; without one, the service itself.
func (r *Recorder) Record(tx *sqldb.Tx, a Act) error {
	ctx := tx.Context()
	p := access.ServicePrincipal(r.service, a.Firm)
	if access.Known(ctx) {
		p = access.From(ctx)
	}
	e := r.entry(ctx, p)
	e.Firm, e.Action, e.Permission, e.Resource = a.Firm, a.Action, a.Permission, resource(a.Resource)
	e.Kind, e.Success, e.Reason = a.Kind, a.Reason == "", a.Reason
	return add(tx, e)
}

func (r *Recorder) entryOf(ctx context.Context, call *access.Call, err error) *auditeventsv1.AuditEntry {
	e := r.entry(ctx, call.Principal)
	e.Firm, e.Action, e.Permission = call.Firm(), call.Rule.Method, call.Rule.Permission
	e.Resource, e.Kind, e.Success = resource(call.Resource()), call.Rule.Audit, err == nil
	if err != nil {
		e.Reason = rpcerr.From(err).Reason()
	}
	if e.GetKind() != Change {
		e.Kind = View // a refused call of an RPC that is not audited otherwise
	}
	return e
}

func (r *Recorder) entry(ctx context.Context, p access.Principal) *auditeventsv1.AuditEntry {
	origin := p.Origin()
	e := &auditeventsv1.AuditEntry{
		EntryId: newID(), OccurredAt: timestamppb.New(r.now()), Service: r.service,
		ActorKind: p.Kind, Actor: p.ID, Session: origin.Session, Address: origin.Address,
		UserAgent: access.AgentOf(ctx),
	}
	switch {
	case p.Initiator != nil:
		e.InitiatorKind, e.Initiator = p.Initiator.Kind, p.Initiator.ID
	case p.ActsFor != nil:
		e.InitiatorKind, e.Initiator = p.ActsFor.Role, p.ActsFor.Account
	}
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		e.TraceId = sc.TraceID().String()
	}
	return e
}

// resource keeps a resource name and drops everything else: before validation a field may hold anything.
func resource(name string) string {
	if _, err := names.Firm(name); err != nil || len(name) > maxResource {
		return ""
	}
	return name
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// add puts entries of one firm into the outbox.
func add(tx *sqldb.Tx, entries ...*auditeventsv1.AuditEntry) error {
	_, err := events.Add(tx, events.Event{
		Firm: entries[0].GetFirm(), Message: &auditeventsv1.AuditRecorded{Entries: entries},
	})
	return err
}
