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
