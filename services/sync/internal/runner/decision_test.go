package runner_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

func TestNewerFullSupersedes(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.World.Archive(records(1, 10)...)
		first := b.Sync(run.Full)
		b.World.Unarchive("r0001")
		second := b.Sync(run.Full)
		require.Equal(t, plan.Superseded, planOf(b, first).State)
		require.Equal(t, plan.Waiting, planOf(b, second).State)
		require.Len(t, b.Changes(second, plan.Archive), 9)
		for _, c := range b.Changes(first, plan.Archive) {
			require.Equal(t, plan.ChangeStale, c.State)
		}
	})
}

func TestStaleChangesAreRefusedTheOthersStand(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.World.Archive(records(1, 10)...)
		r := b.Sync(run.Full)
		// Seen again by a manual run; changed by hand; relinked.
		b.World.Unarchive("r0001")
		b.Sync(run.Manual)
		b.Tx(func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`UPDATE clients SET version = version + 1 WHERE code = 'C0002'`)
			return err
		})
		b.Tx(func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`UPDATE links SET version = version + 1 WHERE record_id = 'r0003'`)
			return err
		})
		decide(b, planOf(b, r), true)
		b.Work()
		states := map[string]plan.ChangeState{}
		for _, c := range b.Changes(r, plan.Archive) {
			states[c.RecordID] = c.State
		}
		for record, want := range map[string]plan.ChangeState{
			"r0001": plan.ChangeStale, "r0002": plan.ChangeStale, "r0003": plan.ChangeStale, "r0004": plan.ChangeApplied, "r0010": plan.ChangeApplied,
		} {
			require.Equal(t, want, states[record], record)
		}
		require.EqualValues(t, 7, b.Count(`clients WHERE state = 'LEAVING'`))
	})
}

func TestStaleBetweenApprovalAndConfirmation(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.World.Archive(records(1, 10)...)
		r := b.Sync(run.Full)
		decide(b, planOf(b, r), true)
		b.Tx(func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`UPDATE clients SET version = version + 1 WHERE code = 'C0002'`)
			return err
		})
		b.World.Forget()
		b.Work()
		require.Equal(t, 9, b.World.Calls("GetRecord"), "what is stale is not even asked about")
		require.EqualValues(t, 9, b.Count(`clients WHERE state = 'LEAVING'`))
	})
}

func TestWhatAPersonKeepsNoRunRemoves(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.World.Archive(records(1, 10)...)
		r := b.Sync(run.Full)
		decide(b, planOf(b, r), false)
		require.Equal(t, plan.Settled, planOf(b, r).State)
		r = b.Sync(run.Full)
		require.Equal(t, run.Succeeded, r.State)
		require.Zero(t, r.Counts.Candidates)

		b.World.Unarchive("r0001")
		b.Sync(run.Full)
		b.World.Archive("r0001")
		require.EqualValues(t, 1, b.Sync(run.Full).Counts.Started, "it was there again in between")
	})
}

func TestBudgetParksConfirmations(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.World.Archive(records(1, 10)...)
		r := b.Sync(run.Full)
		decide(b, planOf(b, r), true)
		until := b.Clock.Now().Add(time.Hour)
		b.World.FailLater("GetRecord", 3, 1, rpcerr.New(codes.ResourceExhausted, connectorv1.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED,
			"the limit of the day is used up").With("until", until.Format(time.RFC3339)).GRPCStatus().Err())
		b.Work()
		require.EqualValues(t, 3, b.Run(r.ID).Counts.Started)
		b.Clock.Turn(30 * time.Minute)
		b.Work()
		require.EqualValues(t, 3, b.Run(r.ID).Counts.Started, "not before the limit is fresh")
		b.Clock.Turn(31 * time.Minute)
		b.Work()
		require.EqualValues(t, 10, b.Run(r.ID).Counts.Started)
	})
}

// What was approved waits for a connection that a person has to mend, says so, and goes on when it is.
func TestApprovedRemovalsSayWhatTheyWaitFor(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.World.Archive(records(1, 10)...)
		r := b.Sync(run.Full)
		b.Connect(func(c *run.Connection) { c.State = run.ConnectionNeedsReauth })
		b.World.Forget()
		b.World.FailLater("GetRecord", 0, 1000, provider(codes.FailedPrecondition,
			connectorv1.ErrorReason_ERROR_REASON_NEEDS_REAUTH, "an administrator has to sign in at Xero again"))
		decide(b, planOf(b, r), true)
		b.Work()
		require.Equal(t, "an administrator has to sign in at Xero again", planOf(b, r).Message)
		b.Clock.Turn(peertest.Retry.MaxWait - time.Second)
		b.Work()
		require.Equal(t, 1, b.World.Calls("GetRecord"), "asking often does not mend it")
		b.Clock.Turn(2 * time.Second)
		b.Work()
		require.Equal(t, 2, b.World.Calls("GetRecord"))
		b.World.Heal()
		b.Work()
		require.Zero(t, b.Run(r.ID).Counts.Started)
		b.Connect(func(*run.Connection) {}) // it is there again
		b.Work()
		require.EqualValues(t, 10, b.Run(r.ID).Counts.Started, "at once")
		require.Empty(t, planOf(b, r).Message)
	})
}

func TestCancelledRunRemovesNothingMore(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(60)
		b.Sync(run.Full)
		b.World.Archive(records(1, 4)...)
		id := b.Start(run.Full)
		b.World.FailLater("GetRecord", 2, 100, unavailable)
		b.Work()
		require.Equal(t, run.Parked, b.Run(id).State)
		b.World.Heal()
		b.Tx(func(tx *sqldb.Tx) error {
			going, err := store.CancelRun(tx, peertest.Firm, id, "somebody", b.Clock.Now())
			require.True(t, going)
			return err
		})
		r := b.Run(id)
		require.Equal(t, run.Cancelled, r.State)
		b.Clock.Turn(time.Hour)
		b.Work()
		require.EqualValues(t, 2, b.Run(id).Counts.Started)
		require.EqualValues(t, 2, b.Count(`changes WHERE kind = 'ARCHIVE' AND state = 'STALE'`))
		require.EqualValues(t, 2, b.Sync(run.Full).Counts.Started, "the next one finds them again")
	})
}

func cancel(b *peertest.Bench, id string) {
	b.Tx(func(tx *sqldb.Tx) error {
		_, err := store.CancelRun(tx, peertest.Firm, id, "somebody", b.Clock.Now())
		return err
	})
}

// A plan that is written to its end is decidable, whatever becomes of the rest of its run; and of two plans one waits.
func TestWrittenPlanOutlivesItsRun(t *testing.T) {
	for name, end := range map[string]func(b *peertest.Bench, id string){
		"cancelled": cancel,
		"failed": func(b *peertest.Bench, id string) {
			b.Tx(func(tx *sqldb.Tx) error {
				r, err := store.Run(tx, peertest.Firm, id)
				if err != nil {
					return err
				}
				r.State, r.EndedAt = run.Failed, b.Clock.Now()
				return store.EndRun(tx, &r)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
				b.World.Practice(30)
				b.Sync(run.Full)
				b.World.Archive(records(1, 10)...)
				first := b.Sync(run.Full)
				b.World.Archive("r0011")
				id := b.Start(run.Full)
				var once sync.Once
				b.World.Before("PreviewOffboarding", func() { once.Do(func() { end(b, id) }) })
				b.Work()
				second := b.Run(id)
				require.Contains(t, []run.State{run.Cancelled, run.Failed}, second.State)
				require.Equal(t, plan.Superseded, planOf(b, first).State)
				p := planOf(b, second)
				require.Equal(t, plan.Waiting, p.State)
				require.EqualValues(t, 11, p.Waiting)
				decide(b, p, true)
				b.Work()
				require.EqualValues(t, 11, b.Run(id).Counts.Started)
			})
		})
	}
}

func TestWhatAPersonApprovedOutlivesTheRun(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.World.Archive(records(1, 10)...)
		id := b.Start(run.Full)
		var once sync.Once
		b.World.Before("PreviewOffboarding", func() {
			once.Do(func() {
				decide(b, planOf(b, b.Run(id)), true)
				cancel(b, id)
			})
		})
		b.Work()
		require.Equal(t, run.Cancelled, b.Run(id).State)
		require.EqualValues(t, 10, b.Run(id).Counts.Started)
	})
}

func TestPlanThatWaitsStandsUntilTheNextRunEndsWell(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.World.Archive(records(1, 10)...)
		first := b.Sync(run.Full)
		b.World.Unarchive(records(1, 7)...) // three may leave by themselves
		id := b.Start(run.Full)
		b.World.FailLater("GetRecord", 1, 100, unavailable)
		b.Work()
		require.Equal(t, run.Removing, b.Run(id).Step)
		b.World.Heal()
		cancel(b, id)
		require.Equal(t, run.Cancelled, b.Run(id).State)
		require.Equal(t, plan.Waiting, planOf(b, first).State)
		require.EqualValues(t, 3, planOf(b, first).Waiting)

		r := b.Sync(run.Full)
		require.Equal(t, run.Succeeded, r.State, r.Message)
		require.EqualValues(t, 2, r.Counts.Started)
		require.Equal(t, plan.Superseded, planOf(b, first).State)
	})
}

func TestRecordsOfAnotherTenantProveNothing(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.World.Archive(records(1, 10)...)
		r := b.Sync(run.Full)
		decide(b, planOf(b, r), true)
		b.World.Tenant = "tenant-2" // and nobody has told yet: there, every record is unknown
		b.World.Delete(records(1, 30)...)
		b.Work()
		require.EqualValues(t, 30, b.Count(`clients WHERE state = 'LISTED'`))
		require.EqualValues(t, 10, b.Count(`changes WHERE kind = 'ARCHIVE' AND state = 'STALE'`))
	})
}

func TestPlanOfADeadWorkerIsTakenOver(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.World.Archive(records(1, 10)...)
		r := b.Sync(run.Full)
		decide(b, planOf(b, r), true)
		var dead plan.Plan
		b.Tx(func(tx *sqldb.Tx) (err error) {
			dead, err = store.ClaimPlan(tx, "dead", b.Clock.Now(), peertest.Lease)
			return err
		})
		b.Work()
		require.Zero(t, b.World.Calls("GetRecord"), "its lease stands")
		b.Clock.Turn(peertest.Lease + time.Second)
		b.Work()
		require.EqualValues(t, 10, b.Run(r.ID).Counts.Started)
		require.EqualValues(t, r.Calls+10, b.Run(r.ID).Calls, "the calls count for the run")
		b.Tx(func(tx *sqldb.Tx) error {
			require.ErrorIs(t, store.HoldPlan(tx, dead.ID, dead.Epoch, b.Clock.Now()), store.ErrLeaseLost)
			require.ErrorIs(t, store.RenewPlan(tx, dead.ID, dead.Epoch, b.Clock.Now()), store.ErrLeaseLost)
			return nil
		})
	})
}
