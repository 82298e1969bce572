// Package e2e proves the suite from outside: REST in front, the simulated world behind, nothing else. Every body runs in
// both topologies, as one process and as a process per service on PostgreSQL and a NATS server.
package e2e

import (
	"os"
	"testing"

	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/test/topology"
)

func TestMain(m *testing.M) {
	if eventstest.ServeIfAsked() {
		return
	}
	os.Exit(topology.Main(m))
}

// everywhere runs a body in both topologies, on a suite of its own.
func everywhere(t *testing.T, body func(t *testing.T, s *topology.Suite)) {
	for _, kind := range []topology.Kind{topology.OneProcess, topology.ManyProcesses} {
		t.Run(kind.String(), func(t *testing.T) { body(t, topology.Start(t, kind, topology.Options{})) })
	}
}
