// Package signin opens sessions: password first, then a PIN when one is needed.
//
// What it keeps to, beside the rules of packages password, factor and session:
//
//   - A wrong password, an unknown address and an account that may not sign in answer alike, after the same work.
//   - Nothing is sent before the password was right, and nothing is sent inside a transaction.
//   - A wrong PIN is counted in the transaction that looked at it; a right one is used up there. However many try at
//     once, one of them wins.
//   - The policy is read again in the transaction that opens a session: a sign-in that was under way when a second
//     factor became required does not slip through.
package signin

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/messages"
	"github.com/concord-suite/concord/services/auth/internal/api/outbound"
	"github.com/concord-suite/concord/services/auth/internal/api/proofs"
	"github.com/concord-suite/concord/services/auth/internal/factor"
	"github.com/concord-suite/concord/services/auth/internal/password"
	"github.com/concord-suite/concord/services/auth/internal/receipt"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// Service signs people in. Its fields are set once, before use.
type Service struct {
	DB     *sqldb.DB
	Hasher *password.Hasher
	Vault  *vault.Vault
	// Messages sends the PINs.
	Messages *messages.Desk
	Now      func() time.Time
	// Proofs is what the accounts have enrolled.
	Proofs proofs.Book
	// Passkeys may be nil: then nobody has one.
	Passkeys Passkeys
	// Mailbox may be nil: then mailboxes reset no passwords.
	Mailbox Mailbox
	// Post tells people what happened to their account; nil without a mail server.
	Post   *outbound.Post
	Logger *slog.Logger

	lines lines
}

// Credentials is what somebody shows first.
type Credentials struct {
	// Email is as typed.
	Email    string
	Password string
	// Firm narrows to one firm's account; empty for all.
	Firm string
	// Address is the network address, as the gateway saw it; empty when unknown.
	Address string
}

// Pending is a challenge that waits for its answer.
type Pending struct {
	ID string
	// Factors are the kinds that may be shown.
	Factors factor.Kinds
	// PasskeyOptions is for the browser; empty without a passkey.
	PasskeyOptions string
	// Channel is empty when no PIN was sent.
	Channel factor.Channel
	// Hint is where the PIN went, masked.
	Hint    string
	Expires time.Time
	// Resend is zero when no PIN was sent.
	Resend time.Time
	// Text is what became of the text message, EmailOpen whether Resend may send a PIN by e-mail in its place.
	Text      receipt.State
	EmailOpen bool
}

// Opened is an open session and the one showing of its token.
type Opened struct {
	Session session.Session
	Token   string
	Account account.Account
}

// Outcome is how a sign-in goes on: exactly one of the two is set.
type Outcome struct {
	Pending *Pending
	Opened  *Opened
}

// Start checks the password and asks for a second factor, or opens the session when neither the firm nor the person wants
// one.
func (s *Service) Start(ctx context.Context, c Credentials) (Outcome, error) {
	email, err := account.NormalizeEmail(c.Email)
	if err != nil {
		email = "" // nobody has it, and nobody is told so
	}
	subject := pairOf(email, c.Address)
	leave, err := s.lines.enter(ctx, subject)
	if err != nil {
		return Outcome{}, err
	}
	defer leave()
	var all []account.Account
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		if err := s.mayTry(tx, email, c.Address); err != nil {
			return err
		}
		all, err = store.AccountsByEmail(tx, email)
		return err
	})
	if err != nil {
		return Outcome{}, err
	}
	got, err := s.compare(ctx, c, all)
	switch {
	case errors.Is(err, ErrRefused):
		if noted := s.wrongPassword(ctx, email, c.Address, slices.DeleteFunc(all, c.leaves)); noted != nil {
			return Outcome{}, noted
		}
		return Outcome{}, err
	case err != nil:
		return Outcome{}, s.named(ctx, err)
	}
	return s.proceed(ctx, got, password.Short(c.Password), c.Address)
}

// named adds the names of the firms to an error that asks to choose one: the password was right, and people know names.
func (s *Service) named(ctx context.Context, err error) error {
	several, ok := errors.AsType[*AmbiguousError](err)
	if !ok {
		return err
	}
	return cmp.Or(s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		several.Names = nil
		for _, id := range several.Firms {
			firm, err := store.Firm(tx, id)
			if err != nil {
				return err
			}
			several.Names = append(several.Names, firm.DisplayName)
		}
		return nil
	}), err)
}

// leaves tells whether an account is none of those a sign-in is for.
func (c Credentials) leaves(a account.Account) bool { return c.Firm != "" && a.Firm != c.Firm }

// match is the account whose password was shown.
type match struct {
	account account.Account
	// rehashed takes the place of its hash; empty when that is good.
	rehashed string
	// every is true when the password is that of all accounts of the address.
	every bool
}

// compare finds the account whose password it is, and hashes the password anew when its hash is of old costs. Without a
// firm named, the operator's account goes before those of firms, since it cannot be named. All accounts of the address are
// compared, whatever firm is named: they share their salt, so that costs nothing.
func (s *Service) compare(ctx context.Context, c Credentials, all []account.Account) (got match, err error) {
	hashes := make([]string, len(all))
	for i, a := range all {
		hashes[i] = a.Password
	}
	var fits []account.Account
	err = s.Hasher.Do(ctx, func(slot *password.Slot) error {
		got.every = true
		for i, r := range slot.Check(c.Password, hashes) {
			got.every = got.every && r.Match
			if !r.Match || c.leaves(all[i]) {
				continue
			}
			fits = append(fits, all[i])
			if r.Stale {
				got.rehashed = slot.Rehash(c.Password, hashes[i])
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return match{}, err
	case len(fits) == 0:
		return match{}, ErrRefused
	case len(fits) == 1:
		got.account = fits[0]
		return got, nil
	}
	several := &AmbiguousError{}
	for _, a := range fits {
		if a.Kind == account.Operator {
			got.account = a
			return got, nil
		}
		several.Firms = append(several.Firms, a.Firm)
	}
	return match{}, several
}

// proceed goes on after the right password. One that is too short to stand alone was chosen beside a second factor, which is
// asked for also when the firm has stopped to.
func (s *Service) proceed(ctx context.Context, got match, short bool, address string) (Outcome, error) {
	var out Outcome
	var sending *sending
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		out, sending = Outcome{}, nil
		now := s.Now()
		a, err := store.Account(tx, got.account.Firm, got.account.ID)
		if err != nil {
			return err
		}
		if a.State != account.Active || a.Password != got.account.Password {
			return ErrRefused // disabled, or given another password, while it was being checked
		}
		if got.rehashed != "" {
			a.Password = got.rehashed
		}
		if err := s.forgive(tx, a.Email, address, got.every); err != nil {
			return err
		}
		firm, err := store.FirmOf(tx, a.Firm)
		if err != nil {
			return err
		}
		has, err := s.Enrolled(tx, a, firm)
		if err != nil {
			return err
		}
		if !firm.NeedsSecondFactor(a) && len(has) == 0 && !short {
			opened, err := s.open(tx, a, session.Session{
				Strength: session.Single, Methods: []string{session.MethodPassword}, Address: address,
			}, now)
			out.Opened = &opened
			return err
		}
		sending, err = s.challenge(tx, asked{account: a, firm: firm, enrolled: has, address: address}, now)
		return err
	})
	if err != nil || sending == nil {
		return out, err
	}
	return s.deliver(ctx, sending)
}

// open inserts a session for an account that has shown what it needs to, and notes the sign-in.
func (s *Service) open(tx *sqldb.Tx, a account.Account, opened session.Session, now time.Time) (Opened, error) {
	token, hash := session.NewToken(session.ForPerson)
	opened.ID = uuid.Must(uuid.NewV7()).String()
	opened.Firm, opened.Account, opened.Kind = a.Firm, a.ID, session.Person
	opened.Created, opened.Used, opened.Expires = now, now, now.Add(session.Life)
	a.LastSignIn = now
	if err := store.InsertSession(tx, hash, opened); err != nil {
		return Opened{}, err
	}
	if err := store.EndedBeyond(tx, a.ID, session.MaxOpen, now); err != nil {
		return Opened{}, err
	}
	if err := store.UpdateAccount(tx, a); err != nil {
		return Opened{}, err
	}
	return Opened{Session: opened, Token: token, Account: a}, recordOpened(tx, a, opened, now)
}
