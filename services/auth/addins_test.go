package auth_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/rpcerr"
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
	resp, err := s.addIns.AuthorizeAddIn(s.as(p.token), &authv1.AuthorizeAddInRequest{
		Parent: p.firm, AddIn: "word", RedirectUri: redirect, CodeChallenge: challenge,
	})
	require.NoError(s.t, err)
	return resp.GetCode()
}

func (s *suite) exchange(code, verifier, uri string) (*authv1.IssueAddInTokenResponse, error) {
	return s.addIns.IssueAddInToken(dial.AsSelf(s.t.Context(), "gateway"), &authv1.IssueAddInTokenRequest{
		GrantType: "authorization_code", ClientId: "word", Code: code, CodeVerifier: verifier, RedirectUri: uri, Address: "192.0.2.7",
	})
}

// addIn signs an Add-In in for somebody and returns its token.
func (s *suite) addIn(p *person) string {
	s.t.Helper()
	verifier, challenge := pkce()
	resp, err := s.exchange(s.consent(p, challenge), verifier, redirect)
	require.NoError(s.t, err)
	return resp.GetAccessToken()
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
		for range 3 {
			s.clock.forward(25 * time.Minute)
			_, err = s.resolve(resp.GetAccessToken(), "documents")
			require.NoError(t, err, "the browser is idle, the Add-In is not")
		}
		s.clock.forward(30 * time.Minute)
		_, err = s.resolve(resp.GetAccessToken(), "documents")
		is(t, err, codes.Unauthenticated, ended)
	})
}

func TestConsentCodes(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		refused := func(err error) {
			t.Helper()
			is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
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

func TestRedirectsAreLoopbackOnly(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
	_, challenge := pkce()
	for _, uri := range []string{
		"https://evil.example/done", "http://127.0.0.1.evil.example:80/", "http://localhost:5000/", "http://127.0.0.1:5000/#x",
		"http://127.0.0.1/done", "http://user@127.0.0.1:5000/",
	} {
		_, err := s.addIns.AuthorizeAddIn(s.as(admin.token), &authv1.AuthorizeAddInRequest{
			Parent: admin.firm, AddIn: "word", RedirectUri: uri, CodeChallenge: challenge,
		})
		require.Equal(t, codes.InvalidArgument, rpcerr.From(err).Code(), uri)
	}
}

func TestAgent(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		req := &authv1.CreateAgentRequest{Parent: admin.firm, DisplayName: "AE in the office", RequestId: requestID()}
		made, err := s.accounts.CreateAgent(s.as(admin.token), req)
		require.NoError(t, err)
		again, err := s.accounts.CreateAgent(s.as(admin.token), req)
		require.NoError(t, err)
		require.Equal(t, made.GetAgent(), again.GetAgent())
		require.Empty(t, again.GetCredential(), "shown once")
		s.clock.forward(100 * 24 * time.Hour)
		current, err := s.sessions.GetCurrentSession(s.as(made.GetCredential()), &authv1.GetCurrentSessionRequest{})
		require.NoError(t, err)
		require.Equal(t, made.GetAgent(), current.GetSession().GetAccount())
		require.Equal(t, optionsv1.PrincipalKind_PRINCIPAL_KIND_AGENT, current.GetSession().GetKind())
		_, err = s.accounts.ListStaff(s.as(made.GetCredential()), &authv1.ListStaffRequest{Parent: admin.firm})
		require.Equal(t, codes.PermissionDenied, rpcerr.From(err).Code())
	})
}

// agent makes an agent of the firm of an administrator who is freshly confirmed.
func (s *suite) agent(admin *person, name string) *authv1.CreateAgentResponse {
	s.t.Helper()
	made, err := s.accounts.CreateAgent(s.as(admin.token), &authv1.CreateAgentRequest{Parent: admin.firm, DisplayName: name})
	require.NoError(s.t, err)
	return made
}

func TestAgentsAreListedAndRevoked(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, _ jetstream.JetStream) {
		operator := s.operator()
		admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		other := s.newFirm(operator, "Bridge Audit", "bo@bridge.example", newMobile())
		s.stepUp(other)
		theirs := s.agent(other, "AE over there")
		var made []*authv1.CreateAgentResponse
		for _, name := range []string{"AE in the office", "AE in the branch", "AE at home"} {
			made = append(made, s.agent(admin, name))
		}
		list := func() (agents []*authv1.Agent) {
			req := &authv1.ListAgentsRequest{Parent: admin.firm, PageSize: 2}
			for {
				page, err := s.accounts.ListAgents(s.as(admin.token), req)
				require.NoError(t, err)
				require.LessOrEqual(t, len(page.GetAgents()), 2)
				agents = append(agents, page.GetAgents()...)
				if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
					return agents
				}
			}
		}
		agents := list()
		require.Len(t, agents, 3)
		require.Equal(t, "AE at home", agents[0].GetDisplayName())
		require.Equal(t, made[0].GetAgent(), agents[2].GetName())
		require.Equal(t, admin.account, agents[2].GetCreator())
		require.Equal(t, s.clock.Now(), agents[2].GetCreateTime().AsTime())
		require.Nil(t, agents[2].GetRevokeTime())

		atWork := s.as(made[0].GetCredential()) // an internal token that lives on for two minutes
		req := &authv1.RevokeAgentRequest{Name: made[0].GetAgent(), RequestId: requestID()}
		for range 2 {
			revoked, err := s.accounts.RevokeAgent(s.as(admin.token), req)
			require.NoError(t, err)
			require.Equal(t, s.clock.Now(), revoked.GetAgent().GetRevokeTime().AsTime())
		}
		_, err := s.resolve(made[0].GetCredential(), "connector")
		is(t, err, codes.Unauthenticated, ended)
		eventstest.Until(t, "the token that is out is refused everywhere", func() bool {
			_, err := s.keys.GetKeys(atWork, &authv1.GetKeysRequest{})
			return err != nil && rpcerr.From(err).Code() == codes.Unauthenticated
		})
		require.Equal(t, s.clock.Now(), list()[2].GetRevokeTime().AsTime())
		s.clock.forward(time.Minute)
		again, err := s.accounts.RevokeAgent(s.as(admin.token), &authv1.RevokeAgentRequest{Name: made[0].GetAgent()})
		require.NoError(t, err)
		require.Equal(t, s.clock.Now().Add(-time.Minute), again.GetAgent().GetRevokeTime().AsTime(), "once and for all")

		for _, agent := range []string{made[1].GetCredential(), theirs.GetCredential()} {
			_, err = s.resolve(agent, "connector")
			require.NoError(t, err, "nobody else's credential ended")
		}
		mixed := admin.firm + theirs.GetAgent()[len(other.firm):] // their agent under our firm
		_, err = s.accounts.RevokeAgent(s.as(admin.token), &authv1.RevokeAgentRequest{Name: mixed})
		is(t, err, codes.NotFound, authv1.ErrorReason_ERROR_REASON_NOT_FOUND)
		eventstest.Until(t, "it is in the ledger who revoked it", func() bool {
			found := s.entries(admin, &authv1.ListAuditEntriesRequest{Action: authv1.AccountService_RevokeAgent_FullMethodName})
			return len(found) > 0 && found[len(found)-1].GetEntry().GetResource() == made[0].GetAgent()
		})
	})
}
