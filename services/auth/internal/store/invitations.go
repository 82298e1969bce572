package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// Invitation lets an account set its first password, once.
type Invitation struct {
	Account string
	Created time.Time
	Expires time.Time
	// Closed is when it was used or replaced; zero when it may be used.
	Closed time.Time
	// AcceptedBy is the request_id of the request that used it; empty when it had none, or none is answered again.
	AcceptedBy string
}

// InsertInvitation adds an invitation and closes the open ones of the same account.
func InsertInvitation(tx *sqldb.Tx, hash []byte, i Invitation) error {
	if err := CloseInvitations(tx, i.Account, i.Created); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO invitations (code_hash, account, created_at, expires_at) VALUES ($1, $2, $3, $4)`,
		hash, i.Account, micros(i.Created), micros(i.Expires))
	return err
}

// InvitationBy returns the invitation of a code, or ErrNotFound.
func InvitationBy(tx *sqldb.Tx, hash []byte) (Invitation, error) {
	return one(tx, func(r *sqldb.Rows) (i Invitation, err error) {
		return i, r.Scan(&i.Account, when{&i.Created}, when{&i.Expires}, when{&i.Closed}, &i.AcceptedBy)
	}, `SELECT account, created_at, expires_at, closed_at, accepted_by FROM invitations WHERE code_hash = $1`, hash)
}

// CloseInvitation uses an invitation up, by the request of an id ("" when it has none). It answers false when it was
// closed before.
func CloseInvitation(tx *sqldb.Tx, hash []byte, requestID string, now time.Time) (bool, error) {
	return changedOne(tx.Exec(`UPDATE invitations SET closed_at = $2, accepted_by = $3 WHERE code_hash = $1 AND closed_at = 0`,
		hash, micros(now), requestID))
}

// ForgetAcceptance forgets which request used an invitation up.
func ForgetAcceptance(tx *sqldb.Tx, hash []byte) error {
	_, err := tx.Exec(`UPDATE invitations SET accepted_by = '' WHERE code_hash = $1`, hash)
	return err
}

// CloseInvitations closes all open invitations of an account.
func CloseInvitations(tx *sqldb.Tx, account string, now time.Time) error {
	_, err := tx.Exec(`UPDATE invitations SET closed_at = $2 WHERE account = $1 AND closed_at = 0`, account, micros(now))
	return err
}

// OfferSetup replaces the setup code of an installation that nobody has claimed, or whose operator has never signed in:
// whoever mistyped their address would otherwise be shut out for good. It answers false when it has its operator.
func OfferSetup(tx *sqldb.Tx, hash []byte, now time.Time) (bool, error) {
	return changedOne(tx.Exec(`INSERT INTO installation (one, code_hash, created_at) VALUES (1, $1, $2)
		ON CONFLICT (one) DO UPDATE SET code_hash = excluded.code_hash, created_at = excluded.created_at, claimed_at = 0
		WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE kind = 'OPERATOR' AND last_sign_in_at <> 0)`, hash, micros(now)))
}

// Installation says whether the installation is claimed, and returns the hash of the setup code; ErrNotFound before the
// first start.
func Installation(tx *sqldb.Tx) (hash []byte, claimed bool, err error) {
	var at int64
	err = tx.QueryRow(`SELECT code_hash, claimed_at FROM installation WHERE one = 1`).Scan(&hash, &at)
	return hash, at != 0, err
}

// ClaimInstallation uses the setup code up. It answers false when the code is another one or was used.
func ClaimInstallation(tx *sqldb.Tx, hash []byte, now time.Time) (bool, error) {
	return changedOne(tx.Exec(`UPDATE installation SET claimed_at = $2 WHERE one = 1 AND claimed_at = 0 AND code_hash = $1`,
		hash, micros(now)))
}

// DropIdleOperators deletes the operators that have never signed in, when somebody claims the installation anew.
func DropIdleOperators(tx *sqldb.Tx) error {
	const idle = `kind = 'OPERATOR' AND last_sign_in_at = 0`
	if _, err := tx.Exec(`DELETE FROM challenges WHERE account IN (SELECT id FROM accounts WHERE ` + idle + `)`); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM accounts WHERE ` + idle)
	return err
}
