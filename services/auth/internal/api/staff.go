package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"time"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/factors"
	"github.com/concord-suite/concord/services/auth/internal/store/passkeys"
	"github.com/concord-suite/concord/services/auth/internal/store/people"
)

// staffMessages describes members of one firm's staff, with what they can show second.
func (s *Server) staffMessages(tx *sqldb.Tx, f account.Firm, staff ...account.Account) (out []*authv1.Staff, err error) {
	ids := make([]string, len(staff))
	for i, a := range staff {
		ids[i] = a.ID
	}
	enrolled, err := people.EnrolledBy(tx, ids, s.host(), s.Now())
	if err != nil {
		return nil, err
	}
	for _, a := range staff {
		m := staffMessage(a)
		m.Factors, m.Etag = factorsOf(showable(a, f, enrolled[a.ID])), staffETag(a)
		m.EnrolmentRequestTime = stamp(enrolled[a.ID].Asked)
		out = append(out, m)
	}
	return out, nil
}

// host is the name of the site, for which passkeys are made.
func (s *Server) host() string {
	site, err := url.Parse(s.Site)
	if err != nil {
		return "" // the settings were checked
	}
	return site.Hostname()
}

// described is one member of staff in words.
func (s *Server) described(tx *sqldb.Tx, a account.Account) (*authv1.Staff, error) {
	f, err := store.Firm(tx, a.Firm)
	if err != nil {
		return nil, err
	}
	all, err := s.staffMessages(tx, f, a)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// showable are the kinds of factor that an account is asked for second: what it has enrolled, else a PIN; and recovery codes.
func showable(a account.Account, f account.Firm, has people.Enrolled) (out []account.Factor) {
	if has.Passkeys > 0 && f.Allows(a, account.Passkey) {
		out = append(out, account.Passkey)
	}
	if has.TOTPs > 0 && f.Allows(a, account.TOTP) {
		out = append(out, account.TOTP)
	}
	switch {
	case len(out) > 0:
	case a.Mobile != "" && f.Allows(a, account.SMSPIN):
		out = append(out, account.SMSPIN)
	case f.EmailPINAllowed(a) && !has.Spent:
		out = append(out, account.EmailPIN)
	}
	if has.Codes > 0 {
		out = append(out, account.RecoveryCode)
	}
	return out
}

// staffETag changes with everything about an account that an administrator sees and may change, whoever changes it.
func staffETag(a account.Account) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %q %q %d", a.DisplayName, a.Mobile, a.MobileValidated.UnixMicro(), a.Role, a.State, a.Revision))
	const enough = 12 // bytes: nobody makes two accounts alike on purpose
	return base64.RawURLEncoding.EncodeToString(sum[:enough])
}

// UpdateStaff implements authv1.AccountServiceServer.
func (s accountServer) UpdateStaff(ctx context.Context, req *authv1.UpdateStaffRequest) (*authv1.UpdateStaffResponse, error) {
	change, err := s.staffChange(req)
	if err != nil {
		return nil, err
	}
	var before, after account.Account
	resp, err := idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*authv1.UpdateStaffResponse, error) {
		a, err := staffOf(tx, req.GetName())
		if err != nil {
			return nil, err
		}
		if req.GetEtag() != staffETag(a) {
			return nil, errETag
		}
		before = a
		change(&a)
		if a != before {
			if a, err = s.changeStaff(tx, before, a, addressOf(ctx)); err != nil {
				return nil, err
			}
		}
		after = a
		m, err := s.described(tx, a)
		return &authv1.UpdateStaffResponse{Staff: m}, err
	})
	if err != nil {
		return nil, err
	}
	if before.Mobile != after.Mobile {
		s.SignIn.TellMobile(ctx, after, before.Mobile)
	}
	return resp, nil
}

// staffChange reads what an update wants of an account.
func (s *Server) staffChange(req *authv1.UpdateStaffRequest) (change func(*account.Account), err error) {
	name, mobile := req.GetDisplayName(), ""
	if name != "" {
		if name, err = cleanName("display_name", name); err != nil {
			return nil, err
		}
	}
	if mobile, err = s.cleanMobile("mobile", req.GetMobile()); err != nil {
		return nil, err
	}
	if mobile != "" && req.GetRemoveMobile() {
		return nil, violation("remove_mobile", "mobile", "can't go with a new mobile")
	}
	return func(a *account.Account) {
		if name != "" {
			a.DisplayName = name
		}
		if role, ok := roles[req.GetRole()]; ok {
			a.Role = role
		}
		// A number that somebody else entered is validated by its first sign-in.
		if (mobile != "" && mobile != a.Mobile) || req.GetRemoveMobile() {
			a.Mobile, a.MobileValidated = mobile, time.Time{}
		}
	}, nil
}

// changeStaff writes a changed account with what follows from the change.
func (s *Server) changeStaff(tx *sqldb.Tx, before, a account.Account, address string) (account.Account, error) {
	if a.Role != account.Administrator {
		if err := keepAdministrator(tx, before); err != nil {
			return a, err
		}
	}
	a.Revision++
	if err := store.UpdateAccount(tx, a); err != nil {
		return a, err
	}
	if a.Role != before.Role {
		if _, err := store.Ended(tx, store.End{Account: a.ID}, s.Now()); err != nil {
			return a, err
		}
	}
	if a.Mobile == before.Mobile {
		return a, nil
	}
	if err := s.voidPending(tx, a.ID); err != nil {
		return a, err
	}
	f, err := store.Firm(tx, a.Firm)
	if err != nil {
		return a, err
	}
	return a, s.Post.AccountChanged(tx, a, f, "An administrator changed the mobile number of your account.", address)
}

// keepAdministrator refuses to take the last administrator who can sign in from a firm.
func keepAdministrator(tx *sqldb.Tx, a account.Account) error {
	if a.Role != account.Administrator || a.State != account.Active {
		return nil
	}
	others, err := store.OtherAdministrators(tx, a.Firm, a.ID)
	if err == nil && others == 0 {
		err = errLastAdministrator
	}
	return err
}

// voidPending gives up the sign-ins and enrolments of an account that wait for something to be shown.
func (s *Server) voidPending(tx *sqldb.Tx, id string) error {
	if err := store.CloseChallenges(tx, id, s.Now()); err != nil {
		return err
	}
	return factors.CloseEnrolments(tx, id, s.Now())
}

// ResetStaff implements authv1.AccountServiceServer.
func (s accountServer) ResetStaff(ctx context.Context, req *authv1.ResetStaffRequest) (*authv1.ResetStaffResponse, error) {
	if !req.GetPassword() && !req.GetFactors() {
		return nil, violation("password", "nothing", "or factors is to be reset")
	}
	if _, id := childOf(store.StaffName, req.GetName()); id == access.From(ctx).ID {
		return nil, errUnsuitable.Messagef("somebody else resets your account; ask another administrator")
	}
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*authv1.ResetStaffResponse, error) {
		a, err := staffOf(tx, req.GetName())
		if err != nil {
			return nil, err
		}
		if a.State != account.Active {
			return nil, errUnsuitable.Messagef("the account is not active; invite the person anew")
		}
		code, err := s.reset(tx, a, req.GetPassword(), req.GetFactors(), addressOf(ctx))
		return &authv1.ResetStaffResponse{RecoveryCode: code}, err
	})
}

// reset takes what was lost, or is in wrong hands, from an account, ends its sessions, and makes the recovery code by which
// its holder comes back. An administrator resets somebody else, so one who can sign in is left.
func (s *Server) reset(tx *sqldb.Tx, a account.Account, pass, second bool, address string) (code string, err error) {
	f, err := store.Firm(tx, a.Firm)
	if err != nil {
		return "", err
	}
	what := "An administrator reset your second factors."
	a.Revision++
	if second {
		a.MobileValidated, a.PIN = time.Time{}, account.PINState{SMSWindow: a.PIN.SMSWindow, SMSSent: a.PIN.SMSSent}
		if err := s.SignIn.Proofs.Forget(tx, a.ID); err != nil {
			return "", err
		}
		if _, err := passkeys.DeleteAll(tx, a.ID); err != nil {
			return "", err
		}
	}
	if pass {
		what = "An administrator reset your password."
		err = s.Passwords.Void(tx, &a, f)
	} else {
		err = store.UpdateAccount(tx, a)
	}
	if err != nil {
		return "", err
	}
	if err := s.voidPending(tx, a.ID); err != nil {
		return "", err
	}
	if _, err := store.Ended(tx, store.End{Account: a.ID}, s.Now()); err != nil {
		return "", err
	}
	if code, err = s.SignIn.Proofs.IssueRecovery(tx, a, s.Now()); err != nil {
		return "", err
	}
	return code, s.Post.AccountChanged(tx, a, f, what, address)
}
