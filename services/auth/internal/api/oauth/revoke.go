package oauth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/addin"
	"github.com/concord-suite/concord/services/auth/internal/api/who"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/addins"
)

// The acts that Add-Ins leave in the ledger of the firm. The calls themselves are recorded as well, outside every firm:
// they are the gateway's.
const (
	actOpened      = "add_in.opened"
	actRevoked     = "add_in.revoked"
	actCodeReused  = "add_in.code_reused"
	actTokenReused = "add_in.refresh_token_reused"
)

// RevokeAddInToken implements authv1.AddInServiceServer. A refresh token that was redeemed before counts, too: it names the
// session that its bearer wants to be gone.
func (s *Server) RevokeAddInToken(ctx context.Context, req *authv1.RevokeAddInTokenRequest) (*authv1.RevokeAddInTokenResponse, error) {
	if _, err := s.client(req.GetClientId(), ""); err != nil {
		return nil, err
	}
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		t, err := tokensOf(tx, req.GetToken())
		if errors.Is(err, sqldb.ErrNotFound) {
			return nil // it is as good as revoked
		}
		if err != nil {
			return err
		}
		found, err := store.Session(tx, t.Session)
		if err != nil {
			return err
		}
		if found.AddIn != req.GetClientId() {
			return errGrant
		}
		return s.finish(tx, found, actRevoked, req.GetAddress())
	})
	if err != nil {
		return nil, err
	}
	return &authv1.RevokeAddInTokenResponse{}, nil
}

// tokensOf returns the generation of an access or refresh token, or ErrNotFound.
func tokensOf(tx *sqldb.Tx, token string) (addin.Tokens, error) {
	if session.ForRefresh.Is(token) {
		return addins.ByRefresh(tx, session.Hash(token))
	}
	return addins.ByAccess(tx, session.Hash(token))
}

// end ends the session that a code or refresh token was for, since two have it. It answers errGrant.
func (s *Server) end(tx *sqldb.Tx, id, act, address string) error {
	found, err := store.Session(tx, id)
	if err != nil {
		return orGrant(err) // it opened none, or one that is long over
	}
	if err := s.finish(tx, found, act, address); err != nil {
		return err
	}
	return errGrant
}

// finish ends an Add-In's session and notes why.
func (s *Server) finish(tx *sqldb.Tx, found session.Session, act, address string) error {
	n, err := store.Ended(tx, store.End{Session: found.ID}, s.Now())
	if err != nil || n == 0 {
		return err
	}
	holder, err := store.Account(tx, found.Firm, found.Account)
	if err != nil {
		return err
	}
	if err := record(tx, holder, found, act, address, s.Now()); err != nil || act == actRevoked || s.Post == nil {
		return err
	}
	f, err := store.FirmOf(tx, found.Firm)
	if err != nil {
		return err
	}
	return s.Post.Suspicious(tx, holder, f, fmt.Sprintf(copied, s.name(found.AddIn)), address)
}

// copied is what the holder reads when two had the same code or refresh token.
const copied = "A sign-in of %s was used a second time, as it happens when somebody copied it. It was ended: sign in there again."

// name is what an Add-In is called, also one that is not registered any more.
func (s *Server) name(id string) string {
	if c, ok := s.Clients[id]; ok {
		return c.Name
	}
	return id
}

// record notes what an Add-In did in the ledger of the firm.
func record(tx *sqldb.Tx, holder account.Account, s session.Session, act, address string, now time.Time) error {
	e := &auditeventsv1.AuditEntry{
		EntryId: uuid.Must(uuid.NewV7()).String(), Service: "auth", Kind: optionsv1.AuditKind_AUDIT_KIND_CHANGE,
		Firm: s.Firm, OccurredAt: timestamppb.New(now), ActorKind: who.Kind(holder.Kind, holder.Role), Actor: holder.ID,
		Session: s.ID, Address: address, Action: act, Permission: "add_in.issue",
		Resource: who.Name(holder.Kind, holder.Firm, holder.ID), Success: true,
	}
	if act == actCodeReused || act == actTokenReused {
		e.Success, e.Reason = false, rpcerr.Normalize(authv1.ErrorReason_ERROR_REASON_GRANT_INVALID)
	}
	_, err := events.Add(tx, events.Event{
		Firm: s.Firm, Message: &auditeventsv1.AuditRecorded{Entries: []*auditeventsv1.AuditEntry{e}},
	})
	return err
}
