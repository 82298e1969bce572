package auth_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
)

// A clock that steps a day ahead and back keeps nobody's authenticator program out for that day, and no code counts twice: not
// one of before the step, and not one of the day ahead when that day comes.
func TestAClockThatStepsADayTakesEachCodeOnce(t *testing.T) {
	const day = 24 * time.Hour
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		prog := s.enrolTOTP(admin)
		take := func(code string) error {
			_, err := s.showTOTP(s.begin(admin).GetChallenge(), code)
			return err
		}
		before := prog.code()
		require.NoError(t, take(before))
		s.clock.forward(day)
		ahead := prog.shown()
		require.NoError(t, take(ahead))
		s.clock.forward(-day)
		is(t, take(before), codes.Unauthenticated, refused)
		now := prog.code()
		require.NoError(t, take(now), "the day is not lost")
		is(t, take(now), codes.Unauthenticated, refused)
		s.clock.forward(day - totpWait)
		is(t, take(ahead), codes.Unauthenticated, refused)
		require.NoError(t, take(prog.code()))

		// A day behind is the same the other way round: what was shown today is not shown again tomorrow.
		s.clock.forward(-day)
		behind := prog.code()
		require.NoError(t, take(behind))
		is(t, take(behind), codes.Unauthenticated, refused)
		s.clock.forward(day)
		require.NoError(t, take(prog.code()))
	})
}

// Nor does it keep an Add-In out, or make a refresh token good twice: a session of the day ahead is over, and a token that was
// redeemed ahead is not redeemed again, for as long as its answer could have been asked for again.
func TestAClockThatStepsRefreshesOnce(t *testing.T) {
	const day, hours = 24 * time.Hour, 2 * time.Hour
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		first := s.addInTokens(admin, "")
		s.clock.forward(day)
		_, err := s.refresh(first.GetRefreshToken())
		grantRefused(t, err)
		s.signInAs(admin)
		ahead := s.addInTokens(admin, "")
		aheadNext, err := s.refresh(ahead.GetRefreshToken())
		require.NoError(t, err)
		s.clock.forward(-day)
		for _, token := range []string{ahead.GetRefreshToken(), aheadNext.GetRefreshToken()} {
			_, err = s.refresh(token)
			grantRefused(t, err)
		}
		second, err := s.refresh(first.GetRefreshToken())
		require.NoError(t, err, "who was signed in before goes on")
		s.signInAs(admin)
		mine := s.addInTokens(admin, "")
		_, err = s.refresh(mine.GetRefreshToken())
		require.NoError(t, err, "and who signs in anew")

		for range 5 { // in use all the time
			s.clock.forward(hours / 5)
			second, err = s.refresh(second.GetRefreshToken())
			require.NoError(t, err)
		}
		third, err := s.refresh(second.GetRefreshToken())
		require.NoError(t, err)
		s.clock.forward(-hours)
		_, err = s.refresh(second.GetRefreshToken())
		grantRefused(t, err)
		_, err = s.refresh(third.GetRefreshToken())
		grantRefused(t, err) // two had one token: the family is over
		_, err = s.refresh(s.addInTokens(admin, "").GetRefreshToken())
		require.NoError(t, err)
	})
}
