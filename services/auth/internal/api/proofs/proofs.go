// Package proofs holds what somebody shows against what their account has enrolled: codes of authenticator programs and
// recovery codes. It opens what is sealed and seals what is new.
//
// Each function works in the caller's transaction. Whether somebody may try at all, and what a wrong code costs, is the
// caller's matter; that a right one counts once is this package's, whatever comes at the same time.
package proofs

import (
	"errors"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/recovery"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store/factors"
	"github.com/concord-suite/concord/services/auth/internal/totp"
)

// Book is what the accounts have enrolled.
type Book struct{ Vault *vault.Vault }

func totpRow(firm, id string) vault.Row {
	return vault.Row{Firm: firm, Table: "totps", ID: id, Column: "sealed"}
}

func keyRow(firm, id string) vault.Row {
	return vault.Row{Firm: firm, Table: "recovery_keys", ID: id, Column: "sealed"}
}

// HasTOTP tells whether the account has an authenticator program.
func (b Book) HasTOTP(tx *sqldb.Tx, id string) (bool, error) {
	_, err := factors.TOTPOf(tx, id)
	if errors.Is(err, sqldb.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// EnrolTOTP enrols a secret whose code of a step was shown; no code up to that step is taken again.
func (b Book) EnrolTOTP(tx *sqldb.Tx, a account.Account, secret []byte, step int64, now time.Time) error {
	sealed, key, err := b.Vault.Seal(secret, totpRow(a.Firm, a.ID))
	if err != nil {
		return err
	}
	return factors.PutTOTP(tx, factors.TOTP{
		Account: a.ID, Firm: a.Firm, Sealed: sealed, VaultKey: string(key), LastStep: step, Created: now,
	})
}

// keepSteps is for how long accepted codes are remembered one by one: longer than any step of a clock that happens by
// mistake, which mostly is a day.
const keepSteps = int64(7 * 24 * time.Hour / totp.Period)

// AcceptTOTP tells whether a code is one that the account's program shows now, and takes it: the same code does not
// count again.
func (b Book) AcceptTOTP(tx *sqldb.Tx, a account.Account, code string, now time.Time) (bool, error) {
	t, err := factors.TOTPOf(tx, a.ID)
	if errors.Is(err, sqldb.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	secret, err := b.Vault.Open(t.Sealed, totpRow(a.Firm, a.ID))
	if err != nil {
		return false, err
	}
	last := t.LastStep
	if last > totp.StepOf(now.Add(session.Apart)) {
		last = 0 // by a clock that has been put back since: the codes that were accepted are known one by one
	}
	step, ok := totp.Check(secret, code, now, last)
	if !ok {
		return false, nil
	}
	return factors.AcceptStep(tx, a.ID, step, t.LastStep, step-keepSteps, now)
}

// MakeRecovery makes recovery codes for the account, in place of those it keeps, and returns them for their one showing.
func (b Book) MakeRecovery(tx *sqldb.Tx, a account.Account, now time.Time) ([]string, error) {
	if err := factors.VoidRecoveryCodes(tx, a.ID, false); err != nil {
		return nil, err
	}
	codes := make([]string, recovery.Codes)
	for i := range codes {
		var err error
		if codes[i], err = b.addCode(tx, a, factors.RecoveryCode{Account: a.ID, Created: now}); err != nil {
			return nil, err
		}
	}
	return codes, nil
}

// IssueRecovery makes the one code that an administrator hands to the holder of the account. It lives a day, and voids
// the one before.
func (b Book) IssueRecovery(tx *sqldb.Tx, a account.Account, now time.Time) (string, error) {
	if err := factors.VoidRecoveryCodes(tx, a.ID, true); err != nil {
		return "", err
	}
	return b.addCode(tx, a, factors.RecoveryCode{
		Account: a.ID, Issued: true, Created: now, Expires: now.Add(recovery.IssuedLife),
	})
}

func (b Book) addCode(tx *sqldb.Tx, a account.Account, c factors.RecoveryCode) (string, error) {
	key, err := b.recoveryKey(tx, a)
	if errors.Is(err, sqldb.ErrNotFound) {
		key, err = b.newKey(tx, a)
	}
	if err != nil {
		return "", err
	}
	code := recovery.NewCode()
	c.MAC = recovery.MAC(key, code)
	return code, factors.InsertRecoveryCode(tx, c)
}

func (b Book) newKey(tx *sqldb.Tx, a account.Account) ([]byte, error) {
	key := recovery.NewKey()
	sealed, vaultKey, err := b.Vault.Seal(key, keyRow(a.Firm, a.ID))
	if err != nil {
		return nil, err
	}
	return key, factors.PutRecoveryKey(tx, factors.RecoveryKey{
		Account: a.ID, Firm: a.Firm, Sealed: sealed, VaultKey: string(vaultKey),
	})
}

func (b Book) recoveryKey(tx *sqldb.Tx, a account.Account) ([]byte, error) {
	k, err := factors.RecoveryKeyOf(tx, a.ID)
	if err != nil {
		return nil, err
	}
	return b.Vault.Open(k.Sealed, keyRow(a.Firm, a.ID))
}

// UseRecovery tells whether a code is one of the account's, and uses it up.
func (b Book) UseRecovery(tx *sqldb.Tx, a account.Account, code string, now time.Time) (bool, error) {
	key, err := b.recoveryKey(tx, a)
	if errors.Is(err, sqldb.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return factors.UseRecoveryCode(tx, a.ID, recovery.MAC(key, code), now)
}

// RecoveryLeft counts the codes of an account that are good.
func (b Book) RecoveryLeft(tx *sqldb.Tx, id string, now time.Time) (factors.RecoveryLeft, error) {
	return factors.RecoveryLeftOf(tx, id, now)
}

// Forget removes everything that the account has enrolled here, and what was under way.
func (b Book) Forget(tx *sqldb.Tx, id string) error { return factors.Forget(tx, id) }
