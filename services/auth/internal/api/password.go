package api

import (
	"context"
	"errors"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/passwords"
)

// ChangePassword implements authv1.PasswordServiceServer.
func (s passwordServer) ChangePassword(ctx context.Context, req *authv1.ChangePasswordRequest) (*authv1.ChangePasswordResponse, error) {
	err := s.Passwords.Change(ctx, access.From(ctx).Session, req.GetCurrentPassword(), req.GetNewPassword(), addressOf(ctx))
	if errors.Is(err, sqldb.ErrNotFound) {
		return nil, errSessionEnded
	}
	if err != nil {
		return nil, tellPassword("new_password", err)
	}
	return &authv1.ChangePasswordResponse{}, nil
}

// StartPasswordReset implements authv1.PasswordServiceServer.
func (s passwordServer) StartPasswordReset(ctx context.Context, req *authv1.StartPasswordResetRequest) (*authv1.StartPasswordResetResponse, error) {
	if err := s.Passwords.Ask(ctx, req.GetEmail(), firmOf(req.GetFirm()), addressOf(ctx)); err != nil {
		return nil, tell(err)
	}
	return &authv1.StartPasswordResetResponse{}, nil
}

// FinishPasswordReset implements authv1.PasswordServiceServer.
func (s passwordServer) FinishPasswordReset(ctx context.Context, req *authv1.FinishPasswordResetRequest) (*authv1.FinishPasswordResetResponse, error) {
	email, err := s.Passwords.Finish(ctx, req.GetResetCode(), req.GetNewPassword(), addressOf(ctx))
	if errors.Is(err, passwords.ErrInvalid) {
		return nil, errReset
	}
	if err != nil {
		return nil, tellPassword("new_password", err)
	}
	return &authv1.FinishPasswordResetResponse{Email: email}, nil
}

// checkNew holds the new password of an account to the rules, as its firm's policy is now.
func checkNew(field, pass string, a account.Account, f account.Firm) error {
	return tellPassword(field, passwords.Check(pass, a, f))
}

// tellPassword is tell, and says which rule a new password breaks.
func tellPassword(field string, err error) error {
	if broken, ok := errors.AsType[*passwords.RuleError](err); ok {
		return errPassword.Field(field, broken.Rule.ID, broken.Rule.Words)
	}
	return tell(err)
}
