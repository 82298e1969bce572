package api

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
)

// EstimateCalls is being built.
func (*Records) EstimateCalls(context.Context, *connectorv1.EstimateCallsRequest) (*connectorv1.EstimateCallsResponse, error) {
	return nil, status.Error(codes.Unimplemented, "EstimateCalls is being built")
}
