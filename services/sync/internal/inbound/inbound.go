// Package inbound takes what the other services tell: connector about connections, documents about what happened with
// clients, auth about logins. Each event takes effect once; what comes late is recognised by its sequence.
package inbound

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	autheventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	documentseventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/documents/v1"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/peer"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// Handlers hold the clock of the handlers.
type Handlers struct {
	Now func() time.Time
}

// Register adds all handlers to a consumer.
func (h Handlers) Register(c *events.Consumer) {
	events.Handle(c, h.established)
	events.Handle(c, h.upgraded)
	events.Handle(c, h.degraded)
	events.Handle(c, h.changed)
	events.Handle(c, h.updated)
	events.Handle(c, h.needsReauth)
	events.Handle(c, h.recovered)
	events.Handle(c, h.removed)
	events.Handle(c, h.filed)
	events.Handle(c, h.archived)
	events.Handle(c, h.sent)
	events.Handle(c, h.completed)
	events.Handle(c, h.login)
}

var errMalformed = errors.New("inbound: malformed")

// sequence orders the events about a connection; an emitter that counts none is ordered by time.
func sequence(m events.Meta) int64 {
	if m.Sequence > 0 {
		return m.Sequence
	}
	return sqldb.Micros(m.Time)
}

// put takes a connection over and returns what is known of it now, which may be newer than the event.
func (h Handlers) put(tx *sqldb.Tx, m events.Meta, c *connectorv1.Connection, suspended bool) (run.Connection, error) {
	conn, ok := peer.ConnectionOf(c)
	if conn.RemovalsSuspended = conn.RemovalsSuspended || suspended; conn.RemovalsSuspended {
		conn.SuspendedAt = h.Now()
	}
	if !ok || conn.Firm != m.Firm {
		return conn, events.Failure("the event holds no connection of its firm", errMalformed)
	}
	if err := store.PutConnection(tx, conn, sequence(m)); err != nil {
		return conn, err
	}
	return store.Connection(tx, conn.Firm, conn.ID)
}

// established starts a full run: right away, or after the run that is under way.
func (h Handlers) established(_ context.Context, tx *sqldb.Tx, m events.Meta, e *connectoreventsv1.ConnectionEstablished) error {
	conn, err := h.put(tx, m, e.GetConnection(), e.GetTenantChanged())
	if err != nil || !conn.State.Usable() {
		return err
	}
	if _, err := store.AdoptLinks(tx, conn); err != nil {
		return err
	}
	return h.begin(tx, conn, e.GetConfirmedBy())
}

// begin starts a connection's first run. Where links of a legacy connection wait, they are mapped first; the full run
// follows that by itself.
func (h Handlers) begin(tx *sqldb.Tx, conn run.Connection, by string) error {
	if by == "" {
		by = "connection"
	}
	kind := run.Full
	pending, _, err := store.Unmapped(tx, conn)
	if err != nil {
		return err
	}
	if pending > 0 {
		kind = run.Upgrade
	}
	_, made, err := store.StartRun(tx, conn, kind, by, peer.AdministratorOf(by), h.Now())
	if err == nil && !made {
		err = store.WantFull(tx, conn.ID, by)
	}
	return err
}

// upgraded stands in the place of established for a connection that was a legacy one.
func (h Handlers) upgraded(_ context.Context, tx *sqldb.Tx, m events.Meta, e *connectoreventsv1.ConnectionUpgraded) error {
	conn, err := h.put(tx, m, e.GetConnection(), false)
	if err != nil || !conn.State.Usable() {
		return err
	}
	if _, err := store.AdoptLinks(tx, conn); err != nil {
		return err
	}
	return h.begin(tx, conn, e.GetConfirmedBy())
}

// changed has what changed at the provider read: at once, or after the run that is under way. What changed does not matter
// here, since a manual run asks for all of it; nor does how many notices come before that run begins.
func (h Handlers) changed(_ context.Context, tx *sqldb.Tx, m events.Meta, e *connectoreventsv1.RecordsChanged) error {
	ids, err := names.Parse("firms/{firm}/connections/{connection}", e.GetConnection())
	if err != nil || ids[0] != m.Firm {
		return events.Failure("the event names no connection of its firm", errMalformed)
	}
	return store.WantManual(tx, ids[0], ids[1])
}

func (h Handlers) degraded(_ context.Context, tx *sqldb.Tx, m events.Meta, e *connectoreventsv1.ConnectionDegraded) error {
	return setState(tx, m, e.GetConnection(), run.ConnectionDegraded, e.GetReason())
}

func (h Handlers) updated(_ context.Context, tx *sqldb.Tx, m events.Meta, e *connectoreventsv1.ConnectionUpdated) error {
	_, err := h.put(tx, m, e.GetConnection(), false)
	return err
}

func (h Handlers) needsReauth(_ context.Context, tx *sqldb.Tx, m events.Meta, e *connectoreventsv1.ConnectionNeedsReauth) error {
	return setState(tx, m, e.GetConnection(), run.ConnectionNeedsReauth, e.GetReason())
}

func (h Handlers) recovered(_ context.Context, tx *sqldb.Tx, m events.Meta, e *connectoreventsv1.ConnectionRecovered) error {
	return setState(tx, m, e.GetConnection(), run.ConnectionActive, "")
}

func (h Handlers) removed(_ context.Context, tx *sqldb.Tx, m events.Meta, e *connectoreventsv1.ConnectionRemoved) error {
	if err := setState(tx, m, e.GetConnection(), run.ConnectionDisconnected, "removed by "+e.GetRemovedBy()); err != nil {
		return err
	}
	return inherit(tx, m.Firm, e.GetConnection())
}

// inherit gives the links of a removed connection to the one made anew to its tenant that was told of before, and has it
// read in full what it has now.
func inherit(tx *sqldb.Tx, firm, removed string) error {
	_, id, _ := strings.Cut(removed, "/connections/")
	heirs, err := store.Heirs(tx, firm, id)
	if err != nil || len(heirs) == 0 {
		return err
	}
	adopted, err := store.AdoptLinks(tx, heirs[0])
	if err != nil || !adopted {
		return err
	}
	return store.WantFull(tx, heirs[0].ID, "connection")
}

func setState(tx *sqldb.Tx, m events.Meta, name string, state run.ConnectionState, reason string) error {
	ids, err := names.Parse("firms/{firm}/connections/{connection}", name)
	if err != nil || ids[0] != m.Firm {
		return events.Failure("the event names no connection of its firm", errMalformed)
	}
	return store.SetConnectionState(tx, ids[0], ids[1], state, reason, sequence(m))
}

func (h Handlers) filed(_ context.Context, tx *sqldb.Tx, m events.Meta, e *documentseventsv1.DocumentFiled) error {
	return h.trail(tx, m, e.GetTrail(), history.DocumentFiled, e.GetDocument())
}

func (h Handlers) archived(_ context.Context, tx *sqldb.Tx, m events.Meta, e *documentseventsv1.DocumentsArchived) error {
	return h.trail(tx, m, e.GetTrail(), history.DocumentsArchived, e.GetFolder())
}

func (h Handlers) sent(_ context.Context, tx *sqldb.Tx, m events.Meta, e *documentseventsv1.EmailJobSent) error {
	return h.trail(tx, m, e.GetTrail(), history.EmailJobSent, e.GetEmailJob())
}

func (h Handlers) completed(_ context.Context, tx *sqldb.Tx, m events.Meta, e *documentseventsv1.SignatureCompleted) error {
	return h.trail(tx, m, e.GetTrail(), history.SignatureComplete, e.GetEmailJob())
}

// trail appends what documents tell about a client to the client's history, and has an off-boarding looked at again that
// waited for it: for the trail to be complete, or for the last signature.
func (h Handlers) trail(tx *sqldb.Tx, m events.Meta, t *documentseventsv1.ClientTrail, kind, resource string) error {
	if t.GetClient() == "" {
		return nil // about no client
	}
	ids, err := names.Parse("firms/{firm}/clients/{client}", t.GetClient())
	if err != nil || ids[0] != m.Firm || t.GetSequence() < 1 {
		return events.Failure("the event has no trail of a client of its firm", errMalformed)
	}
	// The off-boarding first, then the client: the order in which a saga locks them.
	if err := store.WakeBlocked(tx, ids[1], h.Now()); err != nil {
		return err
	}
	_, err = store.AppendTrail(tx, m.Firm, history.Entry{
		Client: ids[1], At: t.GetOccurTime().AsTime(), Kind: kind, Actor: t.GetActor(), Summary: t.GetSummary(),
		Resource: resource, TrailSeq: t.GetSequence(),
	})
	if err != nil {
		return events.Failure(fmt.Sprintf("the client of %s can not be written to", m.Subject), err)
	}
	return nil
}

// login keeps which contacts have a login.
func (h Handlers) login(_ context.Context, tx *sqldb.Tx, m events.Meta, e *autheventsv1.ContactLoginChanged) error {
	ids, err := names.Parse("firms/{firm}/contacts/{contact}", e.GetContact())
	if err != nil || ids[0] != m.Firm {
		return events.Failure("the event names no contact of its firm", errMalformed)
	}
	if err := store.SetLogin(tx, ids[0], ids[1], e.GetHasLogin(), sequence(m), h.Now()); err != nil {
		return events.Failure("the contact can not be written to", err)
	}
	return nil
}
