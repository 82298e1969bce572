package factors

import (
	"context"
	"time"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/factors"
)

// approvalLife is how long an approval can be used.
const approvalLife = 24 * time.Hour

// askEvery is how often somebody may ask for an approval: the administrators have one e-mail of it.
const askEvery = 10 * time.Minute

// RequestEnrolment implements authv1.FactorServiceServer. The e-mails go to the other administrators of the firm or, when
// there is none, to the operators.
func (s *Server) RequestEnrolment(ctx context.Context, req *authv1.RequestEnrolmentRequest) (*authv1.RequestEnrolmentResponse, error) {
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*authv1.RequestEnrolmentResponse, error) {
		c, err := s.caller(ctx, tx)
		if err != nil {
			return nil, err
		}
		now := s.Now()
		ok, err := factors.Ask(tx, c.account.ID, now, now.Add(-askEvery))
		if err == nil && !ok {
			err = wait(now.Add(askEvery))
		}
		if err != nil || s.Post == nil {
			return &authv1.RequestEnrolmentResponse{}, err
		}
		approvers, err := store.Approvers(tx, c.account.Firm, c.account.ID)
		if err != nil {
			return nil, err
		}
		for _, a := range approvers {
			if err := s.Post.EnrolmentAsked(tx, a, c.firm, c.account); err != nil {
				return nil, err
			}
		}
		return &authv1.RequestEnrolmentResponse{}, nil
	})
}

// ApproveEnrolment answers the RPC of AccountService: somebody above vouches that the person is who they say.
func (s *Server) ApproveEnrolment(ctx context.Context, req *authv1.ApproveEnrolmentRequest) (*authv1.ApproveEnrolmentResponse, error) {
	kind, pattern := account.Staff, store.StaffName
	ids, err := names.Parse(pattern, req.GetName())
	if err != nil {
		kind, pattern = account.Contact, store.ContactLoginName
		ids, err = names.Parse(pattern, req.GetName())
	}
	if err != nil {
		return nil, errNotFound
	}
	p := access.From(ctx)
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*authv1.ApproveEnrolmentResponse, error) {
		a, err := store.Account(tx, ids[0], ids[1])
		if err == nil && a.Kind != kind {
			err = errNotFound
		}
		if err != nil {
			return nil, cmpNotFound(err, errNotFound)
		}
		approver, err := s.caller(ctx, tx)
		if err != nil {
			return nil, err
		}
		if approver.account.ID == a.ID || a.State != account.Active {
			return nil, errUnsuitable
		}
		until := s.Now().Add(approvalLife)
		if err := factors.Approve(tx, a.ID, access.KindName(p.Kind)+" "+p.ID, s.Now(), until); err != nil {
			return nil, err
		}
		resp := &authv1.ApproveEnrolmentResponse{ExpireTime: stamp(until)}
		if s.Post == nil {
			return resp, nil
		}
		firm, err := store.FirmOf(tx, a.Firm)
		if err != nil {
			return nil, err
		}
		return resp, s.Post.EnrolmentApproved(tx, a, firm, approver.account.DisplayName)
	})
}
