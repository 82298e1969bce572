package store_test

import (
	_ "embed"
	"testing"

	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"

	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/guards"
)

//go:embed testdata/migrations.sha256
var published string

//go:embed testdata/guards.sha256
var publishedGuards string

func TestPublishedMigrationsStand(t *testing.T) {
	sqldbtest.Published(t, store.Migrations, published)
	sqldbtest.Published(t, guards.Schema, publishedGuards)
}
