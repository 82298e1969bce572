package api

import (
	"context"
	"crypto/subtle"
	"errors"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// Temporary: replaced by its owner.

func (addInServer) GetAddIn(context.Context, *authv1.GetAddInRequest) (*authv1.GetAddInResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (addInServer) RevokeAddInToken(context.Context, *authv1.RevokeAddInTokenRequest) (*authv1.RevokeAddInTokenResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (addInServer) GetAddInKeys(context.Context, *authv1.GetAddInKeysRequest) (*authv1.GetAddInKeysResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

// IssueAddInToken implements authv1.AddInServiceServer.
func (s addInServer) IssueAddInToken(ctx context.Context, req *authv1.IssueAddInTokenRequest) (*authv1.IssueAddInTokenResponse, error) {
	ctx, done := signin.Apart(ctx)
	defer done()
	hash := session.Hash(req.GetCode())
	var resp *authv1.IssueAddInTokenResponse
	var verdict error // what is told after a transaction that is committed all the same
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		resp, verdict = nil, nil
		c, err := store.ConsentBy(tx, hash)
		if errors.Is(err, sqldb.ErrNotFound) {
			return errRefused
		}
		if err != nil {
			return err
		}
		if !c.Used.IsZero() {
			// Two have had the code, and one of them has no right to it: what it opened ends (RFC 9700 §4.5.3).
			verdict = errRefused
			if c.Opened == "" {
				return nil
			}
			_, err := store.Ended(tx, store.End{Session: c.Opened}, s.Now())
			return err
		}
		opened, token, err := s.openAddIn(tx, c, req)
		if errors.Is(err, errRefused) {
			verdict = err // one try: a wrong verifier uses the code up
			opened.ID, err = "", nil
		}
		if err != nil {
			return err
		}
		resp = &authv1.IssueAddInTokenResponse{AccessToken: token, SessionExpireTime: stamp(opened.Expires)}
		used, err := store.UseConsent(tx, hash, opened.ID, s.Now())
		if err == nil && !used {
			err = errRefused
		}
		return err
	})
	if err == nil {
		err = verdict
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// openAddIn opens the session of an Add-In for a consent, or answers errRefused.
func (s *Server) openAddIn(tx *sqldb.Tx, c store.Consent, req *authv1.IssueAddInTokenRequest) (session.Session, string, error) {
	now := s.Now()
	sameURI := subtle.ConstantTimeCompare([]byte(c.RedirectURI), []byte(req.GetRedirectUri())) == 1
	if !now.Before(c.Expires) || !sameURI || !session.ProvesChallenge(req.GetCodeVerifier(), c.Challenge) {
		return session.Session{}, "", errRefused
	}
	parent, err := store.Session(tx, c.Session)
	if err != nil {
		return session.Session{}, "", err
	}
	holder, err := store.Account(tx, parent.Firm, parent.Account)
	if err != nil {
		return session.Session{}, "", err
	}
	f, err := store.FirmOf(tx, parent.Firm)
	if err != nil {
		return session.Session{}, "", err
	}
	if !parent.Live(now) || holder.State != account.Active || !parent.Allowed(f, holder) {
		return session.Session{}, "", errRefused
	}
	token, hash := session.NewToken(session.ForAddIn)
	opened := session.Session{
		ID: uuid.Must(uuid.NewV7()).String(), Firm: parent.Firm, Account: parent.Account, Kind: session.AddIn,
		Parent: parent.ID, AddIn: c.AddIn, Strength: parent.Strength, Methods: parent.Methods, Created: now, Used: now,
		Expires: parent.Expires, Address: req.GetAddress(), // it ends with the session of the person, at the latest
	}
	return opened, token, store.InsertSession(tx, hash, opened)
}
