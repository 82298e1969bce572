package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
)

// accountColumns leaves out sms_window and sms_sent: what they counted is in text_messages, and a release before that may run
// beside this one.
const accountColumns = `id, firm, kind, role, contact, email, display_name, mobile, mobile_validated_at, state, password,
	created_at, last_sign_in_at, revision, pin_failures, pin_blocked_until, pin_disabled_at`

func scanAccount(r *sqldb.Rows) (account.Account, error) {
	var a account.Account
	err := r.Scan(&a.ID, &a.Firm, &a.Kind, &a.Role, &a.Contact, &a.Email, &a.DisplayName, &a.Mobile,
		when{&a.MobileValidated}, &a.State, &a.Password, when{&a.Created}, when{&a.LastSignIn}, &a.Revision,
		&a.PIN.Failures, when{&a.PIN.BlockedUntil}, when{&a.PIN.Disabled})
	return a, err
}

// InsertAccount adds an account. It answers false when the firm has one with this address or for this contact.
func InsertAccount(tx *sqldb.Tx, a account.Account) (bool, error) {
	return changedOne(tx.Exec(`INSERT INTO accounts (`+accountColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT DO NOTHING`,
		a.ID, a.Firm, a.Kind, a.Role, a.Contact, a.Email, a.DisplayName, a.Mobile, micros(a.MobileValidated), a.State,
		a.Password, micros(a.Created), micros(a.LastSignIn), a.Revision, a.PIN.Failures, micros(a.PIN.BlockedUntil),
		micros(a.PIN.Disabled)))
}

// UpdateAccount writes everything about an account but its id, firm, kind, contact and address.
func UpdateAccount(tx *sqldb.Tx, a account.Account) error {
	_, err := tx.Exec(`UPDATE accounts SET role = $3, display_name = $4, mobile = $5, mobile_validated_at = $6, state = $7,
		password = $8, last_sign_in_at = $9, revision = $10, pin_failures = $11, pin_blocked_until = $12,
		pin_disabled_at = $13 WHERE id = $1 AND firm = $2`,
		a.ID, a.Firm, a.Role, a.DisplayName, a.Mobile, micros(a.MobileValidated), a.State, a.Password, micros(a.LastSignIn),
		a.Revision, a.PIN.Failures, micros(a.PIN.BlockedUntil), micros(a.PIN.Disabled))
	return err
}

// Account returns an account of a firm ("" for the operator), or ErrNotFound.
func Account(tx *sqldb.Tx, firm, id string) (account.Account, error) {
	return one(tx, scanAccount, `SELECT `+accountColumns+` FROM accounts WHERE id = $2 AND firm = $1`, firm, id)
}

// AnyAccount returns an account by its id alone: for what only its holder can know, a challenge or an invitation.
func AnyAccount(tx *sqldb.Tx, id string) (account.Account, error) {
	return one(tx, scanAccount, `SELECT `+accountColumns+` FROM accounts WHERE id = $1`, id)
}

// AccountByEmail returns the account of an address in a firm, or ErrNotFound.
func AccountByEmail(tx *sqldb.Tx, firm, email string) (account.Account, error) {
	return one(tx, scanAccount, `SELECT `+accountColumns+` FROM accounts WHERE firm = $1 AND email = $2`, firm, email)
}

// AccountOfContact returns the login of a contact, or ErrNotFound.
func AccountOfContact(tx *sqldb.Tx, firm, contact string) (account.Account, error) {
	return one(tx, scanAccount, `SELECT `+accountColumns+` FROM accounts WHERE firm = $1 AND contact = $2`, firm, contact)
}

// maxAccounts bounds how many accounts one address signs in to without naming the firm. They share one hash, so the
// number costs memory, not time.
const maxAccounts = 100

// AccountsByEmail returns the active accounts of an address in all firms, in the order they were made.
func AccountsByEmail(tx *sqldb.Tx, email string) ([]account.Account, error) {
	return sqldb.Collect(tx, scanAccount, `SELECT `+accountColumns+` FROM accounts
		WHERE email = $1 AND state = 'ACTIVE' ORDER BY created_at, id LIMIT $2`, email, maxAccounts)
}

// NameCursor is the last row of a page of accounts.
type NameCursor struct{ Name, ID string }

// ListStaff returns the staff of a firm by name, after the cursor.
func ListStaff(tx *sqldb.Tx, firm string, after NameCursor, limit int) ([]account.Account, error) {
	return sqldb.Collect(tx, scanAccount, `SELECT `+accountColumns+` FROM accounts WHERE firm = $1 AND kind = 'STAFF'
		AND (display_name, id) > ($2, $3) ORDER BY display_name, id LIMIT $4`, firm, after.Name, after.ID, limit)
}

// ListContactLogins returns the contact logins of a firm by address, after the cursor.
func ListContactLogins(tx *sqldb.Tx, firm string, after NameCursor, limit int) ([]account.Account, error) {
	return sqldb.Collect(tx, scanAccount, `SELECT `+accountColumns+` FROM accounts WHERE firm = $1 AND kind = 'CONTACT'
		AND (email, id) > ($2, $3) ORDER BY email, id LIMIT $4`, firm, after.Name, after.ID, limit)
}

// OtherAdministrators counts the active administrators of a firm other than one account.
func OtherAdministrators(tx *sqldb.Tx, firm, id string) (n int, err error) {
	err = tx.QueryRow(`SELECT count(*) FROM accounts WHERE firm = $1 AND id <> $2
		AND kind = 'STAFF' AND role = 'ADMINISTRATOR' AND state = 'ACTIVE'`, firm, id).Scan(&n)
	return n, err
}

// maxApprovers bounds how many are written to about one request.
const maxApprovers = 20

// Approvers returns who may vouch for an account: the other active administrators of the firm or, when there is none, the
// other operators.
func Approvers(tx *sqldb.Tx, firm, id string) ([]account.Account, error) {
	out, err := sqldb.Collect(tx, scanAccount, `SELECT `+accountColumns+` FROM accounts WHERE firm = $1 AND id <> $2
		AND role = 'ADMINISTRATOR' AND state = 'ACTIVE' ORDER BY id LIMIT $3`, firm, id, maxApprovers)
	if err != nil || len(out) > 0 {
		return out, err
	}
	return sqldb.Collect(tx, scanAccount, `SELECT `+accountColumns+` FROM accounts WHERE firm = '' AND id <> $1
		AND kind = 'OPERATOR' AND state = 'ACTIVE' ORDER BY id LIMIT $2`, id, maxApprovers)
}

// Operators returns the operators who can sign in, up to a number that no installation has.
func Operators(tx *sqldb.Tx) ([]account.Account, error) {
	const most = 100
	return sqldb.Collect(tx, scanAccount, `SELECT `+accountColumns+` FROM accounts WHERE firm = '' AND kind = 'OPERATOR'
		AND state = 'ACTIVE' ORDER BY id LIMIT $1`, most)
}

// ReinstateOperators lets operators use PINs again, and answers how many could not.
func ReinstateOperators(tx *sqldb.Tx) (int64, error) {
	return tx.Exec(`UPDATE accounts SET pin_disabled_at = 0, pin_failures = 0, pin_blocked_until = 0
		WHERE kind = 'OPERATOR' AND pin_disabled_at <> 0`)
}

// Salt returns the salt of an address, and keeps the one offered when it has none.
func Salt(tx *sqldb.Tx, email string, offered []byte) (salt []byte, err error) {
	if _, err := tx.Exec(`INSERT INTO addresses (email, salt) VALUES ($1, $2) ON CONFLICT (email) DO NOTHING`,
		email, offered); err != nil {
		return nil, err
	}
	err = tx.QueryRow(`SELECT salt FROM addresses WHERE email = $1`, email).Scan(&salt)
	return salt, err
}

// SaltOf returns the salt of an address that has one, or ErrNotFound.
func SaltOf(tx *sqldb.Tx, email string) (salt []byte, err error) {
	err = tx.QueryRow(`SELECT salt FROM addresses WHERE email = $1`, email).Scan(&salt)
	return salt, err
}

// Attempts is what is remembered of wrong passwords for one subject.
type Attempts struct {
	Failures     int
	Failed       time.Time
	BlockedUntil time.Time
	// TrustedUntil is until when the origin counts as one the person signs in from.
	TrustedUntil time.Time
}

// AttemptsOf returns what is remembered, the zero value when nothing is.
func AttemptsOf(tx *sqldb.Tx, subject []byte) (Attempts, error) {
	all, err := sqldb.Collect(tx, func(r *sqldb.Rows) (a Attempts, err error) {
		return a, r.Scan(&a.Failures, when{&a.Failed}, when{&a.BlockedUntil}, when{&a.TrustedUntil})
	}, `SELECT failures, failed_at, blocked_until, trusted_until FROM attempts WHERE subject = $1`, subject)
	return first(all), err
}

// PutAttempts remembers.
func PutAttempts(tx *sqldb.Tx, subject []byte, a Attempts) error {
	_, err := tx.Exec(`INSERT INTO attempts (subject, failures, failed_at, blocked_until, trusted_until)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT (subject) DO UPDATE SET failures = excluded.failures,
		failed_at = excluded.failed_at, blocked_until = excluded.blocked_until, trusted_until = excluded.trusted_until`,
		subject, a.Failures, micros(a.Failed), micros(a.BlockedUntil), micros(a.TrustedUntil))
	return err
}
