package auth

import (
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/concord-suite/concord/services/auth/internal/addin"
)

// Config is what auth can be told. Package config of the platform fills it from CONCORD_AUTH_... and a file.
type Config struct {
	// PublicURL is where people reach the suite.
	PublicURL *url.URL `config:"public_url" default:"http://localhost:8080" doc:"Where people reach the suite; its host stands in text messages, invitations lead there."`
	// PasswordsAtOnce bounds the password hashes computed at the same time.
	PasswordsAtOnce int `config:"passwords_at_once" default:"0" min:"0" max:"1024" doc:"How many passwords are checked at once, at 19 MiB each; 0 means twice the number of CPUs. More wait a second, then they are told to try again."`
	// KeyRotation is how often the key that signs internal tokens is replaced.
	KeyRotation time.Duration `config:"key_rotation" default:"720h" min:"1h" max:"8760h" doc:"How often the key that signs internal tokens is replaced."`
	// Templates is a folder with texts that replace the program's own.
	Templates string `config:"templates" doc:"A folder of templates that replace those of text messages and e-mails, one file each; checked at start."`
	// AddIns are the desktop programs that may ask people for their consent.
	AddIns []string `config:"add_ins" default:"word=Concord for Word,excel=Concord for Excel,outlook=Concord for Outlook,desktop=Concord for the desktop" doc:"The Add-Ins people may sign in with, as client id=Name to show, or client id=Name=/path where the program is answered at another path of its loopback address than /done."`
	// SMS is the provider of text messages; without an account there are none.
	SMS SMS `config:"sms"`
	// Mail is the server that takes e-mails; without a host there are none.
	Mail Mail `config:"mail"`
}

// SMS says how text messages are sent: by Twilio's API.
type SMS struct {
	URL        *url.URL      `config:"url" default:"https://api.twilio.com" doc:"The address of the SMS API (Twilio, version 2010-04-01), without a path."`
	AccountSID string        `config:"account_sid" doc:"The account that sends. Unset: no text messages; PINs go by e-mail."`
	Token      string        `config:"token" secret:"true" doc:"The token of the account."`
	From       string        `config:"from" doc:"The sender: a number, a registered sender name, or a messaging service (MG...)."`
	Timeout    time.Duration `config:"timeout" default:"3s" min:"100ms" max:"20s" doc:"How long one text message may take; then the PIN goes by e-mail, if the firm allows it."`
	PerHour    int           `config:"per_hour" default:"10" min:"1" max:"1000" doc:"How many text messages one account causes in an hour at most."`
	Countries  []string      `config:"countries" default:"AU,NZ" doc:"The countries (ISO 3166) to whose mobiles text messages go."`
}

// Mail says how e-mails are sent: by SMTP.
type Mail struct {
	Host     string        `config:"host" doc:"The SMTP server. Unset: no e-mails, and so no invitations."`
	Port     int           `config:"port" default:"587" min:"1" max:"65535" doc:"Its port."`
	Security string        `config:"security" default:"starttls" oneof:"starttls tls plain" doc:"How the connection is protected; plain is for a server on the same machine."`
	Username string        `config:"username" doc:"Who signs in at the server; unset: nobody."`
	Password string        `config:"password" secret:"true" doc:"The password for it."`
	From     string        `config:"from" default:"Concord <concord@localhost>" doc:"The sender of e-mails."`
	Timeout  time.Duration `config:"timeout" default:"5s" min:"100ms" max:"20s" doc:"How long handing over one e-mail may take."`
}

// Validate checks what one setting says about another.
func (c *Config) Validate() error {
	if c.PublicURL == nil || c.PublicURL.Hostname() == "" || (c.PublicURL.Scheme != "http" && c.PublicURL.Scheme != "https") {
		return errors.New("public_url is http:// or https:// and a host")
	}
	_, err := c.addIns()
	return err
}

// addIns are the registered Add-Ins.
func (c *Config) addIns() (addin.Registry, error) {
	clients, err := addin.Register(c.AddIns)
	if err != nil {
		return nil, fmt.Errorf("add_ins: %w", err)
	}
	return clients, nil
}

// Validate checks what one setting says about another.
func (s *SMS) Validate() error {
	if s.AccountSID == "" {
		return nil
	}
	var errs []error
	if s.Token == "" {
		errs = append(errs, errors.New("sms.token is required with sms.account_sid"))
	}
	if s.From == "" {
		errs = append(errs, errors.New("sms.from is required with sms.account_sid"))
	}
	if s.URL == nil || (s.URL.Scheme != "https" && !loopback(s.URL.Hostname())) {
		errs = append(errs, errors.New("sms.url is an https:// address: PINs and the account's token go there"))
	}
	for _, c := range s.Countries {
		if len(c) != 2 || strings.ToUpper(c) != c {
			errs = append(errs, fmt.Errorf("sms.countries: %q is not two capital letters", c))
		}
	}
	return errors.Join(errs...)
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

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// slots is how many hashes may run: enough to keep every core busy while others wait for the disk.
func (c Config) slots() int {
	if c.PasswordsAtOnce > 0 {
		return c.PasswordsAtOnce
	}
	return 2 * runtime.NumCPU()
}
