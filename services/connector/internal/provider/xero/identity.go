// Package xero speaks to Xero's identity service: consent, tokens, and the list of what a person connected. All of
// Xero's APIs share it.
package xero

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/transport"
)

// Config is the registration of this installation at Xero, and where Xero is.
type Config struct {
	ClientID, ClientSecret string
	// RedirectURL is the gateway's callback, as registered.
	RedirectURL string
	// AuthorizeURL is the consent page. IdentityURL is where tokens are given out, APIURL where connections are listed.
	AuthorizeURL, IdentityURL, APIURL *url.URL
	// Issuer is what the service calls itself.
	Issuer string
	// Timeout bounds one call.
	Timeout time.Duration
}

// Identity is Xero's identity service.
type Identity struct {
	cfg    Config
	oauth  oauth2.Config
	client *http.Client
	now    func() time.Time
}

var _ provider.Identity = (*Identity)(nil)

// New makes a client of the identity service.
func New(cfg Config, client *http.Client, now func() time.Time) *Identity {
	return &Identity{cfg: cfg, client: client, now: now, oauth: oauth2.Config{
		ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret, RedirectURL: cfg.RedirectURL,
		Endpoint: oauth2.Endpoint{
			AuthURL: cfg.AuthorizeURL.String(), TokenURL: cfg.IdentityURL.JoinPath("connect/token").String(),
			AuthStyle: oauth2.AuthStyleInHeader,
		},
	}}
}

// AuthorizeURL is where a person consents to scopes.
func (x *Identity) AuthorizeURL(state, verifier string, scopes []string) string {
	asking := x.oauth // a copy: what is asked for differs from attempt to attempt
	asking.Scopes = scopes
	return asking.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier))
}

// Issuer is what the service calls itself in its answers.
func (x *Identity) Issuer() string { return x.cfg.Issuer }

// Exchange turns the code of a consent into tokens.
func (x *Identity) Exchange(ctx context.Context, code, verifier string) (provider.Tokens, error) {
	ctx, cancel := x.bounded(ctx)
	defer cancel()
	asked := x.now()
	token, err := x.oauth.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	return x.tokens(asked, token, err)
}

// Refresh spends a refresh token.
func (x *Identity) Refresh(ctx context.Context, refreshToken string) (provider.Tokens, error) {
	ctx, cancel := x.bounded(ctx)
	defer cancel()
	asked := x.now()
	token, err := x.oauth.TokenSource(ctx, &oauth2.Token{RefreshToken: refreshToken}).Token()
	return x.tokens(asked, token, err)
}

func (x *Identity) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, x.client), x.cfg.Timeout)
}

// tokens reads an answer of the token endpoint. The token's life counts from when it was asked for: an answer that was
// long on its way, or read late, is not taken for longer than the provider takes it.
func (x *Identity) tokens(asked time.Time, token *oauth2.Token, err error) (provider.Tokens, error) {
	if err != nil {
		return provider.Tokens{}, x.refusal(err)
	}
	if token.RefreshToken == "" {
		return provider.Tokens{}, provider.Errorf(provider.ErrInvalid, "the provider gave no refresh token; is offline_access among the scopes?")
	}
	life := time.Duration(token.ExpiresIn) * time.Second
	if life <= 0 {
		life = defaultLife
	}
	t := provider.Tokens{Access: token.AccessToken, Refresh: token.RefreshToken, Expires: asked.Add(life)}
	c := read(token.AccessToken)
	t.AuthEvent, t.Subject = c.AuthEvent, c.UserID
	if t.Subject == "" {
		t.Subject = c.Subject
	}
	if t.Scopes = c.Scope; len(t.Scopes) == 0 {
		scope, _ := token.Extra("scope").(string)
		t.Scopes = strings.Fields(scope)
	}
	id, _ := token.Extra("id_token").(string)
	t.Person = read(id).person()
	return t, nil
}

// defaultLife is how long an access token lives that comes without a time. Xero's live half an hour.
const defaultLife = 30 * time.Minute

// refusal tells apart what the token endpoint may say. The body is left out: it may repeat what was sent.
func (x *Identity) refusal(err error) error {
	said, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		// x/oauth2 has no type for an answer it does not understand.
		if _, network := errors.AsType[*url.Error](err); !network {
			return provider.Errorf(provider.ErrInvalid, "the provider's answer holds no tokens")
		}
		return unreached(err)
	}
	code := said.ErrorCode
	if said.Response.StatusCode >= http.StatusInternalServerError { // it has not decided anything, whatever its page says
		code = ""
	}
	switch code {
	case "invalid_grant":
		return provider.Errorf(provider.ErrGrant, "the provider no longer accepts this consent")
	case "invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type", "invalid_request":
		return provider.Errorf(provider.ErrClient, "the provider does not accept this installation's registration (%s)", code)
	}
	said.Response.Body = http.NoBody
	return transport.Problem(said.Response, x.now(), nil)
}

// unreached is a call that got no whole answer. The cause is kept without the address, which may hold parameters.
func unreached(err error) error {
	if at, ok := errors.AsType[*url.Error](err); ok {
		err = at.Err
	}
	return &provider.Error{Kind: provider.ErrUnavailable, Text: "the provider could not be reached", Cause: err}
}

// claims is what is read of an access or id token. Its signature is not checked: it came from the token endpoint itself, over
// TLS, and is used to pre-select and to tell people apart, never to let anybody in.
type claims struct {
	AuthEvent string   `json:"authentication_event_id"`
	UserID    string   `json:"xero_userid"`
	Subject   string   `json:"sub"`
	Scope     []string `json:"scope"`
	// These stand in an id token, as far as the scopes profile and email were granted.
	Name      string `json:"name"`
	GivenName string `json:"given_name"`
	Family    string `json:"family_name"`
	Email     string `json:"email"`
}

// person returns a name to show, with the address, since people of one practice may share a name.
func (c claims) person() string {
	name := c.Name
	if name == "" {
		name = c.GivenName + " " + c.Family
	}
	if name = strings.TrimSpace(name); c.Email != "" && name != "" {
		name += " (" + c.Email + ")"
	} else if name == "" {
		name = c.Email
	}
	return transport.Line(name)
}

// read returns the claims of a token, or none of a token that has none.
func read(token string) (c claims) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(body, &c) != nil {
		return claims{}
	}
	return c
}
