package api

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

// EstimateRun is being built.
func (*runs) EstimateRun(context.Context, *syncv1.EstimateRunRequest) (*syncv1.EstimateRunResponse, error) {
	return nil, status.Error(codes.Unimplemented, "EstimateRun is being built")
}
