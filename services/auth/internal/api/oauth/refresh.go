package oauth

import (
	"errors"

	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/addin"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/addins"
)

// refresh redeems a refresh token.
func (s *Server) refresh(tx *sqldb.Tx, req *authv1.IssueAddInTokenRequest, scope addin.Scope) (issued, error) {
	own, err := addins.ByRefresh(tx, session.Hash(req.GetRefreshToken()))
	if err != nil {
		return issued{}, orGrant(err)
	}
	found, err := store.Session(tx, own.Session)
	if err != nil {
		return issued{}, orGrant(err)
	}
	// Another Add-In's token: it proves nothing about this one's, so nothing ends.
	if found.AddIn != req.GetClientId() {
		return issued{}, errGrant
	}
	if _, err := s.holder(tx, found); err != nil {
		return issued{}, err
	}
	if len(scope) == 0 {
		scope = own.Granted
	}
	if !scope.Within(own.Granted) {
		return issued{}, errScope("holds more than was consented to")
	}
	next, err := addins.Generation(tx, own.Session, own.Generation+1)
	if err != nil && !errors.Is(err, sqldb.ErrNotFound) {
		return issued{}, err
	}
	switch addin.Judge(own, next, s.Now()) {
	case addin.Rotate:
		return s.rotate(tx, found, own, scope, req.GetRefreshToken())
	case addin.Repeat:
		if scope.String() != next.Scope.String() {
			return issued{}, errGrant // another question than the one whose answer was lost
		}
		return successor(found, next, req.GetRefreshToken(), own.Salt), nil
	case addin.End:
		return issued{}, s.end(tx, own.Session, actTokenReused, req.GetAddress())
	}
	return issued{}, errGrant
}

// rotate makes the next generation. Its refresh token stands for the same consent; a narrower scope is this access token's
// alone (RFC 6749 §6).
func (s *Server) rotate(tx *sqldb.Tx, found session.Session, own addin.Tokens, scope addin.Scope, refresh string) (issued, error) {
	now, salt := s.Now(), addin.NewSalt()
	next := addin.Tokens{
		Session: own.Session, Generation: own.Generation + 1, Granted: own.Granted, Scope: scope,
		Authenticated: own.Authenticated, Issued: now, Expires: earlier(now.Add(addin.AccessLife), found.Expires),
	}
	out := successor(found, next, refresh, salt)
	if err := addins.Rotate(tx, own, salt, now); err != nil {
		return issued{}, err
	}
	if err := store.TouchSession(tx, found.ID, now); err != nil {
		return issued{}, err
	}
	return out, insert(tx, out)
}

// successor spells the tokens of a generation out again.
func successor(found session.Session, next addin.Tokens, refresh string, salt []byte) issued {
	token := func(p session.Purpose) string { return string(p) + addin.Derive(refresh, salt, string(p)) }
	return issued{session: found, tokens: next, access: token(session.ForAddIn), refresh: token(session.ForRefresh)}
}
