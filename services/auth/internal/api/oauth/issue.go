package oauth

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/addin"
	"github.com/concord-suite/concord/services/auth/internal/api/idtoken"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/addins"
)

// The grants of RFC 6749 that there are. There is no password grant and no implicit one (RFC 9700 §2.1.2, §2.4), and no
// device grant (RFC 10027).
const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
)

// issued is one answer of the token endpoint before it is spelled out.
type issued struct {
	session         session.Session
	tokens          addin.Tokens
	access, refresh string
	nonce           string
}

// IssueAddInToken implements authv1.AddInServiceServer.
func (s *Server) IssueAddInToken(ctx context.Context, req *authv1.IssueAddInTokenRequest) (*authv1.IssueAddInTokenResponse, error) {
	if _, err := s.client(req.GetClientId(), ""); err != nil {
		return nil, err
	}
	scope, err := scopeOf(req.GetScope())
	if err != nil {
		return nil, err
	}
	redeem := s.redeemCode
	switch req.GetGrantType() {
	case grantCode:
	case grantRefresh:
		redeem = func(tx *sqldb.Tx, req *authv1.IssueAddInTokenRequest) (issued, error) {
			return s.refresh(tx, req, scope)
		}
	default:
		return nil, rpcerr.Default(codes.InvalidArgument).Field("grant_type", "grant_type", "is "+grantCode+" or "+grantRefresh)
	}
	ctx, done := signin.Apart(ctx)
	defer done()
	var out issued
	var verdict error // what is told after a transaction that is committed all the same
	err = s.DB.Tx(ctx, func(tx *sqldb.Tx) (err error) {
		verdict = nil
		if out, err = redeem(tx, req); errors.Is(err, errGrant) {
			verdict, err = err, nil // a code is used up and a session ended by what was wrong, too
		}
		return err
	})
	if err == nil {
		err = verdict
	}
	if err != nil {
		return nil, err
	}
	return s.answer(req.GetClientId(), out)
}

func (s *Server) answer(client string, out issued) (*authv1.IssueAddInTokenResponse, error) {
	resp := &authv1.IssueAddInTokenResponse{
		AccessToken: out.access, RefreshToken: out.refresh, Scope: out.tokens.Scope.String(),
		ExpiresIn:         int32(out.tokens.Expires.Sub(s.Now()) / time.Second),
		SessionExpireTime: timestamppb.New(out.session.Expires),
	}
	if !out.tokens.Scope.Has(addin.OpenID) {
		return resp, nil
	}
	var err error
	resp.IdToken, err = s.Keys.Sign(s.Issuer, client, out.nonce, idtoken.Person{
		Account: out.session.Account, Session: out.session.ID, Methods: out.session.Methods,
		Authenticated: out.tokens.Authenticated,
	})
	return resp, err
}

// redeemCode opens an Add-In's session for a code. Whatever is wrong uses the code up: one try.
func (s *Server) redeemCode(tx *sqldb.Tx, req *authv1.IssueAddInTokenRequest) (issued, error) {
	hash, now := session.Hash(req.GetCode()), s.Now()
	c, err := store.ConsentBy(tx, hash)
	if err != nil {
		return issued{}, orGrant(err)
	}
	if !c.Used.IsZero() {
		// Two have had the code, and one of them has no right to it: what it opened ends (RFC 9700 §4.5.3).
		return issued{}, s.end(tx, c.Opened, actCodeReused, req.GetAddress())
	}
	out, err := s.open(tx, c, req)
	if err != nil && !errors.Is(err, errGrant) {
		return issued{}, err
	}
	if used, failed := store.UseConsent(tx, hash, out.session.ID, now); failed != nil || !used {
		return issued{}, errors.Join(failed, errGrant)
	}
	return out, err
}

// open opens the session of an Add-In for a consent, or answers errGrant.
func (s *Server) open(tx *sqldb.Tx, c store.Consent, req *authv1.IssueAddInTokenRequest) (issued, error) {
	now := s.Now()
	if !now.Before(c.Expires) || session.Ahead(c.Expires.Add(-session.ConsentLife), now) || c.AddIn != req.GetClientId() ||
		c.RedirectURI != req.GetRedirectUri() ||
		!session.ProvesChallenge(req.GetCodeVerifier(), c.Challenge) {
		return issued{}, errGrant
	}
	parent, err := store.Session(tx, c.Session)
	if err != nil {
		return issued{}, orGrant(err)
	}
	holder, err := s.holder(tx, parent)
	if err != nil {
		return issued{}, err
	}
	granted, _ := addin.ParseScope(c.Scope) // was parsed when it was stored
	out := issued{nonce: c.Nonce, session: session.Session{
		ID: uuid.Must(uuid.NewV7()).String(), Firm: parent.Firm, Account: parent.Account, Kind: session.AddIn,
		Parent: parent.ID, AddIn: c.AddIn, Strength: parent.Strength, Methods: parent.Methods, Created: now, Used: now,
		Expires: parent.Expires, Address: req.GetAddress(), // it ends with the session of the person, at the latest
	}}
	out.access, _ = session.NewToken(session.ForAddIn)
	if granted.Has(addin.Offline) {
		out.refresh, _ = session.NewToken(session.ForRefresh)
	}
	out.tokens = addin.Tokens{
		Session: out.session.ID, Generation: 1, Granted: granted, Scope: granted, Authenticated: parent.Created, Issued: now,
		Expires: earlier(now.Add(addin.AccessLife), out.session.Expires),
	}
	// A session has one token's hash in its own row. An Add-In's has many, elsewhere; nobody is told this one.
	_, unused := session.NewToken(session.ForAddIn)
	if err := store.InsertSession(tx, unused, out.session); err != nil {
		return issued{}, err
	}
	if err := insert(tx, out); err != nil {
		return issued{}, err
	}
	return out, record(tx, holder, out.session, actOpened, req.GetAddress(), now)
}

// insert adds the generation of an answer.
func insert(tx *sqldb.Tx, out issued) error {
	var refresh []byte
	if out.refresh != "" {
		refresh = session.Hash(out.refresh)
	}
	return addins.Insert(tx, out.tokens, session.Hash(out.access), refresh)
}

// holder is whose session it is, or errGrant when the session is over or the person may not go on: disabled, or with less
// shown than the firm asks for by now.
func (s *Server) holder(tx *sqldb.Tx, one session.Session) (account.Account, error) {
	holder, err := store.Account(tx, one.Firm, one.Account)
	if err != nil {
		return holder, orGrant(err)
	}
	f, err := store.FirmOf(tx, one.Firm)
	if err != nil {
		return holder, orGrant(err)
	}
	if !one.Live(s.Now()) || one.MustEnrol || holder.State != account.Active || !one.Allowed(f, holder) {
		return holder, errGrant
	}
	return holder, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// orGrant turns the store's "no such row" into the answer for it.
func orGrant(err error) error {
	if errors.Is(err, sqldb.ErrNotFound) {
		return errGrant
	}
	return err
}
