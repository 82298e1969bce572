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
	"github.com/concord-suite/concord/test/topology"
)

// hookKey is what the simulated provider signs its webhooks with.
const hookKey = "a key of the simulated provider and this suite"

// TestOrganisation keeps the contacts of an accounting organisation as clients: consent, choice of contact types, a full
// run, a change that the provider tells by itself, and somebody who leaves.
func TestOrganisation(t *testing.T) {
	for _, kind := range []topology.Kind{topology.OneProcess, topology.ManyProcesses} {
		t.Run(kind.String(), func(t *testing.T) {
			s := topology.Start(t, kind, topology.Options{Clients: 20, Env: []string{"CONCORD_CONNECTOR_XERO_WEBHOOK_KEY=" + hookKey}})
			adm := s.Firm(t, s.Claim(t), "books")
			a := adm.Attempt(t, &connectorv1.StartConnectAttemptRequest{Provider: connectorv1.Provider_PROVIDER_XERO},
				remote.Choice{Person: sim.Owner, Tenant: sim.OrganisationName})
			require.Equal(t, connectorv1.AttemptState_ATTEMPT_STATE_AUTHORISED, a.GetState(), a.GetError())
			types := new(connectorv1.GetContactTypesResponse)
			require.NoError(t, adm.Call(t.Context(), "GET", "/v1/"+a.GetName()+"/contactTypes", nil, types))
			require.Equal(t, "CUSTOMERS", types.GetContactTypes()[0].GetContactType())

			options := a.GetSuggestedOptions()
			options.ContactTypes = []string{"CUSTOMERS"}
			options.NewRecordPolicy = connectorv1.NewRecordPolicy_NEW_RECORD_POLICY_CREATE
			made := new(connectorv1.ConfirmConnectAttemptResponse)
			require.NoError(t, adm.Call(t.Context(), "POST", "/v1/"+a.GetName()+":confirm", &connectorv1.ConfirmConnectAttemptRequest{
				TenantId: a.GetPreselectedTenantId(), Options: options}, made))
			adm.SignIn(t)
			adm.StepUp(t)
			require.NoError(t, adm.Call(t.Context(), "GET", "/v1/"+made.GetConnection().GetName()+"/contactTypes", nil, types))
			require.True(t, types.GetContactTypes()[0].GetSelected())

			first := adm.FirstRun(t)
			require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, first.GetState(), first.GetMessage())
			books := s.World.Books("")
			all, err := books.Contacts(t.Context(), "", "", 10_000)
			require.NoError(t, err)
			customers, withPeople := 0, 0
			for _, p := range all {
				if p.Customer {
					customers++
					withPeople += min(len(p.People), 1)
				}
			}
			require.NotZero(t, customers)
			require.Less(t, customers, len(all))
			known := len(adm.Clients(t, "")) + int(first.GetCounts().GetSuggestions())
			require.Equal(t, customers, known, "the customers, and nobody else")
			require.NotZero(t, withPeople)
			require.NotEmpty(t, adm.Contacts(t, ""))

			hook, err := s.World.Hook(t.Context(), remote.NewHook{App: sim.ClientID, URL: s.URL + "/webhooks/xero", Key: hookKey})
			require.NoError(t, err)
			checked, err := s.World.CheckHook(t.Context(), hook.ID)
			require.NoError(t, err)
			require.True(t, checked.OK, "%+v", checked)
			_, err = books.Add(t.Context(), remote.NewParty{Fields: map[string]string{"Name": "Quokka & Daughters", "AccountNumber": "QD-1"}, Customer: true,
				People: []world.PartyPerson{{FirstName: "Ida", LastName: "Quokka", Email: "ida@quokka.example"}}})
			require.NoError(t, err)
			story.Eventually(t, "the new customer is there by itself", func() bool {
				return slices.ContainsFunc(adm.Clients(t, ""), func(c *syncv1.Client) bool {
					return c.GetDisplayName() == "Quokka & Daughters" && c.GetCode() == "QD-1"
				})
			})
		})
	}
}
