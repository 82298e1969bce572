package api

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// Temporary: replaced by its owner.

func (evidenceServer) GetEvidence(context.Context, *authv1.GetEvidenceRequest) (*authv1.GetEvidenceResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}
