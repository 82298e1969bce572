package auth_test

import (
	"testing"

	"github.com/concord-suite/concord/platform/rotation/rotationtest"
	"github.com/concord-suite/concord/services/auth"
)

// TestEverySealedColumnIsRotatedAndBound walks the schema.
func TestEverySealedColumnIsRotatedAndBound(t *testing.T) {
	rotationtest.Inventory(t, auth.Migrations, auth.Inventory)
}
