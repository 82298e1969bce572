//go:build interop

// Package upstream_test holds the simulated upstream world against what its providers publish. It stands here and not
// with the simulator, which needs nothing but the standard library.
package upstream_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
)

// provider returns a path below the folder of provider data.
func provider(t *testing.T, path ...string) string {
	t.Helper()
	root := os.Getenv("CONCORD_PROVIDER_DATA")
	require.NotEmpty(t, root, "CONCORD_PROVIDER_DATA names the folder of provider data")
	return filepath.Join(append([]string{root}, path...)...)
}

// books is a connected organisation of a simulated world.
type books struct {
	api, token, tenant string
}

func organisation(t *testing.T) books {
	t.Helper()
	w, err := sim.Start(t.Context(), sim.Config{Clients: 1, Contacts: 150, ClockFactor: 60})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	const callback = "http://127.0.0.1:7777/callback"
	q := url.Values{"response_type": {"code"}, "client_id": {sim.ClientID}, "redirect_uri": {callback}, "scope": {"accounting.contacts accounting.settings.read"}}
	next, err := remote.Consent(t.Context(), w.URL()+"/identity/connect/authorize?"+q.Encode(), remote.Choice{Person: sim.Owner, Tenant: sim.OrganisationName})
	require.NoError(t, err)
	form := url.Values{"grant_type": {"authorization_code"}, "code": {next.Query().Get("code")}, "redirect_uri": {callback}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL()+"/connect/token", strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(sim.ClientID, sim.ClientSecret)
	_, raw := send(t, req)
	var token struct {
		Access string `json:"access_token"`
	}
	require.NoError(t, json.Unmarshal(raw, &token))
	b := books{api: w.URL() + "/api.xro/2.0", token: token.Access}
	state, err := w.Remote().State(t.Context())
	require.NoError(t, err)
	for _, tenant := range state.Tenants {
		if tenant.Name == sim.OrganisationName {
			b.tenant = tenant.ID
		}
	}
	return b
}

// request makes a request to the accounting API; headers are pairs of name and value.
func (b books) request(t *testing.T, method, path, body string, headers ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.api+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+b.token)
	req.Header.Set("xero-tenant-id", b.tenant)
	req.Header.Set("Accept", "application/json")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return req
}

// client does not wait for a simulator that hangs.
var client = &http.Client{Timeout: 30 * time.Second}

func send(t *testing.T, req *http.Request) (*http.Response, []byte) {
	t.Helper()
	res, err := client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, raw
}
