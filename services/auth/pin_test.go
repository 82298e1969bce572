package auth_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/sim/world"
)

// begin starts an operator's sign-in, which always asks for a PIN, and returns the challenge.
func (s *suite) begin(p *person) *authv1.Challenge {
	s.t.Helper()
	s.inbox.seen()
	resp, err := s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: p.email, Password: passphrase, Firm: p.firm})
	require.NoError(s.t, err)
	require.NotNil(s.t, resp.GetChallenge())
	return resp.GetChallenge()
}

func (s *suite) verify(challenge, pin string) (*authv1.VerifyPinResponse, error) {
	return s.signIn.VerifyPin(s.nobody("192.0.2.7"), &authv1.VerifyPinRequest{Challenge: challenge, Pin: pin})
}

// wrong is a PIN of six digits that is not the one given.
func wrong(pin string) string {
	if pin == "000000" {
		return "000001"
	}
	return "000000"
}

func TestN13_PINsAreAcceptedOnce(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		c := s.begin(operator)
		pin := s.inbox.pin(operator.email)
		_, err := s.verify(c.GetChallenge(), pin)
		require.NoError(t, err)
		_, err = s.verify(c.GetChallenge(), pin)
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED)
	})
}

func TestT16_OfManyWithTheRightPINOneWins(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		c := s.begin(operator)
		pin := s.inbox.pin(operator.email)
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				_, err := s.verify(c.GetChallenge(), pin)
				if err == nil {
					won.Add(1)
					return
				}
				if !rpcerr.Has(err, authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED) {
					t.Errorf("a loser is told %v", err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, won.Load())
	})
}

func TestT14_ParallelGuessesAreAllCounted(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		var challenges []string
		var pin string
		for range 4 { // parallel challenges share one count
			c := s.begin(operator)
			challenges = append(challenges, c.GetChallenge())
			pin = s.inbox.pin(operator.email)
		}
		var refused, waiting, over atomic.Int32
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				_, err := s.verify(challenges[i%4], wrong(pin))
				switch {
				case rpcerr.Has(err, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED):
					refused.Add(1)
				case rpcerr.Has(err, authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS):
					waiting.Add(1)
				case rpcerr.Has(err, authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED):
					over.Add(1)
				default:
					t.Errorf("a guess is answered %v", err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 5, refused.Load(), "five guesses, then the account waits, whatever the challenge")
		require.EqualValues(t, 35, waiting.Load()+over.Load())
		_, err := s.verify(challenges[3], pin)
		require.Error(t, err, "the right PIN waits as well")
	})
}

func TestN16_WaitsGrowAndPINsAreSwitchedOffAtTwenty(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		member := s.hire(admin, "mo@harbour.example", "", authv1.Role_ROLE_STAFF)
		s.enforce(admin)
		failures := 0
		for failures < 20 {
			c := s.begin(member)
			pin := s.inbox.pin(member.email)
			for range 5 {
				_, err := s.verify(c.GetChallenge(), wrong(pin))
				if rpcerr.Has(err, authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS) {
					until, err := time.Parse(time.RFC3339, rpcerr.From(err).Metadata()["retry_time"])
					require.NoError(t, err)
					s.clock.forward(until.Sub(s.clock.Now()) + time.Second)
					break // the challenge may have died of old age meanwhile
				}
				if rpcerr.Has(err, authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED) {
					break
				}
				is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
				failures++
			}
			if failures < 20 {
				s.clock.forward(16 * time.Minute)
			}
		}
		s.clock.forward(time.Hour)
		_, err := s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: member.email, Password: passphrase})
		e := is(t, err, codes.ResourceExhausted, authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS)
		require.Equal(t, "true", e.Metadata()["pin_disabled"])

		s.signInAs(admin)
		staff, err := s.accounts.GetStaff(s.as(admin.token), &authv1.GetStaffRequest{Name: member.account})
		require.NoError(t, err)
		require.True(t, staff.GetStaff().GetPinDisabled())
		_, err = s.accounts.ReinstatePin(s.as(admin.token), &authv1.ReinstatePinRequest{Name: member.account, RequestId: requestID()})
		require.NoError(t, err)
		require.Equal(t, authv1.Strength_STRENGTH_WEAK, s.signInAs(member).GetStrength())
	})
}

// enforce switches the second factor on for the firm of an administrator who is freshly confirmed.
func (s *suite) enforce(admin *person) {
	s.t.Helper()
	policy, err := s.firms.GetSecurityPolicy(s.as(admin.token), &authv1.GetSecurityPolicyRequest{Name: admin.firm + "/securityPolicy"})
	require.NoError(s.t, err)
	p := policy.GetPolicy()
	p.TwoFactorEnforced = true
	_, err = s.firms.UpdateSecurityPolicy(s.as(admin.token), &authv1.UpdateSecurityPolicyRequest{Policy: p, RequestId: requestID()})
	require.NoError(s.t, err)
}

func TestASuccessForgetsFailures(t *testing.T) {
	s := onSQLite(t, options{run: true})
	operator := s.operator()
	for range 3 {
		c := s.begin(operator)
		pin := s.inbox.pin(operator.email)
		for range 3 {
			_, err := s.verify(c.GetChallenge(), wrong(pin))
			is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		}
		_, err := s.verify(c.GetChallenge(), pin)
		require.NoError(t, err)
	}
}

func TestN12_ChallengesEndAfterTenMinutes(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		c := s.begin(operator)
		pin := s.inbox.pin(operator.email)
		require.Equal(t, s.clock.Now().Add(10*time.Minute), c.GetExpireTime().AsTime())
		s.clock.forward(10 * time.Minute)
		_, err := s.verify(c.GetChallenge(), pin)
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED)
		_, err = s.verify("cch_0000000000000000000000000000000000000000000", pin)
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED)
		_, err = s.signIn.ResendPin(s.nobody(""), &authv1.ResendPinRequest{Challenge: c.GetChallenge()})
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED)
	})
}

func TestN14_PINsFitTheirOwnChallengeOnly(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		one := s.begin(operator)
		pinOne := s.inbox.pin(operator.email)
		two := s.begin(operator)
		pinTwo := s.inbox.pin(operator.email)
		if pinOne != pinTwo { // once in a million they are equal
			_, err := s.verify(two.GetChallenge(), pinOne)
			is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		}
		// A challenge made for a sign-in does not step a session up, nor the other way round.
		_, err := s.sessions.VerifyStepUp(s.as(operator.token), &authv1.VerifyStepUpRequest{Challenge: two.GetChallenge(), Pin: pinTwo})
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED)
		_, err = s.verify(two.GetChallenge(), pinTwo)
		require.NoError(t, err)
		_, err = s.verify(one.GetChallenge(), pinOne)
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED)
	})
}

func TestN15_AFreshPINDoesNotResetTheCount(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		c := s.begin(operator)
		first := s.inbox.pin(operator.email)
		resend := func() (*authv1.ResendPinResponse, error) {
			s.inbox.seen()
			return s.signIn.ResendPin(s.nobody(""), &authv1.ResendPinRequest{Challenge: c.GetChallenge()})
		}
		_, err := resend()
		is(t, err, codes.ResourceExhausted, authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS)
		_, err = s.verify(c.GetChallenge(), wrong(first))
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		s.clock.forward(30 * time.Second)
		again, err := resend()
		require.NoError(t, err)
		require.Equal(t, c.GetExpireTime().AsTime(), again.GetChallenge().GetExpireTime().AsTime(), "its end stays")
		second := s.inbox.pin(operator.email)
		if first != second {
			_, err = s.verify(c.GetChallenge(), first)
			is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		}
		for range 2 {
			s.clock.forward(30 * time.Second)
			_, err = resend()
			require.NoError(t, err)
		}
		last := s.inbox.pin(operator.email)
		s.clock.forward(30 * time.Second)
		_, err = resend()
		is(t, err, codes.ResourceExhausted, authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS)
		for range 2 { // with those before the fifth failure: the count was not reset by fresh PINs
			_, err = s.verify(c.GetChallenge(), wrong(last))
			require.Error(t, err)
		}
		_, err = s.verify(c.GetChallenge(), wrong(last))
		require.Error(t, err)
		_, err = s.verify(c.GetChallenge(), last)
		require.Error(t, err, "five wrong ones end the challenge, fresh PINs or not")
	})
}

func TestEmailStepsInWhenTheTextMessageIsNotTaken(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		s.enforce(admin)
		s.refuseSMS(admin.mobile)
		c := s.begin(admin)
		require.Equal(t, authv1.Channel_CHANNEL_EMAIL, c.GetChannel())
		opened, err := s.verify(c.GetChallenge(), s.inbox.pin(admin.email))
		require.NoError(t, err)
		require.Equal(t, authv1.Strength_STRENGTH_WEAK, opened.GetSession().GetStrength())
		require.NotContains(t, s.logs.String(), admin.mobile)

		// The administrator's strong session forbids it for the firm.
		policy, err := s.firms.GetSecurityPolicy(s.as(admin.token), &authv1.GetSecurityPolicyRequest{Name: admin.firm + "/securityPolicy"})
		require.NoError(t, err)
		policy.Policy.EmailPinAllowed = false
		_, err = s.firms.UpdateSecurityPolicy(s.as(admin.token), &authv1.UpdateSecurityPolicyRequest{Policy: policy.GetPolicy()})
		require.NoError(t, err)
		_, err = s.resolve(opened.GetSessionToken(), "auth")
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SESSION_ENDED)
		_, err = s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: admin.email, Password: passphrase})
		e := is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_PIN_UNDELIVERABLE)
		require.Contains(t, e.Metadata()["why"], "sms_21610")
	})
}

// refuseSMS makes the provider refuse text messages to a number.
func (s *suite) refuseSMS(mobile string) {
	s.t.Helper()
	rule := &world.DeliveryRule{ID: "1", Channel: "sms", To: mobile, Result: "reject"}
	require.NoError(s.t, s.inbox.store.Update(func(tx *world.Tx) error { tx.Deliveries.Put(tx, rule.ID, rule); return nil }))
}

// A step-up confirms strongly or not at all: when the text message is not taken, no e-mail steps in, and the session stays
// what it was.
func TestAStepUpNeverWeakensASession(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		undeliverable := authv1.ErrorReason_ERROR_REASON_PIN_UNDELIVERABLE
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		before := s.stepUp(admin)
		caller := s.as(admin.token)
		s.inbox.seen()
		begun, err := s.sessions.StartStepUp(caller, &authv1.StartStepUpRequest{Password: passphrase})
		require.NoError(t, err)
		s.refuseSMS(admin.mobile)
		s.clock.forward(31 * time.Second)
		mails := s.inbox.count(admin.email)
		_, err = s.sessions.StartStepUp(caller, &authv1.StartStepUpRequest{Password: passphrase})
		e := is(t, err, codes.FailedPrecondition, undeliverable)
		require.Contains(t, e.Metadata()["why"], "sms_21610")
		s.clock.forward(31 * time.Second) // and not by a fresh PIN of a challenge that began well, either
		_, err = s.signIn.ResendPin(s.nobody("192.0.2.7"), &authv1.ResendPinRequest{Challenge: begun.GetChallenge().GetChallenge()})
		is(t, err, codes.FailedPrecondition, undeliverable)
		require.Equal(t, mails, s.inbox.count(admin.email), "nothing went by e-mail")
		after, err := s.sessions.GetCurrentSession(s.as(admin.token), &authv1.GetCurrentSessionRequest{})
		require.NoError(t, err)
		require.Equal(t, before.GetName(), after.GetSession().GetName())
		require.Equal(t, authv1.Strength_STRENGTH_STRONG, after.GetSession().GetStrength())

		// Nor does a weak session come out of it as if it were confirmed.
		s.enforce(admin)
		require.Equal(t, authv1.Strength_STRENGTH_WEAK, s.signInAs(admin).GetStrength())
		_, err = s.sessions.StartStepUp(s.as(admin.token), &authv1.StartStepUpRequest{Password: passphrase})
		is(t, err, codes.FailedPrecondition, undeliverable)
		resp, err := s.sessions.GetCurrentSession(s.as(admin.token), &authv1.GetCurrentSessionRequest{})
		require.NoError(t, err)
		require.Nil(t, resp.GetSession().GetStepUpExpireTime())
	})
}

// Out of text messages for the hour, a step-up waits; it does not go on by e-mail.
func TestAStepUpWaitsForTextMessages(t *testing.T) {
	s := onSQLite(t, options{run: true, environ: []string{"CONCORD_AUTH_SMS_PER_HOUR=2"}})
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
	s.stepUp(admin)
	begun, err := s.sessions.StartStepUp(s.as(admin.token), &authv1.StartStepUpRequest{Password: passphrase})
	require.NoError(t, err)
	s.clock.forward(time.Minute)
	_, err = s.sessions.StartStepUp(s.as(admin.token), &authv1.StartStepUpRequest{Password: passphrase})
	is(t, err, codes.ResourceExhausted, authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS)
	_, err = s.signIn.ResendPin(s.nobody("192.0.2.7"), &authv1.ResendPinRequest{Challenge: begun.GetChallenge().GetChallenge()})
	is(t, err, codes.ResourceExhausted, authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS)
}

func TestAFrozenSMSProviderDoesNotHoldUpASignIn(t *testing.T) {
	thaw := make(chan struct{})
	frozen := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-thaw }))
	t.Cleanup(func() { close(thaw); frozen.Close() })
	s := onSQLite(t, options{run: true, smsURL: frozen.URL, environ: []string{"CONCORD_AUTH_SMS_TIMEOUT=300ms"}})
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
	s.inbox.seen()
	ctx, cancel := context.WithTimeout(s.as(admin.token), 10*time.Second)
	defer cancel()
	resp, err := s.sessions.StartStepUp(ctx, &authv1.StartStepUpRequest{Password: passphrase})
	require.NoError(t, err)
	require.Equal(t, authv1.Channel_CHANNEL_EMAIL, resp.GetChallenge().GetChannel())
	require.NotEmpty(t, s.inbox.pin(admin.email))
}

func TestNothingToSendWith(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	require.NoError(t, err)
	defer lis.Close()
	_, port, _ := net.SplitHostPort(lis.Addr().String())
	s := onSQLite(t, options{noSMS: true, noMail: true, environ: []string{
		"CONCORD_AUTH_MAIL_HOST=127.0.0.1", "CONCORD_AUTH_MAIL_PORT=" + port, "CONCORD_AUTH_MAIL_SECURITY=plain",
		"CONCORD_AUTH_MAIL_TIMEOUT=300ms",
	}})
	code, err := s.service.SetupCode(t.Context())
	require.NoError(t, err)
	_, err = s.signIn.ClaimInstallation(s.nobody(""), &authv1.ClaimInstallationRequest{
		SetupCode: code, Email: "olive@host.example", Password: passphrase, DisplayName: "Olive",
	})
	require.NoError(t, err)
	_, err = s.signIn.StartSignIn(s.nobody(""), &authv1.StartSignInRequest{Email: "olive@host.example", Password: passphrase})
	e := is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_PIN_UNDELIVERABLE)
	require.Equal(t, "true", e.Metadata()["temporary"])
	require.Contains(t, e.Metadata()["why"], "timeout")

	bare := onSQLite(t, options{noSMS: true, noMail: true})
	code, err = bare.service.SetupCode(t.Context())
	require.NoError(t, err)
	_, err = bare.signIn.ClaimInstallation(bare.nobody(""), &authv1.ClaimInstallationRequest{
		SetupCode: code, Email: "olive@host.example", Password: passphrase, DisplayName: "Olive",
	})
	require.NoError(t, err)
	_, err = bare.signIn.StartSignIn(bare.nobody(""), &authv1.StartSignInRequest{Email: "olive@host.example", Password: passphrase})
	e = is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_PIN_UNDELIVERABLE)
	require.Contains(t, e.Metadata()["why"], "neither")
}

func TestTextMessagesAreCapped(t *testing.T) {
	s := onSQLite(t, options{run: true, environ: []string{"CONCORD_AUTH_SMS_PER_HOUR=3"}})
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
	s.stepUp(admin)
	s.enforce(admin)
	for range 2 {
		require.Equal(t, authv1.Channel_CHANNEL_SMS, s.begin(admin).GetChannel())
		s.clock.forward(31 * time.Second)
	}
	_, err := s.trySignIn(admin.email, passphrase, "192.0.2.7")
	is(t, err, codes.ResourceExhausted, authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS)
	s.clock.forward(time.Hour)
	require.Equal(t, authv1.Channel_CHANNEL_SMS, s.begin(admin).GetChannel())
	require.Equal(t, 4, s.inbox.count(admin.mobile))
}
