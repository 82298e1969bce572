// Package oauth lays HTTP over the suite's authorization server for desktop Add-Ins: the authorization, token and revocation
// endpoints (RFC 6749, RFC 7009), the public keys of ID tokens, and the discovery document (RFC 8414).
//
// It decides nothing but what HTTP decides: what is not a proper request ends here, and who may be answered where is auth's
// to know. No answer of it is for another site's script: there are no CORS headers.
package oauth

import (
	"context"
	"encoding/json"
	"net/http"

	"google.golang.org/grpc"

	"github.com/concord-suite/concord/gateway/internal/problem"
	"github.com/concord-suite/concord/gateway/internal/session"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// The addresses. Clients read them from the discovery document.
const (
	authorizePath = "/oauth2/authorize"
	consentPath   = "/oauth2/consent"
	tokenPath     = "/oauth2/token"
	revokePath    = "/oauth2/revoke"
	keysPath      = "/oauth2/jwks"
)

// Server answers them.
type Server struct {
	// addIns calls as the gateway, strangers as nobody.
	addIns, strangers authv1.AddInServiceClient
}

// New makes the server over a connection to auth.
func New(auth grpc.ClientConnInterface) *Server {
	return &Server{
		addIns:    authv1.NewAddInServiceClient(session.AsGateway(auth)),
		strangers: authv1.NewAddInServiceClient(session.Anonymous(auth)),
	}
}

// Register lays the endpoints over a mux.
func (s *Server) Register(mux *http.ServeMux) {
	mux.Handle(authorizePath, only(http.MethodGet, s.authorize))
	mux.Handle(tokenPath, only(http.MethodPost, s.token))
	mux.Handle(revokePath, only(http.MethodPost, s.revoke))
	mux.Handle(keysPath, only(http.MethodGet, s.keys))
	mux.Handle("/.well-known/oauth-authorization-server", only(http.MethodGet, s.metadata))
	mux.Handle("/.well-known/openid-configuration", only(http.MethodGet, s.metadata))
}

// only refuses other methods: a token in an address would stand in every log on the way.
func only(method string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead) {
			w.Header().Set("Allow", method)
			problem.Write(w, r, problem.New(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "this address is for "+method))
			return
		}
		next(w, r)
	})
}

// issuer is the name of the authorization server: the address people reach the suite at, as auth knows it.
func (s *Server) issuer(ctx context.Context) (string, error) {
	resp, err := s.addIns.GetAddInKeys(ctx, &authv1.GetAddInKeysRequest{})
	return resp.GetIssuer(), err
}

// known is for how many seconds what hardly changes may be kept. Keys are published twice as long before they sign.
const known = "public, max-age=300"

// keys answers the public keys of ID tokens.
func (s *Server) keys(w http.ResponseWriter, r *http.Request) {
	resp, err := s.addIns.GetAddInKeys(r.Context(), &authv1.GetAddInKeysRequest{})
	if err != nil {
		problem.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", known)
	_, _ = w.Write(resp.GetJwks())
}

// scopes are those there are.
var scopes = []string{"openid", "offline_access"}

// metadata answers the discovery document. Everything a client may use stands in it, and nothing else: there is no device
// endpoint, no registration and no other grant.
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) {
	issuer, err := s.issuer(r.Context())
	if err != nil {
		problem.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", known)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"issuer":                                         issuer,
		"authorization_endpoint":                         issuer + authorizePath,
		"token_endpoint":                                 issuer + tokenPath,
		"revocation_endpoint":                            issuer + revokePath,
		"jwks_uri":                                       issuer + keysPath,
		"scopes_supported":                               scopes,
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{grantCode, grantRefresh},
		"code_challenge_methods_supported":               []string{"S256"},
		"token_endpoint_auth_methods_supported":          []string{"none"},
		"revocation_endpoint_auth_methods_supported":     []string{"none"},
		"authorization_response_iss_parameter_supported": true,
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"ES256"},
		"claims_supported":                               []string{"iss", "sub", "aud", "iat", "exp", "auth_time", "amr", "sid", "nonce"},
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
		"claims_parameter_supported":                     false,
	})
}
