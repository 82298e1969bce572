package store

import (
	"errors"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// TopicChecks is notified when there are contacts whose logins are to be asked about.
const TopicChecks = "sync.checks"

// LoginCheck is a number of contacts that a sync left without a client: auth is to be asked which of them have a login.
type LoginCheck struct {
	// ID is also the name of the fence at auth.
	ID, Firm string
	Contacts []string
	// Settled: it is known what becomes of them; the fence is still to be lifted.
	Settled  bool
	Attempts int64
	Epoch    int64
}

// AddLoginCheck writes down that auth is to be asked about contacts.
func AddLoginCheck(tx *sqldb.Tx, firm string, contacts []string, now time.Time) error {
	if len(contacts) == 0 {
		return nil
	}
	id := NewID()
	if _, err := tx.Exec(`INSERT INTO login_checks (id, firm, next_at, created_at) VALUES ($1, $2, $3, $3)`, id, firm, micros(now)); err != nil {
		return err
	}
	tx.Notify(TopicChecks)
	_, err := tx.CopyIn("login_check_contacts", []string{"login_check", "contact"}, func(yield func([]any) bool) {
		for _, c := range contacts {
			if !yield([]any{id, c}) {
				return
			}
		}
	})
	return err
}

// ClaimLoginCheck takes a check that is due and nobody works on for owner, or returns sqldb.ErrNotFound.
func ClaimLoginCheck(tx *sqldb.Tx, owner string, now time.Time, lease time.Duration) (c LoginCheck, err error) {
	err = tx.QueryRow(`SELECT id FROM login_checks WHERE next_at <= $1 AND lease_until < $1 ORDER BY next_at, id LIMIT 1`+
		tx.Dialect().SkipLocked(), micros(now)).Scan(&c.ID)
	if err != nil {
		return c, err
	}
	err = tx.QueryRow(`UPDATE login_checks SET lease_owner = $2, lease_until = $3, epoch = epoch + 1 WHERE id = $1
		RETURNING firm, settled, attempts, epoch`, c.ID, owner, micros(now.Add(lease))).Scan(&c.Firm, &c.Settled, &c.Attempts, &c.Epoch)
	if err != nil {
		return c, err
	}
	c.Contacts, err = sqldb.Collect(tx, scanString, `SELECT contact FROM login_check_contacts WHERE login_check = $1 ORDER BY contact`, c.ID)
	return c, err
}

// HoldLoginCheck locks a check that was claimed in an epoch and extends its lease, or says ErrLeaseLost.
func HoldLoginCheck(tx *sqldb.Tx, id string, epoch int64, until time.Time) error {
	return held(tx.Exec(`UPDATE login_checks SET lease_until = $3 WHERE id = $1 AND epoch = $2 AND lease_owner <> ''`, id, epoch, micros(until)))
}

func held(n int64, err error) error {
	if err == nil && n != 1 {
		return ErrLeaseLost
	}
	return err
}

// SettleLoginCheck notes that only the fence of a check is still to be lifted.
func SettleLoginCheck(tx *sqldb.Tx, id string) error {
	return one(tx.Exec(`UPDATE login_checks SET settled = TRUE WHERE id = $1`, id))
}

// ReleaseLoginCheck gives a check back, to be taken up again at a time.
func ReleaseLoginCheck(tx *sqldb.Tx, id string, epoch int64, nextAt time.Time, attempts int64) error {
	_, err := tx.Exec(`UPDATE login_checks SET lease_owner = '', lease_until = 0, next_at = $3, attempts = $4 WHERE id = $1 AND epoch = $2`,
		id, epoch, micros(nextAt), attempts)
	if errors.Is(err, sqldb.ErrNotFound) {
		return nil
	}
	return err
}

// EndLoginCheck forgets a check whose fence was lifted, or says ErrLeaseLost.
func EndLoginCheck(tx *sqldb.Tx, id string, epoch int64) error {
	if err := HoldLoginCheck(tx, id, epoch, time.Time{}); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM login_check_contacts WHERE login_check = $1`, id); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM login_checks WHERE id = $1`, id)
	return err
}
