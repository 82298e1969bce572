// Package passkeys enrols passkeys and answers for them when somebody signs in: the rules are those of package passkey,
// the rows those of package store/passkeys.
package passkeys

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
	"github.com/concord-suite/concord/services/auth/internal/passkey"
	store "github.com/concord-suite/concord/services/auth/internal/store/passkeys"
)

// Keeper keeps passkeys. Its fields are set once, before use.
type Keeper struct {
	// Site is where they are good.
	Site   *passkey.Site
	Now    func() time.Time
	Logger *slog.Logger
}

var _ signin.Passkeys = (*Keeper)(nil)

// List returns the passkeys that an account can show here, oldest first.
func (k *Keeper) List(tx *sqldb.Tx, account string) ([]passkey.Passkey, error) {
	return store.Of(tx, account, k.Site.ID())
}

// Enrolled implements signin.Passkeys.
func (k *Keeper) Enrolled(tx *sqldb.Tx, account string) (bool, error) {
	keys, err := k.List(tx, account)
	return len(keys) > 0, err
}

// Remove takes a passkey from an account. It answers false when the account has no such passkey.
func (k *Keeper) Remove(tx *sqldb.Tx, account, id string) (bool, error) {
	return store.Delete(tx, account, id)
}

// person is somebody as their authenticators know them.
func (k *Keeper) person(tx *sqldb.Tx, a account.Account) (passkey.Person, error) {
	handle, err := store.Handle(tx, a.ID, passkey.NewHandle())
	if err != nil {
		return passkey.Person{}, err
	}
	keys, err := k.List(tx, a.ID)
	return passkey.Person{Handle: handle, Name: a.Email, DisplayName: a.DisplayName, Passkeys: keys}, err
}

// Options implements signin.Passkeys.
func (k *Keeper) Options(tx *sqldb.Tx, c signin.PasskeyChallenge) (string, error) {
	before, err := store.ChallengeOf(tx, c.Hash)
	if err != nil && !errors.Is(err, sqldb.ErrNotFound) {
		return "", err
	}
	var asked passkey.Asked
	if c.Account.ID == "" {
		asked, err = k.Site.AskAnybody(before.Challenge)
	} else {
		var p passkey.Person
		if p, err = k.person(tx, c.Account); err == nil {
			asked, err = k.Site.Ask(p, c.Alone, before.Challenge)
		}
	}
	if err != nil || before.Challenge != nil {
		return asked.Options, err
	}
	return asked.Options, store.PutChallenge(tx, store.Challenge{
		Hash: c.Hash, Challenge: asked.Challenge, Verify: c.Alone || c.Account.ID == "", Expires: k.until(c.Expires),
	})
}

// until is when a challenge is over: soon, and not after what it is for.
func (k *Keeper) until(end time.Time) time.Time {
	if soon := k.Now().Add(passkey.Life); soon.Before(end) {
		return soon
	}
	return end
}

// Verify implements signin.Passkeys. What was asked is used up by any answer that could be read.
func (k *Keeper) Verify(tx *sqldb.Tx, c signin.PasskeyChallenge, assertion string) (signin.PasskeyShown, error) {
	answer, err := passkey.Read(assertion)
	if err != nil {
		return signin.PasskeyShown{}, refused(err)
	}
	asked, err := store.TakeChallenge(tx, c.Hash)
	if errors.Is(err, sqldb.ErrNotFound) || (err == nil && !k.Now().Before(asked.Expires)) {
		return signin.PasskeyShown{}, refused(&passkey.InvalidError{Why: passkey.OtherChallenge})
	}
	if err != nil {
		return signin.PasskeyShown{}, err
	}
	known, handle, err := k.find(tx, c.Account.ID, answer)
	if err != nil {
		return signin.PasskeyShown{}, err
	}
	shown, err := k.Site.Check(known, handle, asked.Challenge, asked.Verify, answer)
	if shown.Copied {
		k.Logger.WarnContext(tx.Context(), "the counter of a passkey did not go forward: there may be a copy of it; it was refused",
			"passkey", shown.Passkey.ID, "account", shown.Passkey.Account)
	}
	if err != nil {
		return signin.PasskeyShown{}, refused(err)
	}
	ok, err := store.Used(tx, shown.Passkey, k.Now())
	if err != nil {
		return signin.PasskeyShown{}, err
	}
	if !ok { // removed, or its counter went further, while the answer was looked at
		return signin.PasskeyShown{}, refused(passkey.ErrRefused)
	}
	return signin.PasskeyShown{Account: shown.Passkey.Account, UserVerified: shown.Verified, Synced: shown.Passkey.Synced}, nil
}

// find returns the passkey of an answer, nil when nobody has it or somebody else than was asked.
func (k *Keeper) find(tx *sqldb.Tx, account string, a passkey.Answer) (*passkey.Passkey, []byte, error) {
	known, handle, err := store.ByCredential(tx, k.Site.ID(), a.CredentialID)
	switch {
	case errors.Is(err, sqldb.ErrNotFound):
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	case account != "" && known.Account != account:
		return nil, nil, nil
	}
	return &known, handle, nil
}

// refused marks what the transaction is committed for all the same. An answer that fits no passkey is refused as any other
// thing that does not fit.
func refused(err error) error {
	if errors.Is(err, passkey.ErrRefused) {
		err = signin.ErrRefused
	}
	return fmt.Errorf("%w: %w", signin.ErrPasskey, err)
}
