package factors

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// RecoveryKey hashes the recovery codes of an account.
type RecoveryKey struct {
	Account, Firm string
	// Sealed is the key, under VaultKey.
	Sealed   []byte
	VaultKey string
}

// PutRecoveryKey keeps the key of an account that has none.
func PutRecoveryKey(tx *sqldb.Tx, k RecoveryKey) error {
	_, err := tx.Exec(`INSERT INTO recovery_keys (account, firm, sealed, vault_key) VALUES ($1, $2, $3, $4)`,
		k.Account, k.Firm, k.Sealed, k.VaultKey)
	return err
}

// RecoveryKeyOf returns the key of an account, or ErrNotFound.
func RecoveryKeyOf(tx *sqldb.Tx, account string) (RecoveryKey, error) {
	return one(tx, func(r *sqldb.Rows) (k RecoveryKey, err error) {
		return k, r.Scan(&k.Account, &k.Firm, &k.Sealed, &k.VaultKey)
	}, `SELECT account, firm, sealed, vault_key FROM recovery_keys WHERE account = $1`, account)
}

// RecoveryCode is one, as it is kept.
type RecoveryCode struct {
	Account string
	MAC     []byte
	// Issued is true for one that an administrator handed out.
	Issued  bool
	Created time.Time
	// Expires is zero for one that the person keeps.
	Expires time.Time
}

// InsertRecoveryCode adds a code.
func InsertRecoveryCode(tx *sqldb.Tx, c RecoveryCode) error {
	_, err := tx.Exec(`INSERT INTO recovery_codes (account, mac, issued, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)`,
		c.Account, c.MAC, sqldb.Flag(c.Issued), micros(c.Created), micros(c.Expires))
	return err
}

// UseRecoveryCode uses a code up. It answers false when there is no such code, or it is used or too old.
func UseRecoveryCode(tx *sqldb.Tx, account string, mac []byte, now time.Time) (bool, error) {
	return changedOne(tx.Exec(`UPDATE recovery_codes SET used_at = $3 WHERE account = $1 AND mac = $2 AND used_at = 0
		AND (expires_at = 0 OR expires_at > $3)`, account, mac, micros(now)))
}

// VoidRecoveryCodes deletes the codes of an account that were handed out, or those that the person keeps.
func VoidRecoveryCodes(tx *sqldb.Tx, account string, issued bool) error {
	_, err := tx.Exec(`DELETE FROM recovery_codes WHERE account = $1 AND issued = $2`, account, sqldb.Flag(issued))
	return err
}

// RecoveryLeft is what an account has of recovery codes.
type RecoveryLeft struct {
	// Kept counts those of the person's own that are not used, Issued those handed out.
	Kept, Issued int
	// Created and Used are of the person's own; zero when there are none.
	Created, Used time.Time
}

// Any tells whether there is any.
func (l RecoveryLeft) Any() bool { return l.Kept+l.Issued > 0 }

// RecoveryLeftOf counts the codes of an account.
func RecoveryLeftOf(tx *sqldb.Tx, account string, now time.Time) (RecoveryLeft, error) {
	return one(tx, func(r *sqldb.Rows) (l RecoveryLeft, err error) {
		return l, r.Scan(&l.Kept, &l.Issued, when{&l.Created}, when{&l.Used})
	}, `SELECT count(CASE WHEN issued = 0 AND used_at = 0 THEN 1 END),
		count(CASE WHEN issued = 1 AND used_at = 0 AND expires_at > $2 THEN 1 END),
		COALESCE(max(CASE WHEN issued = 0 THEN created_at END), 0), COALESCE(max(CASE WHEN issued = 0 THEN used_at END), 0)
		FROM recovery_codes WHERE account = $1`, account, micros(now))
}
