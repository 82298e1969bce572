package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"runtime"
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

// sayWhatIsMissing says what people miss when messages have no way to go.
func (c Config) sayWhatIsMissing(ctx context.Context, logger *slog.Logger) {
	switch texts := c.SMS.AccountSID != "" || c.SMS.WebhookURL != nil; {
	case c.Mail.Host != "":
	case texts:
		logger.WarnContext(ctx, "mail.host (CONCORD_AUTH_MAIL_HOST) is unset: nobody can be invited, and PINs go by text message only")
	default:
		logger.ErrorContext(ctx, "mail.host (CONCORD_AUTH_MAIL_HOST) and sms.account_sid (CONCORD_AUTH_SMS_ACCOUNT_SID) are unset: "+
			"nobody can be sent a PIN, and so nobody can sign in")
	}
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
