package connector

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/config"

	"github.com/concord-suite/concord/services/connector/internal/connection"
)

func load(t *testing.T, environ ...string) (Config, error) {
	t.Helper()
	var cfg Config
	for i := range environ {
		environ[i] = "CONCORD_CONNECTOR_" + environ[i]
	}
	return cfg, config.Load(config.Source{Service: Name, Environ: environ}, &cfg)
}

func TestDefaultsNeedNothing(t *testing.T) {
	cfg, err := load(t)
	require.NoError(t, err)
	providers, identities := cfg.providers(nil, nil)
	require.Empty(t, providers)
	require.Empty(t, identities)
}

func TestXeroIsConfiguredByItsRegistration(t *testing.T) {
	cfg, err := load(t, "XERO_CLIENT_ID=id", "XERO_CLIENT_SECRET=secret", "XERO_REDIRECT_URL=https://app.example.com/oauth/callback")
	require.NoError(t, err)
	providers, _ := cfg.providers(nil, nil)
	def := providers[connection.XPM]
	require.Equal(t, "xero/id", def.App)
	require.Equal(t, "https://api.xero.com/practicemanager/3.1/client.api/list", def.BaseURL.JoinPath("client.api/list").String())
	require.True(t, strings.HasPrefix(def.Identity.AuthorizeURL("s", "v", def.Scopes), "https://login.xero.com/identity/connect/authorize?"))
	require.True(t, def.LegacyIDs)
	require.Equal(t, "https://api.xero.com/practicemanager/3.0/", cfg.XPM.LegacyAPIURL.String())
	require.Equal(t, 60, def.Limits.PerMinute)
	require.Equal(t, 6, def.Limits.Reserve.PerMinute)
	books := providers[connection.Xero]
	require.Equal(t, def.App, books.App, "one app, and so one consent of a person")
	require.Equal(t, "https://api.xero.com/api.xro/2.0/Contacts", books.BaseURL.JoinPath("Contacts").String())
	require.True(t, books.ContactTypes)
	require.Contains(t, books.Scopes, "accounting.contacts")
	require.NotContains(t, books.Scopes, "practicemanager.client", "asked for in a consent of its own")
	require.Equal(t, 5000, books.Limits.PerDay)
}

func TestMistakesNameTheSetting(t *testing.T) {
	for setting, names := range map[string]string{
		"XERO_CLIENT_ID=id":                                     "xero.client_secret",
		"XERO_IDENTITY_URL=http://identity.example.com":         "xero.identity_url",
		"XERO_REDIRECT_URL=ftp://localhost/x":                   "xero.redirect_url",
		"XPM_API_URL=http://192.0.2.1/practicemanager/":         "xpm.api_url",
		"XERO_ACCOUNTING_API_URL=http://192.0.2.1/api/":         "xero_accounting.api_url",
		"XPM_LEGACY_API_URL=http://192.0.2.1/old/":              "xpm.legacy_api_url",
		"XPM_SCOPES=openid,practicemanager.client":              "xpm.scopes",
		"XERO_ACCOUNTING_SCOPES=accounting.contacts":            "xero_accounting.scopes",
		"REFRESH_GRACE=20s":                                     "refresh.lease",
		"BUDGET_MINUTE_WINDOW=0s":                               "budget.minute_window",
		"BUDGET_WEIGHTS=somebody=2":                             "budget.weights",
		"BUDGET_WEIGHTS=0198c0de-0000-7000-8000-000000000001=0": "budget.weights",
		"XPM_PER_MINUTES=5":                                     "PER_MINUTES",
	} {
		_, err := load(t, setting)
		require.ErrorContains(t, err, names, setting)
	}
	_, err := load(t, "XERO_API_URL=http://127.0.0.1:8091", "XPM_API_URL=http://[::1]:8091/practicemanager/3.1/", "XERO_IDENTITY_URL=http://localhost:1")
	require.NoError(t, err, "the same machine")
}
