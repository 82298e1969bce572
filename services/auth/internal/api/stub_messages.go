package api

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// Temporary: replaced by its owner.

func (firmServer) GetMessageSettings(context.Context, *authv1.GetMessageSettingsRequest) (*authv1.GetMessageSettingsResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (firmServer) UpdateMessageSettings(context.Context, *authv1.UpdateMessageSettingsRequest) (*authv1.UpdateMessageSettingsResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}
