package node_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/allinone/internal/node"
)

// Mistakes of all services are said at once, each by its variable, a misspelt section among them.
func TestAllMistakesAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "concord.yaml")
	require.NoError(t, os.WriteFile(file, []byte("auth:\n  key_rotation: never\nsnyc:\n  runs: 4\n"), 0o600))
	err := node.CheckSettings([]string{"CONCORD_SYNC_RUNS=0", "CONCORD_GATEWAY_NO_SUCH=1"}, file)
	for _, want := range []string{"key_rotation", "snyc", "CONCORD_SYNC_RUNS", "CONCORD_GATEWAY_NO_SUCH"} {
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, node.CheckSettings(nil, ""))
}

// What is printed can be read as a file again, and holds no secret.
func TestPrintedSettings(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, node.PrintSettings(&out, []string{"CONCORD_AUTH_SMS_TOKEN=a-secret-token"}, ""))
	require.Contains(t, out.String(), "key_rotation")
	require.NotContains(t, out.String(), "a-secret-token")
	file := filepath.Join(t.TempDir(), "concord.yaml")
	require.NoError(t, os.WriteFile(file, out.Bytes(), 0o600))
	require.NoError(t, node.CheckSettings(nil, file))
	require.NoError(t, node.DocumentSettings(&out))
	require.Contains(t, out.String(), "CONCORD_CONNECTOR_XERO_CLIENT_ID")
}

// The address of the suite, and with it where a provider sends people back to, follows from a flag.
func TestWhatFollowsFromThePlaceIsNotMissing(t *testing.T) {
	environ := []string{"CONCORD_CONNECTOR_XERO_CLIENT_ID=c", "CONCORD_CONNECTOR_XERO_CLIENT_SECRET=s", "CONCORD_AUTH_MAIL_HOST=mail.example"}
	require.NoError(t, node.CheckSettings(environ, ""))
	require.NoError(t, node.CheckServing(environ, ""))
}
