//go:build rolling

package rolling

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/test/topology"
)

const (
	// before is how long the load runs before anything is done to the suite.
	before = 3 * time.Second
	// connectionAge is how old connections between services get here, instead of minutes.
	connectionAge = 3 * time.Second
)

// TestRolling restarts everything in turn and renews every certificate, under load by clients that never try again:
// nobody notices. Then it kills: who tries again loses nothing. In the end everything that was acknowledged is there
// once, and every event took effect once.
func TestRolling(t *testing.T) {
	env := []string{
		// All clients of the load come from one address.
		"CONCORD_GATEWAY_REQUESTS_PER_MINUTE=1000000", "CONCORD_GATEWAY_SIGN_INS_PER_MINUTE=100000",
	}
	for part := range slices.Values([]string{"AUTH", "CONNECTOR", "SYNC", "DOCUMENTS"}) {
		env = append(env, "CONCORD_"+part+"_MAX_CONNECTION_AGE="+connectionAge.String())
	}
	suite := topology.StartReplicas(t, topology.Options{Env: env})
	m, connection := enter(t, suite)
	l := begin(t, suite, m.kinds())
	w := watch(t, suite, m.admin, connection)
	l.during("nothing")
	suite.Settle(t, before)

	t.Run("restarts", func(t *testing.T) {
		restarts := map[string]int{}
		for _, part := range topology.Parts {
			l.during(part)
			suite.Migrate(t, part)
			for _, r := range suite.Of[part] {
				r.Terminate(t)
				require.Zero(t, r.ExitCode(), "%s ended in order", r.Name)
				r.Begin(t)
				suite.AwaitEndpoints(t, part)
				restarts[part]++
			}
		}
		l.during("nats")
		for _, p := range suite.Brokers {
			p.LameDuck(t)
			p.Start(t)
			restarts["nats"]++
		}
		l.during("nothing any more")
		suite.Settle(t, before)
		phases := append([]string{"nothing"}, topology.Parts...)
		failed := l.report("restarted", append(phases, "nats", "nothing any more"), restarts)
		require.Zero(t, failed, "clients that do not try again notice nothing")
	})
	t.Run("certificates", func(t *testing.T) { renew(t, suite, l) })
	t.Run("kills", func(t *testing.T) { kill(t, suite, l, m) })

	l.end()
	w.end(t)
	l.kindsReport()
	m.verify(t)
	events(t, suite)
}
