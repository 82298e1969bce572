package factors

import (
	"encoding/hex"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
)

// Enrolment is a factor that is being enrolled.
type Enrolment struct {
	// ID is made by EnrolmentID from what its holder knows.
	ID            string
	Account, Firm string
	// Session is the one that began it, and the only one that may finish it.
	Session string
	Kind    account.Factor
	// Approval is true when it uses up the approval of an administrator.
	Approval bool
	// Sealed is the secret of a program, under VaultKey; empty for other kinds.
	Sealed   []byte
	VaultKey string
	// Mobile and PINMAC are those of a change of mobile.
	Mobile   string
	PINMAC   []byte
	Failures int
	Created  time.Time
	Expires  time.Time
	// Closed is when it was finished, failed too often or was replaced; zero while it waits.
	Closed time.Time
}

// EnrolmentID is what an enrolment is stored under, of the hash of what its holder knows.
func EnrolmentID(hash []byte) string { return hex.EncodeToString(hash) }

// InsertEnrolment adds an enrolment; those of the same kind that wait are given up.
func InsertEnrolment(tx *sqldb.Tx, e Enrolment) error {
	if _, err := tx.Exec(`UPDATE enrolments SET closed_at = $3 WHERE account = $1 AND kind = $2 AND closed_at = 0`,
		e.Account, e.Kind, micros(e.Created)); err != nil {
		return err
	}
	if e.Sealed == nil {
		e.Sealed = []byte{}
	}
	_, err := tx.Exec(`INSERT INTO enrolments (id, account, firm, session, kind, approval, sealed, vault_key, mobile, pin_mac,
		failures, created_at, expires_at, closed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		e.ID, e.Account, e.Firm, e.Session, e.Kind, sqldb.Flag(e.Approval), e.Sealed, e.VaultKey, e.Mobile, e.PINMAC, e.Failures,
		micros(e.Created), micros(e.Expires), micros(e.Closed))
	return err
}

// EnrolmentBy returns an enrolment, or ErrNotFound.
func EnrolmentBy(tx *sqldb.Tx, id string) (Enrolment, error) {
	return one(tx, func(r *sqldb.Rows) (e Enrolment, err error) {
		return e, r.Scan(&e.ID, &e.Account, &e.Firm, &e.Session, &e.Kind, &e.Approval, &e.Sealed, &e.VaultKey, &e.Mobile,
			&e.PINMAC, &e.Failures, when{&e.Created}, when{&e.Expires}, when{&e.Closed})
	}, `SELECT id, account, firm, session, kind, approval, sealed, vault_key, mobile, pin_mac, failures, created_at, expires_at,
		closed_at FROM enrolments WHERE id = $1`, id)
}

// UpdateEnrolment writes how often it failed and when it was closed. It answers false when it was closed before.
func UpdateEnrolment(tx *sqldb.Tx, e Enrolment) (bool, error) {
	return changedOne(tx.Exec(`UPDATE enrolments SET failures = $2, closed_at = $3 WHERE id = $1 AND closed_at = 0`,
		e.ID, e.Failures, micros(e.Closed)))
}

// CloseEnrolments gives up all that an account has under way.
func CloseEnrolments(tx *sqldb.Tx, account string, now time.Time) error {
	_, err := tx.Exec(`UPDATE enrolments SET closed_at = $2 WHERE account = $1 AND closed_at = 0`, account, micros(now))
	return err
}

// Approve lets an account enrol once until a time, by the word of an approver. It replaces what was approved before.
func Approve(tx *sqldb.Tx, account, approver string, now, until time.Time) error {
	_, err := tx.Exec(`INSERT INTO enrolment_approvals (account, approver, created_at, expires_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account) DO UPDATE SET approver = excluded.approver, created_at = excluded.created_at,
		expires_at = excluded.expires_at`, account, approver, micros(now), micros(until))
	return err
}

// Approved tells whether an account may enrol by an approval.
func Approved(tx *sqldb.Tx, account string, now time.Time) (ok bool, err error) {
	var n int
	err = tx.QueryRow(`SELECT count(*) FROM enrolment_approvals WHERE account = $1 AND expires_at > $2`, account, micros(now)).Scan(&n)
	return n > 0, err
}

// UseApproval uses an approval up. It answers false when there is none.
func UseApproval(tx *sqldb.Tx, account string, now time.Time) (bool, error) {
	return changedOne(tx.Exec(`DELETE FROM enrolment_approvals WHERE account = $1 AND expires_at > $2`, account, micros(now)))
}

// Ask notes that an account asks for an approval. It answers false when it has asked since a time.
func Ask(tx *sqldb.Tx, account string, now, since time.Time) (bool, error) {
	return changedOne(tx.Exec(`INSERT INTO enrolment_asks (account, asked_at) VALUES ($1, $2)
		ON CONFLICT (account) DO UPDATE SET asked_at = excluded.asked_at WHERE enrolment_asks.asked_at <= $3`,
		account, micros(now), micros(since)))
}
