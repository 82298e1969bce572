package auth_test

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	"github.com/concord-suite/concord/services/auth/internal/session"
)

func TestN34_TokensAreRandomHashedAndChangeWithEveryConfirmation(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		seen := map[string]bool{admin.token: true}
		used := []string{admin.token}
		for i := range 3 {
			old := admin.token
			if i == 2 {
				s.clock.forward(31 * time.Minute)
				resp, err := s.unlock(old, passphrase)
				require.NoError(t, err)
				admin.token = resp.GetSessionToken()
			} else {
				s.clock.forward(2 * time.Minute)
				s.stepUp(admin)
			}
			require.False(t, seen[admin.token])
			seen[admin.token] = true
			used = append(used, admin.token)
			_, err := s.resolve(old, "auth")
			is(t, err, codes.Unauthenticated, ended)
		}
		for _, token := range used {
			random := strings.TrimPrefix(token, string(session.ForPerson))
			require.GreaterOrEqual(t, len(random)*6, 128, "six bits a character")
			var rows int
			require.NoError(t, s.db.QueryRow(t.Context(), `SELECT count(*) FROM sessions WHERE token_hash = $1`, []byte(token)).Scan(&rows))
			require.Zero(t, rows)
		}
		var stored []byte
		require.NoError(t, s.db.QueryRow(t.Context(), `SELECT token_hash FROM sessions WHERE token_hash = $1`, session.Hash(admin.token)).Scan(&stored))
		require.Len(t, stored, 32)
		require.False(t, bytes.Contains(stored, []byte(admin.token[4:])))
		require.NotContains(t, s.logs.String(), admin.token)
	})
}

func TestN37_SigningOutEndsASessionAtTheServer(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, _ jetstream.JetStream) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		word, internal := s.addIn(admin), s.as(admin.token)
		_, err := s.sessions.SignOut(internal, &authv1.SignOutRequest{})
		require.NoError(t, err)
		for _, token := range []string{admin.token, word} {
			_, err = s.resolve(token, "documents")
			is(t, err, codes.Unauthenticated, ended)
		}
		_, err = s.unlock(admin.token, passphrase)
		is(t, err, codes.Unauthenticated, ended)
		eventstest.Until(t, "the internal token that was about is refused as well", func() bool {
			_, err := s.accounts.ListStaff(internal, &authv1.ListStaffRequest{Parent: admin.firm})
			return rpcerr.Reason(err) == rpcerr.Unauthenticated.String()
		})

		s.signInAs(admin)
		s.clock.forward(12 * time.Hour)
		_, err = s.resolve(admin.token, "auth")
		is(t, err, codes.Unauthenticated, ended)
		_, err = s.unlock(admin.token, passphrase)
		is(t, err, codes.Unauthenticated, ended)
	})
}

func TestN38_PeopleAndAdministratorsEndSessions(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		other := s.newFirm(operator, "Bridge Audit", "bo@bridge.example", newMobile())
		s.stepUp(other)
		mo := s.hire(admin, "mo@harbour.example", "", authv1.Role_ROLE_STAFF)
		s.signInAs(mo)
		idle := mo.token
		s.clock.forward(31 * time.Minute)
		s.signInAs(mo)
		first, word := mo.token, s.addIn(mo)
		s.clock.forward(time.Second)
		s.signInAs(mo)
		for _, p := range []*person{admin, other} {
			s.signInAs(p)
			s.stepUp(p)
		}

		own, err := s.sessions.ListSessions(s.as(mo.token), &authv1.ListSessionsRequest{})
		require.NoError(t, err)
		require.Len(t, own.GetSessions(), 4, "the locked one and the Add-In's as well")
		seen, err := s.sessions.ListStaffSessions(s.as(admin.token), &authv1.ListStaffSessionsRequest{Parent: mo.account, PageSize: 3})
		require.NoError(t, err)
		require.Len(t, seen.GetSessions(), 3)
		rest, err := s.sessions.ListStaffSessions(s.as(admin.token), &authv1.ListStaffSessionsRequest{
			Parent: mo.account, PageSize: 3, PageToken: seen.GetNextPageToken(),
		})
		require.NoError(t, err)
		all := append(seen.GetSessions(), rest.GetSessions()...)
		require.Len(t, all, 4)
		for i, one := range all {
			mine := own.GetSessions()[i]
			require.Equal(t, mine.GetName(), one.GetName())
			require.Equal(t, i == 0, mine.GetCurrent(), "newest first, and that is the caller's")
			require.False(t, one.GetCurrent(), "none of them is the administrator's")
			require.Equal(t, i == 3, one.GetLocked())
			require.Equal(t, mo.account, one.GetAccount())
			require.NotNil(t, one.GetLastUseTime())
			require.Equal(t, one.GetLastUseTime().AsTime().Add(30*time.Minute), one.GetLockTime().AsTime())
		}
		var addIn *authv1.Session
		for _, one := range own.GetSessions() {
			if one.GetAddIn() != "" {
				addIn = one
			}
		}
		require.Equal(t, "word", addIn.GetAddIn())

		// Somebody else's are nobody's, by whatever name; other firms do not exist.
		_, err = s.sessions.ListStaffSessions(s.as(other.token), &authv1.ListStaffSessionsRequest{Parent: mo.account})
		require.Equal(t, codes.NotFound, rpcerr.From(err).Code())
		_, err = s.sessions.ListStaffSessions(s.as(mo.token), &authv1.ListStaffSessionsRequest{Parent: mo.account})
		require.Equal(t, codes.PermissionDenied, rpcerr.From(err).Code())
		stranger := admin.firm + "/staff/" + requestID()
		_, err = s.sessions.ListStaffSessions(s.as(admin.token), &authv1.ListStaffSessionsRequest{Parent: stranger})
		is(t, err, codes.NotFound, authv1.ErrorReason_ERROR_REASON_NOT_FOUND)
		end := func(name, one string) (*authv1.EndStaffSessionsResponse, error) {
			return s.sessions.EndStaffSessions(s.as(admin.token), &authv1.EndStaffSessionsRequest{Name: name, Session: one, RequestId: requestID()})
		}
		current, err := s.sessions.GetCurrentSession(s.as(admin.token), &authv1.GetCurrentSessionRequest{})
		require.NoError(t, err)
		require.True(t, current.GetSession().GetCurrent())
		for _, wrong := range [][2]string{
			{mo.account, current.GetSession().GetName()}, {mo.account, "sessions/" + requestID()}, {stranger, ""},
		} {
			_, err = end(wrong[0], wrong[1])
			is(t, err, codes.NotFound, authv1.ErrorReason_ERROR_REASON_NOT_FOUND)
		}

		_, err = s.sessions.RevokeSession(s.as(mo.token), &authv1.RevokeSessionRequest{Name: addIn.GetName(), Password: passphrase})
		require.NoError(t, err, "an Add-In is a session like any other")
		_, err = s.resolve(word, "documents")
		is(t, err, codes.Unauthenticated, ended)
		did, err := end(mo.account, all[3].GetName())
		require.NoError(t, err)
		require.EqualValues(t, 1, did.GetEnded())
		_, err = s.unlock(idle, passphrase)
		is(t, err, codes.Unauthenticated, ended)
		did, err = end(mo.account, "")
		require.NoError(t, err)
		require.EqualValues(t, 2, did.GetEnded())
		for _, token := range []string{first, mo.token} {
			_, err = s.resolve(token, "documents")
			is(t, err, codes.Unauthenticated, ended)
		}
		s.signInAs(mo)
		_, err = s.accounts.DisableStaff(s.as(admin.token), &authv1.DisableStaffRequest{Name: mo.account})
		require.NoError(t, err)
		_, err = s.resolve(mo.token, "documents")
		is(t, err, codes.Unauthenticated, ended)
		s.clock.forward(11 * time.Minute)
		_, err = end(mo.account, "")
		require.Equal(t, rpcerr.StepUpRequired.String(), rpcerr.Reason(err))
	})
}

// Ending another session of one's own asks for the password, so that a screen left open locks nobody out (ASVS 7.5.2);
// whoever has just confirmed anew has shown it. One's own session ends as it is.
func TestN38_EndingAnotherSessionOfOnesOwnAsksForThePassword(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		_, mo := s.firmOfTwo(authv1.Role_ROLE_STAFF, newMobile())
		left := s.signInAs(mo).GetName()
		lost := mo.token
		s.clock.forward(session.StepUp)
		s.signInAs(mo)
		end := func(name, password string) error {
			_, err := s.sessions.RevokeSession(s.as(mo.token), &authv1.RevokeSessionRequest{Name: name, Password: password, RequestId: requestID()})
			return err
		}
		s.clock.forward(session.StepUp)
		err := end(left, "")
		is(t, err, codes.PermissionDenied, authv1.ErrorReason_ERROR_REASON_PASSWORD_REQUIRED)
		require.Contains(t, rpcerr.From(err).Error(), "password")
		require.Equal(t, codes.NotFound, rpcerr.From(end("sessions/"+requestID(), passphrase)).Code())
		is(t, end(left, "a guess at it"), codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		_, err = s.resolve(lost, "documents")
		require.NoError(t, err, "it goes on")
		require.NoError(t, end(left, passphrase))
		_, err = s.resolve(lost, "documents")
		is(t, err, codes.Unauthenticated, ended)

		// Guesses count as at signing in, in one row with those there.
		second := s.signInAs(&person{email: mo.email, mobile: mo.mobile, firm: mo.firm}).GetName()
		for range 5 {
			is(t, end(second, "a guess at it"), codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		}
		is(t, end(second, passphrase), codes.ResourceExhausted, authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS)
		_, err = s.trySignIn(mo.email, passphrase, "192.0.2.7")
		is(t, err, codes.ResourceExhausted, authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS)
		s.clock.forward(time.Minute)
		own := s.stepUp(mo).GetName()
		require.NoError(t, end(second, ""), "confirmed anew")
		s.clock.forward(session.StepUp)
		require.NoError(t, end(own, ""), "the session of the call")
		_, err = s.resolve(mo.token, "documents")
		is(t, err, codes.Unauthenticated, ended)
	})
}

// What changes who may do what, or shows a firm's data wholesale, asks for the factors again (ASVS 7.5.1, 7.5.3).
func TestN39_SensitiveActsAskForTheFactorsAgain(t *testing.T) {
	rules, err := access.Rules(contract()...)
	require.NoError(t, err)
	for _, act := range []string{
		"policy.update", "message_settings.update", "staff.invite", "staff.update", "staff.disable", "staff.reset",
		"session.end_staff", "agent.create", "enrolment.approve", "audit.export",
	} {
		i := slices.IndexFunc(rules.All(), func(r *access.Rule) bool { return r.Permission == act })
		require.GreaterOrEqual(t, i, 0, act)
		require.True(t, rules.All()[i].StepUp, act)
	}
}

// The limits stand in the service's own page, in the numbers that the code has (ASVS 7.1.1, 7.1.2).
func TestN40_TheLimitsOfSessionsAreWrittenDown(t *testing.T) {
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	text := strings.Join(strings.Fields(string(page)), " ")
	for _, says := range []string{
		fmt.Sprintf("%.0f hours", session.Life.Hours()), fmt.Sprintf("%.0f minutes without use", session.Idle.Minutes()),
		fmt.Sprintf("%.0f minutes, then after confirming again", session.StepUp.Minutes()),
		"wrong passwords at the lock end the session",
	} {
		require.Contains(t, text, says)
	}
	require.Contains(t, text, fmt.Sprintf("as many sessions at once as they have browsers, %d at most", session.MaxOpen))
	require.Equal(t, 5, session.MaxUnlocks)
	require.Regexp(t, regexp.MustCompile(`(?i)five wrong passwords at the lock`), text)
}

func TestN40_OneSessionTooManyEndsTheOneUnusedLongest(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		first := admin.token
		word := s.addIn(admin)
		s.clock.forward(time.Minute)
		s.signInAs(admin)
		second := admin.token
		s.clock.forward(time.Minute)
		_, err := s.resolve(first, "auth")
		require.NoError(t, err)
		for range session.MaxOpen - 2 {
			s.clock.forward(time.Second)
			s.signInAs(admin)
		}
		s.clock.forward(2 * time.Minute)
		_, err = s.resolve(first, "auth")
		require.NoError(t, err)
		s.signInAs(admin)
		_, err = s.resolve(second, "auth")
		is(t, err, codes.Unauthenticated, ended)
		for _, token := range []string{first, word, admin.token} {
			_, err = s.resolve(token, "auth")
			require.NoError(t, err)
		}
	})
}

// What somebody may do is decided anew at once, with the token that is about as well; and by the person a call is for.
func TestN56_ChangedRightsCountAtOnce(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, _ jetstream.JetStream) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		mo := s.hire(admin, "mo@harbour.example", newMobile(), authv1.Role_ROLE_ADMINISTRATOR)
		s.signInAs(mo)
		word, held := s.addIn(mo), s.as(mo.token)
		_, err := s.firms.GetSecurityPolicy(held, &authv1.GetSecurityPolicyRequest{Name: mo.firm + "/securityPolicy"})
		require.NoError(t, err)
		_, err = s.accounts.UpdateStaff(s.as(admin.token), s.withRole(admin, mo, authv1.Role_ROLE_READ_ONLY))
		require.NoError(t, err)
		for _, token := range []string{mo.token, word} {
			_, err = s.resolve(token, "documents")
			is(t, err, codes.Unauthenticated, ended)
		}
		eventstest.Until(t, "the token of the former administrator is refused", func() bool {
			_, err := s.accounts.ListStaff(held, &authv1.ListStaffRequest{Parent: mo.firm})
			return rpcerr.Reason(err) == rpcerr.Unauthenticated.String()
		})
		s.signInAs(mo)
		_, err = s.accounts.InviteStaff(s.as(mo.token), &authv1.InviteStaffRequest{
			Parent: mo.firm, Email: "x@harbour.example", DisplayName: "X", Role: authv1.Role_ROLE_STAFF,
		})
		require.Equal(t, codes.PermissionDenied, rpcerr.From(err).Code())
		require.NotEqual(t, rpcerr.StepUpRequired.String(), rpcerr.Reason(err))

		// A service that calls on for a person carries the person along, and nobody's rights but its own.
		person := accessOf(t, s, mo.token)
		onward := person.As("sync")
		require.Equal(t, person.ID, onward.Origin().ID)
		require.Equal(t, access.Service, onward.Kind)
	})
}

// accessOf is the principal of a session.
func accessOf(t *testing.T, s *suite, token string) access.Principal {
	t.Helper()
	resp, err := s.resolve(token, "documents")
	require.NoError(t, err)
	p, err := access.NewVerifier("documents", access.Sources{s.service.Keys()}, s.clock.Now).Verify(t.Context(), resp.GetInternalToken())
	require.NoError(t, err)
	return p
}

// withRole is the request that gives somebody another role and changes nothing else.
func (s *suite) withRole(admin, of *person, role authv1.Role) *authv1.UpdateStaffRequest {
	s.t.Helper()
	list, err := s.accounts.ListStaff(s.as(admin.token), &authv1.ListStaffRequest{Parent: admin.firm})
	require.NoError(s.t, err)
	for _, one := range list.GetStaff() {
		if one.GetName() == of.account {
			return &authv1.UpdateStaffRequest{Name: of.account, Role: role, Etag: one.GetEtag()}
		}
	}
	require.Fail(s.t, "no such member of staff")
	return nil
}

// T02: a text message counts as the strong factor it is. T03: each pair of factors has its grade, and none falls to nothing.
func TestT02_ATextMessageCountsInFull(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		s.enforce(admin)
		s.clock.forward(2 * time.Minute)
		opened := s.signInAs(admin)
		require.Equal(t, authv1.Strength_STRENGTH_STRONG, opened.GetStrength())
		require.True(t, accessOf(t, s, admin.token).SteppedUp(s.clock.Now()))
		s.hire(admin, "mo@harbour.example", "", authv1.Role_ROLE_STAFF) // which asks for the highest grade
	})
}

func TestT03_EveryPairOfFactorsHasAGrade(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		single := s.signInAs(admin)
		require.Equal(t, authv1.Strength_STRENGTH_SINGLE, single.GetStrength())
		require.Equal(t, []string{"pwd"}, single.GetMethods())
		both := s.stepUp(admin)
		require.Equal(t, authv1.Strength_STRENGTH_STRONG, both.GetStrength())
		require.Equal(t, []string{"pwd", "otp", "sms", "email"}, both.GetMethods(), "the mobile is shown to be theirs")
		s.enforce(admin)
		s.clock.forward(2 * time.Minute)
		sms := s.signInAs(admin)
		require.Equal(t, authv1.Strength_STRENGTH_STRONG, sms.GetStrength())
		require.Equal(t, []string{"pwd", "otp", "sms"}, sms.GetMethods())
		s.stepUp(admin)
		mo := s.hire(admin, "mo@harbour.example", "", authv1.Role_ROLE_STAFF)
		mail := s.signInAs(mo)
		require.Equal(t, authv1.Strength_STRENGTH_WEAK, mail.GetStrength())
		require.Equal(t, []string{"pwd", "otp", "email"}, mail.GetMethods())
		var none int
		require.NoError(t, s.db.QueryRow(t.Context(), `SELECT count(*) FROM sessions WHERE strength NOT IN (1, 2, 3) OR methods = ''`).Scan(&none))
		require.Zero(t, none)
	})
}

// Whoever is switched off redeems nothing that was good a moment before: no consent, no refresh, no challenge, no lock.
func TestT13_WhoIsSwitchedOffRedeemsNothing(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		s.enforce(admin)
		mo := s.hire(admin, "mo@harbour.example", "", authv1.Role_ROLE_STAFF)
		s.signInAs(mo)
		verifier, challenge := pkce()
		code, grant := s.consent(mo, challenge), s.addInTokens(mo, "").GetRefreshToken()
		s.clock.forward(2 * time.Minute)
		s.inbox.seen()
		pending := s.begin(mo)
		pin := s.inbox.pin(mo.email)
		s.stepUp(admin)
		_, err := s.accounts.DisableStaff(s.as(admin.token), &authv1.DisableStaffRequest{Name: mo.account})
		require.NoError(t, err)
		_, err = s.exchange(code, verifier, redirect)
		grantRefused(t, err)
		_, err = s.refresh(grant)
		grantRefused(t, err)
		_, err = s.verify(pending.GetChallenge(), pin)
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED)
		_, err = s.unlock(mo.token, passphrase)
		is(t, err, codes.Unauthenticated, ended)
	})
}

// What was given before the second factor was shown is good for nothing by itself: neither a challenge, nor a session or
// consent of before the firm asked for one.
func TestT15_NothingOfBeforeTheSecondFactorStandsInForIt(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		mo := s.hire(admin, "mo@harbour.example", "", authv1.Role_ROLE_STAFF)
		s.signInAs(mo)
		verifier, challenge := pkce()
		code := s.consent(mo, challenge)
		_, err := s.require2FA(admin.firm, newConnection(admin.firm))
		require.NoError(t, err)
		_, err = s.exchange(code, verifier, redirect)
		grantRefused(t, err)
		_, err = s.unlock(mo.token, passphrase)
		is(t, err, codes.Unauthenticated, ended)
		pending := s.begin(mo)
		for _, token := range []string{pending.GetChallenge(), "cps_" + strings.TrimPrefix(pending.GetChallenge(), "cch_")} {
			_, err = s.resolve(token, "auth")
			is(t, err, codes.Unauthenticated, ended)
			_, err = s.unlock(token, passphrase)
			is(t, err, codes.Unauthenticated, ended)
		}
		s.inbox.seen()
		again := s.begin(mo)
		require.NotEmpty(t, again.GetChallenge(), "however often from the same place")
	})
}

// A firm that enforces it opens no session on a password alone, whoever it is.
func TestS07_EverybodyShowsASecondFactorAtTheSignIn(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		_, err := s.require2FA(admin.firm, newConnection(admin.firm))
		require.NoError(t, err)
		people := []*person{operator, admin}
		for i, role := range []authv1.Role{authv1.Role_ROLE_ADMINISTRATOR, authv1.Role_ROLE_STAFF, authv1.Role_ROLE_READ_ONLY} {
			people = append(people, s.hire(admin, fmt.Sprintf("p%d@harbour.example", i), "", role))
		}
		s.inbox.seen()
		_, err = s.inviteContact(admin, newContact(admin.firm), "cleo@client.example")
		require.NoError(t, err)
		cleo := &person{email: "cleo@client.example", firm: admin.firm}
		s.accept(cleo)
		s.clock.forward(2 * time.Minute)
		for _, p := range append(people, cleo) {
			resp, err := s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: p.email, Password: passphrase, Firm: p.firm})
			require.NoError(t, err, p.email)
			require.Empty(t, resp.GetSessionToken(), p.email)
			require.NotEmpty(t, resp.GetChallenge().GetChallenge(), p.email)
		}
	})
}

// A person, and each stay of a person, stands in the record by a name of its own; two can't share a login.
func TestS08_LoginsAreNotSharedAndSessionsTellApart(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		mo := s.hire(admin, "mo@harbour.example", "", authv1.Role_ROLE_STAFF)
		_, err := s.accounts.InviteStaff(s.as(admin.token), &authv1.InviteStaffRequest{
			Parent: admin.firm, Email: " MO@harbour.example ", DisplayName: "Second Mo", Role: authv1.Role_ROLE_STAFF,
		})
		is(t, err, codes.AlreadyExists, authv1.ErrorReason_ERROR_REASON_ACCOUNT_EXISTS)
		for range 2 {
			s.signInAs(mo)
			_, err := s.firms.GetFirm(s.as(mo.token), &authv1.GetFirmRequest{Name: mo.firm})
			require.NoError(t, err)
		}
		sessions := map[string]bool{}
		for _, m := range s.events("audit.v1.audit_recorded", &auditeventsv1.AuditRecorded{}) {
			for _, e := range m.(*auditeventsv1.AuditRecorded).GetEntries() {
				if e.GetAction() != "session.opened" || mo.account != e.GetResource() {
					continue
				}
				require.Equal(t, mo.account, mo.firm+"/staff/"+e.GetActor())
				require.NotEmpty(t, e.GetSession())
				sessions[e.GetSession()] = true
			}
		}
		require.Len(t, sessions, 2)
	})
}

// Nothing that is handed out is good for a day or longer, and what is used once ends by its use.
func TestS09_NothingIsRememberedForADay(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		s.addIn(admin)
		now := sqldb.Micros(s.clock.Now())
		day := (24 * time.Hour).Microseconds()
		for _, query := range []string{
			`SELECT max(expires_at - created_at) FROM sessions`, `SELECT max(expires_at - created_at) FROM challenges`,
			`SELECT max(expires_at) - ` + fmt.Sprint(now) + ` FROM consents`,
		} {
			var life int64
			require.NoError(t, s.db.QueryRow(t.Context(), query).Scan(&life), query)
			require.Less(t, life, day, query)
		}
		var invitations int64
		require.NoError(t, s.db.QueryRow(t.Context(), `SELECT max(expires_at - created_at) FROM invitations`).Scan(&invitations))
		require.LessOrEqual(t, invitations, day, "which is used once")
		s.enforce(admin)
		s.clock.forward(2 * time.Minute)
		pending := s.begin(admin)
		s.inbox.seen()
		_ = pending
		s.clock.forward(24 * time.Hour)
		_, err := s.resolve(admin.token, "auth")
		is(t, err, codes.Unauthenticated, ended)
		require.NotEmpty(t, s.begin(admin).GetChallenge(), "no device is remembered")
	})
}
