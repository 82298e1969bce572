package runner

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// plan weighs what the listing of clients proves, and decides whether clients leave, and whether by themselves.
func (w *Worker) plan(ctx context.Context, r *run.Run) error {
	return w.advance(ctx, r, func(tx *sqldb.Tx, r *run.Run) error {
		conn, err := store.Connection(tx, r.Firm, r.Connection)
		if err != nil {
			return err
		}
		listing, err := store.ListingOf(tx, r, run.Clients)
		if err != nil {
			return err
		}
		listing.NowTenant, listing.SelectionMoved = conn.Tenant, conn.Selection != r.Selection
		r.UnprovenReason = listing.Unproven()
		r.Proven = r.UnprovenReason == ""
		absent, recalled, err := store.CountCandidates(tx, r)
		if err != nil {
			return err
		}
		r.Enter(run.Writing, w.Now())
		if !r.Proven {
			if absent > 0 {
				r.WithheldReason = fmt.Sprintf("%s; nothing was removed, although %d clients were not listed", r.UnprovenReason, absent)
			}
			return nil
		}
		return w.weigh(tx, r, conn, absent, recalled)
	})
}

// weigh decides about the absent clients of a proven listing, of which some were recalled before.
func (w *Worker) weigh(tx *sqldb.Tx, r *run.Run, conn run.Connection, absent, recalled int64) error {
	if err := store.DropAbsent(tx, r); err != nil {
		return err
	}
	former, known, err := store.FormerSelection(tx, r)
	if err != nil {
		return err
	}
	if known && former != r.Selection {
		// Before anything is made of who is missing: the choice may be the only reason.
		if absent, recalled, err = outOfScope(tx, r, absent, w.Now()); err != nil {
			return err
		}
	}
	if known {
		if err := store.MarkGone(tx, r, r.ServerStart); err != nil {
			return err
		}
	}
	if r.First {
		if absent > 0 {
			r.Message = fmt.Sprintf("the first full sync of a connection removes nothing; %d clients were not listed", absent)
		}
		return nil
	}
	linked, err := store.LinkedClients(tx, r.Connection, r.Tenant)
	if err != nil {
		return err
	}
	conditions := plan.Conditions{
		Guard: conn.Guard, Linked: linked, Review: conn.ReviewRemovals, Suspended: conn.RemovalsSuspended,
	}
	// Some of those that were in use the last time, or were put out of scope, are looked at again.
	again, err := store.RecallRefuted(tx, r, w.Now(), conditions.Recall(absent, recalled))
	if absent += again; err != nil {
		return err
	}
	if absent == 0 {
		return nil
	}
	r.WithheldReason = conditions.Withheld(absent)
	r.Total = absent
	if err := store.NeedPlan(tx, r, w.Now()); err != nil {
		return err
	}
	return store.SetPlan(tx, r.Plan, plan.Settled, "", linked) // nobody decides before it is written to its end
}

// outOfScope notes who of the absent clients is missing because others are chosen now, and returns how many are not.
func outOfScope(tx *sqldb.Tx, r *run.Run, absent int64, now time.Time) (left, recalled int64, err error) {
	if err := store.MarkOutOfScope(tx, r, now); err != nil {
		return 0, 0, err
	}
	left, recalled, err = store.CountCandidates(tx, r)
	if absent > left {
		r.Counts.OutOfScope += absent - left
		r.Message = fmt.Sprintf("other records are chosen than the last time: %d clients are out of scope now and stay", r.Counts.OutOfScope)
	}
	return left, recalled, err
}

// write puts every absent client into the plan, batch by batch: waiting for a person, or approved by the policy.
func (w *Worker) write(ctx context.Context, r *run.Run) error {
	for r.State == run.Running && r.Step == run.Writing && !r.CancelRequested {
		err := w.advance(ctx, r, func(tx *sqldb.Tx, r *run.Run) error {
			// Total is what the guard has weighed; clients that became absent since wait for the next run.
			n := min(int64(w.Batch), r.Total-r.Done)
			if n <= 0 {
				return w.written(tx, r)
			}
			batch, err := store.CandidatesAfter(tx, r, r.Cursor, int(n))
			if err != nil {
				return err
			}
			if len(batch) == 0 {
				return w.written(tx, r)
			}
			changes := make([]plan.Change, len(batch))
			for i, c := range batch {
				changes[i] = w.removal(r, c)
			}
			r.Done += int64(len(batch))
			r.Cursor = batch[len(batch)-1].Record
			return store.AddChanges(tx, changes)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// written opens a plan that holds all its removals now. When they wait for a person it takes the place of those that wait;
// otherwise those stand until the run has ended well.
func (w *Worker) written(tx *sqldb.Tx, r *run.Run) error {
	if r.Total > 0 && r.WithheldReason != "" {
		if err := store.Supersede(tx, r.Connection, r.Plan); err != nil {
			return err
		}
		if err := store.Withhold(tx, r.Plan, r.WithheldReason); err != nil {
			return err
		}
	}
	r.Enter(r.Next(), w.Now())
	return nil
}

func (w *Worker) removal(r *run.Run, c store.Candidate) plan.Change {
	evidence := "absent from a complete listing"
	if c.Flagged {
		evidence = "listed as archived or deleted in a complete listing"
	}
	evidence = fmt.Sprintf("%s begun at %s by the provider's clock", evidence, r.ServerStart.Format("2006-01-02 15:04:05 UTC"))
	ch := w.change(r, plan.Archive, plan.ChangeWaiting, c.Client, c.Record, c.Name, evidence)
	switch before := c.RefutedAt.Format(time.DateOnly); {
	case c.RefutedAt.IsZero():
	case c.OutOfScope:
		ch.Evidence = append(ch.Evidence, "it was out of scope, or in use when it was read, on "+before+", and may be gone since")
	default:
		ch.Evidence = append(ch.Evidence, "it was not listed before, and in use when it was read on "+before)
	}
	ch.LinkVersion, ch.ClientVersion = c.LinkVersion, c.ClientVersion
	if r.WithheldReason == "" {
		ch.State, ch.DecidedBy, ch.DecidedAt = plan.ChangeApproved, plan.Policy, w.Now()
	}
	return ch
}

// previewers is how many clients documents is asked about at a time: it answers from its database, in a millisecond.
const previewers = 8

// preview asks documents, for every removal that waits for a person, what would block it. It is for the eyes of that
// person only: the off-boarding asks again. Documents being away costs the preview and nothing else.
func (w *Worker) preview(ctx context.Context, r *run.Run) error {
	for r.State == run.Running && r.Step == run.Previewing && !r.CancelRequested {
		var batch []plan.Change
		if r.WithheldReason != "" && r.HasPlan {
			err := w.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
				batch, err = store.Changes(tx, r.Plan, string(plan.Archive), string(plan.ChangeWaiting), r.Cursor, w.Batch)
				return err
			})
			if err != nil {
				return err
			}
		}
		blockers, failed := w.askAll(ctx, batch)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := w.advance(ctx, r, func(tx *sqldb.Tx, r *run.Run) error {
			if failed > 0 {
				w.Log.Warn("could not preview what blocks removals", "run", r.ID, "clients", failed)
			}
			if len(batch) == 0 {
				r.Enter(r.Next(), w.Now())
				return nil
			}
			r.Cursor = batch[len(batch)-1].ID
			r.Done += int64(len(batch))
			return store.SetChangeBlockers(tx, blockers)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// askAll returns what blocks the changes, by change id, and how many could not be asked about.
func (w *Worker) askAll(ctx context.Context, batch []plan.Change) (map[string][]client.Blocker, int) {
	blockers := map[string][]client.Blocker{}
	failed := 0
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, previewers)
	for _, c := range batch {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			p, err := w.Peers.Preview(ctx, store.Name(c.Firm, "clients", c.Client))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed++
			} else if len(p.Blockers) > 0 {
				blockers[c.ID] = p.Blockers
			}
		})
	}
	wg.Wait()
	return blockers, failed
}
