package story

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
)

// Authorise goes through the provider's consent pages and answers the attempt as the person then sees it.
func (p *Person) Authorise(t testing.TB, choice remote.Choice) *connectorv1.ConnectAttempt {
	t.Helper()
	return p.Attempt(t, &connectorv1.StartConnectAttemptRequest{Provider: connectorv1.Provider_PROVIDER_XPM}, choice)
}

// Attempt is Authorise for any provider, and for upgrades.
func (p *Person) Attempt(t testing.TB, begin *connectorv1.StartConnectAttemptRequest, choice remote.Choice) *connectorv1.ConnectAttempt {
	t.Helper()
	start := new(connectorv1.StartConnectAttemptResponse)
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/"+p.Firm+"/connectAttempts", begin, start))
	require.Empty(t, start.GetBrowserBinding(), "the binding belongs into a cookie")
	back, err := remote.Consent(t.Context(), start.GetAuthorizeUrl(), choice)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, back.String(), http.NoBody)
	require.NoError(t, err)
	resp, err := p.HTTP.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusFound, resp.StatusCode)
	got := new(connectorv1.GetConnectAttemptResponse)
	require.NoError(t, p.Call(t.Context(), "GET", "/v1/"+start.GetAttempt().GetName(), nil, got))
	return got.GetAttempt()
}

// Connect connects the first practice of the world with the suggested options, changed by change.
func (p *Person) Connect(t testing.TB, change func(*connectorv1.ConnectionOptions)) *connectorv1.Connection {
	t.Helper()
	attempt := p.Authorise(t, remote.Choice{Person: sim.Owner})
	require.Equal(t, connectorv1.AttemptState_ATTEMPT_STATE_AUTHORISED, attempt.GetState(), attempt.GetError())
	options := attempt.GetSuggestedOptions()
	options.NewRecordPolicy = connectorv1.NewRecordPolicy_NEW_RECORD_POLICY_CREATE
	if change != nil {
		change(options)
	}
	done := new(connectorv1.ConfirmConnectAttemptResponse)
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/"+attempt.GetName()+":confirm", &connectorv1.ConfirmConnectAttemptRequest{
		TenantId: attempt.GetPreselectedTenantId(), Options: options,
	}, done))
	p.SignIn(t) // enforcement ended weaker sessions
	p.StepUp(t)
	return done.GetConnection()
}

// FirstRun is the run that the connection started by itself, at its end.
func (p *Person) FirstRun(t testing.TB) *syncv1.Run {
	t.Helper()
	var name string
	Eventually(t, "the first run starts", func() bool {
		list := new(syncv1.ListRunsResponse)
		if p.Call(t.Context(), "GET", "/v1/"+p.Firm+"/runs", nil, list) != nil || len(list.GetRuns()) == 0 {
			return false
		}
		name = list.GetRuns()[len(list.GetRuns())-1].GetName()
		return true
	})
	end, err := p.Watch(t.Context(), name, nil)
	require.NoError(t, err)
	return end
}

// Run starts a run and answers it at its end.
func (p *Person) Run(t testing.TB, connection string, kind syncv1.RunKind) *syncv1.Run {
	t.Helper()
	end, err := p.Watch(t.Context(), p.start(t, connection, kind).GetName(), nil)
	require.NoError(t, err)
	return end
}

// Held starts a run and answers it when it has ended, or waits because something went wrong.
func (p *Person) Held(t testing.TB, connection string, kind syncv1.RunKind) *syncv1.Run {
	t.Helper()
	name := p.start(t, connection, kind).GetName()
	got := new(syncv1.GetRunResponse)
	Eventually(t, "the run ends or is held", func() bool {
		require.NoError(t, p.Call(t.Context(), "GET", "/v1/"+name, nil, got))
		return got.GetRun().GetEndTime() != nil ||
			got.GetRun().GetState() == syncv1.RunState_RUN_STATE_PARKED && got.GetRun().GetMessage() != ""
	})
	return got.GetRun()
}

func (p *Person) start(t testing.TB, connection string, kind syncv1.RunKind) *syncv1.Run {
	t.Helper()
	started := new(syncv1.StartRunResponse)
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/"+p.Firm+"/runs", &syncv1.StartRunRequest{
		Connection: connection, Kind: kind,
	}, started))
	return started.GetRun()
}
