// Package people is the SQL behind passwords that were forgotten and behind the bounds on trying: resets, mailboxes that
// count no more, counters, peppers. It keeps to the rules of package store.
package people

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// SpendMailbox notes that the password of an account came by its mailbox. From now on the mailbox is no second factor of
// it: who reads it would have both.
func SpendMailbox(tx *sqldb.Tx, account string, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO spent_mailboxes (account, spent_at) VALUES ($1, $2)
		ON CONFLICT (account) DO UPDATE SET spent_at = excluded.spent_at`, account, sqldb.Micros(now))
	return err
}

// MailboxSpent tells whether a PIN by e-mail is no way to sign in to an account.
func MailboxSpent(tx *sqldb.Tx, account string) (bool, error) {
	var n int
	err := tx.QueryRow(`SELECT count(*) FROM spent_mailboxes WHERE account = $1`, account).Scan(&n)
	return n > 0, err
}

// RestoreMailbox lets the mailbox count again, after a sign-in that showed a second factor other than the mailbox. The
// password alone is no such thing: it came by the mailbox.
func RestoreMailbox(tx *sqldb.Tx, account string) error {
	_, err := tx.Exec(`DELETE FROM spent_mailboxes WHERE account = $1`, account)
	return err
}

// RestoreOperators lets the mailboxes of operators count again: nobody stands above them who could hand out a recovery code.
func RestoreOperators(tx *sqldb.Tx) error {
	_, err := tx.Exec(`DELETE FROM spent_mailboxes WHERE account IN (SELECT id FROM accounts WHERE kind = 'OPERATOR')`)
	return err
}

// Mailboxes answers what signing in asks about mailboxes.
type Mailboxes struct{}

// Spent is MailboxSpent.
func (Mailboxes) Spent(tx *sqldb.Tx, account string) (bool, error) { return MailboxSpent(tx, account) }

// Restore is RestoreMailbox.
func (Mailboxes) Restore(tx *sqldb.Tx, account string) error { return RestoreMailbox(tx, account) }
