package node_test

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/allinone/internal/node"
)

// On one machine people reach the suite by a name: browsers make no passkey for a network address, and providers take none
// to send people back to.
func TestOneMachineIsReachedByName(t *testing.T) {
	for listen, host := range map[string]string{
		"127.0.0.1:0": "localhost", "localhost:0": "localhost", "0.0.0.0:0": "localhost", "127.0.0.2:0": "127.0.0.2",
	} {
		n, err := node.New(t.Context(), node.Config{DataDir: filepath.Join(t.TempDir(), "data"), HTTPAddr: listen, Log: io.Discard, Now: time.Now})
		require.NoError(t, err, listen)
		address, err := url.Parse(n.URL)
		require.NoError(t, err)
		require.Equal(t, host, address.Hostname(), listen)
		_, err = net.LookupPort("tcp", address.Port())
		require.NoError(t, err)
		require.NoError(t, n.Close())
	}
}

// Every service hears of the same address.
func TestTheAddressIsOne(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, node.PrintSettings(&out, []string{"CONCORD_CONNECTOR_XERO_CLIENT_ID=c", "CONCORD_CONNECTOR_XERO_CLIENT_SECRET=s"}, ""))
	require.Contains(t, out.String(), "http://localhost:8080/oauth/callback")
	require.NotContains(t, out.String(), "127.0.0.1:8080")
	out.Reset()
	require.NoError(t, node.DocumentSettings(&out))
	require.NotContains(t, out.String(), "127.0.0.1:8080")
}
