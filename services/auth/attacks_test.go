package auth_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// Whoever knows the password of one account of an address does not get to guess that of another: what is right for the one
// forgives nothing that was wrong for the other.
func TestOnePasswordOfAnAddressForgivesNoGuessesAtAnother(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		known := s.newFirm(operator, "Harbour Tax", "ada@both.example", "")
		other := s.newFirm(operator, "Bridge Audit", "ada@both.example", "")
		_, err := s.passwords().ChangePassword(s.as(other.token), &authv1.ChangePasswordRequest{CurrentPassword: passphrase, NewPassword: anotherPass})
		require.NoError(t, err)
		looked := 0
		for round := range 10 {
			for i := range 4 {
				_, err := s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{
					Email: other.email, Password: fmt.Sprintf("guess %d of round %d", i, round), Firm: other.firm,
				})
				if rpcerr.Has(err, refused) {
					looked++
				}
			}
			_, _ = s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: known.email, Password: passphrase, Firm: known.firm})
		}
		require.LessOrEqual(t, looked, 5, "of forty guesses five are looked at before a wait")
		s.clock.forward(16 * time.Minute)
		s.signInAs(known) // the person is not kept out
	})
}

// Who has one password for all their accounts mistypes it as often as others.
func TestARightPasswordForgivesWhereItIsThatOfEveryAccount(t *testing.T) {
	s := onSQLite(t, options{run: true})
	operator := s.operator()
	one := s.newFirm(operator, "Harbour Tax", "ada@both.example", "")
	s.newFirm(operator, "Bridge Audit", "ada@both.example", "")
	for range 3 {
		for range 4 {
			_, err := s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: one.email, Password: "mistyped " + passphrase, Firm: one.firm})
			is(t, err, codes.Unauthenticated, refused)
		}
		s.signInAs(one)
	}
}

// Whoever has asked for all the text messages of an hour does not get the PIN by e-mail for that: it waits, or a recovery
// code is shown.
func TestUsingUpTheTextMessagesOfAnHourWeakensNoSignIn(t *testing.T) {
	s := onSQLite(t, options{run: true, environ: []string{"CONCORD_AUTH_SMS_PER_HOUR=2"}})
	admin := s.strong()
	_, err := s.factors().GenerateRecoveryCodes(s.as(admin.token), &authv1.GenerateRecoveryCodesRequest{})
	require.NoError(t, err)
	s.clock.forward(31 * time.Second)
	c := s.begin(admin)
	require.Equal(t, authv1.Channel_CHANNEL_SMS, c.GetChannel())
	s.clock.forward(31 * time.Second)
	_, err = s.signIn.ResendPin(s.nobody("192.0.2.7"), &authv1.ResendPinRequest{Challenge: c.GetChallenge()})
	is(t, err, codes.ResourceExhausted, tooMany)
	require.Equal(t, []authv1.FactorKind{recoveryKind}, s.begin(admin).GetFactors())
	require.NotEmpty(t, rpcerr.From(err).Metadata()["retry_time"])

	member := s.member(admin, newMobile())
	for range 2 {
		require.Contains(t, s.begin(member).GetFactors(), smsKind)
		s.clock.forward(31 * time.Second)
	}
	_, err = s.trySignIn(member.email, passphrase, "192.0.2.7")
	is(t, err, codes.ResourceExhausted, tooMany)
	s.clock.forward(time.Hour)
	s.signInAs(member)
}

// A session that was opened while the clock was a day ahead does not live that day longer once the clock is right.
func TestAClockThatWasADayAheadLengthensNoSession(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		s.clock.forward(24 * time.Hour)
		s.signInAs(operator)
		s.clock.forward(-24 * time.Hour)
		_, err := s.resolve(operator.token, "auth")
		is(t, err, codes.Unauthenticated, ended)
		_, err = s.unlock(operator.token, passphrase)
		is(t, err, codes.Unauthenticated, ended)
		s.signInAs(operator)
		s.clock.forward(-time.Minute) // clocks of replicas differ by less
		_, err = s.resolve(operator.token, "auth")
		require.NoError(t, err)
	})
}

// The mobile of before is told also when the hour's text messages are used up: else whoever changes it uses them up first.
func TestTheFormerMobileIsToldHoweverManyTextMessagesThereWere(t *testing.T) {
	s := onSQLite(t, options{run: true, environ: []string{"CONCORD_AUTH_SMS_PER_HOUR=2"}})
	admin := s.strong()
	s.clock.forward(time.Minute)
	mobile := newMobile()
	s.inbox.seen()
	start, err := s.factors().StartMobileChange(s.as(admin.token), &authv1.StartMobileChangeRequest{Mobile: mobile})
	require.NoError(t, err)
	_, err = s.factors().FinishMobileChange(s.as(admin.token), &authv1.FinishMobileChangeRequest{Enrolment: start.GetEnrolment(), Pin: s.inbox.pin(mobile)})
	require.NoError(t, err)
	s.inbox.about(admin.mobile, "was changed")
}

// Another program or another mobile in the place of one takes that one away: sessions that may rest on it end.
func TestReplacingAFactorEndsTrust(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		prog := s.enrolTOTP(admin)
		thief, err := s.showTOTP(s.begin(admin).GetChallenge(), prog.code())
		require.NoError(t, err)
		s.enrolTOTP(admin)
		_, err = s.resolve(thief.GetSessionToken(), "auth")
		is(t, err, codes.Unauthenticated, ended)

		member := s.member(admin, newMobile())
		s.signInAs(member)
		stolen := member.token
		s.clock.forward(time.Minute)
		s.signInAs(member)
		mobile := newMobile()
		s.inbox.seen()
		start, err := s.factors().StartMobileChange(s.as(member.token), &authv1.StartMobileChangeRequest{Mobile: mobile})
		require.NoError(t, err)
		_, err = s.factors().FinishMobileChange(s.as(member.token), &authv1.FinishMobileChangeRequest{Enrolment: start.GetEnrolment(), Pin: s.inbox.pin(mobile)})
		require.NoError(t, err)
		_, err = s.resolve(stolen, "auth")
		is(t, err, codes.Unauthenticated, ended)
		_, err = s.resolve(member.token, "auth")
		require.NoError(t, err, "the session that did it stays")
	})
}

// An approval is for the next enrolment, by whatever that is let through. What is left of it would let a weak session enrol
// for the rest of the day.
func TestAnApprovalIsOverWithTheNextEnrolment(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	member := s.member(admin, newMobile())
	_, err := s.accounts.ApproveEnrolment(s.as(admin.token), &authv1.ApproveEnrolmentRequest{Name: member.account, RequestId: requestID()})
	require.NoError(t, err)
	s.signInAs(member)
	s.enrolTOTP(member)
	for _, name := range []string{"factors/mobile", "factors/totp"} {
		_, err = s.factors().RemoveFactor(s.as(member.token), &authv1.RemoveFactorRequest{Name: name, RequestId: requestID()})
		require.NoError(t, err)
	}
	member.mobile = ""
	require.Equal(t, weakStrength, s.signInAs(member).GetStrength())
	_, err = s.factors().StartTotpEnrolment(s.as(member.token), &authv1.StartTotpEnrolmentRequest{})
	is(t, err, codes.PermissionDenied, noEnrolment)
}

// Codes of every kind, by every way there is and all at once, are one count.
func TestGuessesOfAllKindsByAllWaysAreOneCount(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		prog := s.enrolTOTP(admin)
		weak, err := s.showRecovery(s.begin(admin).GetChallenge(), prog.codes[0])
		require.NoError(t, err)
		up, err := s.sessions.StartStepUp(s.as(admin.token), &authv1.StartStepUpRequest{Password: passphrase})
		require.NoError(t, err)
		signIns := []string{s.begin(admin).GetChallenge(), s.begin(admin).GetChallenge(), s.begin(admin).GetChallenge()}
		s.clock.forward(10 * time.Minute) // the weak session needs a code of its own from here on
		for i := range signIns {
			signIns[i] = s.begin(admin).GetChallenge()
		}
		up, err = s.sessions.StartStepUp(s.as(admin.token), &authv1.StartStepUpRequest{Password: passphrase})
		require.NoError(t, err)
		strong, enrolling := s.as(admin.token), s.as(weak.GetSessionToken())
		ways := []func(i int) error{
			func(i int) error { _, err := s.showTOTP(signIns[i%3], wrong(prog.shown())); return err },
			func(i int) error {
				_, err := s.showRecovery(signIns[i%3], fmt.Sprintf("0000-0000-0000-%04d", i))
				return err
			},
			func(i int) error {
				_, err := s.sessions.VerifyStepUp(strong, &authv1.VerifyStepUpRequest{Challenge: up.GetChallenge().GetChallenge(), TotpCode: wrong(prog.shown())})
				return err
			},
			func(i int) error {
				_, err := s.factors().StartTotpEnrolment(enrolling, &authv1.StartTotpEnrolmentRequest{RecoveryCode: fmt.Sprintf("0000-0000-0000-%04d", i)})
				return err
			},
		}
		var looked atomic.Int32
		var wg sync.WaitGroup
		for i := range 48 {
			wg.Go(func() {
				err := ways[i%len(ways)](i / len(ways))
				switch {
				case rpcerr.Has(err, refused):
					looked.Add(1)
				case rpcerr.Has(err, tooMany), rpcerr.Has(err, challengeOver):
				default:
					t.Errorf("a guess is answered %v", err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 5, looked.Load())
	})
}

// Whoever knows the password does not fill the person's mailbox with PINs, and the person has a way in beside them.
func TestNoMailboxIsFilledWithPINs(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		member := s.member(admin, "")
		before := s.inbox.count(member.email)
		var last error
		for range 60 {
			_, last = s.trySignIn(member.email, passphrase, "192.0.2.7")
		}
		is(t, last, codes.ResourceExhausted, tooMany)
		require.LessOrEqual(t, s.inbox.count(member.email)-before, 30)
		s.stepUpAgain(admin)
		reset, err := s.accounts.ResetStaff(s.as(admin.token), &authv1.ResetStaffRequest{Name: member.account, Factors: true, RequestId: requestID()})
		require.NoError(t, err)
		c := s.begin(member)
		require.Equal(t, []authv1.FactorKind{recoveryKind}, c.GetFactors())
		_, err = s.showRecovery(c.GetChallenge(), reset.GetRecoveryCode())
		require.NoError(t, err)
		s.clock.forward(2 * time.Minute)
		for range 40 { // PINs that come back are nobody's flood
			require.Equal(t, weakStrength, s.signInAs(member).GetStrength())
		}
	})
}

// A firm that forbids passkeys alone while one is asked to confirm a session takes none.
func TestAStepUpByAPasskeyAloneReadsThePolicyAgain(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	d := newDevice(t)
	s.enrolPasskey(admin, d)
	up, err := s.sessions.StartStepUp(s.as(admin.token), &authv1.StartStepUpRequest{})
	require.NoError(t, err)
	assertion := d.show(relyingParty, up.GetChallenge().GetPasskeyOptions())
	s.changePolicy(admin, func(p *authv1.SecurityPolicy) { p.PasskeyAloneForbidden = true })
	_, err = s.sessions.VerifyStepUp(s.as(admin.token), &authv1.VerifyStepUpRequest{
		Challenge: up.GetChallenge().GetChallenge(), PasskeyAssertion: assertion,
	})
	is(t, err, codes.FailedPrecondition, notAllowed)
}

// Nor does that clock lengthen what is to be answered within minutes: PINs, enrolments, resets, codes of Add-Ins.
func TestAClockThatWasADayAheadLengthensNoCode(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	member := s.member(admin, newMobile())
	const day = 24 * time.Hour
	s.clock.forward(day)
	c := s.begin(admin)
	pin := s.inbox.pin(admin.mobile)
	reset := s.resetCode(member.email)
	s.clock.forward(-day + time.Hour)
	_, err := s.verify(c.GetChallenge(), pin)
	is(t, err, codes.FailedPrecondition, challengeOver)
	require.Error(t, s.finishReset(reset, anotherPass))
	s.clock.forward(-time.Hour)
	_, err = s.resolve(admin.token, "auth")
	require.NoError(t, err)
	s.signInAs(member)
}
