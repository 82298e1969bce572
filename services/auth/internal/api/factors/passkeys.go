package factors

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/passkeys"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
	"github.com/concord-suite/concord/services/auth/internal/passkey"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store/factors"
)

// Passkeys is who keeps the passkeys.
type Passkeys interface {
	// List returns the passkeys of an account, oldest first.
	List(tx *sqldb.Tx, account string) ([]passkey.Passkey, error)
	// Begin asks for a new passkey of an account, until the enrolment of this hash ends, and answers what the browser is
	// given.
	Begin(tx *sqldb.Tx, a account.Account, hash []byte, end time.Time) (string, error)
	// Finish enrols the passkey that was made for the enrolment of this hash.
	Finish(tx *sqldb.Tx, a account.Account, hash []byte, name, attestation string) (passkey.Passkey, error)
	// Remove takes a passkey from an account. It answers false when the account has no such passkey.
	Remove(tx *sqldb.Tx, account, id string) (bool, error)
}

var (
	errNoPasskeys = errNotAllowed.Messagef("passkeys need a host name, and the suite is reached at a network address")
	errFull       = rpcerr.New(codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_FACTOR_NOT_ALLOWED,
		"the account has "+strconv.Itoa(passkey.Max)+" passkeys, which is as many as it may; remove one first")
	errPasskey = rpcerr.New(codes.InvalidArgument, authv1.ErrorReason_ERROR_REASON_PASSKEY_INVALID,
		"this passkey is not taken")
)

func passkeyMessage(k passkey.Passkey, allowed bool) *authv1.Factor {
	return &authv1.Factor{
		Name: "factors/" + k.ID, Kind: authv1.FactorKind_FACTOR_KIND_PASSKEY, DisplayName: k.Name, CreateTime: stamp(k.Created),
		LastUseTime: stamp(k.Used), Allowed: allowed, Synced: k.Synced,
	}
}

// tellPasskey turns what a passkey ended with into what the person is told.
func tellPasskey(err error) error {
	switch {
	case errors.Is(err, passkeys.ErrFull):
		return errFull
	case errors.Is(err, passkeys.ErrTaken):
		return errPasskey.With("why", "enrolled")
	}
	if invalid, ok := errors.AsType[*passkey.InvalidError](err); ok {
		return errPasskey.With("why", string(invalid.Why))
	}
	return tell(err)
}

// shownName is a name to show, without spaces around it.
func shownName(text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" || strings.ContainsFunc(text, account.Unseen) {
		return "", rpcerr.Default(codes.InvalidArgument).Field("display_name", "display_name",
			"must be a name on one line, of characters that can be seen")
	}
	return text, nil
}

// StartPasskeyEnrolment implements authv1.FactorServiceServer.
func (s *Server) StartPasskeyEnrolment(ctx context.Context, req *authv1.StartPasskeyEnrolmentRequest) (*authv1.StartPasskeyEnrolmentResponse, error) {
	if s.Passkeys == nil {
		return nil, errNoPasskeys
	}
	ctx, done := signin.Apart(ctx)
	defer done()
	resp := &authv1.StartPasskeyEnrolmentResponse{}
	err := s.inTx(ctx, func(tx *sqldb.Tx) (verdict, err error) {
		c, err := s.caller(ctx, tx)
		if err != nil {
			return nil, err
		}
		p, verdict, err := s.gate(tx, c, account.Passkey, req.GetRecoveryCode())
		if verdict != nil || err != nil {
			return verdict, err
		}
		id, e := s.begin(c, account.Passkey, p)
		e.Expires = s.Now().Add(passkey.Life)
		if resp.PasskeyOptions, err = s.Passkeys.Begin(tx, c.account, session.Hash(id), e.Expires); err != nil {
			return nil, err
		}
		resp.Enrolment, resp.ExpireTime = id, stamp(e.Expires)
		return nil, factors.InsertEnrolment(tx, e)
	})
	if err != nil {
		return nil, tellPasskey(err)
	}
	return resp, nil
}

// FinishPasskeyEnrolment implements authv1.FactorServiceServer. An answer that is not taken uses nothing up: it can't be
// guessed, and the browser may be asked again.
func (s *Server) FinishPasskeyEnrolment(ctx context.Context, req *authv1.FinishPasskeyEnrolmentRequest) (*authv1.FinishPasskeyEnrolmentResponse, error) {
	if s.Passkeys == nil {
		return nil, errNoPasskeys
	}
	name, err := shownName(req.GetDisplayName())
	if err != nil {
		return nil, err
	}
	ctx, done := signin.Apart(ctx)
	defer done()
	resp := &authv1.FinishPasskeyEnrolmentResponse{}
	err = s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		c, err := s.caller(ctx, tx)
		if err != nil {
			return err
		}
		e, err := s.waiting(tx, c, req.GetEnrolment(), account.Passkey)
		if err != nil {
			return err
		}
		made, err := s.Passkeys.Finish(tx, c.account, session.Hash(req.GetEnrolment()), name, req.GetPasskeyAttestation())
		if err != nil {
			return err
		}
		if err := s.close(tx, c, e, false); err != nil {
			return err
		}
		if resp.RecoveryCodes, err = s.firstCodes(tx, c); err != nil {
			return err
		}
		resp.Factor = passkeyMessage(made, true)
		return s.tellHolder(tx, c, "A passkey was added to your account: "+name+".")
	})
	if err != nil {
		return nil, tellPasskey(err)
	}
	return resp, nil
}
