package auth_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth"
)

// A database that freezes between password and PIN, or while the PIN is looked at: the answer is that it is not available,
// soon; nobody is signed in by halves; when it is back the PIN counts as untried, or as used.
func TestADatabaseThatFreezesInTheMiddleOfASignIn(t *testing.T) {
	for _, engine := range sqldbtest.Engines() {
		t.Run(string(engine), func(t *testing.T) {
			broken := sqldbtest.NewFaults()
			db := sqldbtest.Open(t, sqldbtest.URL(t, engine), auth.Migrations, broken.Option())
			s := start(t, db, options{})
			operator := s.operator()
			c := s.begin(operator)
			pin := s.inbox.pin(operator.email)
			during := func(call func(ctx context.Context) error) {
				broken.Freeze()
				defer broken.Thaw()
				ctx, cancel := context.WithTimeout(s.nobody("192.0.2.7"), time.Second)
				defer cancel()
				begun := time.Now()
				err := call(ctx)
				require.Contains(t, []codes.Code{codes.DeadlineExceeded, codes.Unavailable}, rpcerr.From(err).Code(), "%v", err)
				require.Less(t, time.Since(begun), 3*time.Second)
			}
			during(func(ctx context.Context) error {
				_, err := s.signIn.VerifyPin(ctx, &authv1.VerifyPinRequest{Challenge: c.GetChallenge(), Pin: wrong(pin)})
				return err
			})
			during(func(ctx context.Context) error {
				_, err := s.signIn.VerifyPin(ctx, &authv1.VerifyPinRequest{Challenge: c.GetChallenge(), Pin: pin})
				return err
			})
			during(func(ctx context.Context) error {
				_, err := s.signIn.StartSignIn(ctx, &authv1.StartSignInRequest{Email: operator.email, Password: passphrase})
				return err
			})
			resp, err := s.verify(c.GetChallenge(), pin)
			if err == nil {
				_, err = s.resolve(resp.GetSessionToken(), "auth")
				require.NoError(t, err)
			} else { // the commit went through, and its answer was lost
				is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED)
			}
			s.signInAs(operator)
		})
	}
}

// A clock that jumps a day ahead ends what is over by it, tells so, and lets people sign in by it; put right again, nothing
// that happened meanwhile keeps anybody out for that day.
func TestAClockThatStepsADay(t *testing.T) {
	const day = 24 * time.Hour
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		s.enforce(admin)
		c := s.begin(admin)
		pin := s.inbox.pin(admin.mobile)
		s.clock.forward(day)
		_, err := s.verify(c.GetChallenge(), pin)
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED)
		_, err = s.resolve(admin.token, "auth")
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SESSION_ENDED)
		ahead := *admin
		s.signInAs(&ahead)
		// Guesses of that day, of passwords and of PINs, have people wait.
		for range 6 {
			_, err = s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: admin.email, Password: "wrong guess"})
			require.Error(t, err)
		}
		s.clock.forward(time.Minute)
		c = s.begin(admin)
		pin = s.inbox.pin(admin.mobile)
		for range 5 {
			_, err = s.verify(c.GetChallenge(), wrong(pin))
			require.Error(t, err)
		}

		s.clock.forward(-day)
		_, err = s.verify(c.GetChallenge(), pin)
		require.Error(t, err, "five wrong ones ended it, whatever the time is")
		s.clock.forward(16 * time.Minute) // the longest that anybody waits
		back := *admin
		require.Equal(t, authv1.Strength_STRENGTH_STRONG, s.signInAs(&back).GetStrength())
		_, err = s.resolve(back.token, "auth")
		require.NoError(t, err)
	})
}

// A clock that was a day behind while people signed in gives them no longer day than others when it is right again.
func TestAClockThatWasADayBehind(t *testing.T) {
	const day = 24 * time.Hour
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		s.clock.forward(-day)
		_, err := s.resolve(operator.token, "auth")
		if err != nil { // a session of the future may be refused; then the person signs in
			is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SESSION_ENDED)
		}
		c := s.begin(operator)
		pin := s.inbox.pin(operator.email)
		early := *operator
		s.signInAs(&early)
		s.clock.forward(day)
		_, err = s.verify(c.GetChallenge(), pin)
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED)
		_, err = s.resolve(early.token, "auth")
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SESSION_ENDED)
		s.signInAs(operator)
	})
}

// The PIN of one person's challenge is no good for another's, a session steps up by its own challenge alone, and whoever
// tries gains nothing and costs nobody a try they need.
func TestSwappedChallengesOpenNothing(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		s.enforce(admin)
		mine := s.begin(operator)
		myPIN := s.inbox.pin(operator.email)
		theirs := s.begin(admin)
		theirPIN := s.inbox.pin(admin.mobile)
		if myPIN != theirPIN { // once in a million they are equal
			_, err := s.verify(mine.GetChallenge(), theirPIN)
			is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
			_, err = s.verify(theirs.GetChallenge(), myPIN)
			is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		}
		s.clock.forward(time.Minute) // text messages are a minute apart
		s.inbox.seen()
		up, err := s.sessions.StartStepUp(s.as(admin.token), &authv1.StartStepUpRequest{Password: passphrase})
		require.NoError(t, err)
		pin := s.inbox.pin(admin.mobile)
		_, err = s.sessions.VerifyStepUp(s.as(operator.token), &authv1.VerifyStepUpRequest{Challenge: up.GetChallenge().GetChallenge(), Pin: pin})
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED)
		_, err = s.verify(up.GetChallenge().GetChallenge(), pin)
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED)
		_, err = s.verify(theirs.GetChallenge(), theirPIN)
		require.NoError(t, err)
		_, err = s.verify(mine.GetChallenge(), myPIN)
		require.NoError(t, err)
	})
}

// Somebody else's session can be neither seen nor ended, by its name or under another's.
func TestSomebodyElsesSessionIsNotThere(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		now, err := s.sessions.GetCurrentSession(s.as(admin.token), &authv1.GetCurrentSessionRequest{})
		require.NoError(t, err)
		name := now.GetSession().GetName()
		_, err = s.sessions.RevokeSession(s.as(operator.token), &authv1.RevokeSessionRequest{Name: name, RequestId: requestID()})
		require.Equal(t, codes.NotFound, rpcerr.From(err).Code(), "%v", err)
		list, err := s.sessions.ListSessions(s.as(operator.token), &authv1.ListSessionsRequest{})
		require.NoError(t, err)
		require.NotContains(t, list.String(), name)
		_, err = s.resolve(admin.token, "auth")
		require.NoError(t, err)
	})
}

// Parallel guesses on parallel challenges all count into one: of hundreds some twenty are looked at.
func TestParallelGuessesOnParallelChallenges(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		var challenges []string
		for range 10 {
			challenges = append(challenges, s.begin(operator).GetChallenge())
		}
		var looked atomic.Int32
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				_, err := s.verify(challenges[i%len(challenges)], fmt.Sprintf("%06d", i))
				switch {
				case err == nil:
					t.Log("a guess was right, as one in five thousand of such tests")
				case rpcerr.Has(err, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED):
					looked.Add(1)
				case rpcerr.From(err).Code() == codes.Internal:
					t.Errorf("answered %v", err)
				}
			})
		}
		wg.Wait()
		require.LessOrEqual(t, looked.Load(), int32(20))
		s.clock.forward(16 * time.Minute)
		s.signInAs(operator) // their person is not kept out
	})
}

// What is much too large is refused as that, before anything is hashed, stored or logged.
func TestTenMegabytes(t *testing.T) {
	s := onSQLite(t, options{run: true})
	operator := s.operator()
	huge := strings.Repeat("x", 10<<20)
	before := len(s.logs.String())
	for name, call := range map[string]func() error{
		"password": func() error {
			_, err := s.signIn.StartSignIn(s.nobody(""), &authv1.StartSignInRequest{Email: operator.email, Password: huge})
			return err
		},
		"address": func() error {
			_, err := s.signIn.StartSignIn(s.nobody(""), &authv1.StartSignInRequest{Email: huge, Password: passphrase})
			return err
		},
		"PIN":       func() error { _, err := s.verify("cch_"+strings.Repeat("0", 43), huge); return err },
		"challenge": func() error { _, err := s.verify(huge, "123456"); return err },
		"invitation": func() error {
			_, err := s.signIn.AcceptInvitation(s.nobody(""), &authv1.AcceptInvitationRequest{InvitationCode: huge, Password: passphrase})
			return err
		},
		"session token": func() error { _, err := s.resolve(huge, "auth"); return err },
	} {
		code := rpcerr.From(call()).Code()
		require.Contains(t, []codes.Code{codes.ResourceExhausted, codes.InvalidArgument, codes.Unauthenticated}, code, name)
	}
	require.Less(t, len(s.logs.String())-before, 1<<20, "the log holds what was sent")
	s.signInAs(operator)
}
