package outbound

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/texts"
)

// Post writes the e-mails that may wait, each in the transaction of what it tells of. Its fields are set once, before use.
type Post struct {
	Texts *texts.Book
	Vault *vault.Vault
	Now   func() time.Time
}

// put queues a rendered e-mail to an address.
func (p *Post) put(tx *sqldb.Tx, firm, to string, m texts.Mail, err error) error {
	if err != nil {
		return err
	}
	return Queue(tx, p.Vault, Message{Firm: firm, Recipient: to, Subject: m.Subject, Text: m.Text}, p.Now())
}

// Invitation sends the code by which an account gets its first password, good for so long.
func (p *Post) Invitation(tx *sqldb.Tx, a account.Account, f account.Firm, code string, life time.Duration) error {
	m, err := p.Texts.Invitation(f.DisplayName, a.DisplayName, code, life)
	return p.put(tx, a.Firm, a.Email, m, err)
}

// PasswordReset sends the code to somebody who forgot the password.
func (p *Post) PasswordReset(tx *sqldb.Tx, a account.Account, f account.Firm, code string, life time.Duration) error {
	m, err := p.Texts.PasswordReset(f.DisplayName, a.DisplayName, code, life)
	return p.put(tx, a.Firm, a.Email, m, err)
}

// StaffReset sends the code to somebody whose password an administrator voided.
func (p *Post) StaffReset(tx *sqldb.Tx, a account.Account, f account.Firm, code string, life time.Duration) error {
	m, err := p.Texts.StaffReset(f.DisplayName, a.DisplayName, code, life)
	return p.put(tx, a.Firm, a.Email, m, err)
}

// AccountChanged tells the holder that a password, an address, a mobile or a factor was changed: what is a sentence such
// as "A passkey was added to your account.", address the network address it came from, "" when unknown. Former are e-mail
// addresses that the account had until then: they are told as well.
func (p *Post) AccountChanged(tx *sqldb.Tx, a account.Account, f account.Firm, what, address string, former ...string) error {
	m, err := p.Texts.AccountChanged(f.DisplayName, a.DisplayName, what, address, p.Now())
	for _, to := range append([]string{a.Email}, former...) {
		if err = p.put(tx, a.Firm, to, m, err); err != nil {
			return err
		}
	}
	return nil
}

// Suspicious tells the holder that somebody else may be trying to sign in; what is a sentence.
func (p *Post) Suspicious(tx *sqldb.Tx, a account.Account, f account.Firm, what, address string) error {
	m, err := p.Texts.Suspicious(f.DisplayName, a.DisplayName, what, address, p.Now())
	return p.put(tx, a.Firm, a.Email, m, err)
}

// Enforced tells somebody that the firm asks for a second factor from now on.
func (p *Post) Enforced(tx *sqldb.Tx, a account.Account, f account.Firm) error {
	m, err := p.Texts.Enforced(f.DisplayName, a.DisplayName)
	return p.put(tx, a.Firm, a.Email, m, err)
}

// EnrolmentAsked asks an administrator to approve that somebody sets up a stronger factor.
func (p *Post) EnrolmentAsked(tx *sqldb.Tx, administrator account.Account, f account.Firm, who account.Account) error {
	m, err := p.Texts.EnrolmentAsked(f.DisplayName, administrator.DisplayName, who.DisplayName)
	return p.put(tx, administrator.Firm, administrator.Email, m, err)
}

// EnrolmentApproved tells somebody that they may set up a stronger factor; by is the name of whoever allowed it.
func (p *Post) EnrolmentApproved(tx *sqldb.Tx, a account.Account, f account.Firm, by string) error {
	m, err := p.Texts.EnrolmentApproved(f.DisplayName, a.DisplayName, by)
	return p.put(tx, a.Firm, a.Email, m, err)
}
