package connector_test

import (
	"testing"

	"github.com/concord-suite/concord/platform/rotation/rotationtest"
	"github.com/concord-suite/concord/services/connector"
)

// TestS14_EverySealedColumnIsRotatedAndBound walks the schema.
func TestS14_EverySealedColumnIsRotatedAndBound(t *testing.T) {
	rotationtest.Inventory(t, connector.Migrations, connector.Inventory)
}
