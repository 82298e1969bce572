package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/api/messages"
	"github.com/concord-suite/concord/services/auth/internal/delivery"
	"github.com/concord-suite/concord/services/auth/internal/texts"
)

// SMS says how text messages are sent: by Twilio's API, by an address of the installation's own, or by one when the other
// does not take them.
type SMS struct {
	Providers  []string      `config:"providers" default:"twilio,webhook" doc:"The providers in the order in which they are tried: twilio, webhook. Those without an account or address are left out."`
	URL        *url.URL      `config:"url" default:"https://api.twilio.com" doc:"The address of Twilio's API (version 2010-04-01), without a path."`
	AccountSID string        `config:"account_sid" doc:"The account at Twilio that sends. Unset, and no webhook_url: no text messages; PINs go by e-mail."`
	Token      string        `config:"token" secret:"true" doc:"The token of the account."`
	From       string        `config:"from" doc:"The sender: a number, a registered sender name, or a messaging service (MG...)."`
	WebhookURL *url.URL      `config:"webhook_url" doc:"An address of your own that sends text messages (docs/text-messages.md)."`
	Secret     string        `config:"webhook_secret" secret:"true" doc:"The secret that signs what goes there and what is reported back, at least 32 characters."`
	WebhookBy  string        `config:"webhook_from" doc:"The sender that is asked for there."`
	Timeout    time.Duration `config:"timeout" default:"3s" min:"100ms" max:"20s" doc:"How long one text message may take, over all providers; then the PIN goes by e-mail, if the firm allows it."`
	PerHour    int           `config:"per_hour" default:"10" min:"1" max:"1000" doc:"How many text messages one account causes in an hour at most."`
	PerDay     int           `config:"per_day" default:"1000" min:"1" max:"100000" doc:"How many text messages the people of one firm cause in a day (UTC) at most."`
	Countries  []string      `config:"countries" default:"AU,NZ" doc:"The countries (ISO 3166) to whose mobiles text messages go."`
	Block      int           `config:"block_accounts" default:"20" min:"2" max:"10000" doc:"How many accounts with numbers of one block of a thousand may be sent PINs within ten minutes of which none comes back; then the block is stopped."`
	StopFor    time.Duration `config:"block_stop" default:"1h" min:"1m" max:"720h" doc:"For how long."`
}

// Mail says how e-mails are sent: by SMTP.
type Mail struct {
	Host     string        `config:"host" doc:"The SMTP server. Unset: no e-mails, and so no invitations."`
	Port     int           `config:"port" default:"587" min:"1" max:"65535" doc:"Its port."`
	Security string        `config:"security" default:"starttls" oneof:"starttls tls plain" doc:"How the connection is protected; plain is for a server on the same machine."`
	Username string        `config:"username" doc:"Who signs in at the server; unset: nobody."`
	Password string        `config:"password" secret:"true" doc:"The password for it."`
	From     string        `config:"from" default:"Concord <concord@localhost>" doc:"The sender of e-mails; a firm's e-mails show its name with this address."`
	Timeout  time.Duration `config:"timeout" default:"5s" min:"100ms" max:"20s" doc:"How long handing over one e-mail may take."`
}

// minSecret is the least length of the webhook's secret: 32 characters of hexadecimal are 128 bits.
const minSecret = 32

// Validate checks what one setting says about another.
func (s *SMS) Validate() error {
	var errs []error
	need := func(wrong bool, words string) {
		if wrong {
			errs = append(errs, errors.New(words))
		}
	}
	for i, name := range s.Providers {
		known := name == delivery.TwilioName || name == delivery.WebhookName
		need(!known || slices.Contains(s.Providers[:i], name), "sms.providers is twilio, webhook or both, each once")
	}
	if s.AccountSID != "" {
		need(s.Token == "", "sms.token is required with sms.account_sid")
		need(s.From == "", "sms.from is required with sms.account_sid")
		need(!confidential(s.URL), "sms.url is an https:// address: PINs and the account's token go there")
		need(!slices.Contains(s.Providers, delivery.TwilioName), "sms.providers leaves out twilio, whose account is set")
	}
	if s.WebhookURL != nil {
		need(len(s.Secret) < minSecret, fmt.Sprintf("sms.webhook_secret is required with sms.webhook_url, of at least %d characters", minSecret))
		need(!confidential(s.WebhookURL), "sms.webhook_url is an https:// address: PINs go there")
		need(!slices.Contains(s.Providers, delivery.WebhookName), "sms.providers leaves out webhook, whose address is set")
	}
	for _, c := range s.Countries {
		if len(c) != 2 || strings.ToUpper(c) != c {
			errs = append(errs, fmt.Errorf("sms.countries: %q is not two capital letters", c))
		}
	}
	return errors.Join(errs...)
}

// confidential tells whether nobody on the way reads what goes to an address.
func confidential(u *url.URL) bool {
	return u != nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()))
}

// Validate checks what one setting says about another.
func (m *Mail) Validate() error {
	if m.Host == "" {
		return nil
	}
	var errs []error
	if m.Security == "plain" && !loopback(m.Host) {
		errs = append(errs, errors.New("mail.security plain is for a server on the same machine: PINs go there"))
	}
	if _, err := mail.ParseAddress(m.From); err != nil {
		errs = append(errs, errors.New("mail.from is an e-mail address, with or without a name"))
	}
	return errors.Join(errs...)
}

// reportPath is where the gateway takes reports about text messages, with the provider's name behind it.
const reportPath = "/webhooks/sms/"

// sender makes what sends text messages; nil when no provider is set.
func (s SMS) sender(site *url.URL, now func() time.Time) *delivery.SMS {
	var providers []delivery.Provider
	for _, name := range s.Providers {
		switch {
		case name == delivery.TwilioName && s.AccountSID != "":
			providers = append(providers, delivery.NewTwilio(delivery.TwilioOptions{
				URL: s.URL, AccountSID: s.AccountSID, Token: s.Token, From: s.From, Timeout: s.Timeout,
				Reports: reports(site, s.URL, name),
			}))
		case name == delivery.WebhookName && s.WebhookURL != nil:
			providers = append(providers, delivery.NewWebhook(delivery.WebhookOptions{
				URL: s.WebhookURL, Secret: s.Secret, From: s.WebhookBy, Timeout: s.Timeout, Now: now,
				Reports: reports(site, s.WebhookURL, name),
			}))
		}
	}
	if len(providers) == 0 {
		return nil
	}
	return delivery.NewSMS(s.Timeout, now, providers...)
}

// reports is where a provider is asked to report to; empty when it could not reach it: Twilio refuses messages with such
// an address.
func reports(site, provider *url.URL, name string) string {
	if loopback(site.Hostname()) && !loopback(provider.Hostname()) {
		return ""
	}
	return site.JoinPath(reportPath, name).String()
}

func (m Mail) sender() *delivery.Mail {
	if m.Host == "" {
		return nil
	}
	return delivery.NewMail(delivery.MailOptions{
		Host: m.Host, Port: m.Port, Security: delivery.Security(m.Security), Username: m.Username, Password: m.Password,
		From: m.From, Timeout: m.Timeout,
	})
}

// desk makes what sends messages that somebody waits for.
func (c Config) desk(db *sqldb.DB, book *texts.Book, now func() time.Time, logger *slog.Logger, meter metric.Meter) *messages.Desk {
	return &messages.Desk{
		DB: db, SMS: c.SMS.sender(c.PublicURL, now), Mail: c.Mail.sender(), Texts: book, Now: now, Logger: logger,
		Counts: messages.NewCounts(meter),
		Limits: messages.Limits{
			PerHour: c.SMS.PerHour, PerDay: c.SMS.PerDay, Countries: c.SMS.Countries, BlockAccounts: c.SMS.Block, StopFor: c.SMS.StopFor,
		},
	}
}
