package factors

import (
	"context"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
	"github.com/concord-suite/concord/services/auth/internal/factor"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store/factors"
	"github.com/concord-suite/concord/services/auth/internal/totp"
)

// enrolmentRow is what an enrolment's secret is sealed for, and its PIN hashed for.
func enrolmentRow(e factors.Enrolment, column string) vault.Row {
	return vault.Row{Firm: e.Firm, Table: "enrolments", ID: e.ID, Column: column}
}

// begin makes an enrolment for the caller, to be filled in and inserted, and the id that its holder knows.
func (s *Server) begin(c caller, kind account.Factor, p pass) (string, factors.Enrolment) {
	id, hash := session.NewToken(session.ForEnrolment)
	now := s.Now()
	return id, factors.Enrolment{
		ID: factors.EnrolmentID(hash), Account: c.account.ID, Firm: c.account.Firm, Session: c.session.ID, Kind: kind,
		Approval: p.approval, Created: now, Expires: now.Add(factor.Life),
	}
}

// StartTotpEnrolment implements authv1.FactorServiceServer.
func (s *Server) StartTotpEnrolment(ctx context.Context, req *authv1.StartTotpEnrolmentRequest) (*authv1.StartTotpEnrolmentResponse, error) {
	ctx, done := signin.Apart(ctx)
	defer done()
	secret := totp.NewSecret()
	resp := &authv1.StartTotpEnrolmentResponse{Secret: totp.Text(secret)}
	err := s.inTx(ctx, func(tx *sqldb.Tx) (verdict, err error) {
		c, err := s.caller(ctx, tx)
		if err != nil {
			return nil, err
		}
		p, verdict, err := s.gate(tx, c, account.TOTP, req.GetRecoveryCode())
		if verdict != nil || err != nil {
			return verdict, err
		}
		id, e := s.begin(c, account.TOTP, p)
		sealed, key, err := s.Proofs.Vault.Seal(secret, enrolmentRow(e, "sealed"))
		if err != nil {
			return nil, err
		}
		e.Sealed, e.VaultKey = sealed, string(key)
		resp.Enrolment, resp.ExpireTime = id, stamp(e.Expires)
		resp.OtpauthUri = totp.URI(secret, s.Issuer, c.account.Email)
		return nil, factors.InsertEnrolment(tx, e)
	})
	if err != nil {
		return nil, tell(err)
	}
	return resp, nil
}

// FinishTotpEnrolment implements authv1.FactorServiceServer.
func (s *Server) FinishTotpEnrolment(ctx context.Context, req *authv1.FinishTotpEnrolmentRequest) (*authv1.FinishTotpEnrolmentResponse, error) {
	ctx, done := signin.Apart(ctx)
	defer done()
	resp := &authv1.FinishTotpEnrolmentResponse{}
	err := s.inTx(ctx, func(tx *sqldb.Tx) (verdict, err error) {
		c, err := s.caller(ctx, tx)
		if err != nil {
			return nil, err
		}
		e, err := s.waiting(tx, c, req.GetEnrolment(), account.TOTP)
		if err != nil {
			return nil, err
		}
		secret, err := s.Proofs.Vault.Open(e.Sealed, enrolmentRow(e, "sealed"))
		if err != nil {
			return nil, err
		}
		step, ok := totp.Check(secret, req.GetCode(), s.Now(), 0)
		if !ok {
			return errRefused, s.missed(tx, e)
		}
		replaced, err := s.Proofs.HasTOTP(tx, c.account.ID)
		if err != nil {
			return nil, err
		}
		if err := s.Proofs.EnrolTOTP(tx, c.account, secret, step, s.Now()); err != nil {
			return nil, err
		}
		if err := s.close(tx, c, e, replaced); err != nil {
			return nil, err
		}
		if resp.RecoveryCodes, err = s.firstCodes(tx, c); err != nil {
			return nil, err
		}
		resp.Factor = &authv1.Factor{
			Name: nameOfTOTP, Kind: authv1.FactorKind_FACTOR_KIND_TOTP, CreateTime: stamp(s.Now()), Allowed: true,
		}
		return nil, s.tellHolder(tx, c, "An authenticator program was set up for your account.")
	})
	if err != nil {
		return nil, tell(err)
	}
	return resp, nil
}

// missed counts a wrong code of an enrolment, which ends it at the fifth. It says nothing about the account: whoever tries
// has signed in.
func (s *Server) missed(tx *sqldb.Tx, e factors.Enrolment) error {
	e.Failures++
	if e.Failures >= factor.MaxTries {
		e.Closed = s.Now()
	}
	_, err := factors.UpdateEnrolment(tx, e)
	return err
}
