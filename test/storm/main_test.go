// Package storm sends a suite many random requests, by REST and gRPC, as every kind of caller: right, nearly right, wrong
// and huge ones, repeated and at once. Whatever they are, the suite answers: no panic, nothing internal, and nothing that
// belongs to another firm.
//
// The requests come from the contract: from the descriptors of every RPC and from the OpenAPI document of every REST path.
// They are random from a seed that is printed; since many are sent at once, the same seed gives the same requests, not the
// same order. STORM is how many there are in all, SEED the seed, TOPOLOGY the shape of the suite (default both).
package storm

import (
	"os"
	"testing"

	"github.com/concord-suite/concord/test/topology"
)

func TestMain(m *testing.M) { os.Exit(topology.Main(m)) }
