package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// SetupLife is for how long a setup code counts: over a weekend, and not for as long as logs are kept. A start makes a new one.
const SetupLife = 72 * time.Hour

// vacant is true while no operator has ever signed in: until then whoever mistyped their address may start again, who would
// otherwise be shut out for good.
const vacant = `NOT EXISTS (SELECT 1 FROM accounts WHERE kind = 'OPERATOR' AND last_sign_in_at <> 0)`

// OfferSetup adds a setup code to an installation that nobody has claimed, or whose operator has never signed in: each replica
// prints one of its own, and all count. Those of before a claim do not come back. It answers false when the installation has
// its operator.
func OfferSetup(tx *sqldb.Tx, hash []byte, now time.Time) (bool, error) {
	_, err := tx.Exec(`DELETE FROM setup_codes WHERE expires_at <= $1
		OR EXISTS (SELECT 1 FROM installation WHERE claimed_at <> 0)`, micros(now))
	if err != nil {
		return false, err
	}
	// The release before knows the code of this row alone.
	offered, err := changedOne(tx.Exec(`INSERT INTO installation (one, code_hash, created_at) VALUES (1, $1, $2)
		ON CONFLICT (one) DO UPDATE SET code_hash = excluded.code_hash, created_at = excluded.created_at, claimed_at = 0
		WHERE `+vacant, hash, micros(now)))
	if err != nil || !offered {
		return false, err
	}
	_, err = tx.Exec(`INSERT INTO setup_codes (code_hash, expires_at) VALUES ($1, $2)`, hash, micros(now.Add(SetupLife)))
	return err == nil, err
}

// claimable is a row of the installation that the code with the hash $1 claims at $2; $3 is SetupLife before that. A code
// that the release before printed stands in the row itself.
const claimable = `claimed_at = 0 AND ` + vacant + ` AND ((code_hash = $1 AND created_at > $3)
	OR EXISTS (SELECT 1 FROM setup_codes s WHERE s.code_hash = $1 AND s.expires_at > $2))`

// MayClaim tells whether a setup code counts.
func MayClaim(tx *sqldb.Tx, hash []byte, now time.Time) (bool, error) {
	var n int
	err := tx.QueryRow(`SELECT count(*) FROM installation WHERE `+claimable, hash, micros(now), micros(now.Add(-SetupLife))).Scan(&n)
	return n == 1, err
}

// ClaimInstallation uses a setup code up, and with it all others. It answers false when the code does not count.
func ClaimInstallation(tx *sqldb.Tx, hash []byte, now time.Time) (bool, error) {
	ok, err := changedOne(tx.Exec(`UPDATE installation SET claimed_at = $2 WHERE `+claimable, hash, micros(now), micros(now.Add(-SetupLife))))
	if err != nil || !ok {
		return false, err
	}
	_, err = tx.Exec(`DELETE FROM setup_codes`)
	return err == nil, err
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
