package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/passwords"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
	"github.com/concord-suite/concord/services/auth/internal/password"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/people"
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
	out, err := s.SignIn.Resend(ctx, req.GetChallenge(), req.GetByEmail())
	if err != nil {
		return nil, tell(err)
	}
	return &authv1.ResendPinResponse{Challenge: challengeMessage(out.Pending)}, nil
}

// VerifyFactor implements authv1.SignInServiceServer.
func (s signInServer) VerifyFactor(ctx context.Context, req *authv1.VerifyFactorRequest) (*authv1.VerifyFactorResponse, error) {
	ctx, done := signin.Apart(ctx)
	defer done()
	opened, err := s.SignIn.Verify(ctx, signin.Answer{
		Challenge: req.GetChallenge(), TOTP: req.GetTotpCode(), Assertion: req.GetPasskeyAssertion(),
		Recovery: req.GetRecoveryCode(), Address: addressOf(ctx),
	})
	if err != nil {
		return nil, tell(err)
	}
	return &authv1.VerifyFactorResponse{
		Session: sessionMessage(opened.Session, holderOf(opened.Account)), SessionToken: opened.Token,
	}, nil
}

// StartPasskeySignIn implements authv1.SignInServiceServer.
func (s signInServer) StartPasskeySignIn(ctx context.Context, _ *authv1.StartPasskeySignInRequest) (*authv1.StartPasskeySignInResponse, error) {
	pending, err := s.SignIn.StartPasskey(ctx, addressOf(ctx))
	if err != nil {
		return nil, tell(err)
	}
	return &authv1.StartPasskeySignInResponse{Challenge: challengeMessage(pending)}, nil
}

// GetChallenge implements authv1.SignInServiceServer.
func (s signInServer) GetChallenge(ctx context.Context, req *authv1.GetChallengeRequest) (*authv1.GetChallengeResponse, error) {
	pending, err := s.SignIn.Look(ctx, req.GetChallenge())
	if err != nil {
		return nil, tell(err)
	}
	return &authv1.GetChallengeResponse{Challenge: challengeMessage(pending)}, nil
}

// invitationLife is how long an invitation can be accepted. What stands in a mailbox longer is found by others.
const invitationLife = 24 * time.Hour

const (
	// invitationWindow is over what the invitations of one e-mail address are counted.
	invitationWindow = 24 * time.Hour
	// invitationsOfFirm is how many e-mails one firm sends to one address in that time, invitationsOfAll how many all firms
	// together do: whoever does not want to be invited is left in peace.
	invitationsOfFirm = 5
	invitationsOfAll  = 30
)

// invite makes an invitation for an account and puts its e-mail on the way. Earlier invitations of the account are void.
func (s *Server) invite(tx *sqldb.Tx, a account.Account, f account.Firm, now time.Time) error {
	for _, bound := range [...]struct {
		of  string
		max int
	}{{"invited " + a.Firm + " " + a.Email, invitationsOfFirm}, {"invited " + a.Email, invitationsOfAll}} {
		subject := sha256.Sum256([]byte(bound.of))
		n, began, err := people.Count(tx, subject[:], invitationWindow, now)
		if err != nil {
			return err
		}
		if n > bound.max {
			return tell(&signin.WaitError{Until: began.Add(invitationWindow)})
		}
	}
	code, hash := session.NewToken(session.ForInvitation)
	err := store.InsertInvitation(tx, hash, store.Invitation{Account: a.ID, Created: now, Expires: now.Add(invitationLife)})
	if err != nil {
		return err
	}
	return s.Post.Invitation(tx, a, f, code, invitationLife)
}

// invited is an invitation with what belongs to it.
type invited struct {
	invitation store.Invitation
	account    account.Account
	firm       account.Firm
	salt       []byte
}

func readInvitation(tx *sqldb.Tx, hash []byte) (in invited, err error) {
	if in.invitation, err = store.InvitationBy(tx, hash); err != nil {
		return in, err
	}
	if in.account, err = store.AnyAccount(tx, in.invitation.Account); err != nil {
		return in, err
	}
	if in.firm, err = store.FirmOf(tx, in.account.Firm); err != nil {
		return in, err
	}
	in.salt, err = store.SaltOf(tx, in.account.Email)
	return in, err
}

// AcceptInvitation implements authv1.SignInServiceServer.
func (s signInServer) AcceptInvitation(ctx context.Context, req *authv1.AcceptInvitationRequest) (*authv1.AcceptInvitationResponse, error) {
	hash := session.Hash(req.GetInvitationCode())
	var in invited
	err := s.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		in, err = readInvitation(tx, hash)
		return err
	})
	switch {
	case errors.Is(err, sqldb.ErrNotFound):
		return nil, errInvitation
	case err != nil:
		return nil, err
	case !in.invitation.Closed.IsZero():
		return s.acceptedBefore(ctx, in, hash, req)
	case !s.Now().Before(in.invitation.Expires):
		return nil, s.renewInvitation(ctx, hash)
	}
	if err := checkNew("password", req.GetPassword(), in.account, in.firm); err != nil {
		return nil, err
	}
	hashed, err := s.hash(ctx, req.GetPassword(), in.salt)
	if err != nil {
		return nil, err
	}
	err = s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		open, err := store.CloseInvitation(tx, hash, req.GetRequestId(), s.Now())
		if err != nil {
			return err
		}
		a, err := store.AnyAccount(tx, in.account.ID)
		if err != nil {
			return err
		}
		if !open || a.State != account.Invited {
			return errInvitation
		}
		a.State, a.Password = account.Active, hashed
		a.Revision++
		return store.UpdateAccount(tx, a)
	})
	if err != nil {
		return nil, err
	}
	return acceptedMessage(in.account), nil
}

func acceptedMessage(a account.Account) *authv1.AcceptInvitationResponse {
	return &authv1.AcceptInvitationResponse{Email: a.Email, Firm: names.Format(store.FirmName, a.Firm)}
}

// acceptedBefore answers a code that is used up: as the first time, for a day, to the very request that used it up, since
// its answer may have been lost; to everything else the one refusal that an unknown code gets, without a look at the
// password. Else whoever finds the e-mail could try passwords here, past the bounds of signing in.
func (s signInServer) acceptedBefore(ctx context.Context, in invited, hash []byte, req *authv1.AcceptInvitationRequest) (*authv1.AcceptInvitationResponse, error) {
	accepted := in.invitation.AcceptedBy
	if accepted == "" || subtle.ConstantTimeCompare([]byte(accepted), []byte(req.GetRequestId())) != 1 ||
		s.Now().Sub(in.invitation.Closed) >= idem.Life {
		return nil, errInvitation
	}
	same := false
	err := s.Hasher.Do(ctx, func(slot *password.Slot) error {
		same = slot.Check(req.GetPassword(), []string{in.account.Password})[0].Match && in.account.State == account.Active
		return nil
	})
	if err != nil {
		return nil, tell(err)
	}
	if same {
		return acceptedMessage(in.account), nil
	}
	// The same id with another password is no repetition. It ends being answered: who knows the id has one guess.
	ctx, done := signin.Apart(ctx)
	defer done()
	err = s.DB.Tx(ctx, func(tx *sqldb.Tx) error { return store.ForgetAcceptance(tx, hash) })
	return nil, cmpErr(err, errInvitation)
}

// renewInvitation sends a fresh code to the same mailbox in place of one that came too late, and says so.
func (s signInServer) renewInvitation(ctx context.Context, hash []byte) error {
	ctx, done := signin.Apart(ctx)
	defer done()
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		in, err := readInvitation(tx, hash)
		if err != nil {
			return err
		}
		if !in.invitation.Closed.IsZero() || in.account.State != account.Invited {
			return errInvitation
		}
		return s.invite(tx, in.account, in.firm, s.Now())
	})
	if err != nil {
		return err
	}
	return errInvitation.Messagef("this invitation was too old; a new one is on its way by e-mail").With("renewed", "true")
}

// ClaimInstallation implements authv1.SignInServiceServer.
func (s signInServer) ClaimInstallation(ctx context.Context, req *authv1.ClaimInstallationRequest) (*authv1.ClaimInstallationResponse, error) {
	hash := session.Hash(req.GetSetupCode())
	if err := s.mayClaim(ctx, hash); err != nil { // before anything else is said about the request
		return nil, err
	}
	a := account.Account{
		ID: uuid.Must(uuid.NewV7()).String(), Kind: account.Operator, State: account.Active, Created: s.Now(), Revision: 1,
	}
	var err error
	if a.DisplayName, err = cleanName("display_name", req.GetDisplayName()); err != nil {
		return nil, err
	}
	if a.Email, err = cleanEmail("email", req.GetEmail()); err != nil {
		return nil, err
	}
	if a.Mobile, err = s.cleanMobile("mobile", req.GetMobile()); err != nil {
		return nil, err
	}
	if err := checkNew("password", req.GetPassword(), a, account.Firm{}); err != nil {
		return nil, err
	}
	salt, err := s.saltOf(ctx, a.Email)
	if err != nil {
		return nil, err
	}
	if a.Password, err = s.hash(ctx, req.GetPassword(), salt); err != nil {
		return nil, err
	}
	err = s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		ok, err := store.ClaimInstallation(tx, hash, s.Now())
		if err != nil {
			return err
		}
		if !ok {
			return errClaimed
		}
		if err := store.DropIdleOperators(tx); err != nil {
			return err
		}
		if _, err := store.Salt(tx, a.Email, salt); err != nil {
			return err
		}
		ok, err = store.InsertAccount(tx, a)
		if err == nil && !ok {
			return errClaimed
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &authv1.ClaimInstallationResponse{Operator: names.Format(store.OperatorName, a.ID)}, nil
}

// saltOf is the salt of an address, a new one when it has none yet. Salts never change.
func (s *Server) saltOf(ctx context.Context, email string) (salt []byte, err error) {
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		salt, err = store.SaltOf(tx, email)
		return err
	})
	if errors.Is(err, sqldb.ErrNotFound) {
		return password.NewSalt(), nil
	}
	return salt, err
}

func (s signInServer) mayClaim(ctx context.Context, hash []byte) error {
	return s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		ok, err := store.MayClaim(tx, hash, s.Now())
		if err == nil && !ok {
			return errClaimed
		}
		return err
	})
}

func (s *Server) hash(ctx context.Context, pass string, salt []byte) (hashed string, err error) {
	err = s.Hasher.Do(ctx, func(slot *password.Slot) error {
		hashed = slot.Hash(pass, salt)
		return nil
	})
	return hashed, tell(err)
}

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
