package people

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// ResetTopic wakes whoever looks into reset requests, by sqldb's Notify.
const ResetTopic = "auth.reset"

// ResetRequest is somebody's wish for a new password, before anybody looked whose address it is.
type ResetRequest struct {
	// ID is a UUID.
	ID string
	// Email is in the form of account.NormalizeEmail; Firm narrows to one firm's account, empty for all.
	Email, Firm string
	Created     time.Time
}

// InsertResetRequest puts a request in the queue.
func InsertResetRequest(tx *sqldb.Tx, r ResetRequest) error {
	_, err := tx.Exec(`INSERT INTO reset_requests (id, email, firm, created_at) VALUES ($1, $2, $3, $4)`,
		r.ID, r.Email, r.Firm, sqldb.Micros(r.Created))
	tx.Notify(ResetTopic)
	return err
}

// ResetRequestsWaiting counts the queue, up to a limit.
func ResetRequestsWaiting(tx *sqldb.Tx, limit int) (n int, err error) {
	err = tx.QueryRow(`SELECT count(*) FROM (SELECT 1 AS one FROM reset_requests LIMIT $1) AS waiting`, limit).Scan(&n)
	return n, err
}

// TakeResetRequests takes the oldest requests out of the queue.
func TakeResetRequests(tx *sqldb.Tx, limit int) ([]ResetRequest, error) {
	all, err := sqldb.Collect(tx, func(r *sqldb.Rows) (q ResetRequest, err error) {
		var created int64
		err = r.Scan(&q.ID, &q.Email, &q.Firm, &created)
		q.Created = sqldb.FromMicros(created)
		return q, err
	}, `SELECT id, email, firm, created_at FROM reset_requests ORDER BY created_at, id LIMIT $1`+tx.Dialect().SkipLocked(), limit)
	if err != nil {
		return nil, err
	}
	for _, q := range all {
		if _, err := tx.Exec(`DELETE FROM reset_requests WHERE id = $1`, q.ID); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Reset is the right to choose a new password, once.
type Reset struct {
	Account string
	Created time.Time
	Expires time.Time
	// Closed is when it was used or voided; zero while it may be used.
	Closed time.Time
}

// InsertReset adds one under the hash of its code. Those sent before stay good: else a stranger could void them by asking
// for more.
func InsertReset(tx *sqldb.Tx, hash []byte, r Reset) error {
	_, err := tx.Exec(`INSERT INTO resets (code_hash, account, created_at, expires_at) VALUES ($1, $2, $3, $4)`,
		hash, r.Account, sqldb.Micros(r.Created), sqldb.Micros(r.Expires))
	return err
}

// ResetBy returns the reset of a code, or ErrNotFound.
func ResetBy(tx *sqldb.Tx, hash []byte) (r Reset, err error) {
	var created, expires, closed int64
	err = tx.QueryRow(`SELECT account, created_at, expires_at, closed_at FROM resets WHERE code_hash = $1`, hash).
		Scan(&r.Account, &created, &expires, &closed)
	r.Created, r.Expires = sqldb.FromMicros(created), sqldb.FromMicros(expires)
	if closed != 0 {
		r.Closed = sqldb.FromMicros(closed)
	}
	return r, err
}

// CloseReset uses a reset up. It answers false when it was closed before.
func CloseReset(tx *sqldb.Tx, hash []byte, now time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE resets SET closed_at = $2 WHERE code_hash = $1 AND closed_at = 0`, hash, sqldb.Micros(now))
	return n == 1, err
}

// CloseResets voids the codes that an account was sent.
func CloseResets(tx *sqldb.Tx, account string, now time.Time) error {
	_, err := tx.Exec(`UPDATE resets SET closed_at = $2 WHERE account = $1 AND closed_at = 0`, account, sqldb.Micros(now))
	return err
}

// OtherSessions returns the sessions of an account that are not over, but for one.
func OtherSessions(tx *sqldb.Tx, account, except string, now time.Time) ([]string, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (id string, err error) { return id, r.Scan(&id) },
		`SELECT id FROM sessions WHERE account = $1 AND id <> $2 AND ended_at = 0 AND expires_at > $3`,
		account, except, sqldb.Micros(now))
}
