package api

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// Temporary: replaced by its owner.

func (signInServer) StartPasskeySignIn(context.Context, *authv1.StartPasskeySignInRequest) (*authv1.StartPasskeySignInResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (signInServer) VerifyFactor(context.Context, *authv1.VerifyFactorRequest) (*authv1.VerifyFactorResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (signInServer) GetChallenge(context.Context, *authv1.GetChallengeRequest) (*authv1.GetChallengeResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}
