//go:build interop

// Package addins lets programs that nobody here wrote sign in at a running suite, as desktop Add-Ins do.
package addins

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/sim/nodetest"
	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

func TestMain(m *testing.M) { os.Exit(topology.Main(m)) }

// run runs a script and reads what it printed.
func run(t *testing.T, env map[string]string, script string) (got map[string]any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(nodetest.Run(t, env, script), &got))
	require.InDelta(t, 600, got["life"], 60, "ten minutes when it was made")
	delete(got, "life")
	return got
}

func account(t *testing.T, p *story.Person) string {
	t.Helper()
	current := new(authv1.GetCurrentSessionResponse)
	require.NoError(t, p.Call(t.Context(), "GET", "/v1/session", nil, current))
	return strings.TrimPrefix(current.GetSession().GetAccount(), p.Firm+"/staff/")
}

// TestInteropAddIns signs Add-Ins in that were written with other people's libraries, at a suite of each shape and so on each
// engine.
func TestInteropAddIns(t *testing.T) {
	for _, kind := range []topology.Kind{topology.OneProcess, topology.ManyProcesses} {
		t.Run(kind.String(), func(t *testing.T) {
			s := topology.Start(t, kind, topology.Options{Clients: 1})
			admin := s.Firm(t, s.Claim(t), "birch")
			env := map[string]string{"BASE": s.URL, "FIRM": admin.Firm, "SESSION": admin.Token}
			// A certified client goes through everything an Add-In does.
			t.Run("openid-client", func(t *testing.T) {
				require.Equal(t, map[string]any{
					"issuer": s.URL, "sameIssuer": true, "device": "", "scope": "offline_access openid", "subject": account(t, admin),
					"audience": "word", "rotates": true, "repeats": true, "usable": true, "late": "invalid_grant", "survives": true,
					"revoked": "invalid_grant", "afterRevocation": false, "codeTwice": "invalid_grant", "afterCodeTwice": false,
				}, run(t, env, "addin-openid-client.mjs"))
			})
			// Another is stricter about every answer; a refresh token from two answers ago ends the session at once.
			t.Run("oauth4webapi", func(t *testing.T) {
				require.Equal(t, map[string]any{
					"issuer": s.URL, "scope": "offline_access openid", "subject": account(t, admin), "rotated": 3., "usable": true,
					"reused": "invalid_grant", "afterReuse": false, "family": "invalid_grant", "unknownClient": "invalid_client",
				}, run(t, env, "addin-oauth4webapi.mjs"))
			})
		})
	}
}
