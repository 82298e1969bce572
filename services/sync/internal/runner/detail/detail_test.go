package detail_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/runner/detail"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/details"
	"github.com/concord-suite/concord/services/sync/internal/store/lease"
)

// reader is a worker on a bench.
type reader struct {
	*peertest.Bench
	worker *detail.Worker
}

// each runs fn on both engines with a practice of n clients whose listings leave details out.
func each(t *testing.T, n int, fn func(t *testing.T, r *reader)) {
	t.Helper()
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Unread = true
		b.World.Practice(n)
		r := &reader{Bench: b}
		r.hire(30)
		fn(t, r)
	})
}

func (r *reader) hire(share int) {
	r.worker = detail.New(detail.Deps{
		DB: r.DB, Peers: r.Peers, Now: r.Clock.Now, Log: slog.New(slog.DiscardHandler), Owner: store.NewID(), Share: share, Age: month,
	})
}

// month is after how long details are read again.
const month = 30 * 24 * time.Hour

// work reads until nothing is due at this moment, and returns how many steps that took.
func (r *reader) work() (n int) {
	r.T.Helper()
	for {
		err := r.worker.Step(context.Background(), func() {})
		if errors.Is(err, lease.ErrIdle) {
			return n
		}
		require.NoError(r.T, err)
		n++
	}
}

// all reads until nothing is left, whatever has to be waited for, and returns how long that took.
func (r *reader) all() time.Duration {
	r.T.Helper()
	began := r.Clock.Now()
	for range 10000 {
		r.work()
		if r.Count(`detail_work WHERE pending`) == 0 {
			return r.Clock.Now().Sub(began)
		}
		r.Clock.Turn(time.Second)
	}
	r.T.Fatal("details are never read")
	return 0
}

// of returns the details of the client behind a record.
func (r *reader) of(record string) (d client.Details) {
	r.T.Helper()
	r.Read(func(tx *sqldb.Tx) error {
		id := r.ClientIn(tx, record)
		all, err := details.Of(tx, peertest.Firm, []string{id})
		d = all[id]
		return err
	})
	return d
}

func (r *reader) give(record string, f *connectorv1.ClientFields) {
	r.World.Change(record, func(c *peertest.Client) { c.Details = f })
}

func TestDetailsFollowTheFirstFullRun(t *testing.T) {
	each(t, 12, func(t *testing.T, r *reader) {
		r.give("r0003", &connectorv1.ClientFields{
			Groups:       []string{"Trusts", " Growers "},
			CustomFields: []*connectorv1.CustomField{{FieldId: "f", Name: "Partner", Value: "Ada"}},
			Relationships: []*connectorv1.Relationship{
				{Type: "Director", RelatedRecordId: "r0004", RelatedName: "Client 0004", Percentage: "50", StartDate: "2020-01-31"},
				{Type: "Trustee", RelatedRecordId: "elsewhere", RelatedName: "Somebody"},
			},
		})
		require.Zero(t, r.work(), "before there are clients")
		id := r.Start(run.Full)
		require.Zero(t, r.work(), "runs come first")
		r.Work()
		require.Equal(t, run.Succeeded, r.Run(id).State)
		took := r.all()
		require.Equal(t, 12, r.World.Calls("GetRecord"))
		require.Equal(t, 1, r.World.Calls("EstimateCalls"))
		require.Greater(t, took, 12*6*time.Second, "two calls each, at three tenths of sixty a minute")

		d := r.of("r0003")
		require.Equal(t, []string{"Growers", "Trusts"}, d.Groups)
		require.Equal(t, []client.CustomField{{Name: "Partner", Value: "Ada"}}, d.CustomFields)
		require.Equal(t, r.Client("r0004").ID, d.Relationships[0].Client, "by the link of the record")
		require.Equal(t, "50", d.Relationships[0].Percentage)
		require.Empty(t, d.Relationships[1].Client)
		require.Equal(t, "Somebody", d.Relationships[1].Name)
		require.False(t, d.ReadAt.IsZero())
		require.False(t, r.of("r0001").ReadAt.IsZero(), "that there are none is known, too")
		version := r.Client("r0003").Version

		// Nothing changed: nothing is read. One changed: one is read.
		r.World.Forget()
		r.Sync(run.Full)
		require.Zero(t, r.work())
		r.World.Change("r0003", func(c *peertest.Client) {
			c.Fields.Phone = "02 9999 0000"
			c.Details = &connectorv1.ClientFields{Groups: []string{"Trusts"}}
		})
		r.Sync(run.Manual)
		r.all()
		require.Equal(t, 1, r.World.Calls("GetRecord"))
		require.Equal(t, []string{"Trusts"}, r.of("r0003").Groups)
		require.Empty(t, r.of("r0003").Relationships)
		require.Equal(t, version+1, r.Client("r0003").Version, "the phone; details are no change of the client")
		r.Invariants()
	})
}

func TestListingsThatLeaveNothingOut(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		r := &reader{Bench: b}
		r.hire(30)
		b.World.Practice(5)
		b.Sync(run.Full)
		require.Zero(t, r.work())
		require.Zero(t, b.Count("detail_work"))
	})
}

func TestShareOfTheDay(t *testing.T) {
	each(t, 12, func(t *testing.T, r *reader) {
		r.World.SetBudget(func(b *peertest.Budget) { b.DayLeft = 40 }) // three tenths are twelve calls, for six clients
		r.Sync(run.Full)
		for range 600 {
			r.work()
			r.Clock.Turn(time.Second)
		}
		require.Equal(t, 6, r.World.Calls("GetRecord"))
		var said string
		r.Read(func(tx *sqldb.Tx) error { return tx.QueryRow(`SELECT message FROM detail_work`).Scan(&said) })
		require.Contains(t, said, "30 % of the 40 calls left of the day go to details")
		r.Clock.Turn(24 * time.Hour)
		r.World.SetBudget(func(b *peertest.Budget) { b.DayLeft = 4000 })
		r.all()
		require.Equal(t, 12, r.World.Calls("GetRecord"))

		// A day that has nothing left.
		r.World.SetBudget(func(b *peertest.Budget) { b.DayLeft = 2 })
		r.World.Change("r0001", func(c *peertest.Client) { c.Fields.Phone = "1" })
		r.Clock.Turn(24 * time.Hour)
		r.Sync(run.Manual)
		r.work()
		require.Equal(t, 12, r.World.Calls("GetRecord"))
	})
}

func TestNoShareNoDetails(t *testing.T) {
	each(t, 3, func(t *testing.T, r *reader) {
		r.hire(0)
		r.Sync(run.Full)
		require.Zero(t, r.work())
		require.Zero(t, r.World.Calls("EstimateCalls"))
	})
}

func TestLimitsAndErrors(t *testing.T) {
	each(t, 5, func(t *testing.T, r *reader) {
		r.Sync(run.Full)
		until := r.Clock.Now().Add(18 * time.Hour).UTC().Truncate(time.Second)
		r.World.FailLater("GetRecord", 2, 1, rpcerr.New(codes.ResourceExhausted, connectorv1.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED,
			"used up").With("until", until.Format(time.RFC3339)).GRPCStatus().Err())
		for range 17 {
			r.work()
			r.Clock.Turn(time.Hour)
			r.hire(30) // another process
		}
		require.Equal(t, 3, r.World.Calls("GetRecord"), "it waits until it was told")
		r.Clock.Turn(2 * time.Hour)
		r.all()
		require.EqualValues(t, 5, r.Count(`links WHERE detail_hash = base_hash`))

		// A provider that is away: what is next is tried again. A record that nobody understands: the others go on.
		for reason, code := range map[connectorv1.ErrorReason]codes.Code{
			connectorv1.ErrorReason_ERROR_REASON_PROVIDER_UNAVAILABLE:    codes.Unavailable,
			connectorv1.ErrorReason_ERROR_REASON_PROVIDER_ANSWER_INVALID: codes.FailedPrecondition,
			connectorv1.ErrorReason_ERROR_REASON_PROVIDER_REFUSED:        codes.FailedPrecondition,
		} {
			for i := range 5 {
				r.World.Change(fmt.Sprintf("r%04d", i+1), func(c *peertest.Client) { c.Fields.Phone = reason.String() })
			}
			r.Sync(run.Manual)
			r.World.Fail("GetRecord", 1, rpcerr.New(code, reason, "no").GRPCStatus().Err())
			r.all()
			want := int64(5)
			if code != codes.Unavailable {
				want = 4
			}
			require.Equal(t, want, r.Count(`links WHERE detail_hash = base_hash`), reason.String())
		}
		r.World.Change("r0005", func(c *peertest.Client) { c.Fields.Phone = "again" })
		r.Sync(run.Manual)
		r.all()
		require.EqualValues(t, 5, r.Count(`links WHERE detail_hash = base_hash`), "with the next pass")
	})
}

// A worker that died is followed by another; one that was only frozen finds that it lost the work.
func TestDeadReader(t *testing.T) {
	each(t, 3, func(t *testing.T, r *reader) {
		r.Sync(run.Full)
		var frozen details.Work
		r.Tx(func(tx *sqldb.Tx) (err error) {
			frozen, err = details.Claim(tx, "dead", r.Clock.Now(), 2*time.Minute)
			return err
		})
		require.Zero(t, r.work())
		r.Clock.Turn(3 * time.Minute)
		r.all()
		require.EqualValues(t, 3, r.Count(`links WHERE detail_hash = base_hash`))
		err := r.DB.Tx(context.Background(), func(tx *sqldb.Tx) error { return details.Release(tx, frozen) })
		require.ErrorIs(t, err, store.ErrLeaseLost)
	})
}

// What is asked for while a record is read is not lost.
func TestAskedForMeanwhile(t *testing.T) {
	each(t, 3, func(t *testing.T, r *reader) {
		r.Sync(run.Full)
		r.World.After("GetRecord", func() {
			r.World.After("GetRecord", nil)
			r.Tx(func(tx *sqldb.Tx) error {
				if _, err := tx.Exec(`UPDATE links SET base_hash = 'moved' WHERE record_id = 'r0001'`); err != nil {
					return err
				}
				return store.ReadDetails(tx, peertest.Connection)
			})
		})
		r.all()
		require.EqualValues(t, 3, r.Count(`links WHERE detail_hash = base_hash`))
	})
}

func TestArchivedMeanwhileAndLinkedElsewhere(t *testing.T) {
	each(t, 3, func(t *testing.T, r *reader) {
		r.Sync(run.Full)
		r.World.Archive("r0001")
		r.World.Delete("r0002")
		r.all()
		require.EqualValues(t, 1, r.Count("client_details"))
		require.EqualValues(t, 3, r.Count(`links WHERE detail_hash = base_hash`), "and nobody asks again")
	})
}
