package node

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/config"
)

// Every service hears of the address that was taken: links in e-mails of documents as well as those of auth.
func TestEveryServiceHearsOfTheAddress(t *testing.T) {
	s, err := loadSettings(withPlaces([]string{"CONCORD_CONNECTOR_XERO_CLIENT_ID=c", "CONCORD_CONNECTOR_XERO_CLIENT_SECRET=s"}, "http://localhost:1234", "blobs"), "")
	require.NoError(t, err)
	var out bytes.Buffer
	for _, name := range order {
		require.NoError(t, config.Print(&out, s.of()[name]))
	}
	require.NotContains(t, out.String(), onOneMachine)
	require.Contains(t, out.String(), "http://localhost:1234/oauth/callback")
}
