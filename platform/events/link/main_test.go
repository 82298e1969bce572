package link_test

import (
	"os"
	"testing"

	"github.com/concord-suite/concord/platform/events/eventstest"
)

func TestMain(m *testing.M) {
	if eventstest.ServeIfAsked() {
		return
	}
	os.Exit(m.Run())
}
