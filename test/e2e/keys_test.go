package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

// TestKeysOfACluster: an operator replaces the keys of the connector step by step beside the running services, and
// of auth in one go, and what was connected and who was signed in before is so afterwards.
func TestKeysOfACluster(t *testing.T) {
	s := topology.Start(t, topology.ManyProcesses, topology.Options{Clients: 100})
	firm := s.Firm(t, s.Claim(t), "keys")
	conn := firm.Connect(t, nil)
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, firm.FirstRun(t).GetState())

	keys := func(service string, words ...string) (string, error) {
		cmd := exec.Command(topology.Binary(t, "concord-"+service), append([]string{"keys"}, words...)...)
		cmd.Env = s.Processes[service].Env()
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(service string, words ...string) string {
		t.Helper()
		out, err := keys(service, words...)
		require.NoError(t, err, out)
		return out
	}
	require.Contains(t, must("connector", "status"), "grants.refresh_sealed")
	out, err := keys("connector", "promote")
	require.Error(t, err)
	require.Contains(t, out, "refused: no key was added")
	must("connector", "add")
	for _, step := range []string{"promote", "retire"} {
		story.Eventually(t, "keys "+step+" loses nothing", func() bool {
			out, err := keys("connector", step)
			if err != nil {
				require.Contains(t, out, "refused: ", "the only reason to wait")
			}
			return err == nil
		})
	}
	require.Contains(t, must("auth", "rotate"), "no row is under an old key")
	for _, service := range []string{"connector", "auth"} {
		status := must(service, "status")
		require.NotContains(t, status, "old", "no key that seals, and none that hashes, is needed")
		require.NotContains(t, status, "not in the keyring")
	}
	for _, service := range []string{"connector", "auth"} { // nothing depends on what is in memory
		s.Processes[service].Kill(t)
		s.Processes[service].Start(t)
	}
	run := firm.Run(t, conn.GetName(), syncv1.RunKind_RUN_KIND_FULL)
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, run.GetState(), run.GetMessage())
	fmt.Println("keys of a cluster: replaced beside the running services;", strings.Count(must("connector", "status"), "grants."), "sealed columns under the new key")
}
