package api

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/policy"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// CreateFirm implements authv1.FirmServiceServer.
func (s firmServer) CreateFirm(ctx context.Context, req *authv1.CreateFirmRequest) (*authv1.CreateFirmResponse, error) {
	now := s.Now()
	f := account.Firm{ID: uuid.Must(uuid.NewV7()).String(), Created: now, EmailPIN: true, EmailStandsIn: true, Revision: 1}
	a := account.Account{
		ID: uuid.Must(uuid.NewV7()).String(), Firm: f.ID, Kind: account.Staff, Role: account.Administrator,
		State: account.Invited, Created: now, Revision: 1,
	}
	var err error
	if f.DisplayName, err = cleanName("display_name", req.GetDisplayName()); err != nil {
		return nil, err
	}
	if a.DisplayName, err = cleanName("administrator_name", req.GetAdministratorName()); err != nil {
		return nil, err
	}
	if a.Email, err = cleanEmail("administrator_email", req.GetAdministratorEmail()); err != nil {
		return nil, err
	}
	if a.Mobile, err = s.cleanMobile("administrator_mobile", req.GetAdministratorMobile()); err != nil {
		return nil, err
	}
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*authv1.CreateFirmResponse, error) {
		if err := store.InsertFirm(tx, f, s.policyChange(ctx, store.PolicyMade, "")); err != nil {
			return nil, err
		}
		if err := store.AnnounceFirm(tx, f); err != nil {
			return nil, err
		}
		if err := s.addStaff(tx, a, f); err != nil {
			return nil, err
		}
		return &authv1.CreateFirmResponse{
			Firm: firmMessage(f), Administrator: names.Format(store.StaffName, f.ID, a.ID),
		}, nil
	})
}

// ListFirms implements authv1.FirmServiceServer.
func (s firmServer) ListFirms(ctx context.Context, req *authv1.ListFirmsRequest) (*authv1.ListFirmsResponse, error) {
	const kind = "firms"
	size := pageSize(req.GetPageSize())
	var after store.FirmCursor
	if err := readToken(req.GetPageToken(), kind, &after); err != nil {
		return nil, err
	}
	var firms []account.Firm
	err := s.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		firms, err = store.ListFirms(tx, after, size+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	firms, next, err := page(firms, size, kind, func(f account.Firm) any { return store.FirmCursor{DisplayName: f.DisplayName, ID: f.ID} })
	resp := &authv1.ListFirmsResponse{NextPageToken: next}
	for _, f := range firms {
		resp.Firms = append(resp.Firms, firmMessage(f))
	}
	return resp, err
}

// GetFirm implements authv1.FirmServiceServer.
func (s firmServer) GetFirm(ctx context.Context, req *authv1.GetFirmRequest) (*authv1.GetFirmResponse, error) {
	var f account.Firm
	err := s.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		f, err = store.Firm(tx, firmOf(req.GetName()))
		return orNotFound(err)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.GetFirmResponse{Firm: firmMessage(f)}, nil
}

// readPolicy returns the policy of a firm as it is told.
func readPolicy(tx *sqldb.Tx, firm string) (account.Firm, *authv1.SecurityPolicy, error) {
	f, err := store.Firm(tx, firm)
	if err != nil {
		return f, nil, orNotFound(err)
	}
	required, err := store.Requirements(tx, firm)
	return f, policyMessage(f, required), err
}

// GetSecurityPolicy implements authv1.FirmServiceServer.
func (s firmServer) GetSecurityPolicy(ctx context.Context, req *authv1.GetSecurityPolicyRequest) (*authv1.GetSecurityPolicyResponse, error) {
	resp := &authv1.GetSecurityPolicyResponse{}
	err := s.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		_, resp.Policy, err = readPolicy(tx, firmOf(req.GetName()))
		return err
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// UpdateSecurityPolicy implements authv1.FirmServiceServer.
func (s firmServer) UpdateSecurityPolicy(ctx context.Context, req *authv1.UpdateSecurityPolicyRequest) (*authv1.UpdateSecurityPolicyResponse, error) {
	wanted := req.GetPolicy()
	if err := s.strongLeft(forbiddenOf(wanted)); err != nil {
		return nil, err
	}
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*authv1.UpdateSecurityPolicyResponse, error) {
		f, now, err := readPolicy(tx, firmOf(wanted.GetName()))
		if err != nil {
			return nil, err
		}
		if wanted.GetEtag() != strconv.FormatInt(f.Revision, 10) {
			return nil, errETag
		}
		if !wanted.GetTwoFactorEnforced() && len(now.GetRequiredBy()) > 0 {
			return nil, errRequired.With("connection", now.GetRequiredBy()[0])
		}
		_, err = s.Policy.Change(tx, f, wantedPolicy(f, wanted, s.Now()), s.policyChange(ctx, store.PolicyChanged, ""))
		if errors.Is(err, policy.ErrChanged) {
			err = errETag
		}
		if err != nil {
			return nil, err
		}
		_, changed, err := readPolicy(tx, f.ID)
		return &authv1.UpdateSecurityPolicyResponse{Policy: changed}, err
	})
}

// strongLeft refuses a policy under which nobody could enrol anything strong in this installation: then nobody could confirm
// anew either, and so nobody could change it again.
func (s *Server) strongLeft(forbidden []account.Factor) error {
	here := []account.Factor{account.TOTP}
	if s.Factors.Passkeys != nil {
		here = append(here, account.Passkey)
	}
	if s.Messages.Desk.SMS != nil {
		here = append(here, account.SMSPIN)
	}
	if slices.ContainsFunc(here, func(k account.Factor) bool { return !slices.Contains(forbidden, k) }) {
		return nil
	}
	return violation("policy.forbidden_factors", "factor_left", "leaves at least one kind that people can have here")
}

// wantedPolicy is the firm with the policy that an administrator wants. Enforcement that goes on keeps its time.
func wantedPolicy(f account.Firm, p *authv1.SecurityPolicy, now time.Time) account.Firm {
	switch {
	case !p.GetTwoFactorEnforced():
		f.Enforced = time.Time{}
	case f.Enforced.IsZero():
		f.Enforced = now
	}
	f.EmailPIN, f.EmailStandsIn = p.GetEmailPinAllowed(), p.GetEmailStandsIn()
	f.ContactsExempt, f.PasskeyAloneForbidden = p.GetContactsExempt(), p.GetPasskeyAloneForbidden()
	f.Forbidden = forbiddenOf(p)
	return f
}

// policyChange says who changes a policy.
func (s *Server) policyChange(ctx context.Context, cause, connection string) store.PolicyChange {
	p := access.From(ctx)
	return store.PolicyChange{
		At: s.Now(), Cause: cause, ActorKind: access.KindName(p.Kind), Actor: p.ID, Connection: connection,
	}
}

// GetMessageSettings implements authv1.FirmServiceServer.
func (s firmServer) GetMessageSettings(ctx context.Context, req *authv1.GetMessageSettingsRequest) (*authv1.GetMessageSettingsResponse, error) {
	return s.Messages.GetMessageSettings(ctx, req)
}

// UpdateMessageSettings implements authv1.FirmServiceServer.
func (s firmServer) UpdateMessageSettings(ctx context.Context, req *authv1.UpdateMessageSettingsRequest) (*authv1.UpdateMessageSettingsResponse, error) {
	return s.Messages.UpdateMessageSettings(ctx, req)
}

// RequireTwoFactor implements authv1.FirmServiceServer.
func (s firmServer) RequireTwoFactor(ctx context.Context, req *authv1.RequireTwoFactorRequest) (*authv1.RequireTwoFactorResponse, error) {
	firm, connection, err := connectionOf(req.GetFirm(), req.GetConnection())
	if err != nil {
		return nil, err
	}
	var resp *authv1.RequireTwoFactorResponse
	err = s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		did, err := s.Policy.Require(tx, firm, s.policyChange(ctx, store.PolicyRequired, connection))
		resp = &authv1.RequireTwoFactorResponse{SwitchedOn: did.SwitchedOn, SessionsAffected: int32(did.Ended)}
		return orNotFound(err)
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// ReleaseTwoFactor implements authv1.FirmServiceServer.
func (s firmServer) ReleaseTwoFactor(ctx context.Context, req *authv1.ReleaseTwoFactorRequest) (*authv1.ReleaseTwoFactorResponse, error) {
	firm, connection, err := connectionOf(req.GetFirm(), req.GetConnection())
	if err != nil {
		return nil, err
	}
	err = s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		return orNotFound(s.Policy.Release(tx, firm, s.policyChange(ctx, store.PolicyReleased, connection)))
	})
	if err != nil {
		return nil, err
	}
	return &authv1.ReleaseTwoFactorResponse{}, nil
}

// connectionOf reads a connection and makes sure that it is the firm's.
func connectionOf(firmName, connectionName string) (firm, connection string, err error) {
	firm = firmOf(firmName)
	owner, connection := childOf(store.ConnectionName, connectionName)
	if owner != firm {
		return "", "", violation("connection", "firm", "names another firm")
	}
	return firm, connection, nil
}
