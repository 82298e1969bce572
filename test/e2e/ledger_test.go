package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

const (
	createClient = "/concord.sync.v1.ClientService/CreateClient"
	createAgent  = "/concord.auth.v1.AccountService/CreateAgent"
	upload       = "/concord.documents.v1.DocumentService/InitiateUpload"
	listClients  = "/concord.sync.v1.ClientService/ListClients"
)

// The whole suite works, is killed in every part while it does, and goes on: what was acknowledged is in the ledger, once,
// with who did it from where; so is what was looked at and what was refused. An assessor checks it without the suite.
func TestS16_TheLedgerHasWhatEveryServiceDid(t *testing.T) {
	everywhere(t, func(t *testing.T, s *topology.Suite) {
		op := s.Claim(t)
		adm, stranger := s.Firm(t, op, "recorded"), s.Firm(t, op, "neighbour")
		adm.Connect(t, nil)
		require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, adm.FirstRun(t).GetState())
		done := map[string]int{}
		work(t, adm, done)
		for _, p := range s.Processes {
			p.Kill(t)
			p.Start(t)
		}
		work(t, adm, done)
		adm.Clients(t, "")
		require.Error(t, stranger.Call(t.Context(), "GET", "/v1/"+adm.Firm+"/clients", nil, nil))

		found := awaitEntries(t, adm, done)
		services := map[string]bool{}
		var views int
		for _, e := range found {
			services[e.GetService()] = true
			if e.GetAction() != listClients {
				continue
			}
			views++
			require.Equal(t, optionsv1.AuditKind_AUDIT_KIND_VIEW, e.GetKind())
			require.Equal(t, optionsv1.PrincipalKind_PRINCIPAL_KIND_ADMINISTRATOR, e.GetActorKind(), "privileged people are told from others")
			require.NotEmpty(t, e.GetActor())
			require.NotEmpty(t, e.GetSession())
			require.Equal(t, "127.0.0.1", e.GetAddress())
			require.Equal(t, "Go-http-client/1.1", e.GetUserAgent())
		}
		require.Positive(t, views)
		for _, name := range []string{"auth", "connector", "sync", "documents"} {
			require.True(t, services[name], "%s: %v", name, services)
		}
		story.Eventually(t, "the refused call is in the caller's own ledger", func() bool {
			for _, e := range entriesOf(t, stranger, "?failures_only=true") {
				if e.GetEntry().GetAction() == listClients && e.GetEntry().GetReason() == "NOT_FOUND" {
					return true
				}
			}
			return false
		})
		checkedElsewhere(t, s, adm)
	})
}

// work makes changes that are acknowledged, and counts them by their action.
func work(t *testing.T, adm *story.Person, done map[string]int) {
	t.Helper()
	adm.SignIn(t)
	adm.StepUp(t)
	client := adm.Clients(t, "")[0]
	for range 3 {
		adm.File(t, adm.FolderOf(t, client.GetName()).GetName(), uuid.NewString()+".txt", "content")
		done[upload]++
		require.NoError(t, adm.Call(t.Context(), "POST", "/v1/"+adm.Firm+"/agents", &authv1.CreateAgentRequest{
			DisplayName: "Agent " + uuid.NewString(), RequestId: uuid.NewString(),
		}, nil))
		done[createAgent]++
		require.NoError(t, adm.Call(t.Context(), "POST", "/v1/"+adm.Firm+"/clients", &syncv1.Client{
			DisplayName: "Walk-in " + uuid.NewString(),
		}, nil))
		done[createClient]++
	}
}

// awaitEntries waits until every change that was acknowledged is in the ledger, and looks at the order and at doubles.
func awaitEntries(t *testing.T, adm *story.Person, done map[string]int) (found []*auditeventsv1.AuditEntry) {
	t.Helper()
	count := func() map[string]int {
		found = nil
		got, ids, at := map[string]int{}, map[string]bool{}, int64(0)
		for _, e := range entriesOf(t, adm, "") {
			require.False(t, ids[e.GetEntry().GetEntryId()], "twice: %v", e)
			ids[e.GetEntry().GetEntryId()] = true
			require.True(t, at == 0 || e.GetSequence() == at-1, "newest first, without gaps")
			at = e.GetSequence()
			found = append(found, e.GetEntry())
			if e.GetEntry().GetSuccess() && done[e.GetEntry().GetAction()] > 0 {
				got[e.GetEntry().GetAction()]++
			}
		}
		require.EqualValues(t, 1, at)
		return got
	}
	story.Eventually(t, "every change is in the ledger, and the last look at the list, which comes in a batch", func() bool {
		got := count()
		for action, n := range done {
			if got[action] < n {
				return false
			}
		}
		return slices.ContainsFunc(found, func(e *auditeventsv1.AuditEntry) bool { return e.GetAction() == listClients })
	})
	require.Equal(t, done, count(), "and none twice")
	return found
}

func entriesOf(t *testing.T, p *story.Person, filter string) (all []*authv1.LedgerEntry) {
	t.Helper()
	story.All(t, p, "/v1/"+p.Firm+"/auditEntries"+filter, func() proto.Message { return new(authv1.ListAuditEntriesResponse) },
		func(m proto.Message) string {
			page := m.(*authv1.ListAuditEntriesResponse)
			all = append(all, page.GetEntries()...)
			return page.GetNextPageToken()
		})
	return all
}

// checkedElsewhere takes the ledger out and checks it with a program that knows nothing of the suite; then it changes the
// file, and lets the operator's commands look at the suite that runs.
func checkedElsewhere(t *testing.T, s *topology.Suite, adm *story.Person) {
	t.Helper()
	firm := strings.TrimPrefix(adm.Firm, "firms/")
	text, err := adm.Send(t.Context(), "GET", "/v1/"+adm.Firm+"/auditEntries:export", nil, "")
	require.NoError(t, err)
	dir := t.TempDir()
	file := filepath.Join(dir, "ledger.jsonl")
	program, env, more := topology.Binary(t, "concord-auth"), s.Processes["auth"].Env, []string(nil)
	if s.Kind == topology.OneProcess {
		program, env, more = topology.Binary(t, "concord"), s.Processes["concord"].Env, []string{"--data-dir", s.Dir + "/data"}
	}
	run := func(environ []string, args ...string) (code int, out string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Env = environ
		answer, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil {
			require.True(t, errors.As(err, &exit), "%v", err)
			return exit.ExitCode(), string(answer)
		}
		return 0, string(answer)
	}
	require.NoError(t, os.WriteFile(file, text, 0o600))
	code, out := run([]string{}, "audit", "verify", file, "--firm", firm)
	require.Zero(t, code, out)
	require.Contains(t, out, "whole: the ledger of "+adm.Firm)
	require.NotContains(t, string(text), adm.Email, "the ledger holds no data")
	forged := bytes.Replace(text, []byte(`"success":false`), []byte(`"success":true`), 1)
	if bytes.Equal(forged, text) {
		forged = bytes.Replace(text, []byte(`"success":true`), []byte(`"success":false`), 1)
	}
	require.NoError(t, os.WriteFile(file, forged, 0o600))
	code, out = run([]string{}, "audit", "verify", file)
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "BROKEN  changed")

	code, out = run(env(), append([]string{"audit", "verify"}, more...)...)
	require.Zero(t, code, out)
	require.Contains(t, out, "whole: "+adm.Firm)
	code, out = run(env(), append([]string{"evidence", "--firm", firm, "--out", dir, "--scan", "none"}, more...)...)
	require.Zero(t, code, out)
	pages, err := filepath.Glob(filepath.Join(dir, "evidence-"+firm+"-*.html"))
	require.NoError(t, err)
	require.Len(t, pages, 1)
	page, err := os.ReadFile(pages[0])
	require.NoError(t, err)
	require.Regexp(t, `<td[^>]*>N13</td>`, string(page), "what is required, and which tests prove it")
}
