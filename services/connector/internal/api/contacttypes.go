package api

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
)

// ListContactTypes is being built.
func (*Connections) ListContactTypes(context.Context, *connectorv1.ListContactTypesRequest) (*connectorv1.ListContactTypesResponse, error) {
	return nil, status.Error(codes.Unimplemented, "ListContactTypes is being built")
}
