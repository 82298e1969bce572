package auth_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth"
)

// lostCommits is a suite whose commits can be lost.
func lostCommits(t *testing.T, fn func(t *testing.T, s *suite, broken *sqldbtest.Faults)) {
	t.Helper()
	for _, engine := range sqldbtest.Engines() {
		t.Run(string(engine), func(t *testing.T) {
			broken := sqldbtest.NewFaults()
			// Nothing of the service's own runs, so a fault meets the commit it is meant for.
			fn(t, start(t, sqldbtest.Open(t, sqldbtest.URL(t, engine), auth.Migrations, broken.Option()), options{}), broken)
		})
	}
}

// One-time things are used once and nothing is done by halves, whether a commit is lost or only its answer.
func TestLostCommitsOfEnrolmentsAndRecoveryDoNothingTwiceOrByHalves(t *testing.T) {
	lostCommits(t, func(t *testing.T, s *suite, broken *sqldbtest.Faults) {
		lost := func(err error) {
			t.Helper()
			require.Equal(t, codes.Unavailable, rpcerr.From(err).Code(), "%v", err)
		}
		operator := s.operator()
		start, err := s.factors().StartTotpEnrolment(s.as(operator.token), &authv1.StartTotpEnrolmentRequest{})
		require.NoError(t, err)
		prog := s.programOf(start.GetSecret())
		strong := s.as(operator.token)
		finish := func() (*authv1.FinishTotpEnrolmentResponse, error) {
			return s.factors().FinishTotpEnrolment(strong, &authv1.FinishTotpEnrolmentRequest{Enrolment: start.GetEnrolment(), Code: prog.shown()})
		}
		broken.FailCommit(1)
		_, err = finish()
		lost(err)
		require.NotContains(t, s.listFactors(operator), "factors/totp", "not by halves")
		done, err := finish()
		require.NoError(t, err, "nothing had happened")
		prog.codes = done.GetRecoveryCodes()
		start, err = s.factors().StartTotpEnrolment(strong, &authv1.StartTotpEnrolmentRequest{})
		require.NoError(t, err)
		prog.secret = s.programOf(start.GetSecret()).secret
		broken.CommitThenFail(1)
		_, err = finish()
		lost(err)
		_, err = finish()
		is(t, err, codes.FailedPrecondition, enrolmentOver)

		c := s.begin(operator).GetChallenge()
		code := prog.code()
		broken.FailCommit(1)
		_, err = s.showTOTP(c, code)
		lost(err)
		broken.CommitThenFail(1)
		_, err = s.showTOTP(c, code)
		lost(err)
		_, err = s.showTOTP(s.begin(operator).GetChallenge(), code)
		is(t, err, codes.Unauthenticated, refused)

		c = s.begin(operator).GetChallenge()
		broken.FailCommit(1)
		_, err = s.showRecovery(c, prog.codes[0])
		lost(err)
		broken.CommitThenFail(1)
		_, err = s.showRecovery(c, prog.codes[0])
		lost(err)
		_, err = s.showRecovery(s.begin(operator).GetChallenge(), prog.codes[0])
		is(t, err, codes.Unauthenticated, refused)
		_, err = s.showRecovery(s.begin(operator).GetChallenge(), prog.codes[1])
		require.NoError(t, err)
	})
}

// A wrong code whose count is lost is told to nobody as looked at: who cuts connections learns nothing for free.
func TestAGuessWhoseCountIsLostIsNotAnswered(t *testing.T) {
	lostCommits(t, func(t *testing.T, s *suite, broken *sqldbtest.Faults) {
		operator := s.operator()
		c := s.begin(operator)
		pin := s.inbox.pin(operator.email)
		for range 8 {
			broken.FailCommit(1)
			_, err := s.verify(c.GetChallenge(), wrong(pin))
			require.Equal(t, codes.Unavailable, rpcerr.From(err).Code(), "%v", err)
		}
		for range 5 {
			broken.CommitThenFail(1)
			_, err := s.verify(c.GetChallenge(), wrong(pin))
			require.Equal(t, codes.Unavailable, rpcerr.From(err).Code(), "%v", err)
		}
		_, err := s.verify(c.GetChallenge(), pin)
		is(t, err, codes.FailedPrecondition, challengeOver)
	})
}

// A step-up and an unlocking whose answer is lost leave no token that works beside the new one.
func TestLostCommitsOfStepUpAndUnlocking(t *testing.T) {
	lostCommits(t, func(t *testing.T, s *suite, broken *sqldbtest.Faults) {
		operator := s.operator()
		s.enrolTOTP(operator)
		prog := s.enrolTOTP(operator)
		s.clock.forward(31 * time.Minute)
		broken.FailCommit(1)
		_, err := s.unlock(operator.token, passphrase)
		require.Equal(t, codes.Unavailable, rpcerr.From(err).Code(), "%v", err)
		opened, err := s.unlock(operator.token, passphrase)
		require.NoError(t, err, "nothing had happened")
		operator.token = opened.GetSessionToken()

		before := operator.token
		up, err := s.sessions.StartStepUp(s.as(before), &authv1.StartStepUpRequest{Password: passphrase})
		require.NoError(t, err)
		req := &authv1.VerifyStepUpRequest{Challenge: up.GetChallenge().GetChallenge(), TotpCode: prog.code()}
		held := s.as(before)
		broken.FailCommit(1)
		_, err = s.sessions.VerifyStepUp(held, req)
		require.Equal(t, codes.Unavailable, rpcerr.From(err).Code(), "%v", err)
		_, err = s.resolve(before, "auth")
		require.NoError(t, err)
		broken.CommitThenFail(1)
		_, err = s.sessions.VerifyStepUp(held, req)
		require.Equal(t, codes.Unavailable, rpcerr.From(err).Code(), "%v", err)
		_, err = s.resolve(before, "auth")
		is(t, err, codes.Unauthenticated, ended)
		_, err = s.sessions.VerifyStepUp(held, req)
		require.Error(t, err)

		opened2, err := s.showTOTP(s.begin(operator).GetChallenge(), prog.code())
		require.NoError(t, err)
		operator.token = opened2.GetSessionToken()
		s.clock.forward(31 * time.Minute)
		broken.CommitThenFail(1)
		_, err = s.unlock(operator.token, passphrase)
		require.Equal(t, codes.Unavailable, rpcerr.From(err).Code(), "%v", err)
		_, err = s.unlock(operator.token, passphrase)
		is(t, err, codes.Unauthenticated, ended)
	})
}
