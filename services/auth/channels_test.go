package auth_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// copyMAC gives a challenge the hashed PIN of another.
func (s *suite) copyMAC(from, to string) {
	s.t.Helper()
	a, b := sha256.Sum256([]byte(from)), sha256.Sum256([]byte(to))
	require.NoError(s.t, s.db.Tx(s.t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`UPDATE challenges SET sms_mac = (SELECT o.sms_mac FROM challenges o WHERE o.id_hash = $1) WHERE id_hash = $2`, a[:], b[:])
		return err
	}))
}

// C1: every sign-in asks for the second factor again. Nothing a browser keeps stands for it.
func TestC1_EverySignInAsksForTheSecondFactorAgain(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	for range 3 {
		c := s.begin(admin)
		require.Equal(t, []authv1.FactorKind{smsKind}, c.GetFactors())
		_, err := s.verify(c.GetChallenge(), s.inbox.pin(admin.mobile))
		require.NoError(t, err)
		s.clock.forward(time.Minute)
	}
	prog := s.enrolTOTP(s.stepUpReturning(admin))
	for range 3 {
		c := s.begin(admin)
		require.Equal(t, []authv1.FactorKind{totpKind, recoveryKind}, c.GetFactors())
		_, err := s.showTOTP(c.GetChallenge(), prog.code())
		require.NoError(t, err)
	}
}

func (s *suite) stepUpReturning(p *person) *person { s.stepUp(p); return p }

// C2: what is enrolled, then SMS, then e-mail for who has no mobile, as far as the firm allows it. What opened a session
// stands in it, and e-mail is never enough for what is sensitive.
func TestC2_TheFirmChoosesTheChannels(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		member := s.member(admin, "")
		opened := s.signInAs(member)
		require.Equal(t, weakStrength, opened.GetStrength())
		require.Equal(t, []string{"pwd", "otp", "email"}, opened.GetMethods())
		require.Nil(t, opened.GetStepUpExpireTime())

		prog := s.enrolTOTP(admin)
		require.Equal(t, []authv1.FactorKind{totpKind, recoveryKind}, s.begin(admin).GetFactors())
		s.changePolicy(admin, func(p *authv1.SecurityPolicy) { p.ForbiddenFactors = []authv1.FactorKind{totpKind} })
		c := s.begin(admin)
		require.Equal(t, []authv1.FactorKind{smsKind, recoveryKind}, c.GetFactors(), "what is forbidden does not count as enrolled")
		_, err := s.showTOTP(c.GetChallenge(), prog.code())
		is(t, err, codes.FailedPrecondition, notAllowed)
		s.signInAs(admin)
		_, err = s.factors().StartTotpEnrolment(s.as(admin.token), &authv1.StartTotpEnrolmentRequest{})
		is(t, err, codes.FailedPrecondition, notAllowed)
		require.False(t, s.listFactors(admin)["factors/totp"].GetAllowed())
	})
}

// What a firm stops allowing while a sign-in is under way is not taken any more.
func TestAPolicyIsReadAgainWhenACodeIsShown(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	member := s.member(admin, newMobile())
	s.signInAs(member)
	s.stepUp(member)
	prog := s.enrolTOTP(member)
	c := s.begin(member)
	s.changePolicy(admin, func(p *authv1.SecurityPolicy) { p.ForbiddenFactors = []authv1.FactorKind{totpKind} })
	_, err := s.showTOTP(c.GetChallenge(), prog.code())
	is(t, err, codes.FailedPrecondition, challengeOver)
}

// N22: a PIN by e-mail never makes a session strong, whatever follows it.
func TestN22_AnEmailPINIsNeverStrong(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	member := s.member(admin, "")
	require.Equal(t, weakStrength, s.signInAs(member).GetStrength())
	_, err := s.sessions.StartStepUp(s.as(member.token), &authv1.StartStepUpRequest{Password: passphrase})
	is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_PIN_UNDELIVERABLE)
	_, err = s.factors().GenerateRecoveryCodes(s.as(member.token), &authv1.GenerateRecoveryCodesRequest{})
	require.True(t, rpcerr.Has(err, rpcerr.StepUpRequired))
}

// T01: the mailbox that reset the password is no second factor after it; a code that was handed out is.
func TestT01_TheMailboxDoesNotCountTwice(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		member := s.member(admin, "")
		require.NoError(t, s.finishReset(s.resetCode(member.email), anotherPass))
		_, err := s.trySignIn(member.email, anotherPass, "192.0.2.7")
		e := is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_PIN_UNDELIVERABLE)
		require.Contains(t, e.Metadata()["why"], "recovery code")
		s.stepUp(admin)
		reset, err := s.accounts.ResetStaff(s.as(admin.token), &authv1.ResetStaffRequest{Name: member.account, Factors: true})
		require.NoError(t, err)
		start, err := s.trySignIn(member.email, anotherPass, "192.0.2.7")
		require.NoError(t, err)
		require.Equal(t, []authv1.FactorKind{recoveryKind}, start.GetChallenge().GetFactors())
		_, err = s.showRecovery(start.GetChallenge().GetChallenge(), reset.GetRecoveryCode())
		require.NoError(t, err)
		start, err = s.trySignIn(member.email, anotherPass, "192.0.2.7")
		require.NoError(t, err)
		require.Contains(t, start.GetChallenge().GetFactors(), emailKind, "something else was shown: the mailbox counts again")
	})
}

// T02: who has a mobile is asked for it, whatever the firm asks of others; T10: also beside other things.
func TestT02_AMobileCountsAsASecondFactor(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	require.Equal(t, []authv1.FactorKind{smsKind}, s.begin(admin).GetFactors())
	s.clock.forward(time.Minute)
	require.Equal(t, strongStrength, s.signInAs(admin).GetStrength())
}

// T03: a code that arrives after the password makes the session as strong as the code is, at once.
func TestT03_EachSecondFactorGivesItsStrength(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	prog := s.enrolTOTP(admin)
	opened, err := s.showTOTP(s.begin(admin).GetChallenge(), prog.code())
	require.NoError(t, err)
	require.Equal(t, strongStrength, opened.GetSession().GetStrength())
	require.NotNil(t, opened.GetSession().GetStepUpExpireTime())
	_, err = s.firms.GetSecurityPolicy(s.as(opened.GetSessionToken()), &authv1.GetSecurityPolicyRequest{Name: admin.firm + "/securityPolicy"})
	require.NoError(t, err)
	opened, err = s.showRecovery(s.begin(admin).GetChallenge(), prog.codes[0])
	require.NoError(t, err)
	require.Equal(t, weakStrength, opened.GetSession().GetStrength())
}

// T05: an address that nobody proved to read is proved by the sign-in itself: the invitation came there, the PIN goes there.
func TestT05_NobodyIsStuckForAnAddressThatIsNotVerified(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	member := s.member(admin, "")
	c := s.begin(member)
	require.Equal(t, []authv1.FactorKind{emailKind}, c.GetFactors())
	_, err := s.verify(c.GetChallenge(), s.inbox.pin(member.email))
	require.NoError(t, err)
}

// T06: a mobile that somebody else entered is set up by the first sign-in, and needs no enrolment after that.
func TestT06_AMobileEnteredBySomebodyElseJustWorks(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	member := s.member(admin, newMobile())
	require.Equal(t, []authv1.FactorKind{smsKind, emailKind}, s.begin(member).GetFactors())
	s.clock.forward(time.Minute)
	require.Equal(t, strongStrength, s.signInAs(member).GetStrength())
	s.clock.forward(time.Minute)
	require.Equal(t, []authv1.FactorKind{smsKind}, s.begin(member).GetFactors())
	require.NotNil(t, s.listFactors(member)["factors/mobile"].GetCreateTime())
}

// T09: the password opens nothing by itself in another tab, and a challenge is no session.
func TestT09_ASecondTabDoesNotSkipTheSecondFactor(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	one := s.begin(admin)
	s.clock.forward(time.Minute)
	two := s.begin(admin)
	for _, id := range []string{one.GetChallenge(), two.GetChallenge()} {
		_, err := s.resolve(id, "auth")
		is(t, err, codes.Unauthenticated, ended)
	}
	_, err := s.verify(one.GetChallenge(), "")
	require.Error(t, err)
	_, err = s.verify(two.GetChallenge(), s.inbox.pin(admin.mobile))
	require.NoError(t, err)
	got, err := s.signIn.GetChallenge(s.nobody(""), &authv1.GetChallengeRequest{Challenge: one.GetChallenge()})
	is(t, err, codes.FailedPrecondition, challengeOver)
	require.Nil(t, got)
}

// T10: recovery codes, or a program that the firm forbids, do not keep the text message from going out.
func TestT10_ATextMessageIsSentBesideOtherThings(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	_, err := s.factors().GenerateRecoveryCodes(s.as(admin.token), &authv1.GenerateRecoveryCodesRequest{})
	require.NoError(t, err)
	s.enrolTOTP(admin)
	s.changePolicy(admin, func(p *authv1.SecurityPolicy) { p.ForbiddenFactors = []authv1.FactorKind{totpKind, passkeyKind} })
	c := s.begin(admin)
	require.Equal(t, []authv1.FactorKind{smsKind, recoveryKind}, c.GetFactors())
	_, err = s.verify(c.GetChallenge(), s.inbox.pin(admin.mobile))
	require.NoError(t, err)
}

// Who has nothing that the firm accepts gets in by e-mail, to enrol and for nothing else, and never is locked out.
func TestT07_WhoHasNothingThatIsAcceptedIsLedThroughEnrolment(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		member := s.member(admin, newMobile())
		s.signInAs(member)
		s.changePolicy(admin, func(p *authv1.SecurityPolicy) {
			p.EmailPinAllowed, p.ForbiddenFactors = false, []authv1.FactorKind{smsKind}
		})
		c := s.begin(member)
		require.Equal(t, []authv1.FactorKind{emailKind}, c.GetFactors())
		opened, err := s.verify(c.GetChallenge(), s.inbox.pin(member.email))
		require.NoError(t, err)
		require.True(t, opened.GetSession().GetMustEnrol())
		require.Equal(t, weakStrength, opened.GetSession().GetStrength())
		member.token = opened.GetSessionToken()
		_, err = s.accounts.GetStaff(s.as(member.token), &authv1.GetStaffRequest{Name: member.account})
		require.Error(t, err)
		_, err = s.factors().RequestEnrolment(s.as(member.token), &authv1.RequestEnrolmentRequest{})
		require.NoError(t, err)
	})
}

// N18: nobody tells us that a number went to another SIM card. One that changes on our side is not trusted before a PIN by
// SMS and one by e-mail were shown together, and the number before is told.
func TestN18_ANumberThatChangesIsValidatedAnew(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	member := s.member(admin, newMobile())
	s.signInAs(member)
	s.clock.forward(time.Minute)
	require.Equal(t, []authv1.FactorKind{smsKind}, s.begin(member).GetFactors())
	got, err := s.accounts.GetStaff(s.as(admin.token), &authv1.GetStaffRequest{Name: member.account})
	require.NoError(t, err)
	old, mobile := member.mobile, newMobile()
	s.clock.forward(time.Minute)
	s.inbox.seen()
	_, err = s.accounts.UpdateStaff(s.as(admin.token), &authv1.UpdateStaffRequest{
		Name: member.account, Mobile: mobile, Etag: got.GetStaff().GetEtag(), RequestId: requestID(),
	})
	require.NoError(t, err)
	s.inbox.about(old, "was changed")
	member.mobile = mobile
	s.clock.forward(time.Minute)
	c := s.begin(member)
	require.Equal(t, []authv1.FactorKind{smsKind, emailKind}, c.GetFactors())
	_, err = s.verify(c.GetChallenge(), s.inbox.pin(mobile))
	is(t, err, codes.Unauthenticated, refused)
}
