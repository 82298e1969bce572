package auth_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/dial"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

const redirect = "http://127.0.0.1:51234/done"

// pkce makes a verifier and its challenge.
func pkce() (verifier, challenge string) {
	random := make([]byte, 32)
	_, _ = rand.Read(random)
	verifier = base64.RawURLEncoding.EncodeToString(random)
	sum := sha256.Sum256([]byte(verifier))
	return verifier, base64.RawURLEncoding.EncodeToString(sum[:])
}

// consent asks for a code with somebody's session.
func (s *suite) consent(p *person, challenge string) string {
	s.t.Helper()
	return s.consentTo(p, challenge, "", "")
}

// consentTo is consent with scopes and a nonce.
func (s *suite) consentTo(p *person, challenge, scope, nonce string) string {
	s.t.Helper()
	resp, err := s.addIns.AuthorizeAddIn(s.as(p.token), &authv1.AuthorizeAddInRequest{
		Parent: p.firm, AddIn: "word", RedirectUri: redirect, CodeChallenge: challenge, Scope: scope, Nonce: nonce,
	})
	require.NoError(s.t, err)
	require.Equal(s.t, "https://app.example.com", resp.GetIssuer())
	return resp.GetCode()
}

// issue makes a token request as the gateway does.
func (s *suite) issue(req *authv1.IssueAddInTokenRequest) (*authv1.IssueAddInTokenResponse, error) {
	if req.GetClientId() == "" {
		req.ClientId = "word"
	}
	req.Address = "192.0.2.7"
	return s.addIns.IssueAddInToken(dial.AsSelf(s.t.Context(), "gateway"), req)
}

func (s *suite) exchange(code, verifier, uri string) (*authv1.IssueAddInTokenResponse, error) {
	return s.issue(&authv1.IssueAddInTokenRequest{GrantType: "authorization_code", Code: code, CodeVerifier: verifier, RedirectUri: uri})
}

func (s *suite) refresh(token string) (*authv1.IssueAddInTokenResponse, error) {
	return s.issue(&authv1.IssueAddInTokenRequest{GrantType: "refresh_token", RefreshToken: token})
}

// addInTokens signs an Add-In in for somebody.
func (s *suite) addInTokens(p *person, scope string) *authv1.IssueAddInTokenResponse {
	s.t.Helper()
	verifier, challenge := pkce()
	resp, err := s.exchange(s.consentTo(p, challenge, scope, ""), verifier, redirect)
	require.NoError(s.t, err)
	return resp
}

// grantRefused requires that a code or refresh token was not taken.
func grantRefused(t testing.TB, err error) {
	t.Helper()
	is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_GRANT_INVALID)
}

// addIn signs an Add-In in for somebody and returns its token.
func (s *suite) addIn(p *person) string {
	s.t.Helper()
	return s.addInTokens(p, "").GetAccessToken()
}

func TestAddInActsForItsPerson(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		token := s.addIn(admin)
		resp, err := s.resolve(token, "documents")
		require.NoError(t, err)
		require.Equal(t, optionsv1.PrincipalKind_PRINCIPAL_KIND_ADD_IN, resp.GetSession().GetKind())
		p, err := access.NewVerifier("documents", access.Sources{s.service.Keys()}, s.clock.Now).Verify(t.Context(), resp.GetInternalToken())
		require.NoError(t, err)
		require.Equal(t, access.AddIn, p.Kind)
		require.Equal(t, access.Administrator, p.ActsFor.Role)
		require.Equal(t, admin.account, admin.firm+"/staff/"+p.ActsFor.Account)
		require.False(t, p.SteppedUp(s.clock.Now()), "an Add-In never steps up")

		list, err := s.sessions.ListSessions(s.as(admin.token), &authv1.ListSessionsRequest{})
		require.NoError(t, err)
		require.Len(t, list.GetSessions(), 2, "it stands in the person's own list")
		own, err := s.sessions.GetCurrentSession(s.as(admin.token), &authv1.GetCurrentSessionRequest{})
		require.NoError(t, err)
		_, err = s.sessions.RevokeSession(s.as(token), &authv1.RevokeSessionRequest{Name: own.GetSession().GetName()})
		is(t, err, codes.NotFound, authv1.ErrorReason_ERROR_REASON_NOT_FOUND)
		_, err = s.sessions.RevokeSession(s.as(token), &authv1.RevokeSessionRequest{Name: resp.GetSession().GetName()})
		require.NoError(t, err)
		_, err = s.resolve(token, "documents")
		is(t, err, codes.Unauthenticated, ended)
		_, err = s.resolve(admin.token, "auth")
		require.NoError(t, err)
	})
}

func TestAddInEndsWithItsPersonsSession(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		opened := s.clock.Now()
		s.clock.forward(20 * time.Minute)
		verifier, challenge := pkce()
		resp, err := s.exchange(s.consent(admin, challenge), verifier, redirect)
		require.NoError(t, err)
		require.Equal(t, opened.Add(12*time.Hour), resp.GetSessionExpireTime().AsTime())
		require.EqualValues(t, 600, resp.GetExpiresIn())
		s.clock.forward(10 * time.Minute)
		_, err = s.resolve(resp.GetAccessToken(), "documents")
		is(t, err, codes.Unauthenticated, ended) // the token, not the session
		for range 3 {
			s.clock.forward(15 * time.Minute)
			resp, err = s.refresh(resp.GetRefreshToken())
			require.NoError(t, err, "the browser is idle, the Add-In is not")
			_, err = s.resolve(resp.GetAccessToken(), "documents")
			require.NoError(t, err)
		}
		s.clock.forward(30 * time.Minute)
		_, err = s.refresh(resp.GetRefreshToken())
		grantRefused(t, err)
	})
}

func TestConsentCodes(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		refused := func(err error) {
			t.Helper()
			grantRefused(t, err)
		}
		verifier, challenge := pkce()
		other, _ := pkce()

		code := s.consent(admin, challenge)
		_, err := s.exchange(code, other, redirect)
		refused(err)
		_, err = s.exchange(code, verifier, redirect)
		refused(err) // one try only

		code = s.consent(admin, challenge)
		_, err = s.exchange(code, verifier, "http://127.0.0.1:51235/done")
		refused(err)

		code = s.consent(admin, challenge)
		s.clock.forward(time.Minute)
		_, err = s.exchange(code, verifier, redirect)
		refused(err)

		code = s.consent(admin, challenge)
		first, err := s.exchange(code, verifier, redirect)
		require.NoError(t, err)
		_, err = s.exchange(code, verifier, redirect)
		refused(err)
		_, err = s.resolve(first.GetAccessToken(), "documents")
		is(t, err, codes.Unauthenticated, ended) // a second use ends what the first one opened

		code = s.consent(admin, challenge)
		_, err = s.sessions.SignOut(s.as(admin.token), &authv1.SignOutRequest{})
		require.NoError(t, err)
		_, err = s.exchange(code, verifier, redirect)
		refused(err)
		_, err = s.exchange("cac_0000000000000000000000000000000000000000000", verifier, redirect)
		refused(err)
	})
}

func TestOfManyWithTheSameCodeNoneKeepsASession(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		verifier, challenge := pkce()
		code := s.consent(admin, challenge)
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := s.exchange(code, verifier, redirect); err == nil {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, won.Load())
		list, err := s.sessions.ListSessions(s.as(admin.token), &authv1.ListSessionsRequest{})
		require.NoError(t, err)
		require.Len(t, list.GetSessions(), 1)
	})
}
