package api

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// Temporary: replaced by its owner.

func (factorServer) ListFactors(context.Context, *authv1.ListFactorsRequest) (*authv1.ListFactorsResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (factorServer) StartTotpEnrolment(context.Context, *authv1.StartTotpEnrolmentRequest) (*authv1.StartTotpEnrolmentResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (factorServer) FinishTotpEnrolment(context.Context, *authv1.FinishTotpEnrolmentRequest) (*authv1.FinishTotpEnrolmentResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (factorServer) StartPasskeyEnrolment(context.Context, *authv1.StartPasskeyEnrolmentRequest) (*authv1.StartPasskeyEnrolmentResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (factorServer) FinishPasskeyEnrolment(context.Context, *authv1.FinishPasskeyEnrolmentRequest) (*authv1.FinishPasskeyEnrolmentResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (factorServer) StartMobileChange(context.Context, *authv1.StartMobileChangeRequest) (*authv1.StartMobileChangeResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (factorServer) FinishMobileChange(context.Context, *authv1.FinishMobileChangeRequest) (*authv1.FinishMobileChangeResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (factorServer) RemoveFactor(context.Context, *authv1.RemoveFactorRequest) (*authv1.RemoveFactorResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (factorServer) GenerateRecoveryCodes(context.Context, *authv1.GenerateRecoveryCodesRequest) (*authv1.GenerateRecoveryCodesResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (factorServer) RequestEnrolment(context.Context, *authv1.RequestEnrolmentRequest) (*authv1.RequestEnrolmentResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}
