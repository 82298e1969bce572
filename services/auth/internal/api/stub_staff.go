package api

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// Temporary: replaced by its owner.

func (accountServer) UpdateStaff(context.Context, *authv1.UpdateStaffRequest) (*authv1.UpdateStaffResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (accountServer) ResetStaff(context.Context, *authv1.ResetStaffRequest) (*authv1.ResetStaffResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (accountServer) ApproveEnrolment(context.Context, *authv1.ApproveEnrolmentRequest) (*authv1.ApproveEnrolmentResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (accountServer) DisableContactLogin(context.Context, *authv1.DisableContactLoginRequest) (*authv1.DisableContactLoginResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}
