package oauth

import (
	"encoding/json"
	"net/http"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/gateway/internal/session"
	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// The grants there are, and what a request for each holds beside client_id.
const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
)

var needed = map[string][]string{
	grantCode: {"code", "redirect_uri", "code_verifier"}, grantRefresh: {"refresh_token"},
}

// failure is an error answer (RFC 6749 §5.2).
type failure struct {
	status      int
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func invalid(description string) *failure {
	return &failure{status: http.StatusBadRequest, Code: "invalid_request", Description: description}
}

func (f *failure) write(w http.ResponseWriter) { answer(w, f.status, f) }

// answer writes JSON that nobody keeps (RFC 6749 §5.1).
func answer(w http.ResponseWriter, status int, body any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// told turns auth's answer into the one for the client. What it does not know is not told.
func told(err error) *failure {
	e := rpcerr.From(err)
	switch {
	case rpcerr.Has(err, authv1.ErrorReason_ERROR_REASON_GRANT_INVALID):
		return &failure{status: http.StatusBadRequest, Code: "invalid_grant", Description: e.Message()}
	case rpcerr.Has(err, authv1.ErrorReason_ERROR_REASON_CLIENT_UNKNOWN):
		return &failure{status: http.StatusBadRequest, Code: "invalid_client", Description: "no Add-In is registered under this client_id"}
	}
	switch e.Code() {
	case codes.InvalidArgument:
		for _, v := range e.Violations() {
			if v.Field == "scope" {
				return &failure{status: http.StatusBadRequest, Code: "invalid_scope", Description: "scope " + v.Description}
			}
		}
		return invalid("a parameter is not of the form it has")
	case codes.Unavailable, codes.DeadlineExceeded:
		return &failure{status: http.StatusServiceUnavailable, Code: "temporarily_unavailable", Description: "try again in a moment"}
	case codes.ResourceExhausted:
		return &failure{status: http.StatusTooManyRequests, Code: "temporarily_unavailable", Description: "too many requests; try again later"}
	}
	return &failure{status: http.StatusInternalServerError, Code: "server_error", Description: "something went wrong on our side"}
}

// tokens is a token answer (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3).
type tokens struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int32  `json:"expires_in"`
	Refresh string `json:"refresh_token,omitempty"`
	ID      string `json:"id_token,omitempty"`
	Scope   string `json:"scope"`
}

// request reads what a token request asks for.
func request(f form) (*authv1.IssueAddInTokenRequest, *failure) {
	grant := f.get("grant_type")
	if grant == "" {
		return nil, invalid("grant_type is missing")
	}
	names, ok := needed[grant]
	if !ok {
		return nil, &failure{status: http.StatusBadRequest, Code: "unsupported_grant_type",
			Description: "grant_type is " + grantCode + " or " + grantRefresh}
	}
	for _, name := range append([]string{"client_id"}, names...) {
		if f.get(name) == "" {
			return nil, invalid(name + " is missing")
		}
	}
	req := &authv1.IssueAddInTokenRequest{GrantType: grant, ClientId: f.get("client_id"), Scope: f.get("scope")}
	if grant == grantCode {
		req.Code, req.CodeVerifier, req.RedirectUri = f.get("code"), f.get("code_verifier"), f.get("redirect_uri")
	} else {
		req.RefreshToken = f.get("refresh_token")
	}
	return req, nil
}

// token answers the token endpoint.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	f, wrong := body(w, r)
	if wrong != nil {
		wrong.write(w)
		return
	}
	req, wrong := request(f)
	if wrong != nil {
		wrong.write(w)
		return
	}
	req.Address = session.Address(r.Context())
	resp, err := s.addIns.IssueAddInToken(r.Context(), req)
	if err != nil {
		told(err).write(w)
		return
	}
	answer(w, http.StatusOK, tokens{
		Access: resp.GetAccessToken(), Type: "Bearer", Expires: resp.GetExpiresIn(), Refresh: resp.GetRefreshToken(),
		ID: resp.GetIdToken(), Scope: resp.GetScope(),
	})
}

// revoke answers the revocation endpoint (RFC 7009). token_type_hint is not needed: a token says what it is.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	f, wrong := body(w, r)
	if wrong != nil {
		wrong.write(w)
		return
	}
	for _, name := range []string{"client_id", "token"} {
		if f.get(name) == "" {
			invalid(name + " is missing").write(w)
			return
		}
	}
	_, err := s.addIns.RevokeAddInToken(r.Context(), &authv1.RevokeAddInTokenRequest{
		Token: f.get("token"), ClientId: f.get("client_id"), Address: session.Address(r.Context()),
	})
	if err != nil {
		told(err).write(w)
		return
	}
	w.WriteHeader(http.StatusOK)
}
