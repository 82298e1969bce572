package factors

import (
	"context"
	"strings"
	"time"

	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/factors"
)

// RemoveFactor implements authv1.FactorServiceServer.
func (s *Server) RemoveFactor(ctx context.Context, req *authv1.RemoveFactorRequest) (*authv1.RemoveFactorResponse, error) {
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*authv1.RemoveFactorResponse, error) {
		c, err := s.caller(ctx, tx)
		if err != nil {
			return nil, err
		}
		if !confirmed(c.session, s.Now()) {
			return nil, errStepUp
		}
		before, err := s.enrolled(tx, c)
		if err != nil {
			return nil, err
		}
		stood := !signin.Stranded(c.account, c.firm, before)
		what, err := s.remove(tx, &c, req.GetName())
		if err != nil {
			return nil, err
		}
		after, err := s.enrolled(tx, c)
		if err != nil {
			return nil, err
		}
		if stood && signin.Stranded(c.account, c.firm, after) {
			return nil, errLast
		}
		if err := s.endOthers(tx, c); err != nil {
			return nil, err
		}
		return &authv1.RemoveFactorResponse{}, s.tellHolder(tx, c, what)
	})
}

// remove takes a factor away and says what that was.
func (s *Server) remove(tx *sqldb.Tx, c *caller, name string) (what string, err error) {
	var gone bool
	switch name {
	case nameOfTOTP:
		what = "The authenticator program of your account was removed."
		gone, err = factors.DropTOTP(tx, c.account.ID)
	case nameOfMobile:
		what = "The mobile " + account.MaskMobile(c.account.Mobile) + " was removed from your account."
		gone = c.account.Mobile != ""
		c.account.Mobile, c.account.MobileValidated = "", time.Time{}
		err = store.UpdateAccount(tx, c.account)
	default:
		what = "A passkey was removed from your account."
		if s.Passkeys != nil {
			gone, err = s.Passkeys.Remove(tx, c.account.ID, strings.TrimPrefix(name, "factors/"))
		}
	}
	if err == nil && !gone {
		err = errNotFound
	}
	return what, err
}

// endOthers ends what rests on the factors as they were: every other session of the account, and whatever waits.
func (s *Server) endOthers(tx *sqldb.Tx, c caller) error {
	now := s.Now()
	if err := store.CloseChallenges(tx, c.account.ID, now); err != nil {
		return err
	}
	if err := factors.CloseEnrolments(tx, c.account.ID, now); err != nil {
		return err
	}
	const most = 10_000 // sessions live twelve hours: nobody opens as many
	after := store.SessionCursor{Created: now.Add(time.Hour).UnixMicro()}
	sessions, err := store.ListSessions(tx, c.account.ID, now, after, most)
	if err != nil {
		return err
	}
	for _, one := range sessions {
		if one.ID == c.session.ID || (one.Kind == session.AddIn && one.Parent == c.session.ID) {
			continue
		}
		if _, err := store.Ended(tx, store.End{Session: one.ID}, now); err != nil {
			return err
		}
	}
	return nil
}
