package factors

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// TOTP is an authenticator program.
type TOTP struct {
	Account, Firm string
	// Sealed is the secret, under VaultKey.
	Sealed   []byte
	VaultKey string
	// LastStep is the half minute whose code was accepted last.
	LastStep int64
	Created  time.Time
	// Used is zero when it was not used since it was enrolled.
	Used time.Time
}

// PutTOTP enrols a program in place of the one before.
func PutTOTP(tx *sqldb.Tx, t TOTP) error {
	_, err := tx.Exec(`INSERT INTO totps (account, firm, sealed, vault_key, last_step, created_at, used_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (account) DO UPDATE SET sealed = excluded.sealed,
		vault_key = excluded.vault_key, last_step = excluded.last_step, created_at = excluded.created_at, used_at = excluded.used_at`,
		t.Account, t.Firm, t.Sealed, t.VaultKey, t.LastStep, micros(t.Created), micros(t.Used))
	return err
}

// TOTPOf returns the program of an account, or ErrNotFound.
func TOTPOf(tx *sqldb.Tx, account string) (TOTP, error) {
	return one(tx, func(r *sqldb.Rows) (t TOTP, err error) {
		return t, r.Scan(&t.Account, &t.Firm, &t.Sealed, &t.VaultKey, &t.LastStep, when{&t.Created}, when{&t.Used})
	}, `SELECT account, firm, sealed, vault_key, last_step, created_at, used_at FROM totps WHERE account = $1`, account)
}

// AcceptStep notes that the code of a step was accepted. It answers false when that step or a later one was before.
func AcceptStep(tx *sqldb.Tx, account string, step int64, now time.Time) (bool, error) {
	return changedOne(tx.Exec(`UPDATE totps SET last_step = $2, used_at = $3 WHERE account = $1 AND last_step < $2`,
		account, step, micros(now)))
}

// DropTOTP removes the program of an account. It answers false when there is none.
func DropTOTP(tx *sqldb.Tx, account string) (bool, error) {
	return changedOne(tx.Exec(`DELETE FROM totps WHERE account = $1`, account))
}
