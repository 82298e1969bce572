package signin

import (
	"context"
	"errors"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/messages"
	"github.com/concord-suite/concord/services/auth/internal/delivery"
	"github.com/concord-suite/concord/services/auth/internal/factor"
	"github.com/concord-suite/concord/services/auth/internal/receipt"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// deliver sends the PINs of a committed challenge. When the text message is not taken, a fresh PIN goes by e-mail if that
// is allowed; when nothing is taken, the challenge is closed, unless a recovery code answers it.
func (s *Service) deliver(ctx context.Context, out *sending) (Outcome, error) {
	if out.challenge.Channel == "" {
		return Outcome{Pending: out.pending()}, nil
	}
	err := s.send(ctx, out)
	var failed *smsError
	if errors.As(err, &failed) && out.standIn {
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
		if !out.challenge.Factors.Has(account.RecoveryCode) {
			s.giveUp(ctx, out)
			return Outcome{}, undeliverable(err)
		}
		if err := s.withoutPIN(ctx, out); err != nil {
			return Outcome{}, err
		}
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
		err := s.Messages.PIN(ctx, out.ticket, out.account, out.firm, out.pin, factor.Life)
		if err != nil {
			out.text = receipt.Undelivered
			return &smsError{err}
		}
		out.text, mailed = receipt.Sent, out.emailPIN
	}
	if !out.challenge.Channel.UsesEmail() {
		return nil
	}
	return s.Messages.MailPIN(ctx, out.account, out.firm, mailed, factor.Life)
}

// turn gives a challenge another channel; recovery codes stay beside it.
func (out *sending) turn(channel factor.Channel) {
	kinds := channel.Kinds()
	if out.challenge.Factors.Has(account.RecoveryCode) {
		kinds = append(kinds, account.RecoveryCode)
	}
	out.challenge.Channel, out.challenge.Factors = channel, kinds
}

// divert turns a challenge to e-mail, with a fresh PIN: the text message may still arrive.
func (s *Service) divert(ctx context.Context, out *sending) error {
	out.turn(factor.Email)
	if err := s.fill(out); err != nil {
		return err
	}
	return s.keep(ctx, out)
}

// withoutPIN leaves a challenge to recovery codes.
func (s *Service) withoutPIN(ctx context.Context, out *sending) error {
	out.turn("")
	out.challenge.SMSMAC, out.challenge.EmailMAC, out.challenge.Resend = nil, nil, time.Time{}
	return s.keep(ctx, out)
}

func (s *Service) keep(ctx context.Context, out *sending) error {
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
	out.challenge.Closed = s.Now()
	if err := s.keep(ctx, out); err != nil && !errors.Is(err, ErrExpired) {
		s.Logger.WarnContext(ctx, "a challenge without a PIN stays open until it expires", "error", err)
	}
}

func undeliverable(err error) error {
	why := errors.New("the provider did not take the message (" + delivery.Code(err) + ")")
	return &UndeliverableError{Why: why, Temporary: delivery.Temporary(err)}
}

// Resend sends fresh PINs for a challenge: by e-mail in the place of a text message that does not arrive when that is asked
// for. Failures counted so far stay, and so does its end.
func (s *Service) Resend(ctx context.Context, id string, byEmail bool) (Outcome, error) {
	var out *sending
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		now := s.Now()
		c, a, err := s.waiting(tx, id, now)
		if err != nil {
			return err
		}
		if c.Channel == "" {
			return ErrFactor
		}
		if err := codesOpen(a, now); err != nil {
			return err
		}
		in, err := s.askedAgain(tx, c, a)
		if err != nil {
			return err
		}
		out = &sending{id: id, challenge: c, account: in.account, firm: in.firm}
		if err := s.readText(tx, out, in); err != nil {
			return err
		}
		if err := s.again(tx, out, in, byEmail, now); err != nil {
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

// again picks the channel of fresh PINs, counts what they cost and makes them.
func (s *Service) again(tx *sqldb.Tx, out *sending, in asked, byEmail bool, now time.Time) error {
	c := &out.challenge
	turns := byEmail && c.Channel != factor.Email
	switch {
	case turns && !out.emailOpen():
		return ErrFactor
	case now.Before(c.Resend) && !turns: // what does not arrive need not be waited for
		return &WaitError{Until: c.Resend}
	case c.Sends >= factor.MaxSends:
		return &WaitError{Until: c.Expires}
	}
	channel := factor.Email
	if !byEmail {
		var err error
		if channel, err = s.choose(tx, in); err != nil {
			return err
		}
	}
	out.turn(channel)
	c.Sends, c.Resend = c.Sends+1, now.Add(factor.ResendAfter)
	if err := s.count(tx, out); err != nil {
		return err
	}
	return s.fill(out)
}

// CountText counts a text message to a mobile for an account. The error is a *WaitError or an *UndeliverableError.
func (s *Service) CountText(tx *sqldb.Tx, a account.Account, mobile string) (messages.Ticket, error) {
	t, err := s.Messages.Count(tx, a, mobile, nil, factor.Life)
	return t, told(err)
}

// TextPIN sends a PIN by the text message that was counted. The error is an *UndeliverableError.
func (s *Service) TextPIN(ctx context.Context, t messages.Ticket, a account.Account, f account.Firm, pin string) error {
	if err := s.Messages.PIN(ctx, t, a, f, pin, factor.Life); err != nil {
		s.Logger.WarnContext(ctx, "a PIN was not taken", "code", delivery.Code(err))
		return undeliverable(err)
	}
	return nil
}

// TellMobile tells somebody, at a mobile that was theirs, that it is not any more. It may fail: the e-mail says the same.
func (s *Service) TellMobile(ctx context.Context, a account.Account, former string) {
	if s.Messages.SMS == nil || former == "" {
		return
	}
	ctx = context.WithoutCancel(ctx)
	var f account.Firm
	var ticket messages.Ticket
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) (err error) {
		if f, err = store.FirmOf(tx, a.Firm); err != nil {
			return err
		}
		ticket, err = s.Messages.CountNotice(tx, a, former)
		return err
	})
	var text string
	if err == nil {
		text, err = s.Messages.Texts.MobileText(f.DisplayName, a.DisplayName)
	}
	if err == nil {
		err = s.Messages.Text(ctx, ticket, text)
	}
	if err != nil {
		s.Logger.WarnContext(ctx, "the former mobile of an account was not told", "error", err)
	}
}
