package auth_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

// is requires an error of auth with a reason.
func is(t testing.TB, err error, code codes.Code, reason authv1.ErrorReason) *rpcerr.Error {
	t.Helper()
	require.Error(t, err)
	e := rpcerr.From(err)
	require.Equal(t, rpcerr.Normalize(reason), e.Reason(), "%v", err)
	require.Equal(t, code, e.Code(), "%v", err)
	return e
}

func TestFirstRun(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		first, err := s.service.SetupCode(t.Context())
		require.NoError(t, err)
		second, err := s.service.SetupCode(t.Context())
		require.NoError(t, err)
		require.NotEqual(t, first, second)
		claim := &authv1.ClaimInstallationRequest{
			SetupCode: first, Email: "Olive@Host.example", Password: passphrase, DisplayName: "Olive", Mobile: "+61 491 570 156",
		}
		claim.SetupCode += "x"
		_, err = s.signIn.ClaimInstallation(s.nobody(""), claim)
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_ALREADY_CLAIMED)

		claim.SetupCode, claim.Password = second, "password123"
		_, err = s.signIn.ClaimInstallation(s.nobody(""), claim)
		e := is(t, err, codes.InvalidArgument, authv1.ErrorReason_ERROR_REASON_PASSWORD_REFUSED)
		require.Equal(t, "password", e.Violations()[0].Field)
		require.Equal(t, "password.common", e.Violations()[0].Rule)

		claim.Password = passphrase
		_, err = s.signIn.ClaimInstallation(s.nobody(""), claim)
		require.NoError(t, err)
		_, err = s.signIn.ClaimInstallation(s.nobody(""), claim)
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_ALREADY_CLAIMED)
		// Who mistyped the address starts again: until an operator has signed in, each start offers a code.
		claim.SetupCode, err = s.service.SetupCode(t.Context())
		require.NoError(t, err)
		claimed, err := s.signIn.ClaimInstallation(s.nobody(""), claim)
		require.NoError(t, err)

		operator := &person{email: "olive@host.example", mobile: "+61491570156"}
		opened := s.signInAs(operator)
		again, err := s.service.SetupCode(t.Context())
		require.NoError(t, err)
		require.Empty(t, again, "claimed once and for all")
		require.Equal(t, claimed.GetOperator(), opened.GetAccount())
		require.Equal(t, optionsv1.PrincipalKind_PRINCIPAL_KIND_OPERATOR, opened.GetKind())
		require.Empty(t, opened.GetFirm())

		admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", newMobile())
		require.True(t, strings.HasPrefix(admin.account, admin.firm+"/staff/"))
		current, err := s.sessions.GetCurrentSession(s.as(admin.token), &authv1.GetCurrentSessionRequest{})
		require.NoError(t, err)
		require.Equal(t, admin.account, current.GetSession().GetAccount())
		require.Equal(t, optionsv1.PrincipalKind_PRINCIPAL_KIND_ADMINISTRATOR, current.GetSession().GetKind())
	})
}

// The accounts of one address share its salt, whoever made the first one: else a sign-in would take a hash for each, and
// tell by its time that there are several.
func TestEveryAccountOfAnAddressHasItsSalt(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		for range 2 { // the second claim finds the address with a salt
			code, err := s.service.SetupCode(t.Context())
			require.NoError(t, err)
			_, err = s.signIn.ClaimInstallation(s.nobody(""), &authv1.ClaimInstallationRequest{
				SetupCode: code, Email: "olive@host.example", Password: passphrase, DisplayName: "Olive",
			})
			require.NoError(t, err)
		}
		operator := &person{email: "olive@host.example"}
		s.signInAs(operator)
		s.newFirm(operator, "Harbour Tax", operator.email, "")
		require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
			salts, err := sqldb.Collect(tx, func(r *sqldb.Rows) (salt string, err error) {
				var phc string
				err = r.Scan(&phc)
				return strings.Split(phc, "$")[4], err
			}, `SELECT password FROM accounts WHERE email = $1`, operator.email)
			require.Len(t, salts, 2)
			require.Equal(t, salts[0], salts[1])
			return err
		}))
	})
}

// The firm of this test enforces nothing: its staff sign in with the password alone, operator and contacts do not.
func TestPasswordAloneWithoutEnforcement(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", "")
		s.inbox.seen()
		opened := s.signInAs(admin)
		require.Equal(t, authv1.Strength_STRENGTH_SINGLE, opened.GetStrength())
		require.Equal(t, []string{"pwd"}, opened.GetMethods())
		require.Nil(t, opened.GetStepUpExpireTime())
		require.Equal(t, s.clock.Now().Add(12*time.Hour), opened.GetExpireTime().AsTime())
		opened = s.signInAs(operator)
		require.Equal(t, authv1.Strength_STRENGTH_WEAK, opened.GetStrength(), "by e-mail, without a mobile")
		require.Equal(t, []string{"pwd", "otp", "email"}, opened.GetMethods())
		require.Nil(t, opened.GetStepUpExpireTime(), "an e-mailed PIN is not enough for step-up actions")
	})
}

// Whoever confirms by a PIN that is sent is told what the risk is, and what to enrol instead; nobody else is.
func TestN17_WhoUsesPINsIsToldOfTheRiskAndOfTheSaferWay(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", newMobile())
		notice := func(p *person) string {
			now, err := s.sessions.GetCurrentSession(s.as(p.token), &authv1.GetCurrentSessionRequest{})
			require.NoError(t, err)
			return now.GetSession().GetRiskNotice()
		}
		require.Empty(t, notice(admin), "no PIN was sent yet")
		told := s.stepUp(admin).GetRiskNotice()
		for _, word := range []string{"text message", "e-mail", "takes over your number", "passkey", "authenticator program"} {
			require.Contains(t, told, word)
		}
		require.Equal(t, told, notice(admin))
		require.Equal(t, told, notice(operator), "by e-mail as well")
		prog := s.enrolTOTP(admin)
		opened, err := s.showTOTP(s.begin(admin).GetChallenge(), prog.code())
		require.NoError(t, err)
		require.Empty(t, opened.GetSession().GetRiskNotice())
	})
}

func TestN17_MobileEnteredBySomebodyElseIsValidatedOnce(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		require.Equal(t, authv1.Strength_STRENGTH_SINGLE, s.signInAs(admin).GetStrength())

		s.inbox.seen()
		start, err := s.sessions.StartStepUp(s.as(admin.token), &authv1.StartStepUpRequest{Password: passphrase})
		require.NoError(t, err)
		require.Equal(t, authv1.Channel_CHANNEL_SMS_AND_EMAIL, start.GetChallenge().GetChannel())
		hint := start.GetChallenge().GetDestinationHint()
		require.NotContains(t, hint, admin.mobile)
		require.NotContains(t, hint, admin.email)
		require.Contains(t, hint, "***@harbour.example")
		pins := s.answer(admin, start.GetChallenge())
		require.NotEqual(t, pins.GetPin(), pins.GetEmailPin())
		half := &authv1.VerifyStepUpRequest{Challenge: pins.GetChallenge(), Pin: pins.GetPin()}
		_, err = s.sessions.VerifyStepUp(s.as(admin.token), half)
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		swapped := &authv1.VerifyStepUpRequest{Challenge: pins.GetChallenge(), Pin: pins.GetEmailPin(), EmailPin: pins.GetPin()}
		_, err = s.sessions.VerifyStepUp(s.as(admin.token), swapped)
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		done, err := s.sessions.VerifyStepUp(s.as(admin.token), &authv1.VerifyStepUpRequest{
			Challenge: pins.GetChallenge(), Pin: pins.GetPin(), EmailPin: pins.GetEmailPin(),
		})
		require.NoError(t, err)
		require.Equal(t, authv1.Strength_STRENGTH_STRONG, done.GetSession().GetStrength())
		require.Equal(t, s.clock.Now().Add(10*time.Minute), done.GetSession().GetStepUpExpireTime().AsTime())
		old := admin.token
		admin.token = done.GetSessionToken()
		_, err = s.resolve(old, "auth")
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SESSION_ENDED)

		start, err = s.sessions.StartStepUp(s.as(admin.token), &authv1.StartStepUpRequest{Password: passphrase})
		require.NoError(t, err)
		require.Equal(t, authv1.Channel_CHANNEL_SMS, start.GetChallenge().GetChannel(), "validated: from now on SMS alone")
		staff, err := s.accounts.GetStaff(s.as(admin.token), &authv1.GetStaffRequest{Name: admin.account})
		require.NoError(t, err)
		require.True(t, staff.GetStaff().GetMobileValidated())
	})
}

func TestN21_TextMessagesEndWithTheOriginBoundLine(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
	s.stepUp(admin)
	text := s.inbox.next(admin.mobile).Text
	lines := strings.Split(text, "\n")
	require.Regexp(t, `^@app\.example\.com #[0-9]{6}$`, lines[len(lines)-1])
}

func TestUnknownAndWrongAnswerAlike(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		var answers []string
		for _, c := range []struct{ email, password, firm string }{
			{admin.email, "not the password", ""},
			{"nobody@harbour.example", passphrase, ""},
			{"no address at all", passphrase, ""},
			{admin.email, passphrase, "firms/01920000-0000-7000-8000-00000000000b"},
		} {
			_, err := s.signIn.StartSignIn(s.nobody("192.0.2.9"), &authv1.StartSignInRequest{Email: c.email, Password: c.password, Firm: c.firm})
			e := is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
			answers = append(answers, e.Message())
			require.Empty(t, e.Metadata())
			require.Empty(t, e.Violations())
		}
		for _, a := range answers {
			require.Equal(t, answers[0], a)
		}
	})
}

func TestWrongPasswordsWaitByOriginAndDoNotLockThePersonOut(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		try := func(address, email, password string) error {
			_, err := s.signIn.StartSignIn(s.nobody(address), &authv1.StartSignInRequest{Email: email, Password: password})
			return err
		}
		for _, email := range []string{admin.email, "nobody@harbour.example"} {
			for range 5 {
				is(t, try("203.0.113.9", email, "wrong guess"), codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
			}
			e := is(t, try("203.0.113.9", email, passphrase), codes.ResourceExhausted, authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS)
			require.Equal(t, s.clock.Now().Add(30*time.Second).Format(time.RFC3339), e.Metadata()["retry_time"])
		}
		require.NoError(t, try("192.0.2.7", admin.email, passphrase), "from elsewhere the person signs in")
		s.clock.forward(31 * time.Second)
		require.NoError(t, try("203.0.113.9", admin.email, passphrase), "the wait is over")
		is(t, try("203.0.113.9", admin.email, "wrong again"), codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
	})
}

func TestStrangersFromEverywhereSlowOnlyStrangersDown(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "") // signed in from 192.0.2.7
	for i := range 100 {
		_, err := s.signIn.StartSignIn(s.nobody(fmt.Sprintf("2001:db8:%x::1", i)), // each a network of its own
			&authv1.StartSignInRequest{Email: admin.email, Password: "wrong guess"})
		require.Error(t, err)
	}
	_, err := s.signIn.StartSignIn(s.nobody("198.51.100.77"), &authv1.StartSignInRequest{Email: admin.email, Password: passphrase})
	is(t, err, codes.ResourceExhausted, authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS)
	s.signInAs(admin)
	s.clock.forward(31 * time.Second)
	_, err = s.signIn.StartSignIn(s.nobody("198.51.100.77"), &authv1.StartSignInRequest{Email: admin.email, Password: passphrase})
	require.NoError(t, err)
}

func TestOneAddressInSeveralFirms(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		harbour := s.newFirm(operator, "Harbour Tax", "ada@both.example", "")
		bridge := s.newFirm(operator, "Bridge Audit", "ada@both.example", "")
		_, err := s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: "ada@both.example", Password: passphrase})
		e := is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_FIRM_AMBIGUOUS)
		require.ElementsMatch(t, []string{harbour.firm, bridge.firm}, strings.Fields(e.Metadata()["firms"]))
		var shown []string
		require.NoError(t, json.Unmarshal([]byte(e.Metadata()["firm_names"]), &shown), "a person chooses by the name")
		for i, firm := range strings.Fields(e.Metadata()["firms"]) {
			require.Equal(t, map[string]string{harbour.firm: "Harbour Tax", bridge.firm: "Bridge Audit"}[firm], shown[i])
		}
		require.Equal(t, bridge.firm, s.signInAs(bridge).GetFirm())
		require.Equal(t, harbour.firm, s.signInAs(harbour).GetFirm())
	})
}

func TestSecretsStayOutOfLogsAndEvents(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
	s.stepUp(admin)
	_, err := s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: admin.email, Password: "wrong " + passphrase})
	require.Error(t, err)
	secrets := []string{passphrase, admin.token, s.inbox.next(admin.mobile).Text[:6]}
	var events []byte
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		rows, err := sqldb.Collect(tx, func(r *sqldb.Rows) (b []byte, err error) { return b, r.Scan(&b) },
			`SELECT payload FROM events_outbox`)
		for _, r := range rows {
			events = append(events, r...)
		}
		return err
	}))
	require.NotEmpty(t, events)
	for _, secret := range secrets {
		require.NotContains(t, s.logs.String(), secret)
		require.NotContains(t, string(events), secret)
	}
}
