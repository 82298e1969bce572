package api

import (
	"context"
	"errors"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// addInKind is what an Add-In's session acts as.
const addInKind = access.AddIn

// AuthorizeAddIn implements authv1.AddInServiceServer.
func (s addInServer) AuthorizeAddIn(ctx context.Context, req *authv1.AuthorizeAddInRequest) (*authv1.AuthorizeAddInResponse, error) {
	addIn, err := cleanName("add_in", req.GetAddIn())
	if err != nil {
		return nil, err
	}
	code, hash := session.NewToken(session.ForConsent)
	err = s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		now := s.Now()
		consenting, err := store.Session(tx, access.From(ctx).Session)
		if err != nil && !errors.Is(err, sqldb.ErrNotFound) {
			return err
		}
		if err != nil || !consenting.Live(now) {
			return errSessionEnded
		}
		return store.InsertConsent(tx, hash, store.Consent{
			Session: consenting.ID, AddIn: addIn, RedirectURI: req.GetRedirectUri(), Challenge: req.GetCodeChallenge(),
			Expires: now.Add(session.ConsentLife),
		})
	})
	if err != nil {
		return nil, err
	}
	return &authv1.AuthorizeAddInResponse{Code: code}, nil
}
