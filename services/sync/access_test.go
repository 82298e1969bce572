package syncsvc_test

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	syncsvc "github.com/concord-suite/concord/services/sync"
)

// TestAccess tries every RPC with every kind of caller, of the own firm and of another.
func TestAccess(t *testing.T) {
	s := start(t, sqldbtest.Open(t, sqldbtest.URL(t, sqldb.SQLite), syncsvc.Migrations))
	var services []protoreflect.ServiceDescriptor
	for _, file := range []protoreflect.FileDescriptor{
		syncv1.File_concord_sync_v1_client_service_proto, syncv1.File_concord_sync_v1_run_service_proto,
		syncv1.File_concord_sync_v1_legacy_service_proto,
	} {
		for i := range file.Services().Len() {
			services = append(services, file.Services().Get(i))
		}
	}
	accesstest.Matrix(t, services, accesstest.Over(s.conn, s.mint, syncsvc.Name))
}
