package signin

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/messages"
	"github.com/concord-suite/concord/services/auth/internal/factor"
	"github.com/concord-suite/concord/services/auth/internal/receipt"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/people"
)

// sending is a challenge whose PINs, if it has any, are to be sent once its transaction is committed. It is the only place
// where PINs are in the clear, and lives as long as one call.
type sending struct {
	id        string
	challenge store.Challenge
	account   account.Account
	firm      account.Firm
	options   string // for a passkey
	// standIn says whether a PIN may go by e-mail when the text message is not taken, or does not arrive.
	standIn bool
	// ticket is the text message that is counted for it, text what became of that one.
	ticket   messages.Ticket
	text     receipt.State
	pin      string // by SMS, or by e-mail when the channel is e-mail alone
	emailPIN string // by e-mail, when the channel is both
}

// challenge makes a challenge for an account that has shown its password.
func (s *Service) challenge(tx *sqldb.Tx, in asked, now time.Time) (*sending, error) {
	offered, err := s.offer(tx, &in, now)
	if err != nil {
		return nil, err
	}
	return s.newChallenge(tx, in, offered, now)
}

func (s *Service) newChallenge(tx *sqldb.Tx, in asked, offered offer, now time.Time) (*sending, error) {
	id, hash := session.NewToken(session.ForChallenge)
	out := &sending{id: id, account: in.account, firm: in.firm, challenge: store.Challenge{
		Hash: hash, Account: in.account.ID, Session: in.stepUp.ID, Factors: offered.factors, Channel: offered.channel,
		Alone: offered.alone, Created: now, Expires: now.Add(factor.Life), Address: in.address,
	}}
	if offered.channel != "" {
		out.challenge.Sends, out.challenge.Resend = 1, now.Add(factor.ResendAfter)
		if err := s.count(tx, out); err != nil {
			return nil, err
		}
		if err := s.mayStandIn(tx, out, in); err != nil {
			return nil, err
		}
		if err := s.fill(out); err != nil {
			return nil, err
		}
	}
	if err := store.UpdateAccount(tx, in.account); err != nil {
		return nil, err
	}
	if err := store.InsertChallenge(tx, out.challenge); err != nil {
		return nil, err
	}
	var err error
	out.options, err = s.passkeyOptions(tx, out.challenge, in.account)
	return out, err
}

// mayStandIn notes whether e-mail may carry the PIN of a challenge in the place of a text message.
func (s *Service) mayStandIn(tx *sqldb.Tx, out *sending, in asked) error {
	why, err := s.emailMay(tx, in)
	out.standIn = why == nil && s.Messages.Mail != nil
	return err
}

// count counts the messages that a challenge is about to cost.
func (s *Service) count(tx *sqldb.Tx, out *sending) (err error) {
	if out.challenge.Channel.UsesEmail() {
		b := mailed(out.account)
		if err := people.Pour(tx, b.key[:], b.every, b.most, s.Now()); err != nil {
			return err
		}
	}
	if out.challenge.Channel.UsesSMS() {
		out.ticket, err = s.Messages.Count(tx, out.account, out.account.Mobile, out.challenge.Hash, factor.Life)
	}
	return told(err)
}

// told turns a refusal to send a text message into what signing in ends with.
func told(err error) error {
	refused, ok := errors.AsType[*messages.RefusedError](err)
	switch {
	case !ok:
		return err
	case refused.Why == messages.ErrPause || refused.Why == messages.ErrHour:
		return &WaitError{Until: refused.Until, Why: refused.Why}
	}
	return &UndeliverableError{Why: refused.Why, Temporary: !refused.Until.IsZero()}
}

// passkeyOptions are those of a challenge; empty when it asks for no passkey.
func (s *Service) passkeyOptions(tx *sqldb.Tx, c store.Challenge, a account.Account) (string, error) {
	if s.Passkeys == nil || !c.Factors.Has(account.Passkey) {
		return "", nil
	}
	return s.Passkeys.Options(tx, passkeyChallenge(c, a))
}

func passkeyChallenge(c store.Challenge, a account.Account) PasskeyChallenge {
	return PasskeyChallenge{Hash: c.Hash, Account: a, Alone: c.Alone, Expires: c.Expires}
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

// emailOpen tells whether a PIN by e-mail may be asked for because the text message does not arrive.
func (out *sending) emailOpen() bool {
	c := out.challenge
	return out.standIn && out.text == receipt.Undelivered && c.Channel.UsesSMS() && c.Sends < factor.MaxSends
}

func (out *sending) pending() *Pending {
	c := out.challenge
	p := &Pending{
		ID: out.id, Factors: c.Factors, PasskeyOptions: out.options, Channel: c.Channel, Expires: c.Expires, Resend: c.Resend,
		Text: out.text, EmailOpen: out.emailOpen(),
	}
	switch c.Channel {
	case factor.SMS:
		p.Hint = account.MaskMobile(out.account.Mobile)
	case factor.Email:
		p.Hint = account.MaskEmail(out.account.Email)
	case factor.Both:
		p.Hint = account.MaskMobile(out.account.Mobile) + ", " + account.MaskEmail(out.account.Email)
	}
	return p
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

// waiting returns a challenge that waits for its answer and the account it is for, or ErrExpired. One that a passkey alone
// answers has no account yet.
func (s *Service) waiting(tx *sqldb.Tx, id string, now time.Time) (store.Challenge, account.Account, error) {
	c, err := store.ChallengeBy(tx, session.Hash(id))
	if errors.Is(err, sqldb.ErrNotFound) {
		return c, account.Account{}, ErrExpired
	}
	if err != nil {
		return c, account.Account{}, err
	}
	if !c.Closed.IsZero() || !now.Before(c.Expires) || session.Ahead(c.Created, now) {
		return c, account.Account{}, ErrExpired
	}
	if c.Account == "" {
		return c, account.Account{}, nil
	}
	a, err := store.AnyAccount(tx, c.Account)
	if err == nil && a.State != account.Active {
		return c, a, ErrExpired
	}
	return c, a, err
}

// passkeyLife is how long a passkey alone may take to answer: nothing else was shown, so the challenge is short. W3C
// WebAuthn recommends five minutes at most.
const passkeyLife = 5 * time.Minute

// Look returns a challenge as it stands, to who knows its id.
func (s *Service) Look(ctx context.Context, id string) (*Pending, error) {
	var out *sending
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		c, a, err := s.waiting(tx, id, s.Now())
		if err != nil {
			return err
		}
		out = &sending{id: id, challenge: c, account: a}
		if out.options, err = s.passkeyOptions(tx, c, a); err != nil || c.Channel == "" {
			return err
		}
		in, err := s.askedAgain(tx, c, a)
		if err != nil {
			return err
		}
		return s.readText(tx, out, in)
	})
	if err != nil {
		return nil, err
	}
	return out.pending(), nil
}

// askedAgain is for whom, and for what, a challenge of PINs was made.
func (s *Service) askedAgain(tx *sqldb.Tx, c store.Challenge, a account.Account) (in asked, err error) {
	in = asked{account: a, address: c.Address}
	if in.firm, err = store.FirmOf(tx, a.Firm); err != nil {
		return in, err
	}
	in.stepUp, err = steppingUp(tx, c)
	return in, err
}

// readText notes what became of the text message of a challenge, and whether e-mail may stand in for it.
func (s *Service) readText(tx *sqldb.Tx, out *sending, in asked) (err error) {
	if out.text, err = messages.State(tx, out.challenge.Hash); err != nil {
		return err
	}
	return s.mayStandIn(tx, out, in)
}

// StartPasskey makes a challenge that a passkey answers alone, whoever's it is.
func (s *Service) StartPasskey(ctx context.Context, address string) (*Pending, error) {
	if s.Passkeys == nil {
		return nil, ErrFactor
	}
	var out *sending
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) (err error) {
		now := s.Now()
		id, hash := session.NewToken(session.ForChallenge)
		out = &sending{id: id, challenge: store.Challenge{
			Hash: hash, Factors: factor.Kinds{account.Passkey}, Alone: true, Created: now, Expires: now.Add(passkeyLife),
			Address: address,
		}}
		if err := store.InsertChallenge(tx, out.challenge); err != nil {
			return err
		}
		out.options, err = s.passkeyOptions(tx, out.challenge, account.Account{})
		return err
	})
	if err != nil {
		return nil, err
	}
	return out.pending(), nil
}
