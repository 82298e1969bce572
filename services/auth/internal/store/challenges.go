package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/factor"
)

// Challenge waits for a second factor.
type Challenge struct {
	// Hash is the SHA-256 of the id its holder knows.
	Hash []byte
	// Account is empty for one that a passkey alone answers: the answer says whose it is.
	Account string
	// Session is the session that steps up; empty for a sign-in.
	Session string
	// Factors are the kinds that may be shown for it.
	Factors factor.Kinds
	// Alone is true when no password was shown for it: a passkey that verifies its user answers it.
	Alone bool
	// Channel is the way of its PINs; empty when there are none.
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

const challengeColumns = `id_hash, COALESCE(account, ''), session, factors, alone, channel, sms_mac, email_mac, created_at,
	expires_at, resend_at, sends, failures, closed_at, address`

// InsertChallenge adds a challenge.
func InsertChallenge(tx *sqldb.Tx, c Challenge) error {
	_, err := tx.Exec(`INSERT INTO challenges (id_hash, account, session, factors, alone, channel, sms_mac, email_mac,
		created_at, expires_at, resend_at, sends, failures, closed_at, address)
		VALUES ($1, NULLIF($2, ''), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`, c.Hash, c.Account, c.Session,
		c.Factors.String(), sqldb.Flag(c.Alone), c.Channel, c.SMSMAC, c.EmailMAC, micros(c.Created), micros(c.Expires),
		micros(c.Resend), c.Sends, c.Failures, micros(c.Closed), c.Address)
	return err
}

// ChallengeBy returns the challenge of an id, or ErrNotFound.
func ChallengeBy(tx *sqldb.Tx, hash []byte) (Challenge, error) {
	return one(tx, func(r *sqldb.Rows) (c Challenge, err error) {
		var factors string
		err = r.Scan(&c.Hash, &c.Account, &c.Session, &factors, &c.Alone, &c.Channel, &c.SMSMAC, &c.EmailMAC, when{&c.Created},
			when{&c.Expires}, when{&c.Resend}, &c.Sends, &c.Failures, when{&c.Closed}, &c.Address)
		if c.Factors = factor.ParseKinds(factors); len(c.Factors) == 0 {
			c.Factors = c.Channel.Kinds()
		}
		return c, err
	}, `SELECT `+challengeColumns+` FROM challenges WHERE id_hash = $1`, hash)
}

// UpdateChallenge writes what changes about an open challenge. It answers false when it was closed meanwhile.
func UpdateChallenge(tx *sqldb.Tx, c Challenge) (bool, error) {
	return changedOne(tx.Exec(`UPDATE challenges SET factors = $2, channel = $3, sms_mac = $4, email_mac = $5, resend_at = $6,
		sends = $7, failures = $8, closed_at = $9 WHERE id_hash = $1 AND closed_at = 0`, c.Hash, c.Factors.String(), c.Channel,
		c.SMSMAC, c.EmailMAC, micros(c.Resend), c.Sends, c.Failures, micros(c.Closed)))
}

// CloseChallenges gives up all open challenges of an account.
func CloseChallenges(tx *sqldb.Tx, account string, now time.Time) error {
	_, err := tx.Exec(`UPDATE challenges SET closed_at = $2 WHERE account = $1 AND closed_at = 0`, account, micros(now))
	return err
}
