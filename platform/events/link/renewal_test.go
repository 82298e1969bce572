package link_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
)

// A certificate and an authority that are renewed on disk are used by the next connection, without a restart.
func TestRenewedFilesAreUsed(t *testing.T) {
	c := eventstest.NewCluster(t, 1)
	c.Launch(t)
	c.Prepare(t, 1)
	m, nc, _ := watch(t, c.Config("sync"))
	until(t, m, "connected")
	young := mtlstest.NewAuthority(t)
	c.Certificates["sync"].Swap(c.Authority.Issue("sync"), young)
	c.Certificates["nats"].Swap(young.Issue("nats", eventstest.Loopback), young)
	c.Nodes[0].Kill()
	c.Nodes[0].Launch(t)
	until(t, m, "refuse the certificate")
	c.Certificates["sync"].Swap(young.Issue("sync"), young)
	until(t, m, "connected")
	require.True(t, nc.IsConnected())
}
