package signin

import (
	"crypto/sha256"
	"errors"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/messages"
	"github.com/concord-suite/concord/services/auth/internal/factor"
	"github.com/concord-suite/concord/services/auth/internal/session"
)

// asked is for whom, and for what, a challenge is made.
type asked struct {
	account account.Account
	firm    account.Firm
	// enrolled are the kinds that need nothing to be sent, of those the firm allows.
	enrolled factor.Kinds
	// stepUp is the session to be stepped up; the zero value for a sign-in.
	stepUp  session.Session
	address string
}

// Enrolled are the kinds that an account has enrolled, of those its firm allows: what is forbidden does not count.
func (s *Service) Enrolled(tx *sqldb.Tx, a account.Account, f account.Firm) (k factor.Kinds, err error) {
	if s.Passkeys != nil && f.Allows(a, account.Passkey) {
		has, err := s.Passkeys.Enrolled(tx, a.ID)
		if err != nil {
			return nil, err
		}
		if has {
			k = append(k, account.Passkey)
		}
	}
	if f.Allows(a, account.TOTP) {
		has, err := s.Proofs.HasTOTP(tx, a.ID)
		if err != nil {
			return nil, err
		}
		if has {
			k = append(k, account.TOTP)
		}
	}
	return k, nil
}

// Stranded tells whether an account has nothing that its firm's policy accepts. Its holder signs in all the same, to enrol
// something.
func Stranded(a account.Account, f account.Firm, enrolled factor.Kinds) bool {
	return len(enrolled) == 0 && (a.Mobile == "" || !f.Allows(a, account.SMSPIN)) && !f.EmailPINAllowed(a)
}

// recoverable tells whether a challenge takes recovery codes: for a sign-in, when the account has any.
func (s *Service) recoverable(tx *sqldb.Tx, in asked, now time.Time) (bool, error) {
	if in.stepUp.ID != "" {
		return false, nil
	}
	left, err := s.Proofs.RecoveryLeft(tx, in.account.ID, now)
	return left.Any(), err
}

// offer is what a challenge asks for.
type offer struct {
	factors factor.Kinds
	channel factor.Channel
	alone   bool
}

// offer decides what a challenge asks for. Who has enrolled something shows that, and is sent nothing; everybody else is
// sent a PIN. Recovery codes stand beside both, and alone when neither works.
func (s *Service) offer(tx *sqldb.Tx, in *asked, now time.Time) (offer, error) {
	recoverable, err := s.recoverable(tx, *in, now)
	if err != nil {
		return offer{}, err
	}
	out, err := s.offerFirst(tx, in, now)
	switch {
	case err == nil && recoverable:
		out.factors = append(out.factors, account.RecoveryCode)
	case err != nil && recoverable && standsForCodes(err):
		return offer{factors: factor.Kinds{account.RecoveryCode}}, nil
	}
	return out, err
}

// standsForCodes tells whether a recovery code helps where a PIN or a time-based code does not. Having to wait is no such
// thing: recovery codes wait as well, unless it is for the PINs of others to be few again.
func standsForCodes(err error) bool {
	_, undeliverable := err.(*UndeliverableError)
	wait, waits := err.(*WaitError)
	return undeliverable || err == ErrDisabled || (waits && (wait.Why == messages.ErrHour || wait.Why == errMailed))
}

func (s *Service) offerFirst(tx *sqldb.Tx, in *asked, now time.Time) (offer, error) {
	open := codesOpen(in.account, now)
	if len(in.enrolled) == 0 {
		if open != nil {
			return offer{}, open
		}
		channel, err := s.choose(tx, *in)
		return offer{factors: channel.Kinds(), channel: channel}, err
	}
	switch {
	case open == nil:
		return offer{factors: append(factor.Kinds(nil), in.enrolled...)}, nil
	case !in.enrolled.Has(account.Passkey):
		return offer{}, open
	}
	return offer{factors: factor.Kinds{account.Passkey}}, nil // a passkey does not wait for what was guessed
}

// codesOpen tells whether a PIN or a time-based code of the account would be looked at now.
func codesOpen(a account.Account, now time.Time) error {
	if !a.PIN.Disabled.IsZero() {
		return ErrDisabled
	}
	return waited(a, now)
}

// waited tells whether a recovery code of the account would be looked at now: never switched off, and no faster than the
// rest.
func waited(a account.Account, now time.Time) error {
	if factor.Waiting(a.PIN.BlockedUntil, now) {
		return &WaitError{Until: a.PIN.BlockedUntil}
	}
	return nil
}

// choose picks the channel of a PIN. What the text message costs is counted once its challenge is made.
func (s *Service) choose(tx *sqldb.Tx, in asked) (factor.Channel, error) {
	a := in.account
	byEmail, err := s.emailMay(tx, in)
	if err != nil {
		return "", err
	}
	ways := factor.Ways{
		Mobile: a.Mobile != "" && in.firm.Allows(a, account.SMSPIN), Validated: !a.MobileValidated.IsZero(),
		Email: s.Messages.Mail != nil, EmailAllowed: byEmail == nil,
	}
	var refused *messages.RefusedError
	if a.Mobile != "" {
		err := s.Messages.May(tx, a, a.Mobile)
		var known bool
		if refused, known = errors.AsType[*messages.RefusedError](err); err != nil && !known {
			return "", err
		}
		ways.SMS = refused == nil
	}
	if ways.Mobile && refused != nil && (refused.Why == messages.ErrPause || refused.Why == messages.ErrHour) {
		return "", told(refused) // neither hurrying nor asking often weakens a sign-in
	}
	channel, err := ways.Choose()
	switch {
	case err != nil && ways.Mobile && refused != nil && refused.Why != messages.ErrNone:
		return "", told(refused)
	case err != nil && byEmail != nil && byEmail != factor.ErrNoMobile:
		return "", &UndeliverableError{Why: byEmail}
	case err != nil && in.stepUp.ID == "" && ways.SMS && Stranded(a, in.firm, in.enrolled):
		channel = factor.SMS // forbidden, but all there is; the session is weak and has to enrol
	case err != nil:
		return "", &UndeliverableError{Why: err}
	}
	if channel.UsesEmail() {
		err = mayMail(tx, a, s.Now())
	}
	return channel, err
}

// mailed is what the PINs go into that went to the mailbox of an account and did not come back: thirty at once, and one every
// two minutes after that. More are no sign-ins, but somebody who fills a mailbox.
func mailed(a account.Account) bucket {
	return bucket{sha256.Sum256([]byte("mailed\x00" + a.ID)), 30, 2 * time.Minute}
}

// mayMail returns a *WaitError when too many PINs went to the mailbox of an account.
func mayMail(tx *sqldb.Tx, a account.Account, now time.Time) error {
	until, err := mailed(a).full(tx)
	if err == nil && factor.Waiting(until, now) {
		err = &WaitError{Until: until, Why: errMailed}
	}
	return err
}

// emailMay tells whether a PIN may go by e-mail alone, or why not: when the mailbox has not reset the password, when it
// makes the session no weaker than one that is held already, and when the firm lets it. For who has nothing that the
// firm accepts it is the way to sign in and enrol something.
func (s *Service) emailMay(tx *sqldb.Tx, in asked) (why, err error) {
	allowed := in.firm.EmailPINAllowed(in.account)
	if in.account.Mobile != "" && in.account.Kind == account.Staff && in.firm.Allows(in.account, account.SMSPIN) {
		allowed = allowed && in.firm.EmailStandsIn
	}
	if in.stepUp.ID == "" && Stranded(in.account, in.firm, in.enrolled) {
		allowed = true
	}
	switch {
	case !allowed:
		return factor.ErrNoMobile, nil
	case in.stepUp.Strength >= session.Weak:
		return errStrongFactor, nil
	case s.Mailbox == nil:
		return nil, nil
	}
	spent, err := s.Mailbox.Spent(tx, in.account.ID)
	if spent {
		why = errSpent
	}
	return why, err
}
