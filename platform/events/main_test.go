package events_test

import (
	"flag"
	"os"
	"testing"

	"github.com/concord-suite/concord/platform/events/eventstest"
)

// besideEachOther is how many tests run at a time unless -parallel says otherwise: they wait for disks and clocks most of
// the time, and would have two processors idle.
const besideEachOther = "8"

func TestMain(m *testing.M) {
	if eventstest.ServeIfAsked() {
		return
	}
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if parallel := flag.Lookup("test.parallel"); !chosen && parallel.Value.Set(besideEachOther) != nil {
		os.Exit(2)
	}
	os.Exit(m.Run())
}
