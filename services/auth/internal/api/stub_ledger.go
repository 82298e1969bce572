package api

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// Temporary: replaced by its owner.
func (ledgerServer) ExportAuditEntries(*authv1.ExportAuditEntriesRequest, grpc.ServerStreamingServer[authv1.ExportAuditEntriesResponse]) error {
	return status.Error(codes.Unimplemented, "")
}
