package demo

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

// In every practice somebody stays, and as many parts are played as there are clients for.
func TestCast(t *testing.T) {
	for size, want := range map[int]struct {
		signs, signerLeaves bool
		leave               int
	}{
		0:     {},
		1:     {signs: true},
		2:     {signs: true, leave: 1},
		3:     {signs: true, leave: 2},
		4:     {signs: true, signerLeaves: true, leave: 3},
		5:     {signs: true, signerLeaves: true, leave: 3},
		8:     {signs: true, signerLeaves: true, leave: 3},
		30:    {signs: true, signerLeaves: true, leave: 10},
		2_000: {signs: true, signerLeaves: true, leave: leavers},
	} {
		chosen := make([]int, wanted(size))
		for i := range chosen {
			chosen[i] = i
		}
		signer, leaving := cast(size, chosen)
		require.Len(t, leaving, want.leave, size)
		require.Equal(t, want.signs, len(signer) == 1, size)
		if want.signs {
			require.Equal(t, want.signerLeaves, len(leaving) > 0 && leaving[0] == signer[0], size)
		}
		if size > 0 {
			require.Less(t, len(leaving), size, "somebody stays")
		}
	}
	signer, leaving := cast(8, []string{"the only one with a name of its own"})
	require.Empty(t, signer)
	require.Len(t, leaving, 1)
}

func TestProgressWithoutATotal(t *testing.T) {
	var out bytes.Buffer
	for _, terminal := range []bool{false, true} {
		s := newScreen(&out)
		s.terminal = terminal
		s.progress(&syncv1.Run{Phase: syncv1.RunPhase_RUN_PHASE_FETCH, Done: 1000, Calls: 1})
		s.progress(&syncv1.Run{Phase: syncv1.RunPhase_RUN_PHASE_PLAN, Done: 1, Total: 25, Calls: 3})
		s.progress(&syncv1.Run{Phase: syncv1.RunPhase_RUN_PHASE_APPLY})
	}
	require.Contains(t, out.String(), "fetch    1000 records, 1 call\n")
	require.Contains(t, out.String(), "plan     1 of 25 records, 3 calls\n")
	require.NotContains(t, out.String(), "of 0")
	require.NotContains(t, out.String(), "/0")
}

// No time is shown that nobody measured, and none that is not above zero.
func TestDurations(t *testing.T) {
	at := timestamppb.New(time.Unix(1_800_000_000, 0))
	later := timestamppb.New(at.AsTime().Add(1_734_400_000))
	require.Equal(t, "1.734s", span(at, later))
	require.Equal(t, "less than 1ms", span(at, at))
	require.Empty(t, span(at, nil))
	require.Empty(t, span(nil, at))
	require.Empty(t, span(later, at))
	require.Equal(t, []row{{"run", "succeeded, 1 page, 2 calls"}},
		runRows(&syncv1.Run{State: syncv1.RunState_RUN_STATE_SUCCEEDED, Pages: 1, Calls: 2}))
}

func TestCount(t *testing.T) {
	require.Equal(t, "1 document", count(1, "document"))
	require.Equal(t, "0 documents", count(0, "document"))
	require.Equal(t, "2 documents", count(int64(2), "document"))
}

// The first run begins in the step before the one that shows it; its step is not said to be shorter.
func TestAStepLastsAsLongAsItsRun(t *testing.T) {
	st, err := loadState(t.TempDir())
	require.NoError(t, err)
	clock := time.Unix(1_800_000_000, 0)
	d := &Demo{cfg: Config{Now: func() time.Time { clock = clock.Add(time.Second); return clock }}, state: st, screen: newScreen(&bytes.Buffer{})}
	run := func(lasts time.Duration) func(*Demo, context.Context) ([]row, error) {
		return func(d *Demo, _ context.Context) ([]row, error) { d.lasted = lasts; return nil, nil }
	}
	require.NoError(t, d.do(t.Context(), 1, step{name: "long", run: run(3 * time.Second)}))
	require.NoError(t, d.do(t.Context(), 2, step{name: "short", run: run(0)}))
	require.Equal(t, map[string]time.Duration{"long": 3 * time.Second, "short": time.Second}, st.Took)
}
