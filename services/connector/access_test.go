package connector_test

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/concord-suite/concord/platform/access/accesstest"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/connector"
)

// TestAccess tries every RPC with every kind of principal, of the own and of another firm.
func TestAccess(t *testing.T) {
	s := onSQLite(t, options{})
	services := []protoreflect.ServiceDescriptor{
		connectorv1.File_concord_connector_v1_connection_service_proto.Services().ByName("ConnectionService"),
		connectorv1.File_concord_connector_v1_record_service_proto.Services().ByName("RecordService"),
		connectorv1.File_concord_connector_v1_webhook_service_proto.Services().ByName("WebhookService"),
	}
	accesstest.Matrix(t, services, accesstest.Over(s.conn, s.mint, connector.Name))
}
