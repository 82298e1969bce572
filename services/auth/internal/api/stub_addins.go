package api

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// Temporary: replaced by its owner.

func (addInServer) GetAddIn(context.Context, *authv1.GetAddInRequest) (*authv1.GetAddInResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (addInServer) IssueAddInToken(context.Context, *authv1.IssueAddInTokenRequest) (*authv1.IssueAddInTokenResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (addInServer) RevokeAddInToken(context.Context, *authv1.RevokeAddInTokenRequest) (*authv1.RevokeAddInTokenResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (addInServer) GetAddInKeys(context.Context, *authv1.GetAddInKeysRequest) (*authv1.GetAddInKeysResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}
