package auth_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// outlast lets a wait pass, when an error is one, and tells whether it was.
func (s *suite) outlast(err error) bool {
	s.t.Helper()
	if !rpcerr.Has(err, tooMany) {
		return false
	}
	text := rpcerr.From(err).Metadata()["retry_time"]
	if text == "" {
		return false // switched off: waiting does not help
	}
	until, err := time.Parse(time.RFC3339, text)
	require.NoError(s.t, err)
	s.clock.forward(until.Sub(s.clock.Now()) + time.Second)
	return true
}

// guessCodes shows wrong codes, by whatever way show takes, until as many were looked at.
func (s *suite) guessCodes(p *person, times int, show func(c *authv1.Challenge) error) {
	s.t.Helper()
	for counted := 0; counted < times; {
		c := s.beginPatiently(p)
		for range 5 {
			if counted == times {
				return
			}
			err := show(c)
			switch {
			case rpcerr.Has(err, refused):
				counted++
				continue
			case s.outlast(err):
				continue
			}
			require.True(s.t, rpcerr.Has(err, challengeOver), "%v", err)
			break
		}
	}
}

// beginPatiently starts a sign-in, however long that has to wait.
func (s *suite) beginPatiently(p *person) *authv1.Challenge {
	s.t.Helper()
	for {
		resp, err := s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: p.email, Password: passphrase})
		if s.outlast(err) {
			continue
		}
		require.NoError(s.t, err)
		return resp.GetChallenge()
	}
}

// N16, C6: one count over time-based codes and recovery codes, whatever the challenge. At twenty the codes are switched
// off, not the account: recovery codes still work, with the wait, and the holder is told.
func TestC6_CodesAreSwitchedOffAndNotTheAccount(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		member := s.member(admin, newMobile())
		s.signInAs(member)
		s.stepUp(member)
		prog := s.enrolTOTP(member)
		s.guessCodes(member, 4, func(c *authv1.Challenge) error {
			_, err := s.showTOTP(c.GetChallenge(), wrong(prog.shown()))
			return err
		})
		s.guessCodes(member, 1, func(c *authv1.Challenge) error {
			_, err := s.showRecovery(c.GetChallenge(), "0000-0000-0000-0000")
			return err
		})
		_, err := s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: member.email, Password: passphrase})
		is(t, err, codes.ResourceExhausted, tooMany)
		s.inbox.seen()
		s.guessCodes(member, 15, func(c *authv1.Challenge) error {
			_, err := s.showTOTP(c.GetChallenge(), wrong(prog.shown()))
			return err
		})
		s.inbox.about(member.email, "switched off")
		c := s.beginPatiently(member)
		require.Equal(t, []authv1.FactorKind{recoveryKind}, c.GetFactors())
		_, err = s.showTOTP(c.GetChallenge(), prog.shown())
		is(t, err, codes.FailedPrecondition, notAllowed)

		// Guessing goes on to cost more, and never switches the way back in off.
		s.guessCodes(member, 6, func(c *authv1.Challenge) error {
			_, err := s.showRecovery(c.GetChallenge(), "0000-0000-0000-0000")
			return err
		})
		_ = s.beginPatiently(member)
		s.clock.forward(15 * time.Minute)
		c = s.beginPatiently(member)
		opened, err := s.showRecovery(c.GetChallenge(), prog.codes[0])
		require.NoError(t, err)
		require.Equal(t, weakStrength, opened.GetSession().GetStrength())
		require.Equal(t, []authv1.FactorKind{recoveryKind}, s.beginPatiently(member).GetFactors(), "one code is no pardon")

		s.stepUpAgain(admin)
		_, err = s.accounts.ReinstatePin(s.as(admin.token), &authv1.ReinstatePinRequest{Name: member.account, RequestId: requestID()})
		require.NoError(t, err)
		_, err = s.showTOTP(s.begin(member).GetChallenge(), prog.code())
		require.NoError(t, err)
	})
}

// Who binds a program anew, by a recovery code, may use codes again: those that were guessed at are gone.
func TestC6_BindingAProgramAnewSwitchesCodesOn(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	prog := s.enrolTOTP(admin)
	s.guessCodes(admin, 20, func(c *authv1.Challenge) error {
		_, err := s.showTOTP(c.GetChallenge(), wrong(prog.shown()))
		return err
	})
	s.clock.forward(15 * time.Minute)
	opened, err := s.showRecovery(s.beginPatiently(admin).GetChallenge(), prog.codes[0])
	require.NoError(t, err)
	admin.token = opened.GetSessionToken()
	require.True(t, s.listFactors(admin)["factors/totp"].GetDisabled())
	prog = s.enrolTOTP(admin)
	_, err = s.showTOTP(s.begin(admin).GetChallenge(), prog.code())
	require.NoError(t, err)
}

// T14: guesses at time-based codes are bounded like those at PINs, over parallel challenges too.
func TestT14_ParallelGuessesAtTimeBasedCodesAreAllCounted(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		prog := s.enrolTOTP(admin)
		var challenges []string
		for range 4 {
			challenges = append(challenges, s.begin(admin).GetChallenge())
		}
		code := wrong(prog.code())
		var mu sync.Mutex
		counts := map[string]int{}
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				_, err := s.showTOTP(challenges[i%4], code)
				mu.Lock()
				defer mu.Unlock()
				counts[rpcerr.From(err).Reason()]++
			})
		}
		wg.Wait()
		require.Equal(t, 5, counts[rpcerr.Normalize(refused)], "%v", counts)
		require.Equal(t, 35, counts[rpcerr.Normalize(tooMany)]+counts[rpcerr.Normalize(challengeOver)], "%v", counts)
		_, err := s.showTOTP(challenges[3], prog.shown())
		require.Error(t, err, "the right code waits as well")
	})
}

// T12: a wait that is over is no fresh start: the same challenge takes five wrong answers in all, and the count goes on.
func TestT12_AfterAWaitTheSameChallengeIsNotGuessedOn(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	prog := s.enrolTOTP(admin)
	c := s.begin(admin).GetChallenge()
	for range 4 {
		_, err := s.showTOTP(c, wrong(prog.shown()))
		is(t, err, codes.Unauthenticated, refused)
	}
	_, err := s.showRecovery(c, "0000-0000-0000-0000")
	is(t, err, codes.Unauthenticated, refused)
	s.clock.forward(31 * time.Second)
	_, err = s.showRecovery(c, prog.codes[0])
	is(t, err, codes.FailedPrecondition, challengeOver)
	_, err = s.showTOTP(c, prog.shown())
	is(t, err, codes.FailedPrecondition, challengeOver)
	_, err = s.showTOTP(s.begin(admin).GetChallenge(), wrong(prog.shown()))
	is(t, err, codes.Unauthenticated, refused)
	_, err = s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: admin.email, Password: passphrase})
	e := is(t, err, codes.ResourceExhausted, tooMany)
	until, err := time.Parse(time.RFC3339, e.Metadata()["retry_time"])
	require.NoError(t, err)
	require.Greater(t, until.Sub(s.clock.Now()), 45*time.Second, "the sixth waits longer than the fifth")
}

// N15: a fresh PIN, a fresh challenge and another kind of code leave the count as it was.
func TestN15_NothingButARightAnswerResetsTheCount(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	for range 2 {
		c := s.begin(admin)
		for range 2 {
			_, err := s.verify(c.GetChallenge(), wrong(s.inbox.pin(admin.mobile)))
			is(t, err, codes.Unauthenticated, refused)
		}
		s.clock.forward(time.Minute)
		_, err := s.signIn.ResendPin(s.nobody(""), &authv1.ResendPinRequest{Challenge: c.GetChallenge()})
		require.NoError(t, err)
		s.clock.forward(time.Minute)
	}
	c := s.begin(admin)
	_, err := s.verify(c.GetChallenge(), wrong(s.inbox.pin(admin.mobile)))
	is(t, err, codes.Unauthenticated, refused)
	_, err = s.verify(c.GetChallenge(), s.inbox.pin(admin.mobile))
	is(t, err, codes.ResourceExhausted, tooMany)
}

// N19: of a PIN there is a keyed hash, bound to its challenge, and nothing else.
func TestN19_PINsAreKeptAsKeyedHashes(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		c := s.begin(admin)
		pin := s.inbox.pin(admin.mobile)
		require.False(t, s.stored("challenges", "sms_mac", []byte(pin)))
		require.False(t, s.stored("events_outbox", "payload", []byte(pin)))
		require.NotContains(t, s.logs.String(), pin)
		s.clock.forward(time.Minute)
		other := s.begin(admin)
		s.copyMAC(c.GetChallenge(), other.GetChallenge())
		_, err := s.verify(other.GetChallenge(), pin)
		is(t, err, codes.Unauthenticated, refused)
	})
}
