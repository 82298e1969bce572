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
	if err := forgetSteps(tx, t.Account); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO totps (account, firm, sealed, vault_key, last_step, created_at, used_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (account) DO UPDATE SET sealed = excluded.sealed,
		vault_key = excluded.vault_key, last_step = excluded.last_step, created_at = excluded.created_at, used_at = excluded.used_at`,
		t.Account, t.Firm, t.Sealed, t.VaultKey, t.LastStep, micros(t.Created), micros(t.Used))
	if err == nil {
		_, err = tx.Exec(`INSERT INTO totp_steps (account, step) VALUES ($1, $2)`, t.Account, t.LastStep)
	}
	return err
}

// forgetSteps forgets what was accepted of the program of an account.
func forgetSteps(tx *sqldb.Tx, account string) error {
	_, err := tx.Exec(`DELETE FROM totp_steps WHERE account = $1`, account)
	return err
}

// TOTPOf returns the program of an account, or ErrNotFound.
func TOTPOf(tx *sqldb.Tx, account string) (TOTP, error) {
	return one(tx, func(r *sqldb.Rows) (t TOTP, err error) {
		return t, r.Scan(&t.Account, &t.Firm, &t.Sealed, &t.VaultKey, &t.LastStep, when{&t.Created}, when{&t.Used})
	}, `SELECT account, firm, sealed, vault_key, last_step, created_at, used_at FROM totps WHERE account = $1`, account)
}

// AcceptStep notes that the code of a step was accepted, and forgets the steps up to another. It answers false when the code
// was accepted before, whatever the clock was in between, or when last is not the last one any more.
func AcceptStep(tx *sqldb.Tx, account string, step, last, old int64, now time.Time) (bool, error) {
	if _, err := tx.Exec(`DELETE FROM totp_steps WHERE account = $1 AND step <= $2`, account, old); err != nil {
		return false, err
	}
	fresh, err := changedOne(tx.Exec(`INSERT INTO totp_steps (account, step) VALUES ($1, $2) ON CONFLICT DO NOTHING`, account, step))
	if err != nil || !fresh {
		return false, err
	}
	return changedOne(tx.Exec(`UPDATE totps SET last_step = $2, used_at = $3 WHERE account = $1 AND last_step = $4`,
		account, step, micros(now), last))
}

// DropTOTP removes the program of an account. It answers false when there is none.
func DropTOTP(tx *sqldb.Tx, account string) (bool, error) {
	if err := forgetSteps(tx, account); err != nil {
		return false, err
	}
	return changedOne(tx.Exec(`DELETE FROM totps WHERE account = $1`, account))
}
