package auth_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	"github.com/concord-suite/concord/services/auth/internal/delivery"
	"github.com/concord-suite/concord/sim/sinks"
)

const (
	tooOften = authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS
	notSent  = authv1.ErrorReason_ERROR_REASON_PIN_UNDELIVERABLE
)

// try begins a sign-in and returns the channel of its PIN.
func (s *suite) try(p *person) (authv1.Channel, error) {
	resp, err := s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: p.email, Password: passphrase, Firm: p.firm})
	return resp.GetChallenge().GetChannel(), err
}

// alarms are the ledger entries of an act.
func (s *suite) alarms(act string) (found []*auditeventsv1.AuditEntry) {
	for _, m := range s.events("audit.v1.audit_recorded", &auditeventsv1.AuditRecorded{}) {
		for _, e := range m.(*auditeventsv1.AuditRecorded).GetEntries() {
			if e.GetAction() == act {
				found = append(found, e)
			}
		}
	}
	return found
}

// C7: nothing is sent before the password was right, and one text message in half a minute after that, unless its PIN came
// back: whoever has the mobile asked for it.
func TestC7_OneTextMessageAtATime(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.textFirm("ada@harbour.example")
		before := s.inbox.count(admin.mobile)
		_, err := s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: admin.email, Password: "not the passphrase"})
		require.Error(t, err)
		require.Equal(t, before, s.inbox.count(admin.mobile))
		for range 3 { // in a row, each with its PIN
			s.signInAs(admin)
		}
		require.Equal(t, before+3, s.inbox.count(admin.mobile))

		var wg sync.WaitGroup
		channels := make([]authv1.Channel, 8)
		for i := range channels {
			wg.Go(func() { channels[i], _ = s.try(admin) })
		}
		wg.Wait()
		require.Equal(t, before+4, s.inbox.count(admin.mobile), "of many at once one is sent")
		require.NotContains(t, channels, authv1.Channel_CHANNEL_EMAIL, "hurrying weakens no sign-in")
		_, err = s.try(admin)
		e := is(t, err, codes.ResourceExhausted, tooOften)
		require.Equal(t, s.clock.Now().Add(30*time.Second).UTC().Format(time.RFC3339), e.Metadata()["retry_time"])
		s.clock.forward(30 * time.Second)
		channel, err := s.try(admin)
		require.NoError(t, err)
		require.Equal(t, authv1.Channel_CHANNEL_SMS, channel)
	})
}

// What tells the mobile of before that it is not any more is no PIN, and takes none from the hour's.
func TestC7_ANoticeTakesNoPINFromTheHour(t *testing.T) {
	each(t, options{run: true, environ: []string{"CONCORD_AUTH_SMS_PER_HOUR=3"}}, func(t *testing.T, s *suite) {
		admin := s.textFirm("ada@harbour.example")
		s.clock.forward(time.Hour)
		s.signInAs(admin)
		old, mobile := admin.mobile, newMobile()
		start, err := s.factors().StartMobileChange(s.as(admin.token), &authv1.StartMobileChangeRequest{Mobile: mobile})
		require.NoError(t, err)
		_, err = s.factors().FinishMobileChange(s.as(admin.token), &authv1.FinishMobileChangeRequest{Enrolment: start.GetEnrolment(), Pin: s.inbox.pin(mobile)})
		require.NoError(t, err)
		s.inbox.about(old, "was changed")
		channel, err := s.try(admin)
		require.NoError(t, err)
		require.Equal(t, authv1.Channel_CHANNEL_SMS, channel, "at once, and the third of the hour")
		s.clock.forward(time.Minute)
		_, err = s.try(admin)
		require.Error(t, err, "and there are no more")
	})
}

func TestC7_AFirmsTextMessagesOfADay(t *testing.T) {
	each(t, options{run: true, environ: []string{"CONCORD_AUTH_SMS_PER_DAY=50", "CONCORD_AUTH_SMS_PER_HOUR=100"}}, func(t *testing.T, s *suite) {
		s.clock.forward(s.clock.Now().Truncate(24 * time.Hour).Add(24*time.Hour + time.Hour).Sub(s.clock.Now())) // one o'clock
		admin := s.textFirm("ada@harbour.example")
		today := s.settings(admin).GetSmsToday()
		_, err := s.set(admin, func(m *authv1.MessageSettings) { m.SmsPerDay = today + 2 })
		require.NoError(t, err)
		for range 2 {
			s.signInAs(admin)
		}
		require.Equal(t, today+2, s.settings(admin).GetSmsToday())
		full := s.alarms("text_messages.day_full")
		require.Len(t, full, 1)
		require.Equal(t, admin.firm+"/messageSettings", full[0].GetResource())
		channel, err := s.try(admin)
		require.NoError(t, err)
		require.Equal(t, authv1.Channel_CHANNEL_EMAIL, channel, "the day is full, and the firm lets e-mail step in")
		_, err = s.sessions.StartStepUp(s.as(admin.token), &authv1.StartStepUpRequest{Password: passphrase})
		e := is(t, err, codes.FailedPrecondition, notSent)
		require.Contains(t, e.Metadata()["why"], "as many text messages")
		require.Equal(t, "true", e.Metadata()["temporary"])
		s.clock.forward(24 * time.Hour)
		channel, err = s.try(admin)
		require.NoError(t, err)
		require.Equal(t, authv1.Channel_CHANNEL_SMS, channel)
	})
}

func TestC7_CountriesOfTextMessages(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.textFirm("ada@harbour.example") // Australian
	_, err := s.set(admin, func(m *authv1.MessageSettings) { m.SmsCountries = []string{"NZ"} })
	require.NoError(t, err)
	before := s.inbox.count(admin.mobile)
	channel, err := s.try(admin)
	require.NoError(t, err)
	require.Equal(t, authv1.Channel_CHANNEL_EMAIL, channel)
	_, err = s.sessions.StartStepUp(s.as(admin.token), &authv1.StartStepUpRequest{Password: passphrase})
	e := is(t, err, codes.FailedPrecondition, notSent)
	require.Contains(t, e.Metadata()["why"], "country")
	require.Equal(t, before, s.inbox.count(admin.mobile))
}

// S20, C7: addresses and numbers are validated where they enter: mobiles of the countries that text messages go to, and no
// premium, short or fixed number that somebody earns with.
func TestS20_AddressesAndNumbersAreValidatedAtEntry(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.textFirm("ada@harbour.example")
	invite := func(email, mobile string) error {
		_, err := s.accounts.InviteStaff(s.as(admin.token), &authv1.InviteStaffRequest{
			Parent: admin.firm, Email: email, DisplayName: "Mo", Mobile: mobile, Role: authv1.Role_ROLE_STAFF, RequestId: requestID(),
		})
		return err
	}
	for _, mobile := range []string{
		"+61 1900 123 456", "+61 190 2345 678", "+61 13 11 14", "+61 1800 123 456", "+61 2 5550 1234", "+61 000", "0491 570 156",
		"+44 7400 123456", "+1 900 555 0123", "+882 13 300655", "+61491570156x", "+61491570156;ext=1",
	} {
		err := invite("mo@harbour.example", mobile)
		require.Error(t, err, mobile)
		require.Contains(t, err.Error(), "mobile", mobile)
	}
	for _, email := range []string{"mo", "mo@", "Mo <mo@harbour.example>", "mo@harbour.example\r\nBcc: all@example.com", "mo@[192.0.2.1]"} {
		require.Error(t, invite(email, ""), email)
	}
	require.NoError(t, invite(" Mo@Harbour.Example ", "+61 491 570 156"))
}

// C7: many accounts with numbers of one block that are sent PINs and come back with none are somebody who earns with the
// numbers. The block is stopped and somebody is told; others go on, and so do people of the block who answer.
func TestC7_ABlockOfNumbersThatNobodyAnswersIsStopped(t *testing.T) {
	each(t, options{run: true, environ: []string{"CONCORD_AUTH_SMS_BLOCK_ACCOUNTS=3"}}, func(t *testing.T, s *suite) {
		admin := s.textFirm("ada@harbour.example")
		_, err := s.set(admin, func(m *authv1.MessageSettings) {})
		require.NoError(t, err)
		var pumped []*person
		for i := range 4 {
			s.stepUp(admin)
			p := s.hire(admin, fmt.Sprintf("p%d@harbour.example", i), fmt.Sprintf("+6140012300%d", i), authv1.Role_ROLE_STAFF)
			pumped = append(pumped, p)
		}
		s.signInAs(pumped[0]) // answers, and does not count
		for _, p := range pumped[1:] {
			channel, err := s.try(p)
			require.NoError(t, err)
			require.Equal(t, authv1.Channel_CHANNEL_SMS_AND_EMAIL, channel)
		}
		stopped := s.alarms("text_messages.block_stopped")
		require.Len(t, stopped, 1)
		require.Equal(t, "numbers/+61400123***", stopped[0].GetResource())
		require.Empty(t, stopped[0].GetFirm(), "it is the operator's business")
		require.Contains(t, s.logs.String(), "text_messages.block_stopped")
		require.NotContains(t, s.logs.String(), pumped[1].mobile)
		s.clock.forward(31 * time.Second)
		sent := s.inbox.count(pumped[1].mobile)
		channel, err := s.try(pumped[1])
		require.NoError(t, err)
		require.Equal(t, authv1.Channel_CHANNEL_EMAIL, channel)
		require.Equal(t, sent, s.inbox.count(pumped[1].mobile))
		channel, err = s.try(admin)
		require.NoError(t, err)
		require.Equal(t, authv1.Channel_CHANNEL_SMS, channel, "another block goes on")
		s.clock.forward(time.Hour)
		channel, err = s.try(pumped[1])
		require.NoError(t, err)
		require.Equal(t, authv1.Channel_CHANNEL_SMS_AND_EMAIL, channel)
		require.Len(t, s.alarms("text_messages.block_stopped"), 1)
	})
}

// The second provider takes over within the time of one message, and what it reports is understood.
func TestTheSecondProviderTakesOver(t *testing.T) {
	second := onSQLite(t, options{}) // its simulated provider alone is used
	for name, first := range map[string]http.Handler{
		"frozen": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() }),
		"down":   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }),
		"refuses": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"code":20003,"message":"Authenticate"}`))
		}),
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(first)
			t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
			s := onSQLite(t, options{run: true, smsURL: server.URL, environ: []string{
				"CONCORD_AUTH_SMS_WEBHOOK_URL=" + second.inbox.smsURL + sinks.WebhookPath,
				"CONCORD_AUTH_SMS_WEBHOOK_SECRET=" + sinks.WebhookSecret, "CONCORD_AUTH_SMS_TIMEOUT=2s",
			}})
			admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
			second.inbox.seen()
			s.inbox.seen()
			begun, err := s.sessions.StartStepUp(s.as(admin.token), &authv1.StartStepUpRequest{Password: passphrase})
			require.NoError(t, err)
			require.Equal(t, authv1.Channel_CHANNEL_SMS_AND_EMAIL, begun.GetChallenge().GetChannel())
			require.Equal(t, textSent, begun.GetChallenge().GetSmsDelivery())
			m := second.inbox.next(admin.mobile)
			require.Equal(t, "webhook", m.Via)
			require.Contains(t, s.logs.String(), "next=webhook")
			require.NotContains(t, s.logs.String(), admin.mobile)
			body := []byte(`{"id":"` + m.SID + `","state":"undelivered","code":"absent"}`)
			report := func(at time.Time, secret string) error {
				return s.receive("webhook", site+"/webhooks/sms/webhook", delivery.Sign(secret, at, body), body)
			}
			is(t, report(s.clock.Now(), strings.Repeat("x", 40)), codes.PermissionDenied, unsigned)
			is(t, report(s.clock.Now().Add(-time.Hour), sinks.WebhookSecret), codes.PermissionDenied, unsigned)
			require.NoError(t, report(s.clock.Now(), sinks.WebhookSecret))
			require.Equal(t, textLost, s.challenge(begun.GetChallenge().GetChallenge()).GetSmsDelivery())
		})
	}
}
