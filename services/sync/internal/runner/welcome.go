package runner

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/match"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/legacies"
)

// welcome decides about new records: a suggestion when an existing client may be meant, else a client, or a line for
// review when the connection wants that.
func (w *Worker) welcome(tx *sqldb.Tx, r *run.Run, at time.Time, conn run.Connection, open []newcomer) error {
	now := w.Now()
	if err := store.LockFirm(tx, r.Firm); err != nil {
		return err
	}
	if err := store.NeedPlan(tx, r, now); err != nil {
		return err
	}
	fits, err := w.fits(tx, r, open)
	if err != nil {
		return err
	}
	meant, err := legacies.Meant(tx, r.Connection)
	if err != nil {
		return err
	}
	var made []store.NewClient
	var changes []plan.Change
	for _, n := range open {
		s, plausible := match.Best(n.fields, fits(n.keys))
		if m, waits := meant[n.line.id]; waits && !plausible {
			s, plausible = m, true // what the client is called here now does not say so; what it was called there does
		}
		if !plausible && !conn.ReviewNew {
			c := w.newClient(r, at, n)
			made = append(made, c)
			ch := w.change(r, plan.Create, plan.ChangeApplied, c.ID, n.line.id, n.fields.Name)
			if n.waits {
				ch = settled(n.was, c.ID, now)
				if err := store.SetChange(tx, ch); err != nil {
					return err
				}
				continue
			}
			changes = append(changes, ch)
			continue
		}
		r.Counts.Suggestions++
		ch := w.change(r, plan.New, plan.ChangeWaiting, "", n.line.id, n.fields.Name, "fits no client; the connection asks for a look at new records")
		if plausible {
			ch.Kind, ch.Client, ch.Evidence = plan.Link, s.Client, s.Evidence
		}
		ch.Record, ch.Hash, ch.RecordAt = n.fields.JSON(), n.line.hash, at
		if n.waits {
			ch.ID = n.was.ID
			if err := store.SetChange(tx, ch); err != nil {
				return err
			}
			continue
		}
		changes = append(changes, ch)
	}
	if err := store.AddChanges(tx, changes); err != nil || len(made) == 0 {
		return err
	}
	if err := store.InsertClients(tx, r.Firm, now, made); err != nil {
		return err
	}
	r.Counts.ClientsCreated += int64(len(made))
	if r.FirstVisibleAt.IsZero() {
		r.FirstVisibleAt = now
	}
	return w.tieRelations(tx, r, made)
}

// fits looks up the clients that share a key with one of the records and returns them by keys.
func (w *Worker) fits(tx *sqldb.Tx, r *run.Run, open []newcomer) (func(match.Keys) []match.Candidate, error) {
	keys := make([]match.Keys, len(open))
	for i, n := range open {
		keys[i] = n.keys
	}
	all, err := store.Candidates(tx, r.Firm, r.Connection, r.Tenant, keys)
	if err != nil {
		return nil, err
	}
	byKey := map[string][]match.Candidate{}
	for _, c := range all {
		for _, k := range tagged(match.KeysOf(c.Fields)) {
			byKey[k] = append(byKey[k], c)
		}
	}
	return func(k match.Keys) (out []match.Candidate) {
		seen := map[string]bool{}
		for _, tag := range tagged(k) {
			for _, c := range byKey[tag] {
				if !seen[c.Client] {
					seen[c.Client] = true
					out = append(out, c)
				}
			}
		}
		return out
	}, nil
}

func tagged(k match.Keys) (out []string) {
	for tag, v := range map[string]string{"n": k.Name, "c": k.Code, "b": k.Business} {
		if v != "" {
			out = append(out, tag+v)
		}
	}
	return out
}

func (w *Worker) newClient(r *run.Run, at time.Time, n newcomer) store.NewClient {
	return store.NewClient{
		ID: store.NewID(), Fields: n.fields, ListSource: r.Connection,
		Link: &store.NewLink{
			Connection: r.Connection, Tenant: r.Tenant, Record: n.line.id, Hash: n.line.hash, Base: n.fields, At: at,
		},
		Actor: history.SystemActor, Summary: "taken over from the connected system", Resource: store.Name(r.Firm, "runs", r.ID),
	}
}

// settled is a suggestion that needs no decision any more: the connection now makes clients by itself.
func settled(c plan.Change, clientID string, now time.Time) plan.Change {
	c.State, c.Client, c.Record = plan.ChangeApplied, clientID, ""
	c.DecidedBy, c.DecidedAt = plan.Policy, now
	return c
}

// tieRelations ties contacts to new clients whose records they named before there was a client.
func (w *Worker) tieRelations(tx *sqldb.Tx, r *run.Run, made []store.NewClient) error {
	records := make([]string, len(made))
	for i, c := range made {
		records[i] = c.Link.Record
	}
	return store.TieRelations(tx, r.Firm, r.Connection, r.Tenant, records, w.Now())
}
