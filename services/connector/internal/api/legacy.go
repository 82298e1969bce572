package api

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
)

// ImportLegacyConnection is being built.
func (*Connections) ImportLegacyConnection(context.Context, *connectorv1.ImportLegacyConnectionRequest) (*connectorv1.ImportLegacyConnectionResponse, error) {
	return nil, status.Error(codes.Unimplemented, "ImportLegacyConnection is being built")
}
