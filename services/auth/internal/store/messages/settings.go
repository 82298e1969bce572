package messages

import (
	"errors"
	"strings"

	"github.com/concord-suite/concord/platform/sqldb"
)

// Settings are what a firm wants its messages to look like, and to cost. The zero value sets nothing.
type Settings struct {
	Firm string
	// SMSSender is a number or a registered sender name.
	SMSSender string
	// SMSPerDay bounds the text messages of a day; 0 leaves it to the installation.
	SMSPerDay int
	// SMSCountries are those of whose mobiles get any; empty leaves it to the installation.
	SMSCountries []string
	// MailSenderName is shown as the sender of e-mails; empty for the firm's name.
	MailSenderName string
	// MailReplyTo is where answers go, MailSignature stands below every e-mail.
	MailReplyTo, MailSignature string
	// Revision counts the changes; 0 when there was none.
	Revision int64
}

// SettingsOf returns the settings of a firm, those of one that has set nothing when there are none.
func SettingsOf(tx *sqldb.Tx, firm string) (Settings, error) {
	s := Settings{Firm: firm}
	var countries string
	err := tx.QueryRow(`SELECT sms_sender, sms_per_day, sms_countries, mail_sender_name, mail_reply_to, mail_signature, revision
		FROM message_settings WHERE firm = $1`, firm).Scan(&s.SMSSender, &s.SMSPerDay, &countries, &s.MailSenderName,
		&s.MailReplyTo, &s.MailSignature, &s.Revision)
	if errors.Is(err, sqldb.ErrNotFound) {
		return Settings{Firm: firm}, nil
	}
	s.SMSCountries = strings.Fields(countries)
	return s, err
}

// Put writes the settings of a firm under the revision after the one they have. It answers false when that one is not the
// one in the database any more.
func Put(tx *sqldb.Tx, s Settings) (bool, error) {
	countries := strings.Join(s.SMSCountries, " ")
	n, err := tx.Exec(`INSERT INTO message_settings (firm, sms_sender, sms_per_day, sms_countries, mail_sender_name, mail_reply_to,
		mail_signature, revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $8 + 1)
		ON CONFLICT (firm) DO UPDATE SET sms_sender = $2, sms_per_day = $3, sms_countries = $4, mail_sender_name = $5,
		mail_reply_to = $6, mail_signature = $7, revision = $8 + 1 WHERE message_settings.revision = $8`,
		s.Firm, s.SMSSender, s.SMSPerDay, countries, s.MailSenderName, s.MailReplyTo, s.MailSignature, s.Revision)
	return n == 1, err
}
