package auth_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	autheventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
)

// policy reads the firm's policy with an administrator's session.
func (s *suite) policy(admin *person) *authv1.SecurityPolicy {
	s.t.Helper()
	resp, err := s.firms.GetSecurityPolicy(s.as(admin.token), &authv1.GetSecurityPolicyRequest{Name: admin.firm + "/securityPolicy"})
	require.NoError(s.t, err)
	return resp.GetPolicy()
}

func newConnection(firm string) string { return firm + "/connections/" + uuid.NewString() }

func (s *suite) require2FA(firm, connection string) (*authv1.RequireTwoFactorResponse, error) {
	return s.firms.RequireTwoFactor(s.asService("connector", firm), &authv1.RequireTwoFactorRequest{Firm: firm, Connection: connection})
}

func TestRequireTwoFactorEndsWeakerSessionsInOneGo(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		member := s.hire(admin, "mo@harbour.example", "", authv1.Role_ROLE_STAFF)
		s.signInAs(member)
		word := s.addIn(member)
		other := s.newFirm(operator, "Bridge Audit", "bo@bridge.example", "")

		connection := newConnection(admin.firm)
		resp, err := s.require2FA(admin.firm, connection)
		require.NoError(t, err)
		require.True(t, resp.GetSwitchedOn())
		require.EqualValues(t, 2, resp.GetSessionsAffected(), "the member's session and its Add-In")
		for _, token := range []string{member.token, word} {
			_, err = s.resolve(token, "documents")
			is(t, err, codes.Unauthenticated, ended)
		}
		for _, token := range []string{admin.token, operator.token, other.token} {
			_, err = s.resolve(token, "auth")
			require.NoError(t, err, "strong, of nobody's firm, or of another firm")
		}
		policy := s.policy(admin)
		require.True(t, policy.GetTwoFactorEnforced())
		require.Equal(t, s.clock.Now(), policy.GetEnforceTime().AsTime())
		require.Equal(t, []string{connection}, policy.GetRequiredBy())

		again, err := s.require2FA(admin.firm, connection)
		require.NoError(t, err)
		require.False(t, again.GetSwitchedOn())
		require.Zero(t, again.GetSessionsAffected())
		require.Equal(t, policy.GetEtag(), s.policy(admin).GetEtag(), "repeating it changes nothing")

		require.Equal(t, authv1.Strength_STRENGTH_WEAK, s.signInAs(member).GetStrength(), "led through it at the next sign-in")
		require.Len(t, s.events("auth.v1.two_factor_enforced", &autheventsv1.TwoFactorEnforced{}), 1)
	})
}

func TestEnforcementStaysWhileAConnectionRequiresIt(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		one, two := newConnection(admin.firm), newConnection(admin.firm)
		for _, c := range []string{one, two} {
			_, err := s.require2FA(admin.firm, c)
			require.NoError(t, err)
		}
		off := func() error {
			p := s.policy(admin)
			p.TwoFactorEnforced = false
			_, err := s.firms.UpdateSecurityPolicy(s.as(admin.token), &authv1.UpdateSecurityPolicyRequest{Policy: p})
			return err
		}
		e := is(t, off(), codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_TWO_FACTOR_REQUIRED_BY_CONNECTION)
		require.Contains(t, []string{one, two}, e.Metadata()["connection"])
		for i, c := range []string{one, two, two} {
			_, err := s.firms.ReleaseTwoFactor(s.asService("connector", admin.firm), &authv1.ReleaseTwoFactorRequest{Firm: admin.firm, Connection: c})
			require.NoError(t, err, "release %d", i)
		}
		require.True(t, s.policy(admin).GetTwoFactorEnforced(), "releasing switches nothing off")
		require.NoError(t, off())
		p := s.policy(admin)
		require.False(t, p.GetTwoFactorEnforced())
		require.Nil(t, p.GetEnforceTime())

		stale := s.policy(admin)
		s.enforce(admin)
		stale.EmailPinAllowed = false
		_, err := s.firms.UpdateSecurityPolicy(s.as(admin.token), &authv1.UpdateSecurityPolicyRequest{Policy: stale})
		is(t, err, codes.Aborted, authv1.ErrorReason_ERROR_REASON_ETAG_MISMATCH)
	})
}

func TestRequireTwoFactorNamesItsOwnFirm(t *testing.T) {
	s := onSQLite(t, options{run: true})
	operator := s.operator()
	harbour := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", "")
	bridge := s.newFirm(operator, "Bridge Audit", "bo@bridge.example", "")
	_, err := s.require2FA(harbour.firm, newConnection(bridge.firm))
	require.Equal(t, codes.NotFound, rpcerr.From(err).Code())
	unknown := "firms/" + uuid.NewString()
	_, err = s.require2FA(unknown, newConnection(unknown))
	is(t, err, codes.NotFound, authv1.ErrorReason_ERROR_REASON_NOT_FOUND)
}

// However sign-ins and the switch fall together, afterwards nobody of the firm holds a session that showed a password
// alone.
func TestNoSignInSlipsThroughTheSwitch(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		var staff []*person
		for i := range 6 {
			staff = append(staff, s.hire(admin, fmt.Sprintf("staff%d@harbour.example", i), "", authv1.Role_ROLE_STAFF))
		}
		var mu sync.Mutex
		var tokens []string
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(s.nobody("192.0.2.7"))
		defer cancel()
		for _, p := range staff {
			wg.Go(func() {
				for range 4 {
					resp, err := s.signIn.StartSignIn(ctx, &authv1.StartSignInRequest{Email: p.email, Password: passphrase})
					if err != nil {
						continue
					}
					mu.Lock()
					if resp.GetSessionToken() != "" {
						tokens = append(tokens, resp.GetSessionToken())
					}
					mu.Unlock()
				}
			})
		}
		_, err := s.require2FA(admin.firm, newConnection(admin.firm))
		require.NoError(t, err)
		wg.Wait()
		for _, token := range tokens {
			_, err := s.resolve(token, "documents")
			is(t, err, codes.Unauthenticated, ended)
		}
	})
}

// Nor does an Add-In, whose consent was given under a session that showed a password alone.
func TestNoAddInSlipsThroughTheSwitch(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		member := s.hire(admin, "mo@harbour.example", "", authv1.Role_ROLE_STAFF)
		s.signInAs(member)
		verifier, challenge := pkce()
		var consents []string
		for range 12 {
			consents = append(consents, s.consent(member, challenge))
		}
		var mu sync.Mutex
		var tokens []string
		var wg sync.WaitGroup
		for _, code := range consents {
			wg.Go(func() {
				if resp, err := s.exchange(code, verifier, redirect); err == nil {
					mu.Lock()
					defer mu.Unlock()
					tokens = append(tokens, resp.GetAccessToken())
				}
			})
		}
		_, err := s.require2FA(admin.firm, newConnection(admin.firm))
		require.NoError(t, err)
		wg.Wait()
		for _, token := range append(tokens, member.token) {
			_, err := s.resolve(token, "documents")
			is(t, err, codes.Unauthenticated, ended)
		}
	})
}

// A firm that forbids PINs by e-mail keeps no session that one opened, once it enforces two factors.
func TestEnforcementEndsSessionsByForbiddenMeans(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		member := s.hire(admin, "mo@harbour.example", "", authv1.Role_ROLE_STAFF)
		s.signInAs(member)
		require.Equal(t, authv1.Strength_STRENGTH_WEAK, s.stepUp(member).GetStrength())
		p := s.policy(admin)
		p.EmailPinAllowed = false
		_, err := s.firms.UpdateSecurityPolicy(s.as(admin.token), &authv1.UpdateSecurityPolicyRequest{Policy: p})
		require.NoError(t, err)
		_, err = s.resolve(member.token, "documents")
		require.NoError(t, err, "a password alone would do, still")
		resp, err := s.require2FA(admin.firm, newConnection(admin.firm))
		require.NoError(t, err)
		require.EqualValues(t, 1, resp.GetSessionsAffected())
		_, err = s.resolve(member.token, "documents")
		is(t, err, codes.Unauthenticated, ended)
		_, err = s.resolve(admin.token, "documents")
		require.NoError(t, err)
	})
}
