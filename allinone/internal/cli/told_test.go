package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
)

// TestWhatChangesInTheSimulatedOrganisationArrives: an administrator connects the organisation of the demonstration by hand,
// and what changes there is in the client list without anybody doing anything.
func TestWhatChangesInTheSimulatedOrganisationArrives(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	a := stand(t, dir)
	firm := regexp.MustCompile(`firms/[0-9a-f-]{36}`).FindString(a.get("/v1/session"))
	require.NotEmpty(t, firm)
	connection := a.connect(firm)
	require.Eventually(t, func() bool {
		var list struct {
			Runs []struct{ Connection, State string }
		}
		require.NoError(t, json.Unmarshal([]byte(a.get("/v1/"+firm+"/runs")), &list))
		return list.Runs[0].Connection == connection && list.Runs[0].State == "RUN_STATE_SUCCEEDED"
	}, time.Minute, 50*time.Millisecond, "the first run")

	added, err := a.world.Books("").Add(t.Context(), remote.NewParty{Fields: map[string]string{"Name": "Arrived By Itself Ltd"}})
	require.NoError(t, err)
	require.NotEmpty(t, added)
	require.Eventually(t, func() bool {
		return strings.Contains(a.get("/v1/"+firm+"/clients?query=Arrived"), "Arrived By Itself Ltd")
	}, time.Minute, 50*time.Millisecond)

	code, out, errs := command(t, "connections", "doctor", "--data-dir", dir)
	require.Equal(t, exitOK, code, "the doctor needs no settings of a demonstration:\n%s\n%s", out, errs)
	require.Contains(t, out, "XERO "+sim.OrganisationName)
	require.NotContains(t, out, sim.ClientSecret)
}

// hand is the administrator of a demonstration, who goes on by hand.
type hand struct {
	t           *testing.T
	base, token string
	world       *remote.Client
	http        *http.Client
}

// stand runs the demonstration until it is over and stands, and signs in by what it printed.
func stand(t *testing.T, dir string) *hand {
	t.Helper()
	out := &syncBuffer{}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() {
		ended <- Run(ctx, []string{"run", "--clients", "8", "--data-dir", dir, "--http-addr", "127.0.0.1:0"}, nil, out, out)
	}()
	t.Cleanup(func() {
		stop()
		require.Equal(t, exitOK, <-ended, out.String())
	})
	require.Eventually(t, func() bool {
		return strings.Contains(out.String(), "Sign-ins") && strings.Contains(out.String(), "operator@")
	},
		time.Minute, 50*time.Millisecond, "%s", out)
	said := func(what string) string {
		found := regexp.MustCompile(what).FindStringSubmatch(out.String())
		require.Len(t, found, 2, "%s in %s", what, out)
		return found[1]
	}
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	h := &hand{t: t, base: said(`REST +(\S+)`), world: remote.New(said(`simulated world +(\S+)`)), http: &http.Client{Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	h.signIn(said(`(admin@\S+)`), said(`admin@\S+ +(\S+)`))
	return h
}

// mobile is the number of the demonstration's administrator.
const mobile = "+61491570156"

func (h *hand) signIn(email, password string) {
	h.t.Helper()
	before, err := h.world.Messages(h.t.Context(), mobile, "", 0)
	require.NoError(h.t, err)
	last := ""
	if n := len(before); n > 0 {
		last = before[n-1].ID
	}
	var start struct {
		Challenge struct{ Challenge string }
	}
	h.post("/v1/sign-in", map[string]any{"email": email, "password": password}, &start)
	messages, err := h.world.Messages(h.t.Context(), mobile, last, 10*time.Second)
	require.NoError(h.t, err)
	require.NotEmpty(h.t, messages)
	var done struct{ SessionToken string }
	h.post("/v1/sign-in/challenges/"+start.Challenge.Challenge+":verify",
		map[string]any{"pin": regexp.MustCompile(`\b\d{6}\b`).FindString(messages[0].Text)}, &done)
	h.token = done.SessionToken
}

// connect connects the first organisation with all contacts, new ones becoming clients.
func (h *hand) connect(firm string) (name string) {
	h.t.Helper()
	var start struct {
		AuthorizeURL string `json:"authorizeUrl"`
		Attempt      struct{ Name string }
	}
	h.post("/v1/"+firm+"/connectAttempts", map[string]any{"provider": "PROVIDER_XERO"}, &start)
	back, err := remote.Consent(h.t.Context(), start.AuthorizeURL, remote.Choice{Person: sim.Owner, Tenant: sim.OrganisationName})
	require.NoError(h.t, err)
	h.send(http.MethodGet, strings.TrimPrefix(back.String(), h.base), nil)
	var got struct {
		Attempt struct {
			PreselectedTenantID string `json:"preselectedTenantId"`
			SuggestedOptions    map[string]any
		}
	}
	require.NoError(h.t, json.Unmarshal([]byte(h.get("/v1/"+start.Attempt.Name)), &got))
	require.NotNil(h.t, got.Attempt.SuggestedOptions)
	got.Attempt.SuggestedOptions["newRecordPolicy"] = "NEW_RECORD_POLICY_CREATE"
	var done struct{ Connection struct{ Name string } }
	h.post("/v1/"+start.Attempt.Name+":confirm",
		map[string]any{"tenantId": got.Attempt.PreselectedTenantID, "options": got.Attempt.SuggestedOptions}, &done)
	return done.Connection.Name
}

func (h *hand) get(path string) string { return string(h.send(http.MethodGet, path, nil)) }

func (h *hand) post(path string, in, out any) {
	h.t.Helper()
	body, err := json.Marshal(in)
	require.NoError(h.t, err)
	answer := h.send(http.MethodPost, path, body)
	if out != nil {
		require.NoError(h.t, json.Unmarshal(answer, out), "%s", answer)
	}
}

func (h *hand) send(method, path string, body []byte) []byte {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.base+path, bytes.NewReader(body))
	require.NoError(h.t, err)
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if h.token != "" {
		req.Header.Set("Authorization", "Bearer "+h.token)
	}
	resp, err := h.http.Do(req)
	require.NoError(h.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(h.t, err)
	require.Less(h.t, resp.StatusCode, 400, "%s %s: %s", method, path, text)
	return text
}
