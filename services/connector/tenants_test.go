package connector_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concord-suite/concord/platform/rpcerr"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
)

func TestOtherProvidersAreNotConfigured(t *testing.T) {
	s := onSQLite(t, options{})
	for _, p := range []connectorv1.Provider{connectorv1.Provider_PROVIDER_MYOB_AE, connectorv1.Provider_PROVIDER_WORKFLOWMAX} {
		_, err := s.connections.StartConnectAttempt(s.admin(firmA), &connectorv1.StartConnectAttemptRequest{Parent: "firms/" + firmA, Provider: p})
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_NOT_CONFIGURED)
	}
}

func TestTheTenantMustBeOneOfThoseConsentedTo(t *testing.T) {
	s := onSQLite(t, options{})
	a := s.authorise(firmA, sim.Owner, sim.PracticeName)
	_, err := s.confirm(a, s.tenant(sim.SecondPracticeName), true)
	requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_TENANT_UNKNOWN)
	a.SuggestedOptions.ContactTypes = []string{"Director"}
	_, err = s.confirm(a, a.GetPreselectedTenantId(), true)
	require.Equal(t, codes.InvalidArgument, status.Code(err), "XPM has no contact types")
	require.False(t, s.auth.requires("any"))
}

func TestAnotherTenantThanTheLastTime(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		first := s.connect(firmA, sim.Consultant, sim.PracticeName)
		a := s.authorise(firmA, sim.Consultant, sim.SecondPracticeName)
		require.Len(t, a.GetTenants(), 2, "the person's other practice is listed too")
		require.Equal(t, s.tenant(sim.SecondPracticeName), a.GetPreselectedTenantId(), "the one this consent was for")
		require.Len(t, a.GetWarnings(), 1)
		require.Contains(t, a.GetWarnings()[0], sim.PracticeName)
		for _, tenant := range a.GetTenants() {
			require.Equal(t, tenant.GetDisplayName() == sim.PracticeName, tenant.GetLastUsed())
		}
		_, err := s.confirm(a, a.GetPreselectedTenantId(), false)
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_TENANT_DIFFERS)
		require.Equal(t, sim.PracticeName, rpcerr.From(err).Metadata()["last_tenant_name"])
		resp, err := s.confirm(a, a.GetPreselectedTenantId(), true)
		require.NoError(t, err)
		second := resp.GetConnection()
		require.NotEqual(t, first.GetName(), second.GetName())
		require.True(t, second.GetRemovalsSuspended())
		require.False(t, resp.GetTwoFactorSwitchedOn())
		events := told[*connectoreventsv1.ConnectionEstablished](s)
		require.True(t, events[len(events)-1].GetTenantChanged())

		reviewed, err := s.connections.UpdateConnection(s.admin(firmA), update(second, "removals_suspended"))
		require.NoError(t, err)
		require.False(t, reviewed.GetConnection().GetRemovalsSuspended())
	})
}

func TestConnectingAgainKeepsEverything(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		first := s.connect(firmA, sim.Owner, sim.PracticeName)
		first.Options.NewRecordPolicy = connectorv1.NewRecordPolicy_NEW_RECORD_POLICY_REVIEW
		_, err := s.connections.UpdateConnection(s.admin(firmA), update(first))
		require.NoError(t, err)
		_, err = s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: first.GetName()})
		require.NoError(t, err)

		a := s.authorise(firmA, sim.Consultant, sim.PracticeName)
		require.Equal(t, connectorv1.NewRecordPolicy_NEW_RECORD_POLICY_REVIEW, a.GetSuggestedOptions().GetNewRecordPolicy(), "as the last time")
		resp, err := s.confirm(a, a.GetPreselectedTenantId(), false)
		require.NoError(t, err)
		again := resp.GetConnection()
		require.Equal(t, first.GetName(), again.GetName())
		require.Equal(t, first.GetCreateTime().AsTime(), again.GetCreateTime().AsTime())
		require.NotEqual(t, first.GetEtag(), again.GetEtag())
		require.Equal(t, connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE, again.GetState())
		require.False(t, again.GetRemovalsSuspended())
		require.True(t, s.auth.requires(again.GetName()))
	})
}

func TestAPersonWithoutThePrivilege(t *testing.T) {
	s := onSQLite(t, options{})
	a := s.authorise(firmA, sim.Junior, sim.PracticeName)
	require.Len(t, a.GetWarnings(), 1)
	require.Contains(t, a.GetWarnings()[0], "Authorise 3rd Party Full Access")
	_, err := s.confirm(a, a.GetPreselectedTenantId(), false)
	requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_PRIVILEGE_MISSING)
	require.Contains(t, err.Error(), "Authorise 3rd Party Full Access")
	require.Equal(t, authorised, s.attempt(a.GetName()).GetState(), "who gets the privilege meanwhile can go on")
	require.Empty(t, s.auth.required)
}

func TestConsentToNothingOfTheKind(t *testing.T) {
	s := onSQLite(t, options{environ: []string{"CONCORD_CONNECTOR_XPM_SCOPES=openid,offline_access,accounting.contacts"}})
	opened := s.start(firmA)
	state, err := s.complete(s.consent(opened, remote.Choice{Person: sim.Outsider, Tenant: sim.OrganisationName}))
	require.NoError(t, err)
	require.Equal(t, failed, state)
	require.Contains(t, s.attempt(opened.GetAttempt().GetName()).GetError(), "no Xero Practice Manager practice")
}

func TestConsentWithoutARefreshToken(t *testing.T) {
	s := onSQLite(t, options{})
	s.wire.set(func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
		resp, err := send()
		if err != nil || !strings.HasSuffix(r.URL.Path, "/connect/token") {
			return resp, err
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		text = bytes.Replace(text, []byte(`"refresh_token"`), []byte(`"refresh_taken"`), 1)
		resp.Body = io.NopCloser(bytes.NewReader(text))
		return resp, err
	})
	opened := s.start(firmA)
	state, err := s.complete(s.consent(opened, remote.Choice{Person: sim.Owner, Tenant: sim.PracticeName}))
	require.NoError(t, err)
	require.Equal(t, failed, state)
	require.Contains(t, s.attempt(opened.GetAttempt().GetName()).GetError(), "offline_access")
}
