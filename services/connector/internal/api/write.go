package api

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
)

// UpdateRecord is being built.
func (*Records) UpdateRecord(context.Context, *connectorv1.UpdateRecordRequest) (*connectorv1.UpdateRecordResponse, error) {
	return nil, status.Error(codes.Unimplemented, "UpdateRecord is being built")
}

// ArchiveRecord is being built.
func (*Records) ArchiveRecord(context.Context, *connectorv1.ArchiveRecordRequest) (*connectorv1.ArchiveRecordResponse, error) {
	return nil, status.Error(codes.Unimplemented, "ArchiveRecord is being built")
}
