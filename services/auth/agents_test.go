package auth_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

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
