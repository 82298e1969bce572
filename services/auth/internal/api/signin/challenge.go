package signin

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/delivery"
	"github.com/concord-suite/concord/services/auth/internal/factor"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// sending is a challenge whose PINs are to be sent once its transaction is committed. It is the only place where PINs
// are in the clear, and lives as long as one call.
type sending struct {
	id        string
	challenge store.Challenge
	account   account.Account
	firm      account.Firm
	held      session.Strength // of the session that steps up; 0 for a sign-in
	pin       string           // by SMS, or by e-mail when the channel is e-mail alone
	emailPIN  string           // by e-mail, when the channel is both
}

// challenge makes a challenge for an account that has shown its password, to step up a session or, with the zero value, to
// sign in.
func (s *Service) challenge(
	tx *sqldb.Tx, a account.Account, f account.Firm, stepUp session.Session, address string, now time.Time,
) (*sending, error) {
	if err := pinsOpen(a, now); err != nil {
		return nil, err
	}
	channel, err := s.choose(&a, f, stepUp.Strength, now)
	if err != nil {
		return nil, err
	}
	id, hash := session.NewToken(session.ForChallenge)
	out := &sending{id: id, account: a, firm: f, held: stepUp.Strength, challenge: store.Challenge{
		Hash: hash, Account: a.ID, Session: stepUp.ID, Channel: channel, Created: now, Expires: now.Add(factor.Life),
		Resend: now.Add(factor.ResendAfter), Sends: 1, Address: address,
	}}
	if err := s.fill(out); err != nil {
		return nil, err
	}
	if err := store.UpdateAccount(tx, a); err != nil {
		return nil, err
	}
	return out, store.InsertChallenge(tx, out.challenge)
}

// pinsOpen tells whether a PIN of the account would be looked at now.
func pinsOpen(a account.Account, now time.Time) error {
	switch {
	case !a.PIN.Disabled.IsZero():
		return ErrDisabled
	case a.PIN.BlockedUntil.After(now):
		return &WaitError{Until: a.PIN.BlockedUntil}
	}
	return nil
}

// smsWindow is the time over which text messages to one account are counted.
const smsWindow = time.Hour

// emailAllowed tells whether a PIN may go by e-mail alone: when the firm lets it, and it makes the session no weaker than
// one that is held already.
func emailAllowed(a account.Account, f account.Firm, held session.Strength) bool {
	return f.EmailPINAllowed(a) && held < session.Weak
}

// choose picks the channel and counts the text message it will cost.
func (s *Service) choose(a *account.Account, f account.Firm, held session.Strength, now time.Time) (factor.Channel, error) {
	if now.Sub(a.PIN.SMSWindow) >= smsWindow {
		a.PIN.SMSWindow, a.PIN.SMSSent = now, 0
	}
	left := a.PIN.SMSSent < s.SMSPerHour
	channel, err := factor.Ways{
		Mobile: a.Mobile != "", Validated: !a.MobileValidated.IsZero(), SMS: s.SMS != nil && left, Email: s.Mail != nil,
		EmailAllowed: emailAllowed(*a, f, held),
	}.Choose()
	switch {
	case err != nil && !left && s.SMS != nil && a.Mobile != "":
		return "", &WaitError{Until: a.PIN.SMSWindow.Add(smsWindow)}
	case err != nil && emailAllowed(*a, f, 0) && held >= session.Weak:
		return "", &UndeliverableError{Why: errStrongFactor}
	case err != nil:
		return "", &UndeliverableError{Why: err}
	case channel.UsesSMS():
		a.PIN.SMSSent++
	}
	return channel, nil
}

// fill makes the PINs of a challenge and puts their keyed hashes into it.
func (s *Service) fill(out *sending) (err error) {
	c := &out.challenge
	c.SMSMAC, c.EmailMAC = nil, nil
	out.pin, out.emailPIN = factor.NewPIN(), ""
	switch c.Channel {
	case factor.Both:
		out.emailPIN = factor.NewPIN()
		if c.EmailMAC, err = s.mac(*c, out.account.Firm, "email_mac", out.emailPIN); err != nil {
			return err
		}
		fallthrough
	case factor.SMS:
		c.SMSMAC, err = s.mac(*c, out.account.Firm, "sms_mac", out.pin)
	default:
		c.EmailMAC, err = s.mac(*c, out.account.Firm, "email_mac", out.pin)
	}
	return err
}

func (s *Service) mac(c store.Challenge, firm, column, pin string) ([]byte, error) {
	return s.Vault.MAC([]byte(pin), macRow(c, firm, column))
}

func macRow(c store.Challenge, firm, column string) vault.Row {
	return vault.Row{Firm: firm, Table: "challenges", ID: hex.EncodeToString(c.Hash), Column: column}
}

// deliver sends the PINs of a committed challenge. When the text message is not taken, a fresh PIN goes by e-mail if that
// is allowed; when nothing is taken, the challenge is closed.
func (s *Service) deliver(ctx context.Context, out *sending) (Outcome, error) {
	err := s.send(ctx, out)
	var failed *smsError
	if errors.As(err, &failed) && s.Mail != nil && emailAllowed(out.account, out.firm, out.held) {
		s.Logger.WarnContext(ctx, "a text message was not taken; the PIN goes by e-mail", "code", delivery.Code(err))
		if err = s.divert(ctx, out); err == nil {
			err = s.send(ctx, out)
		}
	}
	if errors.Is(err, ErrExpired) {
		return Outcome{}, err
	}
	if err != nil {
		s.Logger.WarnContext(ctx, "a PIN was not taken", "code", delivery.Code(err))
		s.giveUp(ctx, out)
		return Outcome{}, undeliverable(err)
	}
	return Outcome{Pending: out.pending()}, nil
}

// smsError marks a failure that e-mail can stand in for.
type smsError struct{ error }

// Unwrap returns what the provider said.
func (e *smsError) Unwrap() error { return e.error }

func (s *Service) send(ctx context.Context, out *sending) error {
	mailed := out.pin
	if out.challenge.Channel.UsesSMS() {
		if err := s.SMS.Send(ctx, out.account.Mobile, delivery.PINText(s.Host, out.pin)); err != nil {
			return &smsError{err}
		}
		mailed = out.emailPIN
	}
	if !out.challenge.Channel.UsesEmail() {
		return nil
	}
	subject, text := delivery.PINMail(s.Host, mailed)
	return s.Mail.Send(ctx, out.account.Email, subject, text)
}

// divert turns a challenge to e-mail, with a fresh PIN: the text message may still arrive.
func (s *Service) divert(ctx context.Context, out *sending) error {
	out.challenge.Channel = factor.Email
	if err := s.fill(out); err != nil {
		return err
	}
	return s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		ok, err := store.UpdateChallenge(tx, out.challenge)
		if err == nil && !ok {
			return ErrExpired
		}
		return err
	})
}

// giveUp closes a challenge that nobody can answer. It is tidiness only: without a PIN it dies by itself.
func (s *Service) giveUp(ctx context.Context, out *sending) {
	ctx = context.WithoutCancel(ctx)
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		out.challenge.Closed = s.Now()
		_, err := store.UpdateChallenge(tx, out.challenge)
		return err
	})
	if err != nil {
		s.Logger.WarnContext(ctx, "a challenge without a PIN stays open until it expires", "error", err)
	}
}

func undeliverable(err error) error {
	why := errors.New("the provider did not take the message (" + delivery.Code(err) + ")")
	return &UndeliverableError{Why: why, Temporary: delivery.Temporary(err)}
}

func (out *sending) pending() *Pending {
	p := &Pending{ID: out.id, Channel: out.challenge.Channel, Expires: out.challenge.Expires, Resend: out.challenge.Resend}
	switch out.challenge.Channel {
	case factor.SMS:
		p.Hint = account.MaskMobile(out.account.Mobile)
	case factor.Email:
		p.Hint = account.MaskEmail(out.account.Email)
	default:
		p.Hint = account.MaskMobile(out.account.Mobile) + ", " + account.MaskEmail(out.account.Email)
	}
	return p
}

// Resend sends fresh PINs for a challenge, by the same way as before. Failures counted so far stay, and so does its end.
func (s *Service) Resend(ctx context.Context, id string) (Outcome, error) {
	var out *sending
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		now := s.Now()
		c, a, err := s.waiting(tx, id, now)
		if err != nil {
			return err
		}
		switch {
		case now.Before(c.Resend):
			return &WaitError{Until: c.Resend}
		case c.Sends >= factor.MaxSends:
			return &WaitError{Until: c.Expires}
		}
		if err := pinsOpen(a, now); err != nil {
			return err
		}
		firm, err := store.FirmOf(tx, a.Firm)
		if err != nil {
			return err
		}
		held, err := steppingUp(tx, c)
		if err != nil {
			return err
		}
		if c.Channel, err = s.choose(&a, firm, held.Strength, now); err != nil {
			return err
		}
		c.Sends, c.Resend = c.Sends+1, now.Add(factor.ResendAfter)
		out = &sending{id: id, challenge: c, account: a, firm: firm, held: held.Strength}
		if err := s.fill(out); err != nil {
			return err
		}
		if err := store.UpdateAccount(tx, a); err != nil {
			return err
		}
		_, err = store.UpdateChallenge(tx, out.challenge)
		return err
	})
	if err != nil {
		return Outcome{}, err
	}
	return s.deliver(ctx, out)
}

// steppingUp returns the session that a challenge is to step up, the zero value for a sign-in.
func steppingUp(tx *sqldb.Tx, c store.Challenge) (session.Session, error) {
	if c.Session == "" {
		return session.Session{}, nil
	}
	held, err := store.Session(tx, c.Session)
	if errors.Is(err, sqldb.ErrNotFound) {
		err = ErrExpired
	}
	return held, err
}

// waiting returns a challenge that waits for a PIN and the account it is for, or ErrExpired.
func (s *Service) waiting(tx *sqldb.Tx, id string, now time.Time) (store.Challenge, account.Account, error) {
	c, err := store.ChallengeBy(tx, session.Hash(id))
	if errors.Is(err, sqldb.ErrNotFound) {
		return c, account.Account{}, ErrExpired
	}
	if err != nil {
		return c, account.Account{}, err
	}
	if !c.Closed.IsZero() || !now.Before(c.Expires) {
		return c, account.Account{}, ErrExpired
	}
	a, err := store.AnyAccount(tx, c.Account)
	if err == nil && a.State != account.Active {
		return c, a, ErrExpired
	}
	return c, a, err
}
