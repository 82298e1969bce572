// Package lock opens sessions that were locked for want of use.
//
// A password alone does it, because the token of the session is shown with it: who holds both within the session's twelve
// hours is the person who signed in with two factors, or has taken more from them than a screen left open. What the session
// may do does not grow by it: it ends when it would have ended, a step-up is not given back, and what the firm asks for
// meanwhile ends it. Every wrong password counts as it would at signing in; the fifth at one lock ends the session.
package lock

import (
	"context"
	"errors"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/acts"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// ErrOver: there is no such session any more.
var ErrOver = errors.New("lock: the session is over")

// Keeper unlocks sessions. Its fields are set once, before use.
type Keeper struct {
	DB *sqldb.DB
	// SignIn checks passwords, under the bounds of signing in.
	SignIn *signin.Service
	Now    func() time.Time
}

// Unlock opens the session of a token again. Its new token is in the answer, and the old one opens nothing any more; a
// session that is not locked keeps its token, and the answer has none. The error is ErrOver, signin.ErrRefused for a wrong
// password, or one of those of signing in.
func (k *Keeper) Unlock(ctx context.Context, token, pass, address string) (signin.Opened, error) {
	if !session.ForPerson.Is(token) {
		return signin.Opened{}, ErrOver
	}
	hash := session.Hash(token)
	var found session.Session
	var a account.Account
	err := k.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		found, a, err = k.locked(tx, hash)
		return err
	})
	if err != nil {
		return signin.Opened{}, err
	}
	err = k.SignIn.Confirm(ctx, a, pass, address)
	if errors.Is(err, signin.ErrRefused) {
		if noted := k.wrong(ctx, found.ID); noted != nil {
			return signin.Opened{}, noted
		}
	}
	if err != nil {
		return signin.Opened{}, err
	}
	return k.open(ctx, hash, a, address)
}

// locked returns the session under a hash and its holder, or ErrOver when nothing can be opened with it.
func (k *Keeper) locked(tx *sqldb.Tx, hash []byte) (session.Session, account.Account, error) {
	found, err := store.SessionByHash(tx, hash)
	now := k.Now()
	if errors.Is(err, sqldb.ErrNotFound) || (err == nil && !found.Live(now) && !found.Locked(now)) {
		return found, account.Account{}, ErrOver
	}
	if err != nil {
		return found, account.Account{}, err
	}
	a, err := store.Account(tx, found.Firm, found.Account)
	if err == nil && a.State != account.Active {
		err = ErrOver
	}
	return found, a, err
}

// wrong counts a wrong password at the lock of a session.
func (k *Keeper) wrong(ctx context.Context, id string) error {
	return k.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		failures, err := store.CountUnlockFailure(tx, id)
		if err != nil || failures < session.MaxUnlocks {
			return err
		}
		_, err = store.Ended(tx, store.End{Session: id}, k.Now())
		return err
	})
}

// open gives the session its new token. All that was read before the password was checked is read again: the session may
// have ended meanwhile, and the firm may ask for more.
func (k *Keeper) open(ctx context.Context, hash []byte, checked account.Account, address string) (signin.Opened, error) {
	var out signin.Opened
	var verdict error
	err := k.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		out, verdict = signin.Opened{}, nil
		found, a, err := k.locked(tx, hash)
		if err != nil {
			return err
		}
		if a.Password != checked.Password {
			return signin.ErrRefused // given another one while it was being checked
		}
		f, err := store.FirmOf(tx, a.Firm)
		if err != nil {
			return err
		}
		now := k.Now()
		if !found.Allowed(f, a) {
			verdict = ErrOver
			_, err := store.Ended(tx, store.End{Session: found.ID}, now)
			return err
		}
		out = signin.Opened{Session: found, Account: a}
		if found.Live(now) {
			return nil
		}
		token, fresh := session.NewToken(session.ForPerson)
		ok, err := store.Unlock(tx, found.ID, hash, fresh, now)
		if err != nil || !ok {
			return cmpOver(err)
		}
		out.Token, out.Session.Used, out.Session.StepUpUntil = token, now, time.Time{}
		return acts.Unlocked(tx, a, found, address, now)
	})
	if err == nil {
		err = verdict
	}
	if err != nil {
		return signin.Opened{}, err
	}
	return out, nil
}

func cmpOver(err error) error {
	if err == nil {
		return ErrOver
	}
	return err
}
