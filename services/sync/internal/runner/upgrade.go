package runner

import (
	"context"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/legacy"
	"github.com/concord-suite/concord/services/sync/internal/peer"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/legacies"
)

// legacyRecords are the clients of a page as they are kept until links are mapped.
func legacyRecords(s sortedPage) []legacy.Record {
	out := make([]legacy.Record, 0, len(s.clients))
	for _, c := range s.clients {
		out = append(out, legacy.Record{
			ID: c.id, LegacyID: legacy.IntegerID(c.legacyID), Fields: peer.ClientOf(c.fields), Archived: !c.active && !c.outside, At: s.at,
		})
	}
	return out
}

// mapLinks looks for the record of every legacy link that is open, batch by batch.
func (w *Worker) mapLinks(ctx context.Context, r *run.Run) error {
	if err := w.openMapping(ctx, r); err != nil {
		return err
	}
	for r.State == run.Running && r.Step == run.Mapping && !r.CancelRequested {
		err := w.advance(ctx, r, func(tx *sqldb.Tx, r *run.Run) error {
			// One at a time looks for who may be meant and links: persons decide on links and suggestions meanwhile.
			if err := store.LockFirm(tx, r.Firm); err != nil {
				return err
			}
			conn, err := store.Connection(tx, r.Firm, r.Connection)
			if err != nil {
				return err
			}
			if conn.Tenant != r.Tenant || conn.State == run.ConnectionDisconnected {
				r.State, r.EndedAt = run.Failed, w.Now()
				r.Message = "the connection was removed, or moved to another tenant; what was not mapped yet stays as it was"
				return nil
			}
			links, err := legacies.LockOpen(tx, r.Connection, r.Cursor, w.Batch)
			if err != nil {
				return err
			}
			if len(links) == 0 {
				r.Enter(r.Next(), w.Now())
				return nil
			}
			r.Cursor, r.Done = links[len(links)-1].ID, r.Done+int64(len(links))
			r.Total = max(r.Total, r.Done)
			return w.mapBatch(tx, r, links)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// openMapping weighs the listing and counts what is to be done, once. A listing that moved under its reader still says which
// record an integer id has; that one record alone has a code, it does not.
func (w *Worker) openMapping(ctx context.Context, r *run.Run) error {
	if r.Total > 0 || r.Cursor != "" {
		return nil
	}
	return w.advance(ctx, r, func(tx *sqldb.Tx, r *run.Run) error {
		conn, err := store.Connection(tx, r.Firm, r.Connection)
		if err != nil {
			return err
		}
		listing, err := store.ListingOf(tx, r, run.Legacy)
		if err != nil {
			return err
		}
		listing.NowTenant = conn.Tenant
		r.UnprovenReason = listing.Unproven()
		r.Proven = r.UnprovenReason == ""
		if listing.Records == 0 || conn.Tenant != r.Tenant {
			r.State, r.EndedAt = run.Failed, w.Now()
			r.Message = "nothing was mapped: " + r.UnprovenReason
			return nil
		}
		r.Total, _, err = legacies.CountOpen(tx, r.Connection)
		return err
	})
}

// mapBatch decides about some links, and links the clients of those that are mapped.
func (w *Worker) mapBatch(tx *sqldb.Tx, r *run.Run, links []legacy.Link) error {
	ids := make([]string, len(links))
	for i := range links {
		ids[i] = links[i].Client
	}
	clients, err := store.LockClients(tx, r.Firm, ids)
	if err != nil {
		return err
	}
	own, err := legacies.Own(tx, r.Connection, r.Tenant, ids)
	if err != nil {
		return err
	}
	var keys legacy.Keys
	for i := range links {
		keys.Add(&links[i], clients[links[i].Client].Fields)
	}
	listing, err := legacies.Find(tx, r, keys)
	if err != nil {
		return err
	}
	listing.Moved = !r.Proven
	var moved []legacy.Link
	var tied []store.Linking
	for _, was := range links {
		who := clients[was.Client]
		is, record := listing.Map(was, who.Fields, own[was.Client])
		switch is.State {
		case legacy.Mapped:
			r.Counts.LegacyMapped++
			is.DecidedAt = w.Now()
		case legacy.Suggested:
			r.Counts.LegacySuggested++
		default:
			r.Counts.LegacyUnmapped++
		}
		if record.ID != "" {
			tied = append(tied, w.tie(r, who, record, is.Explanation))
		}
		if !is.Same(&was) {
			moved = append(moved, is)
		}
	}
	if err := w.link(tx, r, tied); err != nil {
		return err
	}
	return legacies.Put(tx, moved)
}

// tie is what links a client to the record it means. Of the record little more than its name may be known, so its base has
// no hash: the full run that follows reads all of it, and takes over what differs as it does for every client.
func (w *Worker) tie(r *run.Run, who client.Client, record legacy.Record, how string) store.Linking {
	return store.Linking{
		Client: who, Actor: history.SystemActor, Resource: store.Name(r.Firm, "runs", r.ID),
		Summary: "linked to the record " + record.Fields.Name + " of the connected system, " + how,
		Link:    store.NewLink{Connection: r.Connection, Tenant: r.Tenant, Record: record.ID, Base: record.Fields, At: record.At},
	}
}

// link links clients to records, with a line of the run's plan for each.
func (w *Worker) link(tx *sqldb.Tx, r *run.Run, tied []store.Linking) error {
	if len(tied) == 0 {
		return nil
	}
	if err := store.NeedPlan(tx, r, w.Now()); err != nil {
		return err
	}
	changes := make([]plan.Change, len(tied))
	for i, t := range tied {
		changes[i] = w.change(r, plan.Link, plan.ChangeApplied, t.Client.ID, t.Link.Record, t.Client.Fields.Name, t.Summary)
		changes[i].DecidedBy, changes[i].DecidedAt = plan.Policy, w.Now()
	}
	if err := store.AddChanges(tx, changes); err != nil {
		return err
	}
	return store.LinkClients(tx, r.Firm, r.Connection, r.Tenant, w.Now(), tied)
}
