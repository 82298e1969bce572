package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

const (
	// keepEnded is how long what is over stays for questions of the day; the ledger remembers for good.
	keepEnded = 24 * time.Hour
	// keepAttempts is after how long without another wrong password an origin starts anew.
	keepAttempts = 24 * time.Hour
	// keepInvitations is how long an expired invitation can still renew itself.
	keepInvitations = 30 * 24 * time.Hour
)

// Sweep deletes what is over for long: sessions, challenges, consents, attempts, invitations, sent e-mails, keys.
func Sweep(tx *sqldb.Tx, now time.Time) error {
	old := micros(now.Add(-keepEnded))
	for _, s := range []struct {
		query string
		arg   int64
	}{
		{`DELETE FROM consents WHERE expires_at < $1`, old},
		{`DELETE FROM sessions WHERE expires_at < $1
			AND NOT EXISTS (SELECT 1 FROM consents c WHERE c.session = sessions.id)`, old},
		{`DELETE FROM challenges WHERE expires_at < $1`, old},
		{`DELETE FROM attempts WHERE failed_at < $1 AND trusted_until < $1`, micros(now.Add(-keepAttempts))},
		{`DELETE FROM invitations WHERE expires_at < $1`, micros(now.Add(-keepInvitations))},
		{`DELETE FROM deliveries WHERE finished_at <> 0 AND finished_at < $1`, micros(now.Add(-keepInvitations))},
	} {
		if _, err := tx.Exec(s.query, s.arg); err != nil {
			return err
		}
	}
	return DropSigningKeys(tx, now)
}
