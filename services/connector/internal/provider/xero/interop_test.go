//go:build interop

package xero

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func fixture(t *testing.T, name string) []byte {
	t.Helper()
	root := os.Getenv("CONCORD_PROVIDER_DATA")
	if root == "" {
		t.Fatal("CONCORD_PROVIDER_DATA names the folder of provider data")
	}
	text, err := os.ReadFile(filepath.Join(root, "fixtures", "xero-identity", name))
	require.NoError(t, err)
	return text
}

// recordedBody returns the body of a recorded exchange.
func recordedBody(t *testing.T, name string) []byte {
	t.Helper()
	var e struct {
		Response struct{ Body json.RawMessage }
	}
	require.NoError(t, json.Unmarshal(fixture(t, name), &e))
	return e.Response.Body
}

func answering(t *testing.T, body []byte) *Identity {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	require.NoError(t, err)
	return New(Config{ClientID: "id", ClientSecret: "secret", AuthorizeURL: at, IdentityURL: at, APIURL: at, Timeout: time.Minute},
		server.Client(), time.Now)
}

// TestInteropConnections reads the lists of connections that were recorded or published.
func TestInteropConnections(t *testing.T) {
	for name, body := range map[string][]byte{
		"published":   fixture(t, "openapi-getConnections.200.json"),
		"xero-node":   fixture(t, "xero-node-connectionsResponse.json"),
		"xero-python": recordedBody(t, "xero-python-connections.json"),
	} {
		tenants, err := answering(t, body).Tenants(t.Context(), "token", "")
		require.NoError(t, err, name)
		require.NotEmpty(t, tenants, name)
		for _, one := range tenants {
			require.NotEmpty(t, one.ID, name)
			require.NotEmpty(t, one.Name, name)
			require.Equal(t, "ORGANISATION", one.Type, name)
			require.False(t, one.Updated.IsZero(), name)
		}
	}
}

// TestInteropTokens reads the token answers that were recorded.
func TestInteropTokens(t *testing.T) {
	for name, body := range map[string][]byte{
		"xero-node":   fixture(t, "xero-node-refreshedTokenSet.json"),
		"xero-python": recordedBody(t, "xero-python-token-refresh.json"),
	} {
		tokens, err := answering(t, body).Refresh(t.Context(), "old")
		require.NoError(t, err, name)
		require.NotEmpty(t, tokens.Access, name)
		require.NotEqual(t, "old", tokens.Refresh, name)
		require.Contains(t, tokens.Scopes, "offline_access", name)
		require.WithinDuration(t, time.Now().Add(30*time.Minute), tokens.Expires, time.Minute, name)
	}
}
