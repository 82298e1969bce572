package runner_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/run"
)

// Providers' clocks tell seconds. A client that is un-archived in the second in which it was found archived is back with
// the next run, and not only with the one after.
func TestUnarchivedWithinTheSameSecond(t *testing.T) {
	for _, kind := range []run.Kind{run.Manual, run.Full} {
		t.Run(string(kind), func(t *testing.T) {
			peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
				b.World.Practice(30)
				b.Sync(run.Full)
				b.World.Archive("r0002")
				require.EqualValues(t, 1, b.Sync(run.Full).Counts.Started)
				b.Offboard()
				var gone int64
				b.Read(func(tx *sqldb.Tx) error {
					return tx.QueryRow(`SELECT gone_at FROM links WHERE record_id = 'r0002'`).Scan(&gone)
				})
				answered := sqldb.FromMicros(gone).Add(-time.Second)
				b.World.Spoil(func(p *connectorv1.StreamRecordsResponse) { p.ServerTime = timestamppb.New(answered) })
				b.World.Unarchive("r0002")
				require.Zero(t, b.Sync(kind).Counts.ClientsRestored, "an answer from before")
				answered = answered.Add(time.Second)
				require.EqualValues(t, 1, b.Sync(kind).Counts.ClientsRestored)
				b.Offboard()
				require.Equal(t, client.Listed, b.Client("r0002").State)
			})
		})
	}
}
