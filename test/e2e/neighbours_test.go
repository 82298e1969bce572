package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/test/rest"
)

// neighbours: two firms connect the same practice. Each has clients, folders and documents of its own, and neither
// notices what the other does.
func neighbours(t *testing.T, in *installation) {
	a, b := in.Firm(t, in.op, "left"), in.Firm(t, in.op, "right")
	ca := a.Connect(t, nil)
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, a.FirstRun(t).GetState())
	cb := b.Connect(t, nil)
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, b.FirstRun(t).GetState())
	require.Equal(t, ca.GetTenantId(), cb.GetTenantId())

	ofA := map[string]string{}
	for _, c := range a.Clients(t, "") {
		ofA[c.GetName()] = c.GetDisplayName()
	}
	clientsOfB := b.Clients(t, "")
	require.Len(t, clientsOfB, len(ofA))
	for _, c := range clientsOfB {
		require.NotContains(t, ofA, c.GetName())
	}
	leaver := a.Clients(t, "")[0]
	folder := a.FolderOf(t, leaver.GetName()).GetName()
	doc := a.File(t, folder, "Secret.txt", "of the left firm").GetName()
	for _, name := range []string{leaver.GetName(), folder, doc, ca.GetName(), doc + "/content", leaver.GetName() + "/history:export"} {
		_, err := b.Send(t.Context(), "GET", "/v1/"+name, nil, "")
		require.Equal(t, http.StatusNotFound, rest.ProblemOf(err).Status, "%s: %v", name, err)
	}
	// Under its own name nothing of the other's is found either.
	_, err := b.Send(t.Context(), "POST", "/v1/"+b.Firm+"/runs", []byte(`{"connection":"`+ca.GetName()+`","kind":"RUN_KIND_FULL"}`), "application/json")
	require.Equal(t, http.StatusNotFound, rest.ProblemOf(err).Status, "%v", err)

	off := a.Offboard(t, leaver.GetName(), false)
	a.AwaitOffboarding(t, off.GetName(), syncv1.OffboardingState_OFFBOARDING_STATE_DONE)
	require.Len(t, b.Clients(t, ""), len(clientsOfB))
	require.Empty(t, b.Offboardings(t))
	require.Empty(t, b.Documents(t, ""))
	run := b.Run(t, cb.GetName(), syncv1.RunKind_RUN_KIND_FULL)
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, run.GetState(), run.GetMessage())

	require.NoError(t, b.Call(t.Context(), "POST", "/v1/"+cb.GetName()+":disconnect", &connectorv1.DisconnectConnectionRequest{}, nil))
	run = a.Run(t, ca.GetName(), syncv1.RunKind_RUN_KIND_MANUAL)
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, run.GetState(), "the other firm disconnected: %s", run.GetMessage())
	require.Len(t, b.Clients(t, ""), len(clientsOfB), "disconnecting takes no client away")
}
