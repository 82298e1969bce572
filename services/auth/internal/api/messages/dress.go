package messages

import (
	"errors"
	"strings"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/delivery"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/messages"
)

// Dress makes an e-mail one of a firm: who it comes from, where answers go, what stands below it. An e-mail of no firm
// stays as it is.
func Dress(tx *sqldb.Tx, firm string, l *delivery.Letter) error {
	if firm == "" {
		return nil
	}
	s, err := messages.SettingsOf(tx, firm)
	if err != nil {
		return err
	}
	l.FromName, l.ReplyTo = s.MailSenderName, s.MailReplyTo
	if l.FromName == "" {
		f, err := store.Firm(tx, firm)
		if err != nil && !errors.Is(err, sqldb.ErrNotFound) {
			return err
		}
		l.FromName = f.DisplayName
	}
	if s.MailSignature != "" {
		l.Text = strings.TrimRight(l.Text, "\n") + "\n\n-- \n" + s.MailSignature + "\n"
	}
	return nil
}
