package api

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// Temporary: replaced by its owner.

func (sessionServer) UnlockSession(context.Context, *authv1.UnlockSessionRequest) (*authv1.UnlockSessionResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (sessionServer) ListStaffSessions(context.Context, *authv1.ListStaffSessionsRequest) (*authv1.ListStaffSessionsResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (sessionServer) EndStaffSessions(context.Context, *authv1.EndStaffSessionsRequest) (*authv1.EndStaffSessionsResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}
