package factors

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/messages"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
	"github.com/concord-suite/concord/services/auth/internal/factor"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/factors"
)

// cleanMobile is a number in the form in which it is stored.
func (s *Server) cleanMobile(text string) (string, error) {
	mobile, err := account.NormalizeMobile(text, s.Countries)
	switch {
	case errors.Is(err, account.ErrCountry):
		return "", rpcerr.Default(codes.InvalidArgument).Field("mobile", "mobile_country",
			"is in a country to which no text messages are sent; allowed are "+strings.Join(s.Countries, ", "))
	case err != nil:
		return "", rpcerr.Default(codes.InvalidArgument).Field("mobile", "mobile",
			"must be a mobile number in international form, such as +61 491 570 156")
	}
	return mobile, nil
}

// StartMobileChange implements authv1.FactorServiceServer.
func (s *Server) StartMobileChange(ctx context.Context, req *authv1.StartMobileChangeRequest) (*authv1.StartMobileChangeResponse, error) {
	mobile, err := s.cleanMobile(req.GetMobile())
	if err != nil {
		return nil, err
	}
	ctx, done := signin.Apart(ctx)
	defer done()
	var c caller
	var e factors.Enrolment
	var ticket messages.Ticket
	resp := &authv1.StartMobileChangeResponse{DestinationHint: account.MaskMobile(mobile)}
	pin := factor.NewPIN()
	err = s.inTx(ctx, func(tx *sqldb.Tx) (verdict, err error) {
		if c, err = s.caller(ctx, tx); err != nil {
			return nil, err
		}
		var p pass
		if p, verdict, err = s.gate(tx, c, account.SMSPIN, req.GetRecoveryCode()); verdict != nil || err != nil {
			return verdict, err
		}
		if c.account, err = store.Account(tx, c.account.Firm, c.account.ID); err != nil { // the gate may have changed it
			return nil, err
		}
		if ticket, err = s.SignIn.CountText(tx, c.account, mobile); err != nil {
			return nil, err
		}
		resp.Enrolment, e = s.begin(c, account.SMSPIN, p)
		resp.ExpireTime, e.Mobile = stamp(e.Expires), mobile
		if e.PINMAC, err = s.Proofs.Vault.MAC([]byte(pin), enrolmentRow(e, "pin_mac")); err != nil {
			return nil, err
		}
		return nil, factors.InsertEnrolment(tx, e)
	})
	if err != nil {
		return nil, tell(err)
	}
	to := c.account
	to.Mobile = mobile
	if err := s.SignIn.TextPIN(ctx, ticket, to, c.firm, pin); err != nil {
		return nil, tell(err) // without its PIN the enrolment dies by itself
	}
	return resp, nil
}

// FinishMobileChange implements authv1.FactorServiceServer.
func (s *Server) FinishMobileChange(ctx context.Context, req *authv1.FinishMobileChangeRequest) (*authv1.FinishMobileChangeResponse, error) {
	ctx, done := signin.Apart(ctx)
	defer done()
	var c caller
	var e factors.Enrolment
	err := s.inTx(ctx, func(tx *sqldb.Tx) (verdict, err error) {
		if c, err = s.caller(ctx, tx); err != nil {
			return nil, err
		}
		if e, err = s.waiting(tx, c, req.GetEnrolment(), account.SMSPIN); err != nil {
			return nil, err
		}
		if s.Proofs.Vault.VerifyMAC(e.PINMAC, []byte(req.GetPin()), enrolmentRow(e, "pin_mac")) != nil {
			return errRefused, s.missed(tx, e)
		}
		if err := messages.Answered(tx, c.account.ID); err != nil {
			return nil, err
		}
		changed := c
		changed.account.Mobile, changed.account.MobileValidated = e.Mobile, s.Now()
		replaced := c.account.Mobile != "" && c.account.Mobile != e.Mobile
		if err := s.close(tx, changed, e, replaced); err != nil {
			return nil, err
		}
		if err := store.CloseChallenges(tx, c.account.ID, s.Now()); err != nil { // their PINs went to the old one
			return nil, err
		}
		return nil, s.tellHolder(tx, c, "The mobile of your account was changed to "+account.MaskMobile(e.Mobile)+".")
	})
	if err != nil {
		return nil, tell(err)
	}
	if old := c.account.Mobile; old != "" && old != e.Mobile {
		s.SignIn.TellMobile(ctx, c.account, old)
	}
	return &authv1.FinishMobileChangeResponse{Factor: &authv1.Factor{
		Name: nameOfMobile, Kind: authv1.FactorKind_FACTOR_KIND_SMS_PIN, DisplayName: account.MaskMobile(e.Mobile),
		CreateTime: stamp(s.Now()), Allowed: true,
	}}, nil
}

// tell turns what package signin ended with into what the caller is told. Errors it does not know pass.
func tell(err error) error {
	switch {
	case errors.Is(err, signin.ErrRefused):
		return errRefused
	case errors.Is(err, signin.ErrFactor):
		return errNotAllowed
	}
	if w, ok := errors.AsType[*signin.WaitError](err); ok {
		return wait(w.Until)
	}
	if lost, ok := errors.AsType[*signin.UndeliverableError](err); ok {
		return errUndeliverable.With("why", lost.Why.Error()).With("temporary", strconv.FormatBool(lost.Temporary))
	}
	return err
}

// cmpNotFound is what to answer when something is not there.
func cmpNotFound(err, answer error) error {
	if errors.Is(err, sqldb.ErrNotFound) {
		return answer
	}
	return err
}
