package runner_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

const day = 24 * time.Hour

// scheduled lets the schedule start what is due, works, and returns how many runs there are.
func scheduled(b *peertest.Bench) int64 {
	b.T.Helper()
	require.NoError(b.T, b.Runner.Schedule(context.Background()))
	b.Work()
	return b.Count("runs")
}

func TestFullThatProvedNothingIsTriedAgainSooner(t *testing.T) {
	for name, vain := range map[string]func(b *peertest.Bench){
		"unproven": func(b *peertest.Bench) {
			b.World.Spoil(func(p *connectorv1.StreamRecordsResponse) { p.Drifted = true })
		},
		"failed": func(b *peertest.Bench) {
			b.World.Fail("StreamRecords", 1000, provider(codes.FailedPrecondition,
				connectorv1.ErrorReason_ERROR_REASON_PROVIDER_REFUSED, "not now"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
				b.World.Practice(3)
				b.Connect(func(c *run.Connection) { c.FullEveryDays = 30 })
				b.Sync(run.Full)
				b.Clock.Turn(30 * day)
				vain(b)
				require.EqualValues(t, 2, scheduled(b), "it is due, and proves nothing")
				for i, pause := range []time.Duration{6 * time.Hour, 12 * time.Hour, day, day} {
					b.Clock.Turn(pause - time.Minute)
					require.EqualValues(t, 2+i, scheduled(b), "not at once")
					b.Clock.Turn(2 * time.Minute)
					require.EqualValues(t, 3+i, scheduled(b), "after %s", pause)
				}
				b.World.Heal()
				b.Clock.Turn(day)
				require.EqualValues(t, 7, scheduled(b))
				b.Clock.Turn(28 * day)
				require.EqualValues(t, 7, scheduled(b), "the cycle begins with the one that proved all")
			})
		})
	}
}

func TestCancelledFullIsNoFull(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(3)
		b.Connect(func(c *run.Connection) { c.FullEveryDays = 30 })
		cancel := func() {
			id := b.Start(run.Full)
			b.Tx(func(tx *sqldb.Tx) error {
				_, err := store.CancelRun(tx, peertest.Firm, id, "somebody", b.Clock.Now())
				return err
			})
		}
		cancel()
		b.Clock.Turn(7 * time.Hour)
		require.EqualValues(t, 2, scheduled(b), "the connection has had no full sync yet")
		b.Clock.Turn(5 * day)
		cancel()
		b.Clock.Turn(day)
		require.EqualValues(t, 3, scheduled(b), "the one of six days ago stands")
		b.Clock.Turn(24 * day)
		require.EqualValues(t, 4, scheduled(b), "thirty days after that one, not after the one that was cancelled")
	})
}

// News of the provider start a manual run; what comes while one waits or works leads to one more, however much it is.
func TestNewsOfTheProviderStartOneRun(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		news := func(n int) {
			for range n {
				b.Tx(func(tx *sqldb.Tx) error { return store.WantManual(tx, peertest.Firm, peertest.Connection) })
			}
		}
		b.World.Practice(3)
		news(1)
		require.Zero(t, scheduled(b), "the first run of a connection is a full one")
		b.Sync(run.Full)
		b.Clock.Turn(time.Minute)
		require.EqualValues(t, 1, scheduled(b), "which answered the news from before it")
		news(3)
		require.EqualValues(t, 2, scheduled(b))
		require.EqualValues(t, 2, scheduled(b))
		b.Read(func(tx *sqldb.Tx) error {
			var kind, by string
			err := tx.QueryRow(`SELECT kind, started_by FROM runs ORDER BY created_at DESC LIMIT 1`).Scan(&kind, &by)
			require.Equal(t, []string{"MANUAL", "webhook"}, []string{kind, by})
			return err
		})
		news(1)
		require.EqualValues(t, 2, scheduled(b), "news come in bursts")
		b.Clock.Turn(31 * time.Second)
		require.EqualValues(t, 3, scheduled(b))

		b.Clock.Turn(time.Minute)
		b.Start(run.Manual)
		news(5)
		b.Work()
		b.Clock.Turn(time.Minute)
		require.EqualValues(t, 4, scheduled(b), "who is queued reads what they are about")
		id := b.Start(run.Manual)
		b.World.Fail("StreamRecords", 1, unavailable)
		b.Work()
		require.Equal(t, run.Parked, b.Run(id).State)
		news(5)
		b.Clock.Turn(time.Minute)
		b.Work()
		require.Equal(t, run.Succeeded, b.Run(id).State)
		require.EqualValues(t, 6, scheduled(b), "one more")
		require.EqualValues(t, 6, scheduled(b))

		b.Clock.Turn(time.Minute)
		b.Connect(func(c *run.Connection) { c.State = run.ConnectionNeedsReauth })
		news(1)
		require.EqualValues(t, 6, scheduled(b), "a connection that can't be used is left alone")
		b.Connect(func(*run.Connection) {})
		require.EqualValues(t, 7, scheduled(b), "and asked when it can")
		b.Tx(func(tx *sqldb.Tx) error { return store.WantManual(tx, store.NewID(), peertest.Connection) })
		require.Zero(t, b.Count(`connections WHERE manual_wanted`), "another firm's news are not ours")
	})
}
