package api

import (
	"context"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
)

// StartSignIn implements authv1.SignInServiceServer.
func (s signInServer) StartSignIn(ctx context.Context, req *authv1.StartSignInRequest) (*authv1.StartSignInResponse, error) {
	ctx, done := signin.Apart(ctx)
	defer done()
	out, err := s.SignIn.Start(ctx, signin.Credentials{
		Email: req.GetEmail(), Password: req.GetPassword(), Firm: firmOf(req.GetFirm()), Address: addressOf(ctx),
	})
	if err != nil {
		return nil, tell(err)
	}
	if out.Pending != nil {
		return &authv1.StartSignInResponse{Next: &authv1.StartSignInResponse_Challenge{
			Challenge: challengeMessage(out.Pending),
		}}, nil
	}
	return &authv1.StartSignInResponse{
		Next: &authv1.StartSignInResponse_Session{
			Session: sessionMessage(out.Opened.Session, holderOf(out.Opened.Account)),
		},
		SessionToken: out.Opened.Token,
	}, nil
}

// VerifyPin implements authv1.SignInServiceServer.
func (s signInServer) VerifyPin(ctx context.Context, req *authv1.VerifyPinRequest) (*authv1.VerifyPinResponse, error) {
	ctx, done := signin.Apart(ctx)
	defer done()
	opened, err := s.SignIn.Verify(ctx, signin.Answer{
		Challenge: req.GetChallenge(), PIN: req.GetPin(), EmailPIN: req.GetEmailPin(), Address: addressOf(ctx),
	})
	if err != nil {
		return nil, tell(err)
	}
	return &authv1.VerifyPinResponse{
		Session: sessionMessage(opened.Session, holderOf(opened.Account)), SessionToken: opened.Token,
	}, nil
}

// ResendPin implements authv1.SignInServiceServer.
func (s signInServer) ResendPin(ctx context.Context, req *authv1.ResendPinRequest) (*authv1.ResendPinResponse, error) {
	ctx, done := signin.Apart(ctx)
	defer done()
	out, err := s.SignIn.Resend(ctx, req.GetChallenge())
	if err != nil {
		return nil, tell(err)
	}
	return &authv1.ResendPinResponse{Challenge: challengeMessage(out.Pending)}, nil
}
