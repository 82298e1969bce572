package story

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
)

// Imported makes a connection known that worked by an API key, to the practice of that name.
func (p *Person) Imported(t testing.TB, tenant string) *connectorv1.Connection {
	t.Helper()
	p.StepUp(t)
	got := new(connectorv1.ImportLegacyConnectionResponse)
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/"+p.Firm+"/connections:importLegacy", &connectorv1.ImportLegacyConnectionRequest{
		Provider: connectorv1.Provider_PROVIDER_XPM, TenantName: tenant,
	}, got))
	return got.GetConnection()
}

// Upgrade turns a legacy connection into one by OAuth 2, to the first practice of the world.
func (p *Person) Upgrade(t testing.TB, connection string) *connectorv1.Connection {
	t.Helper()
	attempt := p.Attempt(t, &connectorv1.StartConnectAttemptRequest{
		Provider: connectorv1.Provider_PROVIDER_XPM, UpgradeConnection: connection,
	}, remote.Choice{Person: sim.Owner})
	require.Equal(t, connectorv1.AttemptState_ATTEMPT_STATE_AUTHORISED, attempt.GetState(), attempt.GetError())
	require.Equal(t, connection, attempt.GetUpgradeConnection())
	options := attempt.GetSuggestedOptions()
	options.NewRecordPolicy = connectorv1.NewRecordPolicy_NEW_RECORD_POLICY_CREATE
	done := new(connectorv1.ConfirmConnectAttemptResponse)
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/"+attempt.GetName()+":confirm", &connectorv1.ConfirmConnectAttemptRequest{
		TenantId: attempt.GetPreselectedTenantId(), Options: options,
	}, done))
	p.SignIn(t) // enforcement ended weaker sessions
	p.StepUp(t)
	return done.GetConnection()
}

// LegacyLinks lists the legacy links of a connection.
func (p *Person) LegacyLinks(t testing.TB, connection, query string) []*syncv1.LegacyLink {
	t.Helper()
	var all []*syncv1.LegacyLink
	All(t, p, "/v1/"+connection+"/legacyLinks?"+query, func() proto.Message { return new(syncv1.ListLegacyLinksResponse) }, func(m proto.Message) string {
		r := m.(*syncv1.ListLegacyLinksResponse)
		all = append(all, r.GetLegacyLinks()...)
		return r.GetNextPageToken()
	})
	return all
}

// Runs are the runs of a connection, oldest first, once there are so many and all have ended.
func (p *Person) Runs(t testing.TB, connection string, n int) (runs []*syncv1.Run) {
	t.Helper()
	Eventually(t, "the connection's runs have ended", func() bool {
		list := new(syncv1.ListRunsResponse)
		require.NoError(t, p.Call(t.Context(), "GET", "/v1/"+p.Firm+"/runs?connection="+connection, nil, list))
		runs = nil
		for _, r := range list.GetRuns() {
			if r.GetEndTime() == nil {
				return false
			}
			runs = append([]*syncv1.Run{r}, runs...)
		}
		return len(runs) >= n
	})
	return runs
}
