// Package passwords changes passwords, with the current one or with a code that was sent by e-mail.
//
// What it keeps to:
//
//   - Whoever asks for a code is answered before anybody looks whose the address is. A worker does that, so an address that
//     nobody has costs the caller what any other does, and answers the same.
//   - A code has 256 bits, lives an hour and works once. Asking for another leaves those good that were sent before; all
//     are void when one is used. An unknown code, a used one and one that is too old answer alike.
//   - A new password ends the sessions of the account. It takes no second factor away, and it signs nobody in.
//   - A mailbox that brought the password brings no PIN as well, until something else was shown.
package passwords

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/outbound"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
	"github.com/concord-suite/concord/services/auth/internal/password"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/people"
)

const (
	// Life is how long a code works: long enough for slow mail, short enough for a mailbox that is read by others later.
	Life = time.Hour
	// window is over what requests are counted.
	window = time.Hour
	// perAddress is how many requests for one e-mail address lead to an e-mail in an hour. More are answered alike.
	perAddress = 3
	// perOrigin is how many requests one network address may make in an hour: an office behind one.
	perOrigin = 20
	// perFirm is how many codes go to the people of one firm in an hour. A firm in which more forget their passwords at once
	// is one that somebody plays with.
	perFirm = 200
	// maxWaiting is how many requests wait at most; the worker takes some hundred in a second.
	maxWaiting = 5000
)

// ErrInvalid says that a code is no good: unknown, used, void or too old, which is never said.
var ErrInvalid = errors.New("passwords: no such code")

// RuleError is a new password that was refused.
type RuleError struct{ Rule *password.Rule }

// Error implements error.
func (e *RuleError) Error() string { return "passwords: " + e.Rule.ID }

// Book changes passwords. Its fields are set once, before use.
type Book struct {
	DB     *sqldb.DB
	Hasher *password.Hasher
	SignIn *signin.Service
	Post   *outbound.Post
	Now    func() time.Time
	Logger *slog.Logger
}

// Check holds a new password of an account to the rules, as the policy of its firm is now.
func Check(text string, a account.Account, f account.Firm) error {
	use := password.Alone
	if f.NeedsSecondFactor(a) {
		use = password.Beside
	}
	if rule := password.Check(text, use, a.DisplayName, a.Email, f.DisplayName); rule != nil {
		return &RuleError{rule}
	}
	return nil
}

// Change gives the holder of a session another password, and ends the holder's other sessions. The error is
// sqldb.ErrNotFound when the session is over, and signin.ErrRefused or a *signin.WaitError when the current password is
// wrong.
func (b *Book) Change(ctx context.Context, sessionID, current, next, address string) error {
	a, firm, salt, err := b.holder(ctx, sessionID)
	if err != nil {
		return err
	}
	if err := b.SignIn.Confirm(ctx, a, current, address); err != nil {
		return err
	}
	if current == next {
		return &RuleError{password.Unchanged}
	}
	if err := Check(next, a, firm); err != nil {
		return err
	}
	hashed, err := b.hash(ctx, next, salt)
	if err != nil {
		return err
	}
	return b.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		now, checked := b.Now(), a.Password
		held, err := store.Session(tx, sessionID)
		if err != nil || !held.Live(now) {
			return cmp(err, sqldb.ErrNotFound)
		}
		a, err := store.Account(tx, a.Firm, a.ID)
		if err != nil {
			return err
		}
		if a.State != account.Active || a.Password != checked {
			return signin.ErrRefused // changed by somebody else at the same time
		}
		if err := b.set(tx, &a, hashed, now); err != nil {
			return err
		}
		if err := endOthers(tx, a.ID, sessionID, now); err != nil {
			return err
		}
		return b.Post.AccountChanged(tx, a, firm, "The password of your account was changed.", address)
	})
}

// holder reads the account of a live session, its firm and its salt.
func (b *Book) holder(ctx context.Context, sessionID string) (a account.Account, f account.Firm, salt []byte, err error) {
	err = b.DB.Read(ctx, func(tx *sqldb.Tx) error {
		held, err := store.Session(tx, sessionID)
		if err != nil || !held.Live(b.Now()) {
			return cmp(err, sqldb.ErrNotFound)
		}
		if a, err = store.Account(tx, held.Firm, held.Account); err != nil {
			return err
		}
		f, salt, err = around(tx, a)
		return err
	})
	return a, f, salt, err
}

func around(tx *sqldb.Tx, a account.Account) (f account.Firm, salt []byte, err error) {
	if f, err = store.FirmOf(tx, a.Firm); err != nil {
		return f, nil, err
	}
	salt, err = store.SaltOf(tx, a.Email)
	return f, salt, err
}

// set writes a new password, and voids what is under way by the one before.
func (b *Book) set(tx *sqldb.Tx, a *account.Account, hashed string, now time.Time) error {
	a.Password = hashed
	if err := store.UpdateAccount(tx, *a); err != nil {
		return err
	}
	if err := people.CloseResets(tx, a.ID, now); err != nil {
		return err
	}
	return store.CloseChallenges(tx, a.ID, now)
}

func endOthers(tx *sqldb.Tx, account, except string, now time.Time) error {
	others, err := people.OtherSessions(tx, account, except, now)
	if err != nil {
		return err
	}
	for _, id := range others {
		if _, err := store.Ended(tx, store.End{Session: id}, now); err != nil {
			return err
		}
	}
	return nil
}

func (b *Book) hash(ctx context.Context, text string, salt []byte) (hashed string, err error) {
	err = b.Hasher.Do(ctx, func(slot *password.Slot) error {
		hashed = slot.Hash(text, salt)
		return nil
	})
	return hashed, err
}

// Ask puts the wish for a new password in the queue. The answer is a *signin.WaitError when too many come from one network
// address, whatever they ask for; nil for everything else, also for what is no address.
func (b *Book) Ask(ctx context.Context, email, firm, address string) error {
	email, err := account.NormalizeEmail(email)
	if err != nil {
		email = "" // nobody has it, and nobody is told so
	}
	return b.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		now := b.Now()
		n, began, err := people.Count(tx, subject("reset origin", signin.Origin(address)), window, now)
		if err != nil {
			return err
		}
		if n > perOrigin {
			return &signin.WaitError{Until: began.Add(window)}
		}
		waiting, err := people.ResetRequestsWaiting(tx, maxWaiting)
		if err != nil || waiting >= maxWaiting {
			return cmp(err, password.ErrBusy)
		}
		n, _, err = people.Count(tx, subject("reset address", email), window, now)
		if err != nil || n > perAddress {
			return err
		}
		return people.InsertResetRequest(tx, people.ResetRequest{
			ID: uuid.Must(uuid.NewV7()).String(), Email: email, Firm: firm, Created: now,
		})
	})
}

// subject is what is counted under: a hash, so that the table is no list of addresses.
func subject(kind, of string) []byte {
	sum := sha256.Sum256([]byte(kind + "\x00" + of))
	return sum[:]
}

// Finish gives an account another password by a code, and answers the e-mail address it is for. The error is ErrInvalid or a
// *RuleError; a password that is refused leaves the code good.
func (b *Book) Finish(ctx context.Context, code, next, address string) (email string, err error) {
	hash := session.Hash(code)
	var a account.Account
	var firm account.Firm
	var salt []byte
	err = b.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		if a, err = b.owner(tx, hash); err == nil {
			firm, salt, err = around(tx, a)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	if err := Check(next, a, firm); err != nil {
		return "", err
	}
	hashed, err := b.hash(ctx, next, salt)
	if err != nil {
		return "", err
	}
	return a.Email, b.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		now := b.Now()
		a, err := b.owner(tx, hash)
		if err != nil {
			return err
		}
		if ok, err := people.CloseReset(tx, hash, now); err != nil || !ok {
			return cmp(err, ErrInvalid)
		}
		if err := b.set(tx, &a, hashed, now); err != nil {
			return err
		}
		if _, err := store.Ended(tx, store.End{Account: a.ID}, now); err != nil {
			return err
		}
		if err := people.SpendMailbox(tx, a.ID, now); err != nil {
			return err
		}
		if err := b.SignIn.Welcome(tx, a.Email, address); err != nil {
			return err
		}
		if err := recordReset(tx, a, actFinished, address, now); err != nil {
			return err
		}
		return b.Post.AccountChanged(tx, a, firm, "The password of your account was set anew with a code of an e-mail.", address)
	})
}

// owner returns the account whose password a code may replace now, or ErrInvalid.
func (b *Book) owner(tx *sqldb.Tx, hash []byte) (account.Account, error) {
	r, err := people.ResetBy(tx, hash)
	if errors.Is(err, sqldb.ErrNotFound) {
		return account.Account{}, ErrInvalid
	}
	if err != nil {
		return account.Account{}, err
	}
	if now := b.Now(); !r.Closed.IsZero() || !now.Before(r.Expires) || session.Ahead(r.Created, now) {
		return account.Account{}, ErrInvalid
	}
	a, err := store.AnyAccount(tx, r.Account)
	if err == nil && a.State != account.Active {
		err = ErrInvalid
	}
	return a, err
}

// cmp is err, or what to say without one.
func cmp(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
