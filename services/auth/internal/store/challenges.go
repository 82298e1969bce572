package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/factor"
)

// Challenge waits for a PIN.
type Challenge struct {
	// Hash is the SHA-256 of the id its holder knows.
	Hash    []byte
	Account string
	// Session is the session that steps up; empty for a sign-in.
	Session  string
	Channel  factor.Channel
	SMSMAC   []byte
	EmailMAC []byte
	Created  time.Time
	Expires  time.Time
	Resend   time.Time
	Sends    int
	Failures int
	// Closed is when it was used, failed too often or was given up; zero when it waits.
	Closed  time.Time
	Address string
}

const challengeColumns = `id_hash, account, session, channel, sms_mac, email_mac, created_at, expires_at, resend_at,
	sends, failures, closed_at, address`

// InsertChallenge adds a challenge.
func InsertChallenge(tx *sqldb.Tx, c Challenge) error {
	_, err := tx.Exec(`INSERT INTO challenges (`+challengeColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`, c.Hash, c.Account, c.Session, c.Channel,
		c.SMSMAC, c.EmailMAC, micros(c.Created), micros(c.Expires), micros(c.Resend), c.Sends, c.Failures,
		micros(c.Closed), c.Address)
	return err
}

// ChallengeBy returns the challenge of an id, or ErrNotFound.
func ChallengeBy(tx *sqldb.Tx, hash []byte) (Challenge, error) {
	return one(tx, func(r *sqldb.Rows) (c Challenge, err error) {
		return c, r.Scan(&c.Hash, &c.Account, &c.Session, &c.Channel, &c.SMSMAC, &c.EmailMAC, when{&c.Created},
			when{&c.Expires}, when{&c.Resend}, &c.Sends, &c.Failures, when{&c.Closed}, &c.Address)
	}, `SELECT `+challengeColumns+` FROM challenges WHERE id_hash = $1`, hash)
}

// UpdateChallenge writes what changes about an open challenge. It answers false when it was closed meanwhile.
func UpdateChallenge(tx *sqldb.Tx, c Challenge) (bool, error) {
	return changedOne(tx.Exec(`UPDATE challenges SET channel = $2, sms_mac = $3, email_mac = $4, resend_at = $5, sends = $6,
		failures = $7, closed_at = $8 WHERE id_hash = $1 AND closed_at = 0`, c.Hash, c.Channel, c.SMSMAC, c.EmailMAC,
		micros(c.Resend), c.Sends, c.Failures, micros(c.Closed)))
}

// CloseChallenges gives up all open challenges of an account.
func CloseChallenges(tx *sqldb.Tx, account string, now time.Time) error {
	_, err := tx.Exec(`UPDATE challenges SET closed_at = $2 WHERE account = $1 AND closed_at = 0`, account, micros(now))
	return err
}
