package api

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// Temporary: replaced by its owner.

func (passwordServer) ChangePassword(context.Context, *authv1.ChangePasswordRequest) (*authv1.ChangePasswordResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (passwordServer) StartPasswordReset(context.Context, *authv1.StartPasswordResetRequest) (*authv1.StartPasswordResetResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (passwordServer) FinishPasswordReset(context.Context, *authv1.FinishPasswordResetRequest) (*authv1.FinishPasswordResetResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}
