//go:build browser

// Package browser signs in with the suite's own pages in a real browser, Chromium, as a person does. `make browser` runs
// it.
package browser

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/sim/nodetest"
	"github.com/concord-suite/concord/test/topology"
)

func TestMain(m *testing.M) { os.Exit(topology.Main(m)) }

const (
	email  = "robin@birch.example"
	mobile = "+61491570156"
	// colleague has no mobile, and the firm takes no PIN by e-mail.
	colleague = "kim@birch.example"
)

// The pages, from the invitation to the Add-In. The script says what it did; the first thing that is not as it should be
// ends it.
func TestPagesInChromium(t *testing.T) {
	s := topology.Start(t, topology.OneProcess, topology.Options{Clients: 10, Host: "localhost"})
	admin := s.Firm(t, s.Claim(t), "birch")
	policy := new(authv1.GetSecurityPolicyResponse)
	require.NoError(t, admin.Call(t.Context(), "GET", "/v1/"+admin.Firm+"/securityPolicy", nil, policy))
	policy.Policy.TwoFactorEnforced, policy.Policy.EmailPinAllowed = true, false
	require.NoError(t, admin.Call(t.Context(), "PATCH", "/v1/"+admin.Firm+"/securityPolicy", policy.GetPolicy(), nil))
	invited := new(authv1.InviteStaffResponse)
	for _, p := range []*authv1.InviteStaffRequest{
		{Email: email, DisplayName: "Robin Birch", Mobile: mobile, Role: authv1.Role_ROLE_STAFF},
		{Email: colleague, DisplayName: "Kim Birch", Role: authv1.Role_ROLE_STAFF},
	} {
		require.NoError(t, admin.Call(t.Context(), "POST", "/v1/"+admin.Firm+"/staff:invite", p, invited))
	}
	env := map[string]string{
		"SUITE": s.Public, "WORLD": s.World.Base(), "EMAIL": email, "MOBILE": mobile, "INVITATION": invitation(t, s, email),
		"ADMINISTRATOR": admin.Token, "COLLEAGUE_NAME": invited.GetStaff().GetName(), "COLLEAGUE": colleague, "COLLEAGUE_INVITATION": invitation(t, s, colleague), "CHROMIUM": chromium(t),
	}
	for _, told := range []string{"own", "led"} {
		t.Logf("%s", nodetest.Run(t, env, "browser.mjs", told))
	}
}

var link = regexp.MustCompile(`http://localhost:[0-9]+/invitation#\S+`)

// invitation is the address that the e-mail of the invitation leads to.
func invitation(t *testing.T, s *topology.Suite, to string) string {
	t.Helper()
	mails, err := s.World.Messages(t.Context(), to, "", 20e9)
	require.NoError(t, err)
	require.NotEmpty(t, mails)
	found := link.FindString(mails[len(mails)-1].Text)
	require.True(t, strings.HasPrefix(found, s.Public), mails[len(mails)-1].Text)
	return found
}

// chromium is the browser's program.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("Chromium is not installed: .ci/run does it, or apt-get install chromium")
	return ""
}
