// Package identity is the simulated Xero identity service: consent page, authorization code with
// PKCE or client secret, rotating refresh tokens with their grace, connections and revocation.
//
// A token belongs to a person and an app, not to a tenant: GET /connections lists everything that
// person ever connected through the app, and the authEventId tells what this consent added.
package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/concord-suite/concord/sim/gateway"
	"github.com/concord-suite/concord/sim/world"
)

// Service answers the identity endpoints.
type Service struct {
	store  *world.Store
	signer *signer
}

// New returns the service, making its signing key on the world's first start.
func New(store *world.Store) (*Service, error) {
	key, err := newSigner(store)
	if err != nil {
		return nil, err
	}
	return &Service{store: store, signer: key}, nil
}

// Register adds the endpoints to mux. The connections endpoints stand behind guard's bearer check.
func (s *Service) Register(mux *http.ServeMux, guard *gateway.Gateway) {
	mux.HandleFunc("GET /identity/connect/authorize", s.authorize)
	mux.HandleFunc("POST /identity/login", s.login)
	mux.HandleFunc("POST /identity/logout", s.logout)
	mux.HandleFunc("POST /identity/consent", s.consent)
	mux.HandleFunc("POST /connect/token", s.token)
	mux.HandleFunc("POST /connect/revocation", s.revoke)
	mux.HandleFunc("GET /connect/userinfo", s.userinfo(guard))
	mux.HandleFunc("GET /.well-known/openid-configuration", s.discovery)
	mux.HandleFunc("GET /.well-known/openid-configuration/jwks", s.jwks)
	for _, path := range []string{"/connections", "/Connections"} {
		mux.HandleFunc("GET "+path, s.connections(guard))
		mux.HandleFunc("DELETE "+path+"/{id}", s.disconnect(guard))
	}
}

// practiceScopes and accountingScopes decide which kinds of tenant a consent offers.
func wantsPractices(scope []string) bool {
	return slices.ContainsFunc(scope, func(s string) bool {
		return s == "practicemanager" || strings.HasPrefix(s, "practicemanager.")
	})
}

func wantsOrganisations(scope []string) bool {
	return slices.ContainsFunc(scope, func(s string) bool { return strings.HasPrefix(s, "accounting.") })
}

// known lists the scopes an app can be given; a trailing * stands for the granular forms.
var known = []string{
	"offline_access", "openid", "profile", "email",
	"practicemanager", "practicemanager.*", "accounting.*", "files", "files.read", "assets", "assets.read",
}

func unknownScope(scope []string) string {
	for _, s := range scope {
		ok := slices.ContainsFunc(known, func(k string) bool {
			prefix, wild := strings.CutSuffix(k, "*")
			return s == k || wild && strings.HasPrefix(s, prefix) && len(s) > len(prefix)
		})
		if !ok {
			return s
		}
	}
	return ""
}

// allowsRedirect reports whether the app may be answered at uri.
func allowsRedirect(app *world.App, uri string) bool {
	if slices.Contains(app.RedirectURIs, uri) {
		return true
	}
	u, err := url.Parse(uri)
	return err == nil && app.Loopback && u.Scheme == "http" && u.User == nil &&
		(u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1")
}

func (s *Service) discovery(w http.ResponseWriter, r *http.Request) {
	base := "http://" + r.Host
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                 issuer,
		"jwks_uri":               base + "/.well-known/openid-configuration/jwks",
		"authorization_endpoint": base + "/identity/connect/authorize",
		"token_endpoint":         base + "/connect/token",
		"userinfo_endpoint":      base + "/connect/userinfo",
		"revocation_endpoint":    base + "/connect/revocation",

		"grant_types_supported":                 []string{"authorization_code", "refresh_token"},
		"response_types_supported":              []string{"code"},
		"code_challenge_methods_supported":      []string{"S256"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post", "none"},
	})
}

func (s *Service) jwks(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.signer.jwks())
}

func (s *Service) userinfo(guard *gateway.Gateway) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		bearer, ok := guard.Authenticate(w, r)
		if !ok {
			return
		}
		person := s.person(bearer.Person)
		if person == nil {
			gateway.Problem(w, http.StatusUnauthorized, gateway.DetailAuthentication)
			return
		}
		writeJSON(w, http.StatusOK, map[string]string{
			"sub": subject(person.ID), "xero_userid": person.ID, "name": person.Name,
			"preferred_username": person.Email, "email": person.Email,
		})
	}
}

func (s *Service) person(id string) (p *world.Person) {
	s.store.View(func(st *world.State) { p = st.People.Get(id) })
	return p
}

func (s *Service) app(id string) (a *world.App) {
	s.store.View(func(st *world.State) { a = st.Apps.Get(id) })
	return a
}

// subject is the sub claim: 32 hex digits that are not the user id.
func subject(person string) string { return hash(person)[:32] }

// secret returns a random token of 43 letters, digits, - and _.
func secret() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails: it ends the process instead
	return encode(b)
}

// hash is how codes, tokens and sessions are stored: knowing the file gives no access.
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	gateway.Correlate(w)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text) // an error here means the caller has gone
}
