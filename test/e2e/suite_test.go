package e2e

import (
	"testing"

	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

// installation is a claimed suite. What is cheap shares one per topology, each body with firms of its own.
type installation struct {
	*topology.Suite
	op *story.Person
}

// TestSuite plays everything that needs no suite of its own.
func TestSuite(t *testing.T) {
	options := topology.Options{Clients: 120, Env: []string{
		// The matrix alone makes thousands of calls from one address, hundreds of them to sign-in addresses.
		"CONCORD_GATEWAY_REQUESTS_PER_MINUTE=1000000", "CONCORD_GATEWAY_SIGN_INS_PER_MINUTE=1000000",
		// A frozen provider has to be given up within the test.
		"CONCORD_CONNECTOR_CALL_TIMEOUT=1s", "CONCORD_CONNECTOR_CALL_LISTING=1s", "CONCORD_CONNECTOR_CALL_AGAIN=20ms",
		"CONCORD_CONNECTOR_CALL_DEGRADED=1s",
		// What the provider tells is signed with this, and acted on at once.
		"CONCORD_CONNECTOR_XERO_WEBHOOK_KEY=" + webhookKey, "CONCORD_SYNC_NEWS_EVERY=100ms", "CONCORD_SYNC_SCHEDULE_EVERY=1s",
	}}
	for _, kind := range []topology.Kind{topology.OneProcess, topology.ManyProcesses} {
		t.Run(kind.String(), func(t *testing.T) {
			s := topology.Start(t, kind, options)
			in := &installation{s, s.Claim(t)}
			for _, b := range []struct {
				name string
				play func(*testing.T, *installation)
			}{
				{"access", access},
				{"reflection", reflection},
				{"refusals", refusals},
				{"upstream", upstream},
				{"people", people},
				{"neighbours", neighbours},
				{"upgrade", upgrade},
				{"organisation", organisation},
				{"security", security},
				{"texts", texts},
			} {
				t.Run(b.name, func(t *testing.T) { b.play(t, in) })
			}
		})
	}
}
