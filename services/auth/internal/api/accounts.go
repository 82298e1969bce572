package api

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/staffing"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/passkeys"
	"github.com/concord-suite/concord/services/auth/internal/store/people"
)

// InviteStaff implements authv1.AccountServiceServer.
func (s accountServer) InviteStaff(ctx context.Context, req *authv1.InviteStaffRequest) (*authv1.InviteStaffResponse, error) {
	a := account.Account{
		ID: uuid.Must(uuid.NewV7()).String(), Firm: firmOf(req.GetParent()), Kind: account.Staff, Role: roles[req.GetRole()],
		State: account.Invited, Created: s.Now(), Revision: 1,
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
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*authv1.InviteStaffResponse, error) {
		f, err := store.Firm(tx, a.Firm)
		if err != nil {
			return nil, orNotFound(err)
		}
		invited := a
		switch known, err := store.AccountByEmail(tx, a.Firm, a.Email); {
		case errors.Is(err, sqldb.ErrNotFound):
			if err := s.addStaff(tx, invited, f); err != nil {
				return nil, err
			}
			m, err := s.described(tx, invited)
			return &authv1.InviteStaffResponse{Staff: m}, err
		case err != nil:
			return nil, err
		case known.Kind != account.Staff || known.State == account.Active:
			return nil, errAccountExists
		default:
			invited = anew(known, a)
		}
		if err := s.Staffing.Anew(tx, invited); err != nil {
			return nil, err
		}
		if err := s.forgetFactors(tx, invited.ID); err != nil {
			return nil, err
		}
		if err := store.UpdateAccount(tx, invited); err != nil {
			return nil, err
		}
		if err := store.AnnounceStaff(tx, invited); err != nil {
			return nil, err
		}
		if err := s.invite(tx, invited, f, s.Now()); err != nil {
			return nil, err
		}
		m, err := s.described(tx, invited)
		return &authv1.InviteStaffResponse{Staff: m}, err
	})
}

// anew is an account that was not accepted, or was disabled, as it is invited again: nothing it had shown counts any more.
func anew(known, wanted account.Account) account.Account {
	if known.Mobile != wanted.Mobile {
		known.Mobile, known.MobileValidated = wanted.Mobile, wanted.MobileValidated
	}
	known.DisplayName, known.Role = wanted.DisplayName, wanted.Role
	known.State, known.Password, known.PIN = account.Invited, "", account.PINState{}
	known.Revision++
	return known
}

// forgetFactors removes everything that an account has enrolled.
func (s *Server) forgetFactors(tx *sqldb.Tx, id string) error {
	if err := s.SignIn.Proofs.Forget(tx, id); err != nil {
		return err
	}
	_, err := passkeys.DeleteAll(tx, id)
	return err
}

// addStaff inserts a new member of staff, tells the suite and sends the invitation.
func (s *Server) addStaff(tx *sqldb.Tx, a account.Account, f account.Firm) error {
	if err := salted(tx, a.Email); err != nil {
		return err
	}
	added, err := store.InsertAccount(tx, a)
	if err != nil {
		return err
	}
	if !added {
		return errAccountExists
	}
	if err := store.AnnounceStaff(tx, a); err != nil {
		return err
	}
	return s.invite(tx, a, f, s.Now())
}

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
		out = append(out, staffMessage(a, f, enrolled[a.ID]))
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

// ListStaff implements authv1.AccountServiceServer.
func (s accountServer) ListStaff(ctx context.Context, req *authv1.ListStaffRequest) (*authv1.ListStaffResponse, error) {
	const kind = "staff"
	size := pageSize(req.GetPageSize())
	var after store.NameCursor
	if err := readToken(req.GetPageToken(), kind, &after); err != nil {
		return nil, err
	}
	resp := &authv1.ListStaffResponse{}
	err := s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		f, err := store.Firm(tx, firmOf(req.GetParent()))
		if err != nil {
			return orNotFound(err)
		}
		staff, err := store.ListStaff(tx, f.ID, after, size+1)
		if err != nil {
			return err
		}
		staff, resp.NextPageToken, err = page(staff, size, kind, func(a account.Account) any {
			return store.NameCursor{Name: a.DisplayName, ID: a.ID}
		})
		if err == nil {
			resp.Staff, err = s.staffMessages(tx, f, staff...)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// staffOf returns a member of staff by resource name, or the NOT_FOUND to answer.
func staffOf(tx *sqldb.Tx, name string) (account.Account, error) {
	firm, id := childOf(store.StaffName, name)
	a, err := store.Account(tx, firm, id)
	if err == nil && a.Kind != account.Staff {
		err = errNotFound
	}
	return a, orNotFound(err)
}

// GetStaff implements authv1.AccountServiceServer.
func (s accountServer) GetStaff(ctx context.Context, req *authv1.GetStaffRequest) (*authv1.GetStaffResponse, error) {
	resp := &authv1.GetStaffResponse{}
	err := s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		a, err := staffOf(tx, req.GetName())
		if err == nil {
			resp.Staff, err = s.described(tx, a)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
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
		if req.GetEtag() != staffing.ETag(a) {
			return nil, errETag
		}
		before = a
		change(&a)
		if a != before {
			if a, err = s.Staffing.Change(tx, before, a, addressOf(ctx)); err != nil {
				return nil, tell(err)
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

// DisableStaff implements authv1.AccountServiceServer.
func (s accountServer) DisableStaff(ctx context.Context, req *authv1.DisableStaffRequest) (*authv1.DisableStaffResponse, error) {
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*authv1.DisableStaffResponse, error) {
		a, err := staffOf(tx, req.GetName())
		if err != nil {
			return nil, err
		}
		if err := staffing.KeepAdministrator(tx, a); err != nil {
			return nil, tell(err)
		}
		if a, err = s.disable(tx, a); err != nil {
			return nil, err
		}
		m, err := s.described(tx, a)
		return &authv1.DisableStaffResponse{Staff: m}, err
	})
}

// disable keeps an account from being signed in with: sessions end, challenges and invitations are void.
func (s *Server) disable(tx *sqldb.Tx, a account.Account) (account.Account, error) {
	if a.State == account.Disabled {
		return a, nil
	}
	now := s.Now()
	a.State = account.Disabled
	a.Revision++
	if err := store.UpdateAccount(tx, a); err != nil {
		return a, err
	}
	if err := store.CloseChallenges(tx, a.ID, now); err != nil {
		return a, err
	}
	if err := store.CloseInvitations(tx, a.ID, now); err != nil {
		return a, err
	}
	if err := people.CloseResets(tx, a.ID, now); err != nil {
		return a, err
	}
	_, err := store.Ended(tx, store.End{Account: a.ID}, now)
	return a, err
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
		if err := mayReset(ctx, tx, a); err != nil {
			return nil, err
		}
		code, err := s.Staffing.Reset(tx, a, req.GetPassword(), req.GetFactors(), addressOf(ctx))
		return &authv1.ResetStaffResponse{RecoveryCode: code}, err
	})
}

// mayReset leaves a firm's people to its administrators: the operator helps the only one, whom nobody else could help.
func mayReset(ctx context.Context, tx *sqldb.Tx, a account.Account) error {
	if access.From(ctx).Kind != access.Operator {
		return nil
	}
	if a.Role != account.Administrator {
		return errUnsuitable.Messagef("an administrator of the firm resets this account")
	}
	others, err := store.OtherAdministrators(tx, a.Firm, a.ID)
	if err == nil && others > 0 {
		err = errUnsuitable.Messagef("the firm has another administrator, who resets this account")
	}
	return err
}

// ReinstatePin implements authv1.AccountServiceServer.
func (s accountServer) ReinstatePin(ctx context.Context, req *authv1.ReinstatePinRequest) (*authv1.ReinstatePinResponse, error) {
	pattern, kind := store.StaffName, account.Staff
	if firm, _ := childOf(pattern, req.GetName()); firm == "" {
		pattern, kind = store.ContactLoginName, account.Contact
	}
	firm, id := childOf(pattern, req.GetName())
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*authv1.ReinstatePinResponse, error) {
		a, err := store.Account(tx, firm, id)
		if err == nil && a.Kind != kind {
			err = errNotFound
		}
		if err != nil {
			return nil, orNotFound(err)
		}
		a.PIN = account.PINState{}
		if err := people.RestoreMailbox(tx, a.ID); err != nil { // the caller has made sure of who it is
			return nil, err
		}
		return &authv1.ReinstatePinResponse{}, store.UpdateAccount(tx, a)
	})
}

// ApproveEnrolment implements authv1.AccountServiceServer.
func (s accountServer) ApproveEnrolment(ctx context.Context, req *authv1.ApproveEnrolmentRequest) (*authv1.ApproveEnrolmentResponse, error) {
	return s.Factors.ApproveEnrolment(ctx, req)
}
