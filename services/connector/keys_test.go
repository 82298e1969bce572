package connector_test

import (
	"testing"

	"github.com/concord-suite/concord/platform/rotation/rotationtest"
	"github.com/concord-suite/concord/services/connector"
)

// TestEverySealedColumnIsRotatedAndBound walks the schema.
func TestEverySealedColumnIsRotatedAndBound(t *testing.T) {
	rotationtest.Inventory(t, connector.Migrations, connector.Inventory)
}
