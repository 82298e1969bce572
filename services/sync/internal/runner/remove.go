package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/offboard"
	"github.com/concord-suite/concord/services/sync/internal/peer"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/lease"
)

// remove confirms the removals of a run that was not withheld, one call each.
func (w *Worker) remove(ctx context.Context, r *run.Run) error {
	for r.State == run.Running && r.Step == run.Removing && !r.CancelRequested {
		var batch []plan.Change
		if r.HasPlan && r.WithheldReason == "" {
			err := w.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
				batch, err = store.Approved(tx, r.Plan, w.Batch)
				return err
			})
			if err != nil {
				return err
			}
		}
		if len(batch) == 0 {
			return w.advance(ctx, r, func(_ *sqldb.Tx, r *run.Run) error {
				r.Enter(r.Next(), w.Now())
				return nil
			})
		}
		for _, c := range batch {
			if r.CancelRequested || r.WithheldReason != "" {
				break
			}
			said, err := w.ask(ctx, c, false)
			if err != nil {
				return err
			}
			err = w.advance(ctx, r, func(tx *sqldb.Tx, r *run.Run) (err error) {
				r.Calls += int64(said.rec.GetCalls())
				r.Total = max(r.Total, int64(len(batch)))
				r.Done++
				recovered(r)
				r.WithheldReason, err = w.confirm(tx, c, said, r.StartedBy, r.Initiator)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// answer is what came of asking about a removal.
type answer struct {
	// rec is the record itself; nil when nobody was asked.
	rec *connectorv1.GetRecordResponse
	// stale: the ground of the removal moved.
	stale bool
}

// ask reads the record of a removal, unless its ground moved, the client, its link, or the tenant of the connection, or it
// has to wait for a person by now.
func (w *Worker) ask(ctx context.Context, c plan.Change, interactive bool) (answer, error) {
	stale, halted := false, ""
	err := w.DB.Read(ctx, func(tx *sqldb.Tx) error {
		held, err := store.HeldOf(tx, c.Connection, c.Tenant, []string{c.RecordID})
		if stale = c.Stale(held[c.RecordID]); err != nil || stale {
			return err
		}
		p, err := store.Plan(tx, c.Firm, c.Plan)
		if err != nil {
			return err
		}
		conn, err := store.Connection(tx, c.Firm, c.Connection)
		if err != nil {
			return err
		}
		halted, err = halt(tx, c, p, conn)
		return err
	})
	if err != nil || stale || halted != "" {
		return answer{stale: stale}, err
	}
	connection := store.Name(c.Firm, "connections", c.Connection)
	rec, err := w.Peers.Record(ctx, connection, c.RecordID, interactive)
	if err != nil || rec.GetRecord().GetState() == connectorv1.RecordState_RECORD_STATE_ACTIVE {
		return answer{rec: rec}, err
	}
	// Another tenant does not know the record either, and that would look like a deletion. Asked after the record was
	// read, so that a move just before is seen, whether or not its event is here yet.
	conn, err := w.Peers.Connection(ctx, connection)
	return answer{rec: rec, stale: conn.GetTenantId() != c.Tenant}, err
}

// halt says why an approved removal waits for a person after all, as its connection is set now.
func halt(tx *sqldb.Tx, c plan.Change, p plan.Plan, conn run.Connection) (string, error) {
	n, err := store.CountRemovals(tx, p.ID)
	return c.Halted(plan.Conditions{
		Guard: conn.Guard, Linked: p.Linked, Review: conn.ReviewRemovals, Suspended: conn.RemovalsSuspended,
	}, n, conn.SuspendedAt), err
}

// confirm does what the record itself says about a removal: gone, and the client's off-boarding begins; in use, and the
// removal is refuted. Everything is looked at again behind locks: what moved since makes the removal stale, and leaves
// the others standing. When the removal has to wait for a person by now, all like it in the plan are held back, and the
// answer says why.
func (w *Worker) confirm(tx *sqldb.Tx, c plan.Change, said answer, startedBy, initiator string) (withheld string, err error) {
	p, err := store.LockPlan(tx, c.Firm, c.Plan)
	if err != nil {
		return "", err
	}
	c, err = store.LockChange(tx, c.Firm, c.Plan, c.ID)
	if err != nil || c.State != plan.ChangeApproved {
		return "", err
	}
	who, err := store.LockClient(tx, c.Firm, c.Client)
	if err != nil {
		return "", err
	}
	held, err := store.HeldOf(tx, c.Connection, c.Tenant, []string{c.RecordID})
	if err != nil {
		return "", err
	}
	conn, err := store.Connection(tx, c.Firm, c.Connection)
	if err != nil {
		return "", err
	}
	if said.stale || c.Stale(held[c.RecordID]) || conn.Tenant != c.Tenant {
		c.State = plan.ChangeStale
		return "", store.SetChange(tx, c)
	}
	withheld, err = halt(tx, c, p, conn)
	if err != nil {
		return "", err
	}
	if withheld != "" {
		var before time.Time // a person's decisions stand, unless removals were suspended after them
		if conn.RemovalsSuspended {
			before = conn.SuspendedAt
		}
		return withheld, store.HoldBack(tx, p, before, withheld)
	}
	if said.rec == nil {
		return "", nil // it was to wait a moment ago, and is not any more: asked about again
	}
	return "", w.believe(tx, c, who, said.rec, startedBy, initiator)
}

// believe does what the record itself says.
func (w *Worker) believe(
	tx *sqldb.Tx, c plan.Change, who client.Client, rec *connectorv1.GetRecordResponse, startedBy, initiator string,
) error {
	at := rec.GetServerTime().AsTime()
	asked := fmt.Sprintf("the record itself, read at %s by the provider's clock,", at.Format("2006-01-02 15:04:05 UTC"))
	switch rec.GetRecord().GetState() {
	case connectorv1.RecordState_RECORD_STATE_ARCHIVED:
		if into := rec.GetRecord().GetMergedInto(); into != "" {
			other, err := mergedInto(tx, c, into)
			if err != nil {
				return err
			}
			return w.handOver(tx, c, who, rec, "merged upstream into "+other, asked+" was merged into "+other, startedBy, initiator)
		}
		return w.handOver(tx, c, who, rec, "archived upstream", asked+" is archived or closed", startedBy, initiator)
	case connectorv1.RecordState_RECORD_STATE_DELETED:
		return w.handOver(tx, c, who, rec, "deleted upstream", asked+" is deleted or unknown", startedBy, initiator)
	default:
		c.State = plan.ChangeRefuted
		c.Evidence = append(c.Evidence, asked+" is in use: the client is only outside of what is listed, or the listing moved")
		if err := store.SetRefuted(tx, c.Connection, c.Tenant, c.RecordID, w.Now()); err != nil {
			return err
		}
		return store.SetChange(tx, c)
	}
}

// mergedInto names what a record was merged into: the client it is linked to, for people who look for what the other left.
func mergedInto(tx *sqldb.Tx, c plan.Change, record string) (string, error) {
	linked, err := store.LinkedTo(tx, c.Connection, c.Tenant, []string{record})
	if err != nil || linked[record] == "" {
		return "the record " + record, err
	}
	other, err := store.Client(tx, c.Firm, linked[record])
	return "the record of " + other.Fields.Name, err
}

// handOver begins the off-boarding of a client whose record is proven gone.
func (w *Worker) handOver(
	tx *sqldb.Tx, c plan.Change, who client.Client, rec *connectorv1.GetRecordResponse, reason, proof, startedBy, initiator string,
) error {
	now, at := w.Now(), rec.GetServerTime().AsTime()
	if c.DecidedBy != "" && c.DecidedBy != plan.Policy {
		startedBy = c.DecidedBy
	}
	o := offboard.Offboarding{
		ID: store.NewID(), Firm: c.Firm, Client: who.ID, ClientName: who.Fields.Name, Origin: offboard.Upstream, Reason: reason,
		StartedBy: startedBy, Initiator: initiator, Plan: c.Plan, Change: c.ID, ProofAt: at,
	}
	if err := store.StartOffboarding(tx, o, reason+": "+proof, now); err != nil {
		return err
	}
	if err := store.SetClientState(tx, who.ID, client.Leaving, o.ID, nil, now); err != nil {
		return err
	}
	if err := store.SetPresence(tx, c.Connection, c.Tenant, []string{c.RecordID}, plan.Gone, at); err != nil {
		return err
	}
	c.State, c.Confirmed, c.Offboarding = plan.ChangeApplied, true, o.ID
	c.Evidence = append(c.Evidence, proof)
	if err := store.SetChange(tx, c); err != nil {
		return err
	}
	return store.AppendHistory(tx, c.Firm, history.Entry{
		Client: who.ID, At: now, Kind: history.OffboardStarted, Actor: startedBy, Summary: "off-boarding started: " + reason,
		Resource: store.Name(c.Firm, "offboardings", o.ID),
	})
}

// finish closes the books of a run.
func (w *Worker) finish(ctx context.Context, r *run.Run) error {
	return w.advance(ctx, r, func(tx *sqldb.Tx, r *run.Run) error {
		r.State, r.EndedAt = run.Succeeded, w.Now()
		if r.WithheldReason != "" {
			r.State, r.Message = run.Withheld, r.WithheldReason
		}
		if r.Kind == run.Upgrade {
			return store.WantFull(tx, r.Connection, r.StartedBy) // it brings what the mapped records hold, and who is new
		}
		return nil
	})
}

// Removals takes one plan with approved removals, and works on it until none is left or it has to wait. It calls claimed
// once it has one, and returns lease.ErrIdle when there is none.
func (w *Worker) Removals(ctx context.Context, claimed func()) error {
	p, err := lease.Claim(ctx, w.DB, func(tx *sqldb.Tx) (plan.Plan, error) {
		return store.ClaimPlan(tx, w.Owner, w.Now(), w.Lease)
	})
	if err != nil {
		return err
	}
	claimed()
	work, stop := w.keep(ctx, func(tx *sqldb.Tx, until time.Time) error { return store.RenewPlan(tx, p.ID, p.Epoch, until) })
	defer stop()
	cause := w.decided(work, p)
	if errors.Is(cause, store.ErrLeaseLost) {
		return nil
	}
	wait, attempts, message := w.Now(), int64(0), ""
	if cause != nil && ctx.Err() == nil {
		f := peer.FailureOf(cause, false, w.Now())
		attempts, message = p.Attempts+1, f.Words
		switch f.Remedy {
		case peer.Wait:
			wait = f.Until
		case peer.GiveUp:
			wait = w.Now().Add(w.Retry.MaxWait) // what was approved stands until a person has mended the connection
		default:
			wait = w.Now().Add(w.Retry.Backoff(attempts))
		}
		w.Log.Warn("approved removals met an error and will be tried again", "plan", p.ID, "error", cause)
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), letGoWait)
	defer cancel()
	return w.DB.Tx(bounded, func(tx *sqldb.Tx) error {
		return store.ReleasePlan(tx, p.ID, p.Epoch, wait, attempts, message)
	}, sqldb.ReadCommitted)
}

// decided confirms the approved removals of a plan, one call each.
func (w *Worker) decided(ctx context.Context, p plan.Plan) error {
	for {
		var batch []plan.Change
		err := w.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
			batch, err = store.Approved(tx, p.ID, w.Batch)
			return err
		})
		if err != nil || len(batch) == 0 {
			return err
		}
		for _, c := range batch {
			// A person decided and looks at the result: these few calls may come out of the part kept for people.
			ctx := peer.InFirm(ctx, p.Firm, peer.AdministratorOf(c.DecidedBy))
			said, err := w.ask(ctx, c, true)
			if err != nil {
				return err
			}
			err = w.DB.Tx(ctx, func(tx *sqldb.Tx) error {
				if err := store.HoldPlan(tx, p.ID, p.Epoch, w.Now().Add(w.Lease)); err != nil {
					return err
				}
				if err := store.AddCalls(tx, p.Run, int64(said.rec.GetCalls())); err != nil {
					return err
				}
				_, err := w.confirm(tx, c, said, c.DecidedBy, peer.AdministratorOf(c.DecidedBy))
				return err
			}, sqldb.ReadCommitted)
			if err != nil {
				return err
			}
		}
	}
}
