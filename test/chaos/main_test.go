//go:build chaos

// Package chaos kills the parts of a suite while it works, and checks from outside that nothing was lost, doubled or done
// by halves. It takes minutes; `make chaos` runs it.
package chaos

import (
	"os"
	"testing"

	"github.com/concord-suite/concord/test/topology"
)

func TestMain(m *testing.M) { os.Exit(topology.Main(m)) }
