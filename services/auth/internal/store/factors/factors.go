// Package factors is the SQL of second factors that are enrolled: authenticator programs, recovery codes, enrolments that
// are under way and the approvals they may need.
//
// Every function works inside the caller's transaction and decides nothing. Times are UTC microseconds, 0 for "never".
// Errors are those of package sqldb. What is sealed and what is hashed is so before it comes here.
package factors

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// keepOver is how long an enrolment that is over stays for questions of the day.
const keepOver = 24 * time.Hour

// Sweep deletes what is over for long: enrolments, approvals, recovery codes that were handed out.
func Sweep(tx *sqldb.Tx, now time.Time) error {
	old := sqldb.Micros(now.Add(-keepOver))
	for _, query := range []string{
		`DELETE FROM enrolments WHERE expires_at < $1`,
		`DELETE FROM enrolment_approvals WHERE expires_at < $1`,
		`DELETE FROM enrolment_asks WHERE asked_at < $1`,
		`DELETE FROM recovery_codes WHERE issued = 1 AND expires_at < $1`,
	} {
		if _, err := tx.Exec(query, old); err != nil {
			return err
		}
	}
	return nil
}

// Forget deletes everything that an account has enrolled, and what is under way.
func Forget(tx *sqldb.Tx, account string) error {
	for _, query := range []string{
		`DELETE FROM totps WHERE account = $1`,
		`DELETE FROM totp_steps WHERE account = $1`,
		`DELETE FROM recovery_codes WHERE account = $1`,
		`DELETE FROM recovery_keys WHERE account = $1`,
		`DELETE FROM enrolments WHERE account = $1`,
		`DELETE FROM enrolment_approvals WHERE account = $1`,
		`DELETE FROM enrolment_asks WHERE account = $1`,
	} {
		if _, err := tx.Exec(query, account); err != nil {
			return err
		}
	}
	return nil
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return sqldb.Micros(t)
}

// when scans a stored time.
type when struct{ t *time.Time }

// Scan implements sql.Scanner.
func (w when) Scan(src any) error {
	us, _ := src.(int64) // the columns are NOT NULL integers on both engines
	*w.t = time.Time{}
	if us != 0 {
		*w.t = sqldb.FromMicros(us)
	}
	return nil
}

func changedOne(n int64, err error) (bool, error) { return n == 1, err }

// one returns the first row of a query, or ErrNotFound.
func one[T any](tx *sqldb.Tx, scan func(*sqldb.Rows) (T, error), query string, args ...any) (zero T, err error) {
	all, err := sqldb.Collect(tx, scan, query, args...)
	if err != nil {
		return zero, err
	}
	if len(all) == 0 {
		return zero, sqldb.ErrNotFound
	}
	return all[0], nil
}
