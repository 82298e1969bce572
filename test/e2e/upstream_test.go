package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"
	"github.com/concord-suite/concord/test/topology"
)

// upstream: whatever the provider does wrong, the run says so in words, nobody leaves, and the next run is right again.
func upstream(t *testing.T, in *installation) {
	adm := in.Firm(t, in.op, "patient")
	conn := adm.Connect(t, nil)
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, adm.FirstRun(t).GetState())
	clients, contacts := len(adm.Clients(t, "")), len(adm.Contacts(t, ""))
	require.Positive(t, clients)
	state, err := in.World.State(t.Context())
	require.NoError(t, err)
	var elsewhere string
	for _, tenant := range state.Tenants {
		if tenant.Type == world.TypePractice && tenant.ID != conn.GetTenantId() {
			elsewhere = tenant.ID
		}
	}
	const pages, list = "*/client.api/paged-list", "*/client.api/list"
	for i, f := range []struct {
		name  string
		fault world.Fault
	}{
		{"half a page", world.Fault{Kind: faults.HalfXML, Path: pages}},
		{"half a listing", world.Fault{Kind: faults.HalfXML, Path: list}},
		{"an empty listing", world.Fault{Kind: faults.Empty, Path: "*/client.api/*"}},
		{"a page that skips", world.Fault{Kind: faults.Drift, Path: pages, Order: "skip", Shift: 5}},
		{"another practice", world.Fault{Kind: faults.WrongTenant, Path: "*/client.api/*", Other: elsewhere}},
		{"a limit", world.Fault{Kind: faults.Status, Path: pages, Status: 429, Retry: 1, Limit: "minute", Count: 1}},
		{"an outage", world.Fault{Kind: faults.Status, Path: "*/client.api/*", Status: 500}},
		{"a cut answer", world.Fault{Kind: faults.Cut, Path: pages, Bytes: 500}},
		{"no answer", world.Fault{Kind: faults.Frozen, Path: pages}},
	} {
		if in.Kind == topology.ManyProcesses && i%4 != 0 {
			continue // each wait is a real second or more: what hangs on the topology shows in some of them
		}
		began := time.Now()
		id, err := in.World.Fault(t.Context(), f.fault)
		require.NoError(t, err, f.name)
		run := adm.Held(t, conn.GetName(), syncv1.RunKind_RUN_KIND_FULL)
		same := func() {
			require.Empty(t, adm.Offboardings(t), f.name)
			require.Len(t, adm.Clients(t, ""), clients, f.name)
			require.Len(t, adm.Contacts(t, ""), contacts, f.name)
		}
		same()
		if run.GetState() == syncv1.RunState_RUN_STATE_SUCCEEDED {
			// A page that skips looks whole: reading each missing record shows that it is still there.
			require.True(t, f.name == "a limit" || run.GetCounts().GetRemovalsRefuted() == 5, "%s went unnoticed: %v", f.name, run)
		} else {
			require.NotEmpty(t, run.GetMessage()+run.GetUnprovenReason(), f.name)
		}
		t.Logf("%s: %s after %s: %s", f.name, run.GetState(), time.Since(began).Round(time.Millisecond), run.GetMessage())

		require.NoError(t, in.World.RemoveFault(t.Context(), id))
		end, err := adm.Watch(t.Context(), run.GetName(), nil) // what was held goes on by itself
		require.NoError(t, err)
		same()
		if run.GetState() == syncv1.RunState_RUN_STATE_PARKED {
			require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, end.GetState(), "%s: %s", f.name, end.GetMessage())
			require.True(t, end.GetProven(), "%s: %s", f.name, end.GetUnprovenReason())
			continue
		}
		end = adm.Run(t, conn.GetName(), syncv1.RunKind_RUN_KIND_FULL)
		require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, end.GetState(), "after %s: %s", f.name, end.GetMessage())
		same()
	}
}
