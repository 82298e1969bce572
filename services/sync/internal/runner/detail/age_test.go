package detail_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/run"
)

// again turns the clock on until details are due because of their age, and reads what is.
func (r *reader) again() {
	r.T.Helper()
	r.Clock.Turn(month)
	for range 600 {
		r.work()
		r.Clock.Turn(time.Second)
	}
}

// A listed hash says nothing of groups and relationships: that they alone changed is seen when they are read again.
func TestDetailsAreReadAgainWithAge(t *testing.T) {
	each(t, 6, func(t *testing.T, r *reader) {
		r.Sync(run.Full)
		r.all()
		before := r.of("r0003").ReadAt
		r.give("r0003", &connectorv1.ClientFields{Groups: []string{"Growers"}})
		r.World.Forget()
		r.Sync(run.Full)
		r.Clock.Turn(month - time.Hour)
		require.Zero(t, r.work(), "not yet")
		require.Empty(t, r.of("r0003").Groups)
		r.World.Forget()
		r.again()
		require.Equal(t, 6, r.World.Calls("GetRecord"), "each once")
		require.Equal(t, []string{"Growers"}, r.of("r0003").Groups)
		require.True(t, r.of("r0003").ReadAt.After(before))
		require.Zero(t, r.Count("detail_work WHERE pending"))
		r.Invariants()
		r.again()
		require.Equal(t, 12, r.World.Calls("GetRecord"), "and a month later once more")
	})
}

// What is read again has no share of its own, and those go first that were read longest ago.
func TestReadingAgainStaysWithinTheShare(t *testing.T) {
	each(t, 12, func(t *testing.T, r *reader) {
		r.Sync(run.Full)
		r.all()
		r.Tx(func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`UPDATE client_details SET read_at = read_at - 1000000000 WHERE record_id >= 'r0010'`)
			return err
		})
		r.World.SetBudget(func(b *peertest.Budget) { b.DayLeft = 20 }) // three tenths are six calls, for three clients
		r.World.Forget()
		r.again()
		require.Equal(t, 3, r.World.Calls("GetRecord"))
		require.EqualValues(t, 12, r.World.Asked().GetDetails())
		since := r.of("r0001").ReadAt
		for _, record := range []string{"r0010", "r0011", "r0012"} {
			require.True(t, r.of(record).ReadAt.After(since), record)
		}
	})
}

// A record that can't be read again keeps nobody else from it, and one that is archived is not asked about for ever.
func TestReadingAgainMeetsErrors(t *testing.T) {
	each(t, 5, func(t *testing.T, r *reader) {
		r.Sync(run.Full)
		r.all()
		r.World.Archive("r0002")
		r.World.Forget()
		r.World.Fail("GetRecord", 1, rpcerr.New(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_ANSWER_INVALID,
			"no").GRPCStatus().Err())
		r.again()
		require.Equal(t, 5, r.World.Calls("GetRecord"))
		require.EqualValues(t, 4, r.Count(`links WHERE detail_hash = base_hash`))
		r.again()
		require.Equal(t, 10, r.World.Calls("GetRecord"), "the one that failed comes the next time round")
		require.EqualValues(t, 5, r.Count(`links WHERE detail_hash = base_hash`))
	})
}
