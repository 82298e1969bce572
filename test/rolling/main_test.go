//go:build rolling

// Package rolling restarts every part of a suite of two replicas under steady load, by clients that never try again, and
// renews its certificates. Nobody may notice, and no event may be lost. It takes minutes; `make rolling` runs it.
package rolling

import (
	"os"
	"testing"

	"github.com/concord-suite/concord/test/topology"
)

func TestMain(m *testing.M) { os.Exit(topology.Main(m)) }
