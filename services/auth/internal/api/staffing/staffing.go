// Package staffing says what follows when an administrator changes, resets or invites anew somebody of the firm.
package staffing

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/outbound"
	"github.com/concord-suite/concord/services/auth/internal/api/passwords"
	"github.com/concord-suite/concord/services/auth/internal/api/proofs"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/factors"
	"github.com/concord-suite/concord/services/auth/internal/store/passkeys"
	"github.com/concord-suite/concord/services/auth/internal/store/people"
)

// ErrLastAdministrator says that a firm would be left without an administrator who can sign in.
var ErrLastAdministrator = errors.New("staffing: the last administrator")

// Keeper changes accounts with everything that hangs on them. Its fields are set once, before use.
type Keeper struct {
	Post      *outbound.Post
	Passwords *passwords.Book
	Proofs    proofs.Book
	Now       func() time.Time
}

// Showable are the kinds of factor that an account is asked for second: what it has enrolled, else a PIN; and recovery codes.
func Showable(a account.Account, f account.Firm, has people.Enrolled) (out []account.Factor) {
	if has.Passkeys > 0 && f.Allows(a, account.Passkey) {
		out = append(out, account.Passkey)
	}
	if has.TOTPs > 0 && f.Allows(a, account.TOTP) {
		out = append(out, account.TOTP)
	}
	switch {
	case len(out) > 0:
	case a.Mobile != "" && f.Allows(a, account.SMSPIN):
		out = append(out, account.SMSPIN)
	case f.EmailPINAllowed(a) && !has.Spent:
		out = append(out, account.EmailPIN)
	}
	if has.Codes > 0 {
		out = append(out, account.RecoveryCode)
	}
	return out
}

// ETag changes with everything about an account that an administrator sees and may change, whoever changes it.
func ETag(a account.Account) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %q %q %d", a.DisplayName, a.Mobile, a.MobileValidated.UnixMicro(), a.Role, a.State, a.Revision))
	const enough = 12 // bytes: nobody makes two accounts alike on purpose
	return base64.RawURLEncoding.EncodeToString(sum[:enough])
}

// Change writes a changed account with what follows from the change.
func (k *Keeper) Change(tx *sqldb.Tx, before, a account.Account, address string) (account.Account, error) {
	if a.Role != account.Administrator {
		if err := KeepAdministrator(tx, before); err != nil {
			return a, err
		}
	}
	a.Revision++
	if err := store.UpdateAccount(tx, a); err != nil {
		return a, err
	}
	if a.Role != before.Role {
		if _, err := store.Ended(tx, store.End{Account: a.ID}, k.Now()); err != nil {
			return a, err
		}
	}
	if a.Mobile == before.Mobile {
		return a, nil
	}
	if err := k.void(tx, a.ID); err != nil {
		return a, err
	}
	f, err := store.Firm(tx, a.Firm)
	if err != nil {
		return a, err
	}
	return a, k.Post.AccountChanged(tx, a, f, "An administrator changed the mobile number of your account.", address)
}

// KeepAdministrator refuses to take the last administrator who can sign in from a firm.
func KeepAdministrator(tx *sqldb.Tx, a account.Account) error {
	if a.Role != account.Administrator || a.State != account.Active {
		return nil
	}
	others, err := store.OtherAdministrators(tx, a.Firm, a.ID)
	if err == nil && others == 0 {
		err = ErrLastAdministrator
	}
	return err
}

// void gives up the sign-ins and enrolments of an account that wait for something to be shown.
func (k *Keeper) void(tx *sqldb.Tx, id string) error {
	if err := store.CloseChallenges(tx, id, k.Now()); err != nil {
		return err
	}
	return factors.CloseEnrolments(tx, id, k.Now())
}

// Reset takes what was lost, or is in wrong hands, from an account, ends its sessions, and makes the recovery code by which
// its holder comes back. An administrator resets somebody else, so one who can sign in is left.
func (k *Keeper) Reset(tx *sqldb.Tx, a account.Account, pass, second bool, address string) (code string, err error) {
	f, err := store.Firm(tx, a.Firm)
	if err != nil {
		return "", err
	}
	what := "An administrator reset your second factors."
	a.Revision++
	if second {
		a.MobileValidated, a.PIN = time.Time{}, account.PINState{}
		if err := k.forget(tx, a.ID); err != nil {
			return "", err
		}
	}
	if pass {
		what = "An administrator reset your password."
		err = k.Passwords.Void(tx, &a, f)
	} else {
		err = store.UpdateAccount(tx, a)
	}
	if err != nil {
		return "", err
	}
	if err := k.void(tx, a.ID); err != nil {
		return "", err
	}
	if _, err := store.Ended(tx, store.End{Account: a.ID}, k.Now()); err != nil {
		return "", err
	}
	if code, err = k.Proofs.IssueRecovery(tx, a, k.Now()); err != nil {
		return "", err
	}
	return code, k.Post.AccountChanged(tx, a, f, what, address)
}

// Anew makes an account that is invited once more one that has shown nothing yet: what was enrolled, and what the mailbox
// brought, was somebody's before.
func (k *Keeper) Anew(tx *sqldb.Tx, a account.Account) error {
	if err := k.forget(tx, a.ID); err != nil {
		return err
	}
	if err := people.CloseResets(tx, a.ID, k.Now()); err != nil {
		return err
	}
	return people.RestoreMailbox(tx, a.ID)
}

func (k *Keeper) forget(tx *sqldb.Tx, id string) error {
	if err := k.Proofs.Forget(tx, id); err != nil {
		return err
	}
	_, err := passkeys.DeleteAll(tx, id)
	return err
}
