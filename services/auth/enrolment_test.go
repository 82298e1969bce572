package auth_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// Another mobile counts once a PIN has arrived there; the old one and the mailbox are told.
func TestAMobileIsChangedByAPINThatArrivesThere(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		old, mobile := admin.mobile, newMobile()
		s.clock.forward(time.Minute)
		s.inbox.seen()
		start, err := s.factors().StartMobileChange(s.as(admin.token), &authv1.StartMobileChangeRequest{Mobile: mobile})
		require.NoError(t, err)
		require.NotContains(t, start.GetDestinationHint(), mobile)
		pin := s.inbox.pin(mobile)
		require.False(t, s.stored("enrolments", "pin_mac", []byte(pin)))
		finish := func(pin string) (*authv1.FinishMobileChangeResponse, error) {
			return s.factors().FinishMobileChange(s.as(admin.token), &authv1.FinishMobileChangeRequest{Enrolment: start.GetEnrolment(), Pin: pin})
		}
		_, err = finish(wrong(pin))
		is(t, err, codes.Unauthenticated, refused)
		done, err := finish(pin)
		require.NoError(t, err)
		require.NotNil(t, done.GetFactor().GetCreateTime())
		_, err = finish(pin)
		is(t, err, codes.FailedPrecondition, enrolmentOver)
		s.inbox.about(admin.email, "mobile of your account was changed")
		s.inbox.about(old, "was changed")
		s.clock.forward(time.Minute)
		admin.mobile = mobile
		require.Equal(t, strongStrength, s.signInAs(admin).GetStrength())

		_, err = s.factors().StartMobileChange(s.as(admin.token), &authv1.StartMobileChangeRequest{Mobile: "+1 212 555 0100"})
		require.Equal(t, codes.InvalidArgument, rpcerr.From(err).Code())
	})
}

// An enrolment is of one session, and lives ten minutes.
func TestAnEnrolmentIsOfItsSessionAndShort(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	start, err := s.factors().StartTotpEnrolment(s.as(admin.token), &authv1.StartTotpEnrolmentRequest{})
	require.NoError(t, err)
	finish := func(p *person) error {
		_, err := s.factors().FinishTotpEnrolment(s.as(p.token), &authv1.FinishTotpEnrolmentRequest{
			Enrolment: start.GetEnrolment(), Code: s.programOf(start.GetSecret()).shown(),
		})
		return err
	}
	member := s.member(admin, "")
	s.signInAs(member)
	is(t, finish(member), codes.FailedPrecondition, enrolmentOver)
	s.clock.forward(time.Minute)
	other := &person{email: admin.email, mobile: admin.mobile}
	s.signInAs(other)
	is(t, finish(other), codes.FailedPrecondition, enrolmentOver)
	s.clock.forward(9 * time.Minute)
	is(t, finish(admin), codes.FailedPrecondition, enrolmentOver)
}

// The last factor that the firm accepts stays; taking one away ends every other session.
func TestRemovingAFactorEndsTrust(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		s.changePolicy(admin, func(p *authv1.SecurityPolicy) { p.EmailPinAllowed = false })
		remove := func(name string) error {
			_, err := s.factors().RemoveFactor(s.as(admin.token), &authv1.RemoveFactorRequest{Name: name, RequestId: requestID()})
			return err
		}
		is(t, remove("factors/mobile"), codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_LAST_FACTOR)
		is(t, remove("factors/totp"), codes.NotFound, authv1.ErrorReason_ERROR_REASON_NOT_FOUND)
		prog := s.enrolTOTP(admin)
		opened, err := s.showTOTP(s.begin(admin).GetChallenge(), prog.code())
		require.NoError(t, err)
		waiting := s.begin(admin)
		s.inbox.seen()
		require.NoError(t, remove("factors/totp"))
		s.inbox.about(admin.email, "was removed")
		_, err = s.resolve(opened.GetSessionToken(), "auth")
		is(t, err, codes.Unauthenticated, ended)
		_, err = s.showTOTP(waiting.GetChallenge(), prog.code())
		is(t, err, codes.FailedPrecondition, challengeOver)
		_, err = s.resolve(admin.token, "auth")
		require.NoError(t, err, "the session that did it stays")
		require.NotContains(t, s.listFactors(admin), "factors/totp")
		is(t, remove("factors/mobile"), codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_LAST_FACTOR)

		s.clock.forward(11 * time.Minute)
		require.True(t, rpcerr.Has(remove("factors/mobile"), rpcerr.StepUpRequired))
	})
}

func TestFactorsAreListedInPages(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	s.enrolTOTP(admin)
	var names []string
	token := ""
	for range 10 {
		resp, err := s.factors().ListFactors(s.as(admin.token), &authv1.ListFactorsRequest{PageSize: 1, PageToken: token})
		require.NoError(t, err)
		names = append(names, resp.GetFactors()[0].GetName())
		if token = resp.GetNextPageToken(); token == "" {
			break
		}
	}
	require.Equal(t, []string{"factors/email", "factors/mobile", "factors/recovery-codes", "factors/totp"}, names)
	for _, forged := range []string{"!", "YWJj", "AAAA"} {
		_, err := s.factors().ListFactors(s.as(admin.token), &authv1.ListFactorsRequest{PageToken: forged})
		e := rpcerr.From(err)
		require.Equal(t, codes.InvalidArgument, e.Code())
		require.Equal(t, "page_token", e.Violations()[0].Field)
	}
}

// The operator has shown the code of the console, beside password and mailbox: the first sign-in may enrol. Nobody stands
// above who could approve it.
func TestAnOperatorsFirstSignInEnrols(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		prog := s.enrolTOTP(operator)
		require.Len(t, prog.codes, 10)
		opened, err := s.showTOTP(s.begin(operator).GetChallenge(), prog.code())
		require.NoError(t, err)
		require.Equal(t, strongStrength, opened.GetSession().GetStrength())
		require.Nil(t, opened.GetSession().GetEnrolExpireTime())
	})
	s := onSQLite(t, options{run: true})
	operator := s.operator()
	s.signInAs(operator)
	_, err := s.factors().StartTotpEnrolment(s.as(operator.token), &authv1.StartTotpEnrolmentRequest{})
	is(t, err, codes.PermissionDenied, noEnrolment)
}

// Who has nothing that the firm accepts any more is let in to enrol, with the word of the operator, and signs in with that.
func TestT07_TheOperatorHelpsTheLastAdministrator(t *testing.T) {
	s := onSQLite(t, options{run: true})
	operator := s.operator()
	prog := s.enrolTOTP(operator)
	admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", newMobile())
	s.stepUp(admin)
	s.enforce(admin)
	s.changePolicy(admin, func(p *authv1.SecurityPolicy) {
		p.EmailPinAllowed, p.ForbiddenFactors = false, []authv1.FactorKind{smsKind}
	})
	limited := s.signInAs(admin)
	require.True(t, limited.GetMustEnrol())
	s.inbox.seen()
	_, err := s.factors().RequestEnrolment(s.as(admin.token), &authv1.RequestEnrolmentRequest{})
	require.NoError(t, err)
	s.inbox.about(operator.email, admin.name)
	opened, err := s.showTOTP(s.begin(operator).GetChallenge(), prog.code())
	require.NoError(t, err)
	_, err = s.accounts.ApproveEnrolment(s.as(opened.GetSessionToken()), &authv1.ApproveEnrolmentRequest{Name: admin.account})
	require.NoError(t, err)
	own := s.enrolTOTP(admin)
	_, err = s.resolve(admin.token, "auth")
	is(t, err, codes.Unauthenticated, ended)
	strong, err := s.showTOTP(s.begin(admin).GetChallenge(), own.code())
	require.NoError(t, err)
	require.False(t, strong.GetSession().GetMustEnrol())
	require.Equal(t, strongStrength, strong.GetSession().GetStrength())
}

// Who is invited anew begins without what the account had enrolled.
func TestAnAccountInvitedAnewHasNothingEnrolled(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	member := s.member(admin, newMobile())
	s.signInAs(member)
	s.stepUp(member)
	s.enrolTOTP(member)
	s.stepUp(admin)
	_, err := s.accounts.DisableStaff(s.as(admin.token), &authv1.DisableStaffRequest{Name: member.account, RequestId: requestID()})
	require.NoError(t, err)
	member = s.member(admin, "")
	require.Equal(t, []authv1.FactorKind{emailKind}, s.begin(member).GetFactors())
}

// A challenge can be looked at by who knows its id, and says what it says at the start.
func TestAChallengeIsLookedAt(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	c := s.begin(admin)
	got, err := s.signIn.GetChallenge(s.nobody(""), &authv1.GetChallengeRequest{Challenge: c.GetChallenge()})
	require.NoError(t, err)
	require.Equal(t, c.GetFactors(), got.GetChallenge().GetFactors())
	require.Equal(t, c.GetDestinationHint(), got.GetChallenge().GetDestinationHint())
	require.Equal(t, c.GetExpireTime().AsTime(), got.GetChallenge().GetExpireTime().AsTime())
	_, err = s.signIn.GetChallenge(s.nobody(""), &authv1.GetChallengeRequest{Challenge: "cch_nobody"})
	is(t, err, codes.FailedPrecondition, challengeOver)
}
