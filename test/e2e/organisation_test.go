package e2e

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/world"
	"github.com/concord-suite/concord/test/story"
)

// webhookKey is what the simulated provider signs its webhooks with.
const webhookKey = "a-key-for-webhooks-of-the-tests"

// organisation: an accounting organisation is connected with the contacts chosen; who is chosen no more stays as he is, who
// is chosen again is back; and what changes there is here without anybody pressing a button.
func organisation(t *testing.T, in *installation) {
	adm := in.Firm(t, in.op, "ledger")
	books := in.World.Books("")
	contacts, err := books.Contacts(t.Context(), "", "", 1000)
	require.NoError(t, err)
	customers := slices.DeleteFunc(slices.Clone(contacts), func(p world.Party) bool { return !p.Customer })
	require.Greater(t, len(contacts), len(customers))
	require.NotEmpty(t, customers)

	conn := connectBooks(t, adm, "CUSTOMERS")
	first := adm.FirstRun(t)
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, first.GetState(), first.GetMessage())
	require.Len(t, adm.Clients(t, ""), len(customers), "the customers, and nobody else")

	gone := customers[0]
	was := named(t, adm, gone.Name)
	no, yes := false, true
	_, err = books.Edit(t.Context(), remote.PartyIDs(gone.ID), remote.PartyEdit{Customer: &no})
	require.NoError(t, err)
	run := adm.Run(t, conn.GetName(), syncv1.RunKind_RUN_KIND_FULL)
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, run.GetState(), run.GetMessage())
	require.EqualValues(t, 1, run.GetCounts().GetOutOfScope())
	require.Zero(t, run.GetCounts().GetRemovalCandidates())
	require.Equal(t, was.GetEtag(), client(t, adm, was.GetName()).GetEtag(), "out of scope is not gone")
	_, err = books.Edit(t.Context(), remote.PartyIDs(gone.ID), remote.PartyEdit{Customer: &yes, Fields: map[string]string{"EmailAddress": "back@example.com"}})
	require.NoError(t, err)
	run = adm.Run(t, conn.GetName(), syncv1.RunKind_RUN_KIND_FULL)
	require.Zero(t, run.GetCounts().GetClientsCreated())
	require.Equal(t, "back@example.com", client(t, adm, was.GetName()).GetEmail())

	told(t, in, adm, customers[1])
}

// connectBooks connects the first organisation of the world with contact types.
func connectBooks(t *testing.T, adm *story.Person, types ...string) *connectorv1.Connection {
	t.Helper()
	attempt := adm.Attempt(t, &connectorv1.StartConnectAttemptRequest{Provider: connectorv1.Provider_PROVIDER_XERO},
		remote.Choice{Person: sim.Owner, Tenant: sim.OrganisationName})
	require.Equal(t, connectorv1.AttemptState_ATTEMPT_STATE_AUTHORISED, attempt.GetState(), attempt.GetError())
	options := attempt.GetSuggestedOptions()
	options.NewRecordPolicy, options.ContactTypes = connectorv1.NewRecordPolicy_NEW_RECORD_POLICY_CREATE, types
	done := new(connectorv1.ConfirmConnectAttemptResponse)
	require.NoError(t, adm.Call(t.Context(), "POST", "/v1/"+attempt.GetName()+":confirm", &connectorv1.ConfirmConnectAttemptRequest{
		TenantId: attempt.GetPreselectedTenantId(), Options: options,
	}, done))
	adm.SignIn(t) // enforcement ended weaker sessions
	adm.StepUp(t)
	return done.GetConnection()
}

// told: the provider tells of a change, signed, through the gateway, and a manual run follows by itself.
func told(t *testing.T, in *installation, adm *story.Person, party world.Party) {
	t.Helper()
	hook, err := in.World.Hook(t.Context(), remote.NewHook{App: sim.ClientID, URL: adm.Base + "/webhooks/xero", Key: webhookKey})
	require.NoError(t, err)
	checked, err := in.World.CheckHook(t.Context(), hook.ID)
	require.NoError(t, err)
	require.True(t, checked.OK, "%+v", checked)
	was := named(t, adm, party.Name)
	_, err = in.World.Books("").Edit(t.Context(), remote.PartyIDs(party.ID), remote.PartyEdit{Fields: map[string]string{"EmailAddress": "told@example.com"}})
	require.NoError(t, err)
	story.Eventually(t, "the change is here", func() bool {
		return client(t, adm, was.GetName()).GetEmail() == "told@example.com"
	})
	list := new(syncv1.ListRunsResponse)
	require.NoError(t, adm.Call(t.Context(), "GET", "/v1/"+adm.Firm+"/runs?page_size=1", nil, list))
	require.Equal(t, syncv1.RunKind_RUN_KIND_MANUAL, list.GetRuns()[0].GetKind())
	require.Equal(t, "webhook", list.GetRuns()[0].GetStartedBy())
}

// named is the client of exactly that name.
func named(t *testing.T, adm *story.Person, name string) *syncv1.Client {
	t.Helper()
	all := adm.Clients(t, "")
	at := slices.IndexFunc(all, func(c *syncv1.Client) bool { return c.GetDisplayName() == name })
	require.GreaterOrEqual(t, at, 0, name)
	return all[at]
}
