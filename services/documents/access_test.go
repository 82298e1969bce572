package documents_test

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/concord-suite/concord/platform/access/accesstest"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/documents"
)

// Every RPC, with every kind of caller, of the firm that is asked for and of another.
func TestAccessMatrix(t *testing.T) {
	s := onSQLite(t, options{})
	file := documentsv1.File_concord_documents_v1_folder_service_proto
	var services []protoreflect.ServiceDescriptor
	for _, f := range []protoreflect.FileDescriptor{
		file, documentsv1.File_concord_documents_v1_document_service_proto,
		documentsv1.File_concord_documents_v1_email_job_service_proto, documentsv1.File_concord_documents_v1_offboarding_service_proto,
	} {
		for i := range f.Services().Len() {
			services = append(services, f.Services().Get(i))
		}
	}
	accesstest.Matrix(t, services, accesstest.Over(s.conn, s.mint, documents.Name))
}
