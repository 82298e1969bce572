package runner_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/lease"
)

func provider(code codes.Code, reason connectorv1.ErrorReason, words string) error {
	return rpcerr.New(code, reason, words).GRPCStatus().Err()
}

func TestProviderErrorsAreRetriedAndThenTold(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.World.FailLater("StreamRecords", 1, 3, unavailable)
		r := b.Sync(run.Full)
		require.Equal(t, run.Succeeded, r.State, "three errors are lived with")
		require.Empty(t, r.Message)

		b.World.Archive("r0001")
		b.World.FailLater("StreamRecords", 1, 1000, unavailable)
		started := b.Clock.Now()
		r = b.Sync(run.Full)
		require.Equal(t, run.Failed, r.State)
		require.Equal(t, "the provider can not be reached", r.Message)
		require.EqualValues(t, peertest.Retry.Attempts, r.Attempts)
		require.Greater(t, r.EndedAt.Sub(started), time.Minute)
		b.World.Heal()
		b.World.FailLater("StreamRecords", 1, 1000, provider(codes.FailedPrecondition,
			connectorv1.ErrorReason_ERROR_REASON_PROVIDER_ANSWER_INVALID, "half a page of XML"))
		r = b.Sync(run.Full)
		require.Equal(t, run.Failed, r.State)
		require.Equal(t, "half a page of XML", r.Message)
		require.EqualValues(t, run.FewAttempts, r.Attempts)
		require.EqualValues(t, 30, b.Count(`clients WHERE state = 'LISTED'`))
		require.Zero(t, b.Count("run_pages"))
	})
}

// An outage that ends with a page of the provider's own is an outage.
func TestPageThatNobodyUnderstandsAfterAnOutage(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		garbled := provider(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_ANSWER_INVALID, "back soon")
		for _, n := range []int{2, 1} { // something else comes in between
			b.World.FailLater("StreamRecords", 1, n, unavailable)
			b.World.FailLater("StreamRecords", 1, run.FewAttempts-1, garbled)
		}
		r := b.Sync(run.Full)
		require.Equal(t, run.Succeeded, r.State, r.Message)
		require.Zero(t, r.Garbled)
	})
}

func TestWhatNeedsAPersonEndsTheRunAtOnce(t *testing.T) {
	for _, reason := range []connectorv1.ErrorReason{
		connectorv1.ErrorReason_ERROR_REASON_NEEDS_REAUTH, connectorv1.ErrorReason_ERROR_REASON_PRIVILEGE_MISSING,
		connectorv1.ErrorReason_ERROR_REASON_CONNECTION_INACTIVE, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_REFUSED,
	} {
		t.Run(reason.String(), func(t *testing.T) {
			peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
				b.World.Fail("StreamRecords", 1, provider(codes.FailedPrecondition, reason, "ask an administrator"))
				id := b.Start(run.Full)
				b.Work()
				r := b.Run(id)
				require.Equal(t, run.Failed, r.State)
				require.Equal(t, "ask an administrator", r.Message)
			})
		})
	}
}

func TestLimitParksTheRun(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		until := b.Clock.Now().Add(2 * time.Hour).UTC().Truncate(time.Second)
		limit := rpcerr.New(codes.ResourceExhausted, connectorv1.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED,
			"the limit of the day is used up").With("until", until.Format(time.RFC3339)).GRPCStatus().Err()
		b.World.FailLater("StreamRecords", 2, 1, limit)
		id := b.Start(run.Full)
		b.Work()
		r := b.Run(id)
		require.Equal(t, run.Parked, r.State)
		require.Equal(t, until, r.WaitUntil)
		require.Equal(t, "the limit of the day is used up", r.Message)
		b.Clock.Turn(time.Hour)
		b.Work()
		require.Equal(t, run.Parked, b.Run(id).State)
		b.Clock.Turn(61 * time.Minute)
		b.World.Forget()
		b.Work()
		r = b.Run(id)
		require.Equal(t, run.Succeeded, r.State, r.Message)
		require.Equal(t, 4, b.World.Calls("StreamRecords"), "one page of clients, three of contacts: nothing is read twice")
	})
}

func TestDeadPageTokenBeginsTheListingAnew(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		refused := provider(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_REFUSED, "unknown page token")
		b.World.FailLater("StreamRecords", 2, 1, refused)
		r := b.Sync(run.Full)
		require.Equal(t, run.Succeeded, r.State, r.Message)
		require.EqualValues(t, 1, r.Restarts)
		require.True(t, r.Proven, "%s", r.UnprovenReason)
		require.EqualValues(t, 30, b.Count("clients"))
	})
}

func TestListingThatBreaksOffIsNoListing(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.World.Archive("r0001")
		b.World.FailLater("StreamRecords", 1, 1000, provider(codes.Unavailable,
			connectorv1.ErrorReason_ERROR_REASON_PROVIDER_UNAVAILABLE, "gone"))
		r := b.Sync(run.Full)
		require.Equal(t, run.Failed, r.State)
		require.EqualValues(t, 30, b.Count(`clients WHERE state = 'LISTED'`))
	})
}

func TestDeadWorkersRunIsTakenOver(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		id := b.Start(run.Full)
		// The worker claims the run and dies without a word.
		var dead run.Run
		b.Tx(func(tx *sqldb.Tx) (err error) {
			dead, err = store.ClaimRun(tx, "dead", b.Clock.Now(), peertest.Lease)
			return err
		})
		require.ErrorIs(t, b.Runner.Step(context.Background(), func() {}), lease.ErrIdle, "its lease stands")
		b.Clock.Turn(peertest.Lease + time.Second)
		b.Work()
		require.Equal(t, run.Succeeded, b.Run(id).State)
		// It was not dead: what it does now finds that it lost the run.
		err := b.DB.Tx(context.Background(), func(tx *sqldb.Tx) error {
			_, err := store.LockRun(tx, id, dead.Epoch)
			return err
		})
		require.ErrorIs(t, err, store.ErrLeaseLost)
	})
}

func TestOneListingRunPerConnection(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		id := b.Start(run.Full)
		b.Tx(func(tx *sqldb.Tx) error {
			c, err := store.Connection(tx, peertest.Firm, peertest.Connection)
			if err != nil {
				return err
			}
			other, made, err := store.StartRun(tx, c, run.Manual, "test", "", b.Clock.Now())
			require.False(t, made)
			require.Equal(t, id, other)
			return err
		})
		b.Work()
		b.Start(run.Manual)
	})
}

func TestStoppingWorkerGivesItsRunBack(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		id := b.Start(run.Full)
		ctx, stop := context.WithCancel(context.Background())
		b.World.Spoil(func(p *connectorv1.StreamRecordsResponse) {
			if p.GetPage() == 2 {
				stop()
			}
		})
		require.NoError(t, b.Runner.Step(ctx, func() {}))
		b.World.Heal()
		require.Equal(t, run.Running, b.Run(id).State)
		b.Work() // without waiting for the lease
		require.Equal(t, run.Succeeded, b.Run(id).State)
	})
}

func TestSchedule(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(3)
		b.Connect(func(c *run.Connection) { c.FullEveryDays = 30 })
		schedule := func() int64 {
			require.NoError(t, b.Runner.Schedule(context.Background()))
			b.Work()
			return b.Count("runs")
		}
		require.Zero(t, schedule(), "the first comes with the connection itself")
		b.Clock.Turn(30 * 24 * time.Hour)
		require.EqualValues(t, 1, schedule())
		require.EqualValues(t, 1, schedule())
		b.Clock.Turn(28 * 24 * time.Hour)
		require.EqualValues(t, 1, schedule())
		b.Clock.Turn(2 * 24 * time.Hour)
		require.EqualValues(t, 2, schedule())
		b.Tx(func(tx *sqldb.Tx) error { return store.WantFull(tx, peertest.Connection, "connection") })
		require.EqualValues(t, 3, schedule())
		require.EqualValues(t, 3, schedule(), "wanted once, done once")
		b.Connect(func(c *run.Connection) { c.State = run.ConnectionNeedsReauth; c.FullEveryDays = 1 })
		b.Clock.Turn(10 * 24 * time.Hour)
		require.EqualValues(t, 3, schedule(), "a connection that needs a person waits for the person")
	})
}

func TestLargePagesComeInSeveralMessages(t *testing.T) {
	for broken := range 5 { // after so many messages the line breaks, between or within pages
		t.Run(fmt.Sprint(broken), func(t *testing.T) {
			peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
				b.World.Practice(25)
				b.World.PartSize = 4
				b.Sync(run.Full)
				b.World.Archive("r0003")
				b.World.DeleteContact("p0009")
				b.World.ChangeContact("p0005", func(f *connectorv1.ContactFields) { f.Links = f.Links[:1] })
				b.World.FailLater("message", broken, 1, unavailable)
				b.World.FailLater("message", 7+broken, 1, unavailable)
				r := b.Sync(run.Full)
				require.Equal(t, run.Succeeded, r.State, r.Message)
				require.True(t, r.Proven, r.UnprovenReason)
				require.EqualValues(t, 1, r.Counts.Started)
				require.Len(t, b.ContactOf("p0005").Relations, 1, "its relations were read completely, and once")
				require.Empty(t, b.ContactOf("p0009").Relations)
			})
		})
	}
}

// TestRunOutlastsAnOutage: the provider is away for two hours in the middle of a nightly run.
func TestRunOutlastsAnOutage(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Runner.Retry = run.DefaultRetry
		b.World.FailLater("StreamRecords", 2, 1_000_000, unavailable)
		id := b.Start(run.Full)
		for range 120 {
			b.Work()
			require.Equal(t, run.Parked, b.Run(id).State)
			require.Equal(t, "the provider can not be reached", b.Run(id).Message)
			require.LessOrEqual(t, b.Run(id).WaitUntil.Sub(b.Clock.Now()), 5*time.Minute, "it comes back soon after the provider does")
			b.Clock.Turn(time.Minute)
		}
		b.World.Heal()
		b.World.Forget()
		b.Clock.Turn(5 * time.Minute)
		b.Work()
		require.Equal(t, run.Succeeded, b.Run(id).State)
		require.True(t, b.Run(id).Proven)
		require.Equal(t, 4, b.World.Calls("StreamRecords"), "it goes on where it was")
	})
}

// TestLimitOfManyHoursOutlivesTheProcess: a provider asks to wait for eighteen hours. The run waits in the database and
// nowhere else: whoever works then goes on with it.
func TestLimitOfManyHoursOutlivesTheProcess(t *testing.T) {
	sqldbtest.EachURL(t, func(t *testing.T, url string) {
		b := peertest.NewBench(t, sqldbtest.Open(t, url, peertest.Schema))
		b.World.Practice(30)
		until := b.Clock.Now().Add(18 * time.Hour).UTC().Truncate(time.Second)
		limit := rpcerr.New(codes.ResourceExhausted, connectorv1.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED,
			"the provider asks to wait").With("until", until.Format(time.RFC3339)).GRPCStatus().Err()
		b.World.FailLater("StreamRecords", 2, 1, limit)
		first := sqldbtest.Open(t, url, nil)
		b.Hire(first)
		id := b.Start(run.Full)
		began := time.Now()
		b.Work() // returns: nobody sleeps
		require.Less(t, time.Since(began), time.Minute)
		require.Equal(t, run.Parked, b.Run(id).State)
		require.Equal(t, until, b.Run(id).WaitUntil)
		require.NoError(t, first.Close())

		b.World.Forget()
		b.Hire(b.DB) // another process
		for range 17 {
			b.Clock.Turn(time.Hour)
			b.Work()
			require.Equal(t, run.Parked, b.Run(id).State)
		}
		require.Zero(t, b.World.Calls("StreamRecords"), "the provider is left alone until then")
		b.Clock.Turn(time.Hour)
		b.Work()
		r := b.Run(id)
		require.Equal(t, run.Succeeded, r.State, r.Message)
		require.True(t, r.WaitUntil.IsZero())
		require.Equal(t, 4, b.World.Calls("StreamRecords"), "one page of clients, three of contacts: nothing is read twice")
	})
}

// Runs of a degraded connection wait for it, however long that takes, say why, and go on when it has recovered.
func TestRunsOfADegradedConnectionWait(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.World.FailLater("StreamRecords", 1, 1_000_000, unavailable)
		id := b.Start(run.Full)
		b.Connect(func(c *run.Connection) {
			c.State, c.StateReason = run.ConnectionDegraded, "the practice's server is down"
		})
		for range 40 { // many more errors than a run lives with otherwise
			b.Work()
			r := b.Run(id)
			require.Equal(t, run.Parked, r.State)
			require.Equal(t, "the provider can not be reached; the connection is degraded: the practice's server is down", r.Message)
			b.Clock.Turn(peertest.Retry.MaxWait)
		}
		require.Greater(t, b.Run(id).Attempts, peertest.Retry.Attempts)
		b.Work()
		b.World.Heal()
		b.World.Fail("StreamRecords", 1, unavailable)
		b.Connect(func(*run.Connection) {}) // recovered
		b.Work()                            // without waiting
		require.Equal(t, run.Parked, b.Run(id).State, "one more error is one, and not the last of many")
		b.Clock.Turn(2 * time.Second)
		b.Work()
		require.Equal(t, run.Succeeded, b.Run(id).State, b.Run(id).Message)
		// Consent that is gone is another thing: nobody waits for it.
		b.Connect(func(c *run.Connection) { c.State = run.ConnectionDegraded })
		b.World.Fail("StreamRecords", 1, provider(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_NEEDS_REAUTH, "connect again"))
		require.Equal(t, run.Failed, b.Sync(run.Manual).State)
	})
}
