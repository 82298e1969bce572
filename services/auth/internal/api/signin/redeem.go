package signin

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/messages"
	"github.com/concord-suite/concord/services/auth/internal/factor"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/people"
)

// redeem opens what a right answer opens.
func (s *Service) redeem(tx *sqldb.Tx, c store.Challenge, how asked, got shown, now time.Time) (Opened, error) {
	a := how.account
	if !got.kinds.Has(account.Passkey) { // a passkey says nothing about who guesses codes
		a.PIN.Failures, a.PIN.BlockedUntil = 0, time.Time{}
	}
	if c.Channel == factor.Both && got.kinds.Has(account.SMSPIN) {
		a.MobileValidated = now
	}
	opened := session.Session{
		Strength: got.strength(), Methods: got.methods(c.Alone), Address: how.address,
		MustEnrol: Stranded(a, how.firm, how.enrolled),
	}
	if opened.Strength == session.Strong {
		opened.StepUpUntil = now.Add(session.StepUp)
	}
	if a.Kind == account.Operator && a.LastSignIn.IsZero() { // has shown the code of the console just now
		opened.EnrolUntil = now.Add(factor.EnrolFor)
	}
	if got.kinds.Has(account.RecoveryCode) {
		opened.EnrolUntil = now.Add(factor.EnrolFor)
		if err := s.tell(tx, a, how.firm, recoveryUsed, how.address); err != nil {
			return Opened{}, err
		}
	}
	if err := store.CloseChallenges(tx, a.ID, now); err != nil {
		return Opened{}, err
	}
	if got.kinds.Has(account.SMSPIN) {
		if err := messages.Answered(tx, a.ID); err != nil {
			return Opened{}, err
		}
	}
	if got.kinds.Has(account.EmailPIN) {
		key := mailed(a).key
		if err := people.Drain(tx, key[:]); err != nil {
			return Opened{}, err
		}
	}
	if s.Mailbox != nil && got.kinds[0] != account.EmailPIN {
		if err := s.Mailbox.Restore(tx, a.ID); err != nil {
			return Opened{}, err
		}
	}
	if c.Session == "" {
		return s.open(tx, a, opened, now)
	}
	return s.replace(tx, how, a, opened, now)
}

// strength is that of a session opened by what was shown.
func (g shown) strength() session.Strength {
	for _, kind := range g.kinds {
		switch kind {
		case account.Passkey, account.TOTP, account.SMSPIN:
			if !g.weak {
				return session.Strong
			}
		}
	}
	return session.Weak
}

// methods names what was shown, in the words of RFC 8176 where it has one.
func (g shown) methods(alone bool) (m []string) {
	if !alone {
		m = append(m, session.MethodPassword)
	}
	switch g.kinds[0] {
	case account.Passkey:
		key := session.MethodHardware
		if g.passkey.Synced {
			key = session.MethodSoftware
		}
		m = append(m, key)
		if g.passkey.UserVerified {
			m = append(m, session.MethodUser)
		}
		return m
	case account.RecoveryCode:
		return append(m, session.MethodRecovery)
	}
	m = append(m, session.MethodOTP)
	if g.kinds.Has(account.SMSPIN) {
		m = append(m, session.MethodSMS)
	}
	if g.kinds.Has(account.EmailPIN) {
		m = append(m, session.MethodEmail)
	}
	return m
}

// replace opens the stronger session and ends the one that stepped up; its Add-Ins go along. A session that is no
// stronger takes nobody's place, whatever way its PIN went.
func (s *Service) replace(tx *sqldb.Tx, how asked, a account.Account, stronger session.Session, now time.Time) (Opened, error) {
	before := how.stepUp
	if !before.Live(now) || before.Account != a.ID || (stronger.Strength < session.Strong && stronger.Strength <= before.Strength) {
		return Opened{}, ErrExpired
	}
	opened, err := s.open(tx, a, stronger, now)
	if err != nil {
		return Opened{}, err
	}
	if err := store.MoveAddIns(tx, before.ID, opened.Session.ID); err != nil {
		return Opened{}, err
	}
	_, err = store.Ended(tx, store.End{Session: before.ID}, now)
	return opened, err
}

// What people are told of in their mailboxes.
const (
	recoveryUsed = "A recovery code was used for your account. It is void now."
	codesOff     = "Somebody who knows your password entered twenty wrong codes. Codes are switched off for your account; " +
		"passkeys and recovery codes still work, and an administrator can switch codes on again."
)

// tell writes to the holder of an account what was done with it.
func (s *Service) tell(tx *sqldb.Tx, a account.Account, f account.Firm, what, address string) error {
	if s.Post == nil {
		return nil
	}
	return s.Post.AccountChanged(tx, a, f, what, address)
}
