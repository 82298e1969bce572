package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/world"
	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

// TestKilledSuiteGoesOn: the one-process suite is killed in the middle of a first full sync and in the middle of
// off-boardings. Started again on the same directory it goes on, and ends as one that nobody killed.
func TestKilledSuiteGoesOn(t *testing.T) {
	const gone = 20
	s := topology.Start(t, topology.OneProcess, topology.Options{Clients: 1200, Env: []string{
		"CONCORD_SYNC_LEASE=2s", // whoever died is taken over after this
	}})
	op := s.Claim(t)
	calm := s.Firm(t, op, "calm")
	calm.Connect(t, nil)
	want := calm.FirstRun(t)
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, want.GetState(), want.GetMessage())

	hit := s.Firm(t, op, "hit")
	slow, err := s.World.Fault(t.Context(), world.Fault{Kind: faults.Slow, Path: "*/client.api/paged-list", Delay: world.Duration(300 * time.Millisecond)})
	require.NoError(t, err)
	conn := hit.Connect(t, func(o *connectorv1.ConnectionOptions) { o.RemovalGuardFloor, o.RemovalGuardPermille = 1, 1 })
	list := new(syncv1.ListRunsResponse)
	story.Eventually(t, "the sync is in the middle", func() bool {
		require.NoError(t, hit.Call(t.Context(), "GET", "/v1/"+hit.Firm+"/runs", nil, list))
		return len(list.GetRuns()) > 0 && list.GetRuns()[0].GetPages() > 0
	})
	kill(t, s)
	require.NoError(t, s.World.RemoveFault(t.Context(), slow))
	got := hit.FirstRun(t)
	require.Equal(t, list.GetRuns()[0].GetName(), got.GetName(), "the same run")
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, got.GetState(), got.GetMessage())
	require.Equal(t, names(calm.Clients(t, "")), names(hit.Clients(t, "")))
	require.Equal(t, len(calm.Contacts(t, "")), len(hit.Contacts(t, "")))
	require.Equal(t, want.GetCounts().GetSuggestions(), got.GetCounts().GetSuggestions())

	before := hit.Clients(t, "")
	_, err = s.World.Archive(t.Context(), remote.Selector{N: gone, Seed: 3})
	require.NoError(t, err)
	run := hit.Run(t, conn.GetName(), syncv1.RunKind_RUN_KIND_FULL)
	require.Equal(t, syncv1.RunState_RUN_STATE_REMOVALS_WITHHELD, run.GetState(), run.GetMessage())
	require.NoError(t, hit.Call(t.Context(), "POST", "/v1/"+run.GetPlan()+":decide", &syncv1.DecidePlanRequest{
		ApproveAll: true, RequestId: uuid.NewString(),
	}, nil))
	story.Eventually(t, "some have left", func() bool { return settledOf(t, hit) > 0 })
	at := settledOf(t, hit)
	kill(t, s)
	expect := int(run.GetCounts().GetRemovalCandidates())
	story.Eventually(t, "all have left", func() bool { return settledOf(t, hit) == expect })
	require.Len(t, hit.Offboardings(t), expect, "one each")
	require.Len(t, hit.Clients(t, ""), len(before)-expect)
	require.Len(t, hit.Clients(t, "state=CLIENT_STATE_OFFBOARDED"), expect)
	for _, o := range hit.Offboardings(t) {
		_, err := hit.Download(t.Context(), o.GetHistoryDocument())
		require.NoError(t, err, o.GetClientDisplayName())
	}
	fmt.Printf("killed in the middle of a sync and with %d of %d off-boardings done: same counts as without\n", at, expect)
}

// kill ends the suite by SIGKILL and starts it again.
func kill(t *testing.T, s *topology.Suite) {
	s.Processes["concord"].Kill(t)
	s.Processes["concord"].Start(t)
}

func names(clients []*syncv1.Client) map[string]int {
	n := map[string]int{}
	for _, c := range clients {
		n[c.GetDisplayName()+"|"+c.GetCode()]++
	}
	return n
}

func settledOf(t *testing.T, p *story.Person) int {
	n := 0
	for _, o := range p.Offboardings(t) {
		if o.GetState() == syncv1.OffboardingState_OFFBOARDING_STATE_DONE {
			n++
		}
	}
	return n
}
