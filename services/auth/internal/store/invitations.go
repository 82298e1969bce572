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
