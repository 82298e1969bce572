//go:build rolling

package rolling

import (
	"testing"
	"time"

	"github.com/concord-suite/concord/test/topology"
)

func TestRolling(t *testing.T) {
	began := time.Now()
	suite := topology.StartReplicas(t, topology.Options{Env: []string{
		// All clients of the load come from one address.
		"CONCORD_GATEWAY_REQUESTS_PER_MINUTE=1000000", "CONCORD_GATEWAY_SIGN_INS_PER_MINUTE=100000",
	}})
	t.Logf("started in %s", time.Since(began))
	m, _ := enter(t, suite)
	t.Logf("prepared in %s", time.Since(began))
	l := begin(t, suite, m.kinds())
	suite.Settle(t, 5*time.Second)
	for _, part := range topology.Parts {
		l.during(part)
		for _, r := range suite.Of[part] {
			r.Terminate(t)
			r.Begin(t)
			suite.AwaitEndpoints(t, part)
		}
	}
	l.during("after")
	suite.Settle(t, 3*time.Second)
	l.end()
	for _, p := range l.phases {
		c := l.of(p, "")
		t.Logf("%-10s %6d %4d %s %v", p, c.requests, c.failed, c.slowest, c.reasons)
	}
}
