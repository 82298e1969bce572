// Package oauth is the OAuth 2 authorization server for the suite's own desktop programs: consents, codes, tokens that
// rotate, and their end. The gateway lays HTTP over it.
//
// An Add-In's session hangs on the session of the person who consented. Its tokens come in generations: each answer of the
// token endpoint replaces the one before, and a refresh token from an earlier one ends the session. What the decisions are
// and why stands in docs/adr/0015-add-ins.md.
package oauth

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/addin"
	"github.com/concord-suite/concord/services/auth/internal/api/idtoken"
	"github.com/concord-suite/concord/services/auth/internal/api/outbound"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// Server answers the RPCs of AddInService. Its fields are set once, before use.
type Server struct {
	// Embedding the Unsafe form keeps a new RPC from compiling before it is written.
	authv1.UnsafeAddInServiceServer

	DB *sqldb.DB
	// Clients are the registered Add-Ins.
	Clients addin.Registry
	// Keys sign ID tokens.
	Keys *idtoken.Keys
	// Post tells people that somebody else may have their Add-In's tokens; nil without a mail server.
	Post *outbound.Post
	// Issuer is where people reach the suite, without a slash at the end.
	Issuer string
	Now    access.Clock
}

var (
	errClient = rpcerr.New(codes.NotFound, authv1.ErrorReason_ERROR_REASON_CLIENT_UNKNOWN,
		"no Add-In is registered under this id with this redirect address")
	errGrant = rpcerr.New(codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_GRANT_INVALID,
		"this code or refresh token is not valid (any more); sign in again")
	errSessionEnded = rpcerr.New(codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SESSION_ENDED,
		"the session has ended; sign in again")
)

// client returns a registered Add-In, or errClient. An empty redirect address is not checked.
func (s *Server) client(id, redirect string) (addin.Client, error) {
	c, ok := s.Clients[id]
	if !ok || (redirect != "" && !c.Accepts(redirect)) {
		return addin.Client{}, errClient
	}
	return c, nil
}

func scopeOf(text string) (addin.Scope, error) {
	scope, ok := addin.ParseScope(text)
	if !ok {
		return nil, errScope("holds what there is not; there are " + strings.Join(addin.Scopes(), " and "))
	}
	return scope, nil
}

func errScope(words string) error {
	return rpcerr.Default(codes.InvalidArgument).Field("scope", "scope", words)
}

// GetAddIn implements authv1.AddInServiceServer.
func (s *Server) GetAddIn(_ context.Context, req *authv1.GetAddInRequest) (*authv1.GetAddInResponse, error) {
	c, err := s.client(strings.TrimPrefix(req.GetName(), "addIns/"), req.GetRedirectUri())
	if err != nil {
		return nil, err
	}
	return &authv1.GetAddInResponse{DisplayName: c.Name}, nil
}

// AuthorizeAddIn implements authv1.AddInServiceServer.
func (s *Server) AuthorizeAddIn(ctx context.Context, req *authv1.AuthorizeAddInRequest) (*authv1.AuthorizeAddInResponse, error) {
	c, err := s.client(req.GetAddIn(), req.GetRedirectUri())
	if err != nil {
		return nil, err
	}
	scope, err := scopeOf(req.GetScope())
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
			Session: consenting.ID, AddIn: c.ID, RedirectURI: req.GetRedirectUri(), Challenge: req.GetCodeChallenge(),
			Scope: scope.OrDefault().String(), Nonce: req.GetNonce(), Expires: now.Add(session.ConsentLife),
		})
	})
	if err != nil {
		return nil, err
	}
	return &authv1.AuthorizeAddInResponse{Code: code, Issuer: s.Issuer}, nil
}

// GetAddInKeys implements authv1.AddInServiceServer.
func (s *Server) GetAddInKeys(context.Context, *authv1.GetAddInKeysRequest) (*authv1.GetAddInKeysResponse, error) {
	jwks, err := s.Keys.JWKS()
	if err != nil {
		return nil, err
	}
	return &authv1.GetAddInKeysResponse{Jwks: jwks, Issuer: s.Issuer}, nil
}
