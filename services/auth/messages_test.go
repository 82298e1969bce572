package auth_test

import (
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/sim/sinks"
	"github.com/concord-suite/concord/sim/world"
)

const (
	site        = "https://app.example.com"
	unsigned    = authv1.ErrorReason_ERROR_REASON_SIGNATURE_INVALID
	notThisWay  = authv1.ErrorReason_ERROR_REASON_FACTOR_NOT_ALLOWED
	stale       = authv1.ErrorReason_ERROR_REASON_ETAG_MISMATCH
	textSent    = authv1.DeliveryState_DELIVERY_STATE_SENT
	textArrived = authv1.DeliveryState_DELIVERY_STATE_DELIVERED
	textLost    = authv1.DeliveryState_DELIVERY_STATE_UNDELIVERED
)

// settings reads the message settings of an administrator's firm.
func (s *suite) settings(admin *person) *authv1.MessageSettings {
	s.t.Helper()
	resp, err := s.firms.GetMessageSettings(s.as(admin.token), &authv1.GetMessageSettingsRequest{Name: admin.firm + "/messageSettings"})
	require.NoError(s.t, err)
	return resp.GetSettings()
}

// set changes them.
func (s *suite) set(admin *person, change func(m *authv1.MessageSettings)) (*authv1.MessageSettings, error) {
	s.t.Helper()
	wanted := s.settings(admin)
	change(wanted)
	wanted.SmsToday = 0
	resp, err := s.firms.UpdateMessageSettings(s.as(admin.token), &authv1.UpdateMessageSettingsRequest{Settings: wanted, RequestId: requestID()})
	return resp.GetSettings(), err
}

// sentText waits for the text message to a mobile, as the provider has it.
func (s *suite) sentText(mobile string) world.Message {
	s.t.Helper()
	return s.inbox.next(mobile)
}

// report reports a state of a text message the way Twilio does.
func (s *suite) report(m world.Message, state string, code int) error {
	body, signature := sinks.Callback(&m, state, code)
	return s.receive("twilio", m.Callback, signature, body)
}

func (s *suite) receive(provider, url, signature string, body []byte) error {
	_, err := authv1.NewDeliveryServiceClient(s.conn).ReceiveDeliveryReport(dial.AsSelf(s.t.Context(), "gateway"),
		&authv1.ReceiveDeliveryReportRequest{Provider: provider, Url: url, Signature: signature, Body: body})
	return err
}

// challenge reads a challenge as it stands.
func (s *suite) challenge(id string) *authv1.Challenge {
	s.t.Helper()
	resp, err := s.signIn.GetChallenge(s.nobody("192.0.2.7"), &authv1.GetChallengeRequest{Challenge: id})
	require.NoError(s.t, err)
	return resp.GetChallenge()
}

// textFirm is a firm with two-factor sign-in whose administrator has a validated mobile, signed in anew and confirmed.
func (s *suite) textFirm(email string) *person {
	s.t.Helper()
	admin := s.newFirm(s.operator(), "Harbour Tax", email, newMobile())
	s.stepUp(admin)
	s.enforce(admin)
	return admin
}

func TestReportsTellWhatBecameOfATextMessage(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.textFirm("ada@harbour.example")
		c := s.begin(admin)
		require.Equal(t, textSent, c.GetSmsDelivery())
		require.False(t, c.GetEmailAvailable())
		m := s.sentText(admin.mobile)
		require.Regexp(t, `^https://app\.example\.com/webhooks/sms/twilio\?message=[0-9a-f-]{36}$`, m.Callback)

		require.NoError(t, s.report(m, "sent", 0))
		require.Equal(t, textSent, s.challenge(c.GetChallenge()).GetSmsDelivery())
		require.NoError(t, s.report(m, "undelivered", 30003))
		lost := s.challenge(c.GetChallenge())
		require.Equal(t, textLost, lost.GetSmsDelivery())
		require.True(t, lost.GetEmailAvailable())
		require.Contains(t, s.logs.String(), "sms_30003")
		require.NotContains(t, s.logs.String(), admin.mobile)

		require.NoError(t, s.report(m, "sent", 0)) // late
		require.Equal(t, textLost, s.challenge(c.GetChallenge()).GetSmsDelivery())
		require.NoError(t, s.report(m, "delivered", 0))
		require.NoError(t, s.report(m, "undelivered", 30003)) // replayed
		arrived := s.challenge(c.GetChallenge())
		require.Equal(t, textArrived, arrived.GetSmsDelivery(), "what arrived has arrived")
		require.False(t, arrived.GetEmailAvailable())
		_, err := s.verify(c.GetChallenge(), s.inbox.pin(admin.mobile))
		require.NoError(t, err)
	})
}

func TestForgedReportsChangeNothing(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.textFirm("ada@harbour.example")
	c := s.begin(admin)
	m := s.sentText(admin.mobile)
	body, signature := sinks.Callback(&m, "undelivered", 30003)
	is(t, s.receive("twilio", m.Callback, "", body), codes.PermissionDenied, unsigned)
	is(t, s.receive("twilio", m.Callback, signature[:8], body), codes.PermissionDenied, unsigned)
	is(t, s.receive("twilio", m.Callback+"0", signature, body), codes.PermissionDenied, unsigned)
	is(t, s.receive("twilio", m.Callback, signature, append(body, "&x=y"...)), codes.PermissionDenied, unsigned)
	is(t, s.receive("webhook", m.Callback, signature, body), codes.NotFound, authv1.ErrorReason_ERROR_REASON_NOT_FOUND)
	require.Equal(t, textSent, s.challenge(c.GetChallenge()).GetSmsDelivery())

	// One that is signed, about another message than the provider took, or about none: no error, and no effect.
	other := m
	other.SID = "SM00000000000000000000000000000000"
	require.NoError(t, s.report(other, "undelivered", 30003))
	other.Callback = site + "/webhooks/sms/twilio?message=01890000-0000-7000-8000-000000000000"
	require.NoError(t, s.report(other, "undelivered", 30003))
	require.Equal(t, textSent, s.challenge(c.GetChallenge()).GetSmsDelivery())
	bare := m
	bare.Callback = site + "/webhooks/sms/twilio" // without our id, by the provider's
	require.NoError(t, s.report(bare, "undelivered", 30003))
	require.Equal(t, textLost, s.challenge(c.GetChallenge()).GetSmsDelivery())
}

// N43: whoever waits for a text message that does not arrive is told so, and e-mail steps in when the firm lets it: with a
// fresh PIN, a weak session, and the same count of failures.
func TestEmailStepsInWhenTheTextMessageDoesNotArrive(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.textFirm("ada@harbour.example")
		c := s.begin(admin)
		byEmail := func() (*authv1.ResendPinResponse, error) {
			return s.signIn.ResendPin(s.nobody("192.0.2.7"), &authv1.ResendPinRequest{Challenge: c.GetChallenge(), ByEmail: true})
		}
		_, err := byEmail()
		is(t, err, codes.FailedPrecondition, notThisWay)
		m := s.sentText(admin.mobile)
		byText := s.inbox.pin(admin.mobile)
		_, err = s.verify(c.GetChallenge(), wrong(byText))
		is(t, err, codes.Unauthenticated, refused)
		require.NoError(t, s.report(m, "undelivered", 30003))
		resp, err := byEmail()
		require.NoError(t, err, "at once: there is nothing to wait for")
		require.Equal(t, authv1.Channel_CHANNEL_EMAIL, resp.GetChallenge().GetChannel())
		require.Equal(t, textLost, resp.GetChallenge().GetSmsDelivery())
		require.False(t, resp.GetChallenge().GetEmailAvailable(), "it is on its way")
		mailed := s.inbox.pin(admin.email)
		if mailed != byText {
			_, err = s.verify(c.GetChallenge(), byText)
			is(t, err, codes.Unauthenticated, refused)
		}
		opened, err := s.verify(c.GetChallenge(), mailed)
		require.NoError(t, err)
		require.Equal(t, authv1.Strength_STRENGTH_WEAK, opened.GetSession().GetStrength())
	})
}

func TestEmailStepsInOnlyWhereThePolicyLetsIt(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.textFirm("ada@harbour.example")
	policy, err := s.firms.GetSecurityPolicy(s.as(admin.token), &authv1.GetSecurityPolicyRequest{Name: admin.firm + "/securityPolicy"})
	require.NoError(t, err)
	policy.Policy.EmailStandsIn = false
	_, err = s.firms.UpdateSecurityPolicy(s.as(admin.token), &authv1.UpdateSecurityPolicyRequest{Policy: policy.GetPolicy()})
	require.NoError(t, err)
	c := s.begin(admin)
	require.NoError(t, s.report(s.sentText(admin.mobile), "undelivered", 30003))
	lost := s.challenge(c.GetChallenge())
	require.Equal(t, textLost, lost.GetSmsDelivery())
	require.False(t, lost.GetEmailAvailable())
	_, err = s.signIn.ResendPin(s.nobody(""), &authv1.ResendPinRequest{Challenge: c.GetChallenge(), ByEmail: true})
	is(t, err, codes.FailedPrecondition, notThisWay)
}

// A step-up of a session that showed a second factor never goes by e-mail, whatever is reported.
func TestEmailNeverStepsInForAStepUp(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.textFirm("ada@harbour.example")
	s.inbox.seen()
	begun, err := s.sessions.StartStepUp(s.as(admin.token), &authv1.StartStepUpRequest{Password: passphrase})
	require.NoError(t, err)
	id := begun.GetChallenge().GetChallenge()
	require.NoError(t, s.report(s.sentText(admin.mobile), "failed", 30005))
	require.Equal(t, textLost, s.challenge(id).GetSmsDelivery())
	require.False(t, s.challenge(id).GetEmailAvailable())
	_, err = s.signIn.ResendPin(s.nobody(""), &authv1.ResendPinRequest{Challenge: id, ByEmail: true})
	is(t, err, codes.FailedPrecondition, notThisWay)
}

func TestMessageSettings(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.textFirm("ada@harbour.example")
		before := s.settings(admin)
		require.Positive(t, before.GetSmsToday())
		changed, err := s.set(admin, func(m *authv1.MessageSettings) {
			m.SmsSender, m.SmsPerDay, m.SmsCountries = "HarbourTax", 50, []string{"AU"}
			m.MailSenderName, m.MailReplyTo, m.MailSignature = "Harbour & Söhne", " Office@Harbour.example ", "Harbour Tax\r\nLevel 3\n"
		})
		require.NoError(t, err)
		require.Equal(t, "office@harbour.example", changed.GetMailReplyTo())
		require.NotEqual(t, before.GetEtag(), changed.GetEtag())
		require.Equal(t, changed.GetMailSignature(), s.settings(admin).GetMailSignature())
		_, err = s.set(admin, func(m *authv1.MessageSettings) { m.Etag = before.GetEtag() })
		is(t, err, codes.Aborted, stale)
		// Text messages and e-mails are the firm's from now on.
		s.clock.forward(time.Minute)
		s.begin(admin)
		require.Equal(t, "HarbourTax", s.sentText(admin.mobile).From)
		s.clock.forward(time.Minute)
		s.stepUp(admin)
		s.inbox.seen()
		_, err = s.accounts.InviteStaff(s.as(admin.token), &authv1.InviteStaffRequest{
			Parent: admin.firm, Email: "mo@harbour.example", DisplayName: "Mo", Role: authv1.Role_ROLE_STAFF, RequestId: requestID(),
		})
		require.NoError(t, err)
		m := s.inbox.next("mo@harbour.example")
		require.Contains(t, m.Raw, "Reply-To: <office@harbour.example>")
		head, err := mail.ReadMessage(strings.NewReader(m.Raw))
		require.NoError(t, err)
		from, err := head.Header.AddressList("From")
		require.NoError(t, err)
		require.Equal(t, []*mail.Address{{Name: "Harbour & Söhne", Address: "concord@localhost"}}, from)
		require.Contains(t, m.Text, "-- \nHarbour Tax\nLevel 3")
	})
}

func TestMessageSettingsThatAreRefused(t *testing.T) {
	s := onSQLite(t, options{run: true, environ: []string{"CONCORD_AUTH_SMS_PER_DAY=100"}})
	admin := s.textFirm("ada@harbour.example")
	for field, change := range map[string]func(m *authv1.MessageSettings){
		"settings.sms_sender":       func(m *authv1.MessageSettings) { m.SmsSender = "123456" },
		"settings.sms_per_day":      func(m *authv1.MessageSettings) { m.SmsPerDay = 101 },
		"settings.sms_countries[1]": func(m *authv1.MessageSettings) { m.SmsCountries = []string{"AU", "US"} },
		"settings.mail_sender_name": func(m *authv1.MessageSettings) { m.MailSenderName = "Harbour\r\nBcc: all@example.com" },
		"settings.mail_reply_to":    func(m *authv1.MessageSettings) { m.MailReplyTo = "x@example.com\r\nBcc: all@example.com" },
		"settings.mail_signature":   func(m *authv1.MessageSettings) { m.MailSignature = "Harbour\x00" },
	} {
		_, err := s.set(admin, change)
		e := rpcerr.From(err)
		require.NotNil(t, e, field)
		require.Len(t, e.Violations(), 1, field)
		require.Equal(t, field, e.Violations()[0].Field)
	}
	require.Equal(t, "0", s.settings(admin).GetEtag(), "nothing changed")
}
