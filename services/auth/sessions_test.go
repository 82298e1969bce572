package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth"
)

var (
	ended  = authv1.ErrorReason_ERROR_REASON_SESSION_ENDED
	locked = authv1.ErrorReason_ERROR_REASON_SESSION_LOCKED
)

func TestResolveSaysWhoItIs(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		resp, err := s.resolve(admin.token, "documents")
		require.NoError(t, err)
		require.Equal(t, s.clock.Now().Add(2*time.Minute), resp.GetExpireTime().AsTime())
		verifier := access.NewVerifier("documents", access.Sources{s.service.Keys()}, s.clock.Now)
		p, err := verifier.Verify(t.Context(), resp.GetInternalToken())
		require.NoError(t, err)
		require.Equal(t, access.Administrator, p.Kind)
		require.Equal(t, admin.account, admin.firm+"/staff/"+p.ID)
		require.Equal(t, admin.firm, "firms/"+p.Firm)
		require.Equal(t, "sessions/"+p.Session, resp.GetSession().GetName())
		require.Equal(t, access.StrengthStrong, p.Strength)
		require.True(t, p.SteppedUp(s.clock.Now()))
		require.Equal(t, "192.0.2.7", p.Address)
		s.clock.forward(11 * time.Minute)
		p, err = verifier.Verify(t.Context(), func() string {
			again, err := s.resolve(admin.token, "documents")
			require.NoError(t, err)
			return again.GetInternalToken()
		}())
		require.NoError(t, err)
		require.False(t, p.SteppedUp(s.clock.Now()))

		other := access.NewVerifier("sync", access.Sources{s.service.Keys()}, s.clock.Now)
		_, err = other.Verify(t.Context(), resp.GetInternalToken())
		require.ErrorIs(t, err, access.ErrToken)
		for _, token := range []string{"cps_" + strings.Repeat("A", 43), strings.Repeat("x", 47), admin.token[:46], strings.ToUpper(admin.token)} {
			_, err = s.resolve(token, "auth")
			is(t, err, codes.Unauthenticated, ended)
		}
	})
}

// An hour is the most that may pass without a use, and a day without signing in (NIST SP 800-63B-4 §2.2.3); ours are half
// of each.
func TestN35_SessionsEndByAgeAndLockByDisuse(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		s.clock.forward(30 * time.Minute)
		_, err := s.resolve(operator.token, "auth")
		is(t, err, codes.Unauthenticated, locked)

		s.signInAs(operator)
		opened := s.clock.Now()
		for s.clock.Now().Sub(opened) < 12*time.Hour-29*time.Minute {
			s.clock.forward(29 * time.Minute)
			_, err := s.resolve(operator.token, "auth")
			require.NoError(t, err, "used every 29 minutes, after %s", s.clock.Now().Sub(opened))
		}
		s.clock.forward(opened.Add(12*time.Hour - time.Second).Sub(s.clock.Now()))
		resp, err := s.resolve(operator.token, "auth")
		require.NoError(t, err)
		require.Equal(t, opened.Add(12*time.Hour), resp.GetExpireTime().AsTime(), "its last token ends with it")
		s.clock.forward(time.Second)
		_, err = s.resolve(operator.token, "auth")
		is(t, err, codes.Unauthenticated, ended)
	})
}

func TestOwnSessionsAreListedAndEnded(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		host := s.operator()
		admin := s.newFirm(host, "Harbour Tax", "ada@harbour.example", "")
		first := admin.token
		for range 4 {
			s.clock.forward(time.Second)
			s.signInAs(admin)
		}
		var names []string
		token := ""
		for {
			page, err := s.sessions.ListSessions(s.as(admin.token), &authv1.ListSessionsRequest{PageSize: 2, PageToken: token})
			require.NoError(t, err)
			require.LessOrEqual(t, len(page.GetSessions()), 2)
			for _, one := range page.GetSessions() {
				require.Equal(t, admin.account, one.GetAccount())
				require.Equal(t, "192.0.2.7", one.GetOrigin())
				names = append(names, one.GetName())
			}
			if token = page.GetNextPageToken(); token == "" {
				break
			}
		}
		require.Len(t, names, 5)
		current, err := s.sessions.GetCurrentSession(s.as(admin.token), &authv1.GetCurrentSessionRequest{})
		require.NoError(t, err)
		require.Equal(t, names[0], current.GetSession().GetName(), "newest first")

		_, err = s.sessions.RevokeSession(s.as(admin.token), &authv1.RevokeSessionRequest{Name: names[4], Password: passphrase, RequestId: requestID()})
		require.NoError(t, err)
		_, err = s.resolve(first, "auth")
		is(t, err, codes.Unauthenticated, ended)
		hostSession, err := s.sessions.GetCurrentSession(s.as(host.token), &authv1.GetCurrentSessionRequest{})
		require.NoError(t, err)
		_, err = s.sessions.RevokeSession(s.as(admin.token), &authv1.RevokeSessionRequest{Name: hostSession.GetSession().GetName()})
		is(t, err, codes.NotFound, authv1.ErrorReason_ERROR_REASON_NOT_FOUND)
		_, err = s.resolve(host.token, "auth")
		require.NoError(t, err, "somebody else's session is not theirs to end")

		internal := s.as(admin.token)
		_, err = s.sessions.SignOut(internal, &authv1.SignOutRequest{})
		require.NoError(t, err)
		_, err = s.resolve(admin.token, "auth")
		is(t, err, codes.Unauthenticated, ended)
		_, err = s.sessions.GetCurrentSession(internal, &authv1.GetCurrentSessionRequest{})
		require.Equal(t, codes.Unauthenticated, rpcerr.From(err).Code(), "also with the internal token that still lives")
		_, err = s.sessions.ListSessions(s.as(host.token), &authv1.ListSessionsRequest{PageToken: "rubbish"})
		require.Equal(t, "page_token", rpcerr.From(err).Violations()[0].Field)
	})
}

func TestStepUpAsksForThePasswordAndMovesAddInsAlong(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		_, err := s.sessions.StartStepUp(s.as(admin.token), &authv1.StartStepUpRequest{Password: "not it"})
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		word := s.addIn(admin)
		_, err = s.accounts.InviteStaff(s.as(admin.token), &authv1.InviteStaffRequest{
			Parent: admin.firm, Email: "mo@harbour.example", DisplayName: "Mo", Role: authv1.Role_ROLE_STAFF,
		})
		require.Equal(t, rpcerr.StepUpRequired.String(), rpcerr.Reason(err))
		s.stepUp(admin)
		_, err = s.resolve(word, "documents")
		require.NoError(t, err)
		_, err = s.sessions.SignOut(s.as(admin.token), &authv1.SignOutRequest{})
		require.NoError(t, err)
		_, err = s.resolve(word, "documents")
		is(t, err, codes.Unauthenticated, ended)
	})
}

func TestStepUpNeedsMoreThanAMailbox(t *testing.T) {
	s := onSQLite(t, options{run: true})
	operator := s.operator() // signed in by e-mail, without a mobile
	_, err := s.sessions.StartStepUp(s.as(operator.token), &authv1.StartStepUpRequest{Password: passphrase})
	e := is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_PIN_UNDELIVERABLE)
	require.Contains(t, e.Metadata()["why"], "mobile")
	admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", "")
	lifted := s.stepUp(admin)
	require.Equal(t, authv1.Strength_STRENGTH_WEAK, lifted.GetStrength(), "a password-only session is lifted by e-mail")
	require.Nil(t, lifted.GetStepUpExpireTime())
}

func TestOnlyTheGatewayResolves(t *testing.T) {
	s := onSQLite(t, options{run: true})
	operator := s.operator()
	for _, name := range []string{"sync", "connector", "documents", "auth"} {
		ctx := dial.WithToken(t.Context(), s.mint.Token(access.ServicePrincipal(name, ""), auth.Name))
		_, err := s.sessions.ResolveSession(ctx, &authv1.ResolveSessionRequest{SessionToken: operator.token, Audience: "auth"})
		require.Equal(t, codes.PermissionDenied, rpcerr.From(err).Code(), name)
	}
}
