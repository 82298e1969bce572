package identity

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/concord-suite/concord/sim/world"
)

// tokenError is an error of the token endpoint; its text is the whole answer.
type tokenError string

func (e tokenError) Error() string { return string(e) }

const (
	errInvalidGrant     = tokenError("invalid_grant")
	errInvalidClient    = tokenError("invalid_client")
	errInvalidRequest   = tokenError("invalid_request")
	errUnsupportedGrant = tokenError("unsupported_grant_type")
)

// tokenAnswer is the recorded answer of the token endpoint.
type tokenAnswer struct {
	IDToken      string `json:"id_token,omitempty"`
	AccessToken  string `json:"access_token"`
	ExpiresIn    int    `json:"expires_in"`
	TokenType    string `json:"token_type"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
}

func (s *Service) token(w http.ResponseWriter, r *http.Request) {
	answer, err := s.exchange(r)
	var refused tokenError
	switch {
	case err == nil:
		writeJSON(w, http.StatusOK, answer)
	case errors.As(err, &refused):
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": string(refused)})
	default:
		writeJSON(w, http.StatusInternalServerError, map[string]string{"error": "server_error", "error_description": err.Error()})
	}
}

func (s *Service) exchange(r *http.Request) (tokenAnswer, error) {
	if err := r.ParseForm(); err != nil {
		return tokenAnswer{}, errInvalidRequest
	}
	app, err := s.client(r)
	if err != nil {
		return tokenAnswer{}, err
	}
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		return s.redeem(app, r.PostForm.Get("code"), r.PostForm.Get("redirect_uri"), r.PostForm.Get("code_verifier"))
	case "refresh_token":
		return s.refresh(app, r.PostForm.Get("refresh_token"))
	default:
		return tokenAnswer{}, errUnsupportedGrant
	}
}

// client finds the app that is calling: by Basic, by secret in the body, or by client_id alone for
// an app that has no secret.
func (s *Service) client(r *http.Request) (*world.App, error) {
	id, pass, basic := r.BasicAuth()
	if !basic {
		id, pass = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	app := s.app(id)
	if app == nil || subtle.ConstantTimeCompare([]byte(app.Secret), []byte(pass)) != 1 {
		return nil, errInvalidClient
	}
	return app, nil
}

// redeem turns a code into tokens, once.
func (s *Service) redeem(app *world.App, code, redirect, verifier string) (tokenAnswer, error) {
	var grant world.Grant
	var refresh string
	err := s.store.Update(func(tx *world.Tx) error {
		row := tx.Codes.Get(hash(code))
		if row == nil || row.App != app.ClientID || row.RedirectURI != redirect ||
			tx.Now.Sub(row.Issued) > tx.Rules().CodeTTL.Duration() || !proves(row.Challenge, verifier) {
			return errInvalidGrant
		}
		tx.Codes.Delete(tx, hash(code))
		grant = world.Grant{ID: world.NewID(), App: row.App, Person: row.Person, AuthEvent: row.AuthEvent,
			AuthTime: row.AuthTime, Scope: row.Scope, Nonce: row.Nonce}
		if slices.Contains(row.Scope, "offline_access") {
			refresh = secret()
			grant.Tokens = []world.RefreshToken{{Hash: hash(refresh), Issued: tx.Now}}
		}
		tx.Grants.Put(tx, grant.ID, &grant)
		return nil
	})
	if err != nil {
		return tokenAnswer{}, err
	}
	return s.tokens(grant, refresh)
}

// proves checks a PKCE verifier (RFC 7636, S256) against the challenge of the code.
func proves(challenge, verifier string) bool {
	if challenge == "" {
		return true
	}
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(encode(sum[:])), []byte(challenge)) == 1
}

// refresh rotates a refresh token. The old one may be used again until the grace after its first use
// is over: that is for callers who lost the answer.
func (s *Service) refresh(app *world.App, old string) (tokenAnswer, error) {
	var grant world.Grant
	fresh := secret()
	err := s.store.Update(func(tx *world.Tx) error {
		found := owner(tx.State, app.ClientID, hash(old))
		if found == nil {
			return errInvalidGrant
		}
		grant = *found
		grant.Tokens = living(found.Tokens, tx.Now, tx.Rules())
		at := slices.IndexFunc(grant.Tokens, func(t world.RefreshToken) bool { return t.Hash == hash(old) })
		if at < 0 {
			return errInvalidGrant
		}
		if grant.Tokens[at].Used.IsZero() {
			grant.Tokens[at].Used = tx.Now
		}
		grant.Tokens = append(grant.Tokens, world.RefreshToken{Hash: hash(fresh), Issued: tx.Now})
		tx.Grants.Put(tx, grant.ID, &grant)
		return nil
	})
	if err != nil {
		return tokenAnswer{}, err
	}
	return s.tokens(grant, fresh)
}

func owner(st *world.State, app, tokenHash string) *world.Grant {
	for _, g := range st.Grants.All() {
		if g.App == app && slices.ContainsFunc(g.Tokens, func(t world.RefreshToken) bool { return t.Hash == tokenHash }) {
			return g
		}
	}
	return nil
}

// living returns the refresh tokens that can still be used.
func living(tokens []world.RefreshToken, now time.Time, rules world.Settings) []world.RefreshToken {
	var alive []world.RefreshToken
	for _, t := range tokens {
		if t.Used.IsZero() && now.Sub(t.Issued) < rules.RefreshTTL.Duration() ||
			!t.Used.IsZero() && now.Sub(t.Used) < rules.RefreshGrace.Duration() {
			alive = append(alive, t)
		}
	}
	return alive
}

// tokens signs the answer for a grant.
func (s *Service) tokens(g world.Grant, refresh string) (tokenAnswer, error) {
	now, ttl := s.store.Now(), s.store.Rules().AccessTTL.Duration()
	access, err := s.signer.sign(accessClaims{
		NotBefore: now.Unix(), Expires: now.Add(ttl).Unix(), Issuer: issuer, Audience: audience,
		ClientID: g.App, Subject: subject(g.Person), AuthTime: g.AuthTime.Unix(), UserID: g.Person,
		Session: hash(g.ID)[:32], ID: strings.ToUpper(hash(secret())[:32]), AuthEvent: g.AuthEvent, Scope: g.Scope,
	})
	if err != nil {
		return tokenAnswer{}, err
	}
	answer := tokenAnswer{AccessToken: access, ExpiresIn: int(ttl.Seconds()), TokenType: "Bearer",
		RefreshToken: refresh, Scope: strings.Join(g.Scope, " ")}
	if slices.Contains(g.Scope, "openid") {
		answer.IDToken, err = s.idToken(g, access, now)
	}
	return answer, err
}

// idTokenLife is how long an id_token is good for: long enough to be read once.
const idTokenLife = 5 * time.Minute

func (s *Service) idToken(g world.Grant, access string, now time.Time) (string, error) {
	sum := sha256.Sum256([]byte(access))
	claims := idClaims{
		NotBefore: now.Unix(), Expires: now.Add(idTokenLife).Unix(), Issuer: issuer, Audience: g.App,
		IssuedAt: now.Unix(), Nonce: g.Nonce, Hash: encode(sum[:len(sum)/2]), Subject: subject(g.Person),
		AuthTime: g.AuthTime.Unix(), UserID: g.Person, Session: hash(g.ID)[:32],
	}
	if person := s.person(g.Person); person != nil {
		claims.Username, claims.Email, claims.Name = person.Email, person.Email, person.Name
	}
	return s.signer.sign(claims)
}

// revoke ends everything the person behind a refresh token gave the app: all tokens, all
// connections. As RFC 7009 asks, an unknown token is no error.
func (s *Service) revoke(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": string(errInvalidRequest)})
		return
	}
	app, err := s.client(r)
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": string(errInvalidClient)})
		return
	}
	err = s.store.Update(func(tx *world.Tx) error {
		if found := owner(tx.State, app.ClientID, hash(r.PostForm.Get("token"))); found != nil {
			Forget(tx, app.ClientID, found.Person)
		}
		return nil
	})
	if err != nil {
		writeJSON(w, http.StatusInternalServerError, map[string]string{"error": "server_error"})
		return
	}
	w.WriteHeader(http.StatusOK)
}

// Forget removes every grant and connection a person has with an app.
func Forget(tx *world.Tx, app, person string) {
	for id, g := range tx.Grants.All() {
		if g.App == app && g.Person == person {
			tx.Grants.Delete(tx, id)
		}
	}
	for id, c := range tx.Connections.All() {
		if c.App == app && c.Person == person {
			tx.Connections.Delete(tx, id)
		}
	}
}
