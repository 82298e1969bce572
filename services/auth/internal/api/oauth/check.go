package oauth

import (
	"context"
	"errors"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/addin"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/addins"
)

// Check finds the live session of an access token and whose it is, and notes its use. The session's Expires is the token's,
// which comes first. The error is SESSION_ENDED for a token that is unknown, over, or of somebody who may not sign in any
// more.
func (s *Server) Check(ctx context.Context, token string) (session.Session, store.Holder, error) {
	var t addin.Tokens
	var found session.Session
	var holder account.Account
	err := s.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		if t, err = addins.ByAccess(tx, session.Hash(token)); err != nil {
			return err
		}
		if found, err = store.Session(tx, t.Session); err != nil {
			return err
		}
		holder, err = store.Account(tx, found.Firm, found.Account)
		return err
	})
	if errors.Is(err, sqldb.ErrNotFound) {
		err = errSessionEnded
	}
	if err != nil {
		return session.Session{}, store.Holder{}, err
	}
	now := s.Now()
	if !found.Live(now) || !now.Before(t.Expires) || holder.State != account.Active {
		return session.Session{}, store.Holder{}, errSessionEnded
	}
	found.Expires = t.Expires
	if t.Used.IsZero() || found.NeedsTouch(now) {
		err = s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
			if err := store.TouchSession(tx, found.ID, now); err != nil || !t.Used.IsZero() {
				return err
			}
			return addins.Use(tx, t, now)
		})
	}
	return found, store.Holder{
		Kind: holder.Kind, Role: holder.Role, Contact: holder.Contact, State: holder.State, DisplayName: holder.DisplayName,
	}, err
}
