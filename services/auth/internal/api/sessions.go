package api

import (
	"context"
	"errors"
	"time"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// mine returns the session of the call and its holder, or errSessionEnded, or errLocked.
func (s *Server) mine(ctx context.Context, tx *sqldb.Tx) (session.Session, account.Account, error) {
	own, err := store.Session(tx, access.From(ctx).Session)
	if err == nil && own.Locked(s.Now()) {
		return own, account.Account{}, errLocked
	}
	if errors.Is(err, sqldb.ErrNotFound) || (err == nil && !own.Live(s.Now())) {
		return own, account.Account{}, errSessionEnded
	}
	if err != nil {
		return own, account.Account{}, err
	}
	holder, err := store.Account(tx, own.Firm, own.Account)
	return own, holder, err
}

// GetCurrentSession implements authv1.SessionServiceServer.
func (s sessionServer) GetCurrentSession(ctx context.Context, _ *authv1.GetCurrentSessionRequest) (*authv1.GetCurrentSessionResponse, error) {
	p := access.From(ctx)
	resp := &authv1.GetCurrentSessionResponse{}
	err := s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		if p.Kind == access.Agent {
			agent, err := store.AgentOf(tx, p.Firm, p.ID)
			if err != nil {
				return orNotFound(err)
			}
			if !agent.Revoked.IsZero() {
				return errSessionEnded
			}
			resp.Session = agentSession(agent)
			return nil
		}
		own, holder, err := s.mine(ctx, tx)
		if err == nil {
			resp.Session = s.listed(own, holderOf(holder), own.ID)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// agentSession describes the lasting session of an agent; its id is the agent's.
func agentSession(a store.Agent) *authv1.Session {
	return &authv1.Session{
		Name: names.Format(store.SessionName, a.ID), Kind: access.Agent, Account: names.Format(store.AgentName, a.Firm, a.ID),
		Firm: names.Format(store.FirmName, a.Firm), DisplayName: a.DisplayName, Strength: authv1.Strength_STRENGTH_SINGLE,
		CreateTime: stamp(a.Created),
	}
}

// listed describes a session as it stands now, beside the one of the call.
func (s *Server) listed(one session.Session, holder store.Holder, current string) *authv1.Session {
	m := sessionMessage(one, holder)
	m.Locked, m.Current = one.Locked(s.Now()), one.ID == current
	return m
}

// ListSessions implements authv1.SessionServiceServer.
func (s sessionServer) ListSessions(ctx context.Context, req *authv1.ListSessionsRequest) (*authv1.ListSessionsResponse, error) {
	sessions, next, err := s.listSessions(ctx, req.GetPageSize(), req.GetPageToken(), func(tx *sqldb.Tx) (account.Account, error) {
		_, holder, err := s.mine(ctx, tx)
		return holder, err
	})
	return &authv1.ListSessionsResponse{Sessions: sessions, NextPageToken: next}, err
}

// ListStaffSessions implements authv1.SessionServiceServer.
func (s sessionServer) ListStaffSessions(ctx context.Context, req *authv1.ListStaffSessionsRequest) (*authv1.ListStaffSessionsResponse, error) {
	sessions, next, err := s.listSessions(ctx, req.GetPageSize(), req.GetPageToken(), func(tx *sqldb.Tx) (account.Account, error) {
		return staffNamed(tx, req.GetParent())
	})
	return &authv1.ListStaffSessionsResponse{Sessions: sessions, NextPageToken: next}, err
}

// staffNamed returns the member of staff that a resource name is of.
func staffNamed(tx *sqldb.Tx, name string) (account.Account, error) {
	firm, id := childOf(store.StaffName, name)
	a, err := store.Account(tx, firm, id)
	if err == nil && a.Kind != account.Staff {
		err = sqldb.ErrNotFound
	}
	return a, orNotFound(err)
}

// listSessions is a page of the sessions of an account.
func (s *Server) listSessions(
	ctx context.Context, wanted int32, token string, of func(*sqldb.Tx) (account.Account, error),
) (out []*authv1.Session, next string, err error) {
	const kind = "sessions"
	size := pageSize(wanted)
	after := store.SessionCursor{Created: s.Now().Add(time.Hour).UnixMicro()} // beyond the newest
	if err := readToken(token, kind, &after); err != nil {
		return nil, "", err
	}
	var sessions []session.Session
	var holder account.Account
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		if holder, err = of(tx); err != nil {
			return err
		}
		sessions, err = store.ListSessions(tx, holder.ID, s.Now(), after, size+1)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	sessions, next, err = page(sessions, size, kind, func(one session.Session) any {
		return store.SessionCursor{Created: sqldb.Micros(one.Created), ID: one.ID}
	})
	for _, one := range sessions {
		out = append(out, s.listed(one, holderOf(holder), access.From(ctx).Session))
	}
	return out, next, err
}

// EndStaffSessions implements authv1.SessionServiceServer.
func (s sessionServer) EndStaffSessions(ctx context.Context, req *authv1.EndStaffSessionsRequest) (*authv1.EndStaffSessionsResponse, error) {
	which := store.End{}
	if req.GetSession() != "" {
		ids, err := names.ParseField("session", store.SessionName, req.GetSession())
		if err != nil {
			return nil, err
		}
		which.Session = ids[0]
	}
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*authv1.EndStaffSessionsResponse, error) {
		holder, err := staffNamed(tx, req.GetName())
		if err != nil {
			return nil, err
		}
		which.Account = holder.ID
		if which.Session != "" {
			if target, err := store.Session(tx, which.Session); err != nil || target.Account != holder.ID {
				return nil, cmpErr(orNotFound(err), errNotFound)
			}
		}
		n, err := store.Ended(tx, which, s.Now())
		return &authv1.EndStaffSessionsResponse{Ended: int32(n)}, err
	})
}

// UnlockSession implements authv1.SessionServiceServer.
func (s sessionServer) UnlockSession(ctx context.Context, req *authv1.UnlockSessionRequest) (*authv1.UnlockSessionResponse, error) {
	ctx, done := signin.Apart(ctx)
	defer done()
	opened, err := s.Lock.Unlock(ctx, req.GetSessionToken(), req.GetPassword(), addressOf(ctx))
	if err != nil {
		return nil, tell(err)
	}
	return &authv1.UnlockSessionResponse{
		Session: s.listed(opened.Session, holderOf(opened.Account), opened.Session.ID), SessionToken: opened.Token,
	}, nil
}

// RevokeSession implements authv1.SessionServiceServer. An Add-In may end itself only. Another session than that of the
// call is ended by whoever has confirmed anew, or shows the password here: a screen left open must not be enough to take
// somebody's other sessions from them (OWASP ASVS 5, 7.5.2). Contacts can't step up; the password is for them, too.
func (s sessionServer) RevokeSession(ctx context.Context, req *authv1.RevokeSessionRequest) (*authv1.RevokeSessionResponse, error) {
	ids, err := names.ParseField("name", store.SessionName, req.GetName())
	if err != nil {
		return nil, err
	}
	var own session.Session
	var holder account.Account
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		own, holder, err = s.ending(ctx, tx, ids[0])
		return err
	})
	if err != nil {
		return nil, err
	}
	if ids[0] != own.ID && !s.Now().Before(own.StepUpUntil) {
		if req.GetPassword() == "" {
			return nil, errPasswordRequired
		}
		if err := s.SignIn.Confirm(ctx, holder, req.GetPassword(), addressOf(ctx)); err != nil {
			return nil, tell(err)
		}
	}
	checked := holder.Password
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*authv1.RevokeSessionResponse, error) {
		_, holder, err := s.ending(ctx, tx, ids[0])
		if err != nil {
			return nil, err
		}
		if holder.Password != checked {
			return nil, errRefused // given another one while it was being checked
		}
		_, err = store.Ended(tx, store.End{Session: ids[0]}, s.Now())
		return &authv1.RevokeSessionResponse{}, err
	})
}

// ending returns the session of the call and its holder when they may end the session of an id.
func (s *Server) ending(ctx context.Context, tx *sqldb.Tx, id string) (session.Session, account.Account, error) {
	own, holder, err := s.mine(ctx, tx)
	if err != nil {
		return own, holder, err
	}
	target, err := store.Session(tx, id)
	if err == nil && (target.Account != holder.ID || (own.Kind == session.AddIn && target.ID != own.ID)) {
		err = errNotFound
	}
	return own, holder, orNotFound(err)
}

// SignOut implements authv1.SessionServiceServer.
func (s sessionServer) SignOut(ctx context.Context, _ *authv1.SignOutRequest) (*authv1.SignOutResponse, error) {
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		_, err := store.Ended(tx, store.End{Session: access.From(ctx).Session}, s.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	return &authv1.SignOutResponse{}, nil
}

// DiscardSession implements authv1.SessionServiceServer. The token is proof enough to give up what it opens.
func (s sessionServer) DiscardSession(ctx context.Context, req *authv1.DiscardSessionRequest) (*authv1.DiscardSessionResponse, error) {
	found, _, err := store.SessionByToken(ctx, s.DB, session.Hash(req.GetSessionToken()))
	if errors.Is(err, sqldb.ErrNotFound) {
		return &authv1.DiscardSessionResponse{}, nil
	}
	if err == nil {
		err = s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
			_, err := store.Ended(tx, store.End{Session: found.ID}, s.Now())
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	return &authv1.DiscardSessionResponse{}, nil
}

// StartStepUp implements authv1.SessionServiceServer.
func (s sessionServer) StartStepUp(ctx context.Context, req *authv1.StartStepUpRequest) (*authv1.StartStepUpResponse, error) {
	ctx, done := signin.Apart(ctx)
	defer done()
	out, err := s.SignIn.StepUp(ctx, access.From(ctx).Session, req.GetPassword(), addressOf(ctx))
	if errors.Is(err, sqldb.ErrNotFound) {
		return nil, errSessionEnded
	}
	if err != nil {
		return nil, tell(err)
	}
	return &authv1.StartStepUpResponse{Challenge: challengeMessage(out.Pending)}, nil
}

// VerifyStepUp implements authv1.SessionServiceServer.
func (s sessionServer) VerifyStepUp(ctx context.Context, req *authv1.VerifyStepUpRequest) (*authv1.VerifyStepUpResponse, error) {
	ctx, done := signin.Apart(ctx)
	defer done()
	opened, err := s.SignIn.Verify(ctx, signin.Answer{
		Challenge: req.GetChallenge(), PIN: req.GetPin(), EmailPIN: req.GetEmailPin(), TOTP: req.GetTotpCode(),
		Assertion: req.GetPasskeyAssertion(), Session: access.From(ctx).Session, Address: addressOf(ctx),
	})
	if err != nil {
		return nil, tell(err)
	}
	return &authv1.VerifyStepUpResponse{
		Session: sessionMessage(opened.Session, holderOf(opened.Account)), SessionToken: opened.Token,
	}, nil
}
