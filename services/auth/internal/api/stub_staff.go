package api

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// Temporary: replaced by its owner.

func (accountServer) ApproveEnrolment(context.Context, *authv1.ApproveEnrolmentRequest) (*authv1.ApproveEnrolmentResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}
