package runner

import (
	"maps"
	"slices"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/match"
	"github.com/concord-suite/concord/services/sync/internal/offboard"
	"github.com/concord-suite/concord/services/sync/internal/peer"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// sortedPage is a page with its records sorted out: of a record that it holds twice, the last line counts.
type sortedPage struct {
	at       time.Time
	clients  []clientLine
	contacts []contactLine
	// outside are the contacts that are there and not to be synced.
	outside []string
	// unread: the listing leaves something out of clients that can be read one by one.
	unread bool
}

type clientLine struct {
	id, hash string
	legacyID string
	active   bool
	// outside: in use, and of none of the chosen contact types; never active.
	outside bool
	fields  *connectorv1.ClientFields
}

type contactLine struct {
	id, hash string
	fields   *connectorv1.ContactFields
}

func sortPage(page *connectorv1.StreamRecordsResponse) sortedPage {
	s := sortedPage{at: page.GetServerTime().AsTime()}
	at := map[string]int{}
	for _, r := range page.GetRecords() {
		if c := r.GetContact(); c != nil {
			if r.GetOutOfScope() {
				s.outside = append(s.outside, r.GetRecordId())
				continue
			}
			s.contacts = append(s.contacts, contactLine{id: r.GetRecordId(), hash: r.GetHash(), fields: c})
			continue
		}
		line := clientLine{
			id: r.GetRecordId(), hash: peer.HashOf(r), fields: r.GetClient(),
			legacyID: r.GetLegacyId(), active: r.GetState() == connectorv1.RecordState_RECORD_STATE_ACTIVE,
		}
		line.outside = line.active && r.GetOutOfScope()
		line.active = line.active && !line.outside
		s.unread = s.unread || slices.ContainsFunc(r.GetClient().GetUnread(), detailed)
		if i, twice := at[line.id]; twice {
			s.clients[i] = line
			continue
		}
		at[line.id] = len(s.clients)
		s.clients = append(s.clients, line)
	}
	return s
}

// detailed tells whether a field is one of those that are read with a client's details.
func detailed(field string) bool {
	return field == "groups" || field == "relationships" || field == "custom_fields"
}

// applyClients compares the clients of a page with what is held of them, in one query, and does what follows for those
// that differ. Everything is done for all records of the page together.
func (w *Worker) applyClients(tx *sqldb.Tx, r *run.Run, s sortedPage) error {
	if len(s.clients) == 0 {
		return nil
	}
	var active, inactive, outside []string
	for _, c := range s.clients {
		switch {
		case c.active:
			active = append(active, c.id)
		case c.outside:
			outside = append(outside, c.id)
		default:
			inactive = append(inactive, c.id)
		}
	}
	held, err := store.HeldOf(tx, r.Connection, r.Tenant, slices.Concat(active, outside))
	if err != nil {
		return err
	}
	// Who is in use leaves nobody's word standing that it is not, also when it is not to be synced.
	if err := store.SeenAgain(tx, r, slices.Concat(active, outside)); err != nil {
		return err
	}
	if err := store.ForgetRefuted(tx, r.Connection, r.Tenant, inactive); err != nil {
		return err
	}
	var known, unknown []clientLine
	verdicts := map[string]plan.Verdict{}
	for _, c := range s.clients {
		h, linked := held[c.id]
		switch {
		case !c.active && !(c.outside && linked):
		case !linked:
			unknown = append(unknown, c)
		default:
			v := plan.Classify(c.seen(s.at, r.ID), h)
			if v.Nothing() {
				r.Counts.ClientsUnchanged += number(c.active)
				continue
			}
			verdicts[c.id] = v
			known = append(known, c)
		}
	}
	if len(known) > 0 {
		if err := w.applyKnown(tx, r, s.at, known, held, verdicts); err != nil {
			return err
		}
	}
	if err := w.leaveScope(tx, r, outside); err != nil {
		return err
	}
	if len(unknown) > 0 {
		return w.applyUnknown(tx, r, s.at, unknown)
	}
	return nil
}

// seen is a line as it is compared with what is held, of a page answered at a time, in a run.
func (c clientLine) seen(at time.Time, run string) plan.Seen {
	return plan.Seen{Active: c.active, Outside: c.outside, Hash: c.hash, At: at, Run: run}
}

func number(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// leaveScope does what follows from records that are in use and of none of the chosen contact types: the clients that they
// are linked to stay as they are, and nobody is asked about the others any more.
func (w *Worker) leaveScope(tx *sqldb.Tx, r *run.Run, outside []string) error {
	left, err := store.LeaveScope(tx, r.Connection, r.Tenant, outside, w.Now())
	if err != nil {
		return err
	}
	r.Counts.OutOfScope += left
	return store.DropSuggestions(tx, r.Connection, r.Tenant, outside)
}

// applyKnown updates clients whose records changed and brings back those whose records are there again.
func (w *Worker) applyKnown(
	tx *sqldb.Tx, r *run.Run, at time.Time, lines []clientLine, held map[string]plan.Held, verdicts map[string]plan.Verdict,
) error {
	now := w.Now()
	if err := store.NeedPlan(tx, r, now); err != nil {
		return err
	}
	sagas, err := store.LockOffboardings(tx, r.Firm, offboardingsOf(held, verdicts))
	if err != nil {
		return err
	}
	clients, err := store.LockClients(tx, r.Firm, clientsOf(held, verdicts))
	if err != nil {
		return err
	}
	// Read again behind the locks: a person or another run may have moved something since.
	if held, err = store.HeldOf(tx, r.Connection, r.Tenant, slices.Collect(maps.Keys(verdicts))); err != nil {
		return err
	}
	var updates []store.ClientUpdate
	var changes []plan.Change
	var back []string
	var turned []offboard.Offboarding
	for _, l := range lines {
		h := held[l.id]
		c, there := clients[h.Client]
		v := plan.Classify(l.seen(at, r.ID), h)
		saga, locked := sagas[h.Offboarding]
		if !there || v.Nothing() || (v.Restore || v.Cancel) && !locked {
			continue // what is not locked moved just now; the next listing sees it as it is then
		}
		fields := peer.Over(l.fields, c.Fields)
		if v.Update {
			diff := fields.Diff(c.Fields)
			updates = append(updates, store.ClientUpdate{
				Client: c, Changes: diff, Actor: history.SystemActor, Resource: store.Name(r.Firm, "runs", r.ID),
				Link: store.NewLink{Connection: r.Connection, Tenant: r.Tenant, Record: l.id, Hash: l.hash, Base: fields, At: at},
			})
			if len(diff) > 0 {
				r.Counts.ClientsUpdated++
				changes = append(changes, w.change(r, plan.Update, plan.ChangeApplied, c.ID, l.id, fields.Name, history.FieldsSummary(diff)))
			}
		}
		if v.Back {
			back = append(back, l.id)
		}
		if v.Restore {
			r.Counts.ClientsRestored++
			ch := w.change(r, plan.Restore, plan.ChangeApplied, c.ID, l.id, fields.Name, "listed as active again")
			ch.Offboarding = h.Offboarding
			changes = append(changes, ch)
		}
		if v.Restore || v.Cancel {
			turned = append(turned, saga)
		}
		if !v.Update && !v.Restore {
			r.Counts.ClientsUnchanged += number(l.active)
		}
	}
	if err := store.UpdateClients(tx, r.Firm, r.ID, now, updates); err != nil {
		return err
	}
	if err := store.SetPresence(tx, r.Connection, r.Tenant, back, plan.Present, time.Time{}); err != nil {
		return err
	}
	if err := store.AddChanges(tx, changes); err != nil {
		return err
	}
	for _, o := range turned {
		if _, err := store.AskBack(tx, o, "listed as active again", "", now); err != nil {
			return err
		}
	}
	return nil
}

func offboardingsOf(held map[string]plan.Held, verdicts map[string]plan.Verdict) []string {
	var out []string
	for record, v := range verdicts {
		if v.Restore || v.Cancel {
			out = append(out, held[record].Offboarding)
		}
	}
	return out
}

func clientsOf(held map[string]plan.Held, verdicts map[string]plan.Verdict) []string {
	var out []string
	for record := range verdicts {
		out = append(out, held[record].Client)
	}
	return out
}

// change is a new line of the run's plan.
func (w *Worker) change(r *run.Run, kind plan.Kind, state plan.ChangeState, clientID, record, name string, evidence ...string) plan.Change {
	return plan.Change{
		ID: store.NewID(), Plan: r.Plan, Firm: r.Firm, Connection: r.Connection, Tenant: r.Tenant, Kind: kind, State: state,
		Client: clientID, DisplayName: name, RecordID: record, Evidence: evidence,
	}
}

// applyUnknown makes clients of records that are linked to nobody, or suggestions when they may be clients that exist.
func (w *Worker) applyUnknown(tx *sqldb.Tx, r *run.Run, at time.Time, lines []clientLine) error {
	records := make([]string, len(lines))
	for i, l := range lines {
		records[i] = l.id
	}
	conn, err := store.Connection(tx, r.Firm, r.Connection)
	if err != nil {
		return err
	}
	ignored, err := store.Ignored(tx, r.Connection, r.Tenant, records)
	if err != nil {
		return err
	}
	waiting, err := store.Undecided(tx, r.Connection, r.Tenant, records)
	if err != nil {
		return err
	}
	var open []newcomer
	for _, l := range lines {
		was, waits := waiting[l.id]
		if waits && plan.SameHash(l.hash, was.Hash) && (was.Kind == plan.Link || conn.ReviewNew) {
			r.Counts.Suggestions++
			continue // it waits as it is: nothing to write
		}
		if ignored[l.id] || waits && at.Before(was.RecordAt) {
			continue
		}
		fields := peer.ClientOf(l.fields)
		open = append(open, newcomer{line: l, fields: fields, keys: match.KeysOf(fields), was: was, waits: waits})
	}
	if len(open) == 0 {
		return nil
	}
	return w.welcome(tx, r, at, conn, open)
}

// newcomer is a record that is linked to nobody, with the suggestion that waits for it already, if any.
type newcomer struct {
	line   clientLine
	fields client.Fields
	keys   match.Keys
	was    plan.Change
	waits  bool
}
