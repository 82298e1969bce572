package audit

import (
	"context"
	"sync"
	"time"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/sqldb"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
)

// atOnce writes one entry in a transaction of its own, whatever has become of the caller.
func (r *Recorder) atOnce(ctx context.Context, e *auditeventsv1.AuditEntry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if err := r.db.Tx(ctx, func(tx *sqldb.Tx) error { return add(tx, e) }, sqldb.ReadCommitted); err != nil {
		r.lost(ctx, err, e)
	}
}

// later puts an entry into the next batch.
func (r *Recorder) later(ctx context.Context, e *auditeventsv1.AuditEntry) {
	r.mu.Lock()
	if !r.running {
		r.mu.Unlock()
		r.atOnce(ctx, e)
		return
	}
	if len(r.waiting) >= backlog {
		r.mu.Unlock()
		r.lost(ctx, errBacklog, e)
		return
	}
	r.waiting = append(r.waiting, e)
	full := len(r.waiting) >= batch
	r.mu.Unlock()
	if full {
		select {
		case r.full <- struct{}{}:
		default:
		}
	}
}

// Run writes views in batches until ctx ends, then what is left. Entries that come later, while calls still finish, are
// written one by one.
func (r *Recorder) Run(ctx context.Context) error {
	r.set(true)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.set(false)
			r.Flush(context.WithoutCancel(ctx))
			return nil
		case <-tick.C:
		case <-r.full:
		}
		r.Flush(ctx)
	}
}

func (r *Recorder) set(running bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = running
}

// Flush writes what is waiting. What cannot be written now waits for the next time.
func (r *Recorder) Flush(ctx context.Context) {
	r.flush.Lock()
	defer r.flush.Unlock()
	for {
		r.mu.Lock()
		n := min(len(r.waiting), batch)
		part := r.waiting[:n:n]
		r.mu.Unlock()
		if n == 0 {
			return
		}
		if err := r.write(ctx, part); err != nil {
			r.log.ErrorContext(ctx, "audit entries cannot be written and wait", "service", r.service, "error", err)
			return
		}
		r.mu.Lock()
		r.waiting = r.waiting[n:]
		r.mu.Unlock()
	}
}

// write writes a batch, one event for each firm in it: an event belongs to one firm.
func (r *Recorder) write(ctx context.Context, entries []*auditeventsv1.AuditEntry) error {
	var firms []string
	byFirm := map[string][]*auditeventsv1.AuditEntry{}
	for _, e := range entries {
		if byFirm[e.GetFirm()] == nil {
			firms = append(firms, e.GetFirm())
		}
		byFirm[e.GetFirm()] = append(byFirm[e.GetFirm()], e)
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return r.db.Tx(ctx, func(tx *sqldb.Tx) error {
		for _, firm := range firms {
			if err := add(tx, byFirm[firm]...); err != nil {
				return err
			}
		}
		return nil
	}, sqldb.ReadCommitted)
}

type backlogError struct{}

func (backlogError) Error() string { return "too many audit entries are waiting" }

var errBacklog = backlogError{}

// lost tells the log of an entry that will not be in the ledger, with all that the entry would have said.
func (r *Recorder) lost(ctx context.Context, err error, e *auditeventsv1.AuditEntry) {
	r.log.ErrorContext(ctx, "an audit entry is lost", "error", err, "entry", e.GetEntryId(), "firm", e.GetFirm(),
		"actor_kind", access.KindName(e.GetActorKind()), "actor", e.GetActor(), "action", e.GetAction(),
		"resource", e.GetResource(), "success", e.GetSuccess(), "reason", e.GetReason())
}

const (
	// doorKnocks in doorWindow of refused calls are recorded for one caller.
	doorKnocks = 10
	doorWindow = time.Minute
	// doorMax bounds how many callers are counted apart; beyond it, counting starts anew.
	doorMax = 10_000
)

// doors counts refused calls by caller.
type doors struct {
	now access.Clock

	mu    sync.Mutex
	since time.Time
	count map[caller]int
}

type caller struct {
	kind              access.Kind
	firm, id, address string
}

func newDoors(now access.Clock) *doors { return &doors{now: now, count: map[caller]int{}} }

// knock tells whether this refusal is to be recorded.
func (d *doors) knock(p access.Principal) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := d.now(); now.Sub(d.since) >= doorWindow || len(d.count) >= doorMax {
		d.since = now
		clear(d.count)
	}
	c := caller{kind: p.Kind, firm: p.Firm, id: p.ID}
	if p.Kind == access.Anonymous {
		c.address = p.Address
	}
	d.count[c]++
	return d.count[c] <= doorKnocks
}
