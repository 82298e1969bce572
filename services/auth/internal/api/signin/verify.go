package signin

import (
	"context"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/factor"
	"github.com/concord-suite/concord/services/auth/internal/password"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// Answer is what somebody shows second.
type Answer struct {
	// Challenge is the id of the challenge.
	Challenge string
	// PIN is the one of the text message, or of the e-mail when there was no text message.
	PIN string
	// EmailPIN is the one of the e-mail when both were sent.
	EmailPIN string
	// Session is the session that steps up; empty for a sign-in. A challenge of the one does not serve the other.
	Session string
	Address string
}

// Verify redeems a challenge and opens the session. It is done in one transaction: of any number of callers with the
// right PIN one gets the session and the others ErrExpired; wrong ones are counted before anybody learns that they were
// wrong.
func (s *Service) Verify(ctx context.Context, in Answer) (Opened, error) {
	var opened Opened
	var verdict error // what is told after a transaction that is committed all the same
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		opened, verdict = Opened{}, nil
		now := s.Now()
		c, a, err := s.waiting(tx, in.Challenge, now)
		if err != nil {
			return err
		}
		if c.Session != in.Session {
			return ErrExpired
		}
		if err := pinsOpen(a, now); err != nil {
			return err
		}
		firm, err := store.FirmOf(tx, a.Firm)
		if err != nil {
			return err
		}
		if c.Channel == factor.Email && !firm.EmailPINAllowed(a) {
			return ErrExpired // the firm has stopped allowing it since
		}
		if !s.fits(c, a.Firm, in) {
			verdict = ErrRefused
			return s.wrongPIN(tx, c, a, in.Address, now)
		}
		c.Closed = now
		if ok, err := store.UpdateChallenge(tx, c); err != nil || !ok {
			return orExpired(err)
		}
		opened, err = s.redeem(tx, c, a, in.Address, now)
		return err
	})
	if err == nil {
		err = verdict
	}
	return opened, err
}

func orExpired(err error) error {
	if err == nil {
		return ErrExpired
	}
	return err
}

// fits compares the PINs with their hashes, always as many as the channel has.
func (s *Service) fits(c store.Challenge, firm string, in Answer) bool {
	check := func(mac []byte, column, pin string) bool {
		return len(mac) > 0 && s.Vault.VerifyMAC(mac, []byte(pin), macRow(c, firm, column)) == nil
	}
	switch c.Channel {
	case factor.SMS:
		return check(c.SMSMAC, "sms_mac", in.PIN)
	case factor.Email:
		return check(c.EmailMAC, "email_mac", in.PIN)
	}
	first, second := check(c.SMSMAC, "sms_mac", in.PIN), check(c.EmailMAC, "email_mac", in.EmailPIN)
	return first && second
}

// wrongPIN counts a wrong PIN for the challenge and for the account.
func (s *Service) wrongPIN(tx *sqldb.Tx, c store.Challenge, a account.Account, address string, now time.Time) error {
	c.Failures++
	if c.Failures >= factor.MaxTries {
		c.Closed = now
	}
	if _, err := store.UpdateChallenge(tx, c); err != nil {
		return err
	}
	a.PIN.Failures++
	if w := factor.Wait(a.PIN.Failures); w > 0 {
		a.PIN.BlockedUntil = now.Add(w)
	}
	if a.PIN.Failures >= factor.MaxFailures {
		a.PIN.Disabled = now
		if err := store.CloseChallenges(tx, a.ID, now); err != nil {
			return err
		}
	}
	if err := store.UpdateAccount(tx, a); err != nil {
		return err
	}
	return recordWrongPIN(tx, a, address, now)
}

// redeem opens what a right PIN opens.
func (s *Service) redeem(tx *sqldb.Tx, c store.Challenge, a account.Account, address string, now time.Time) (Opened, error) {
	a.PIN.Failures, a.PIN.BlockedUntil = 0, time.Time{}
	opened := session.Session{
		Strength: session.Weak, Methods: []string{session.MethodPassword, session.MethodOTP}, Address: address,
	}
	if c.Channel.UsesSMS() {
		opened.Strength, opened.StepUpUntil = session.Strong, now.Add(session.StepUp)
		opened.Methods = append(opened.Methods, session.MethodSMS)
	}
	if c.Channel.UsesEmail() {
		opened.Methods = append(opened.Methods, session.MethodEmail)
	}
	if c.Channel == factor.Both {
		a.MobileValidated = now
	}
	if err := store.CloseChallenges(tx, a.ID, now); err != nil {
		return Opened{}, err
	}
	if c.Session == "" {
		return s.open(tx, a, opened, now)
	}
	return s.replace(tx, c, a, opened, now)
}

// replace opens the stronger session and ends the one that stepped up; its Add-Ins go along. A session that is no
// stronger takes nobody's place, whatever way its PIN went.
func (s *Service) replace(tx *sqldb.Tx, c store.Challenge, a account.Account, stronger session.Session, now time.Time) (Opened, error) {
	before, err := steppingUp(tx, c)
	if err != nil {
		return Opened{}, err
	}
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

// StepUp checks the password of a session's holder again and sends a PIN. An e-mailed PIN lifts a session that has shown
// the password alone, and no other. The error is sqldb.ErrNotFound when the session is over.
func (s *Service) StepUp(ctx context.Context, sessionID, pass, address string) (Outcome, error) {
	var a account.Account
	var current session.Session
	err := s.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		if current, err = store.Session(tx, sessionID); err != nil {
			return err
		}
		if !current.Live(s.Now()) {
			return sqldb.ErrNotFound
		}
		a, err = store.Account(tx, current.Firm, current.Account)
		return err
	})
	if err != nil {
		return Outcome{}, err
	}
	leave, err := s.lines.enter(ctx, pairOf(a.Email, address))
	if err != nil {
		return Outcome{}, err
	}
	defer leave()
	if err := s.DB.Read(ctx, func(tx *sqldb.Tx) error { return s.mayTry(tx, a.Email, address) }); err != nil {
		return Outcome{}, err
	}
	right := false
	err = s.Hasher.Do(ctx, func(slot *password.Slot) error {
		right = slot.Check(pass, []string{a.Password})[0].Match
		return nil
	})
	if err != nil {
		return Outcome{}, err
	}
	if !right {
		if err := s.wrongPassword(ctx, a.Email, address, []account.Account{a}); err != nil {
			return Outcome{}, err
		}
		return Outcome{}, ErrRefused
	}
	return s.beginStepUp(ctx, current, a, address)
}

func (s *Service) beginStepUp(ctx context.Context, current session.Session, checked account.Account, address string) (Outcome, error) {
	var out *sending
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		now := s.Now()
		a, err := store.Account(tx, checked.Firm, checked.ID)
		if err != nil {
			return err
		}
		if a.State != account.Active || a.Password != checked.Password {
			return ErrRefused
		}
		if err := s.forgive(tx, a.Email, address); err != nil {
			return err
		}
		firm, err := store.FirmOf(tx, a.Firm)
		if err != nil {
			return err
		}
		out, err = s.challenge(tx, a, firm, current, address, now)
		return err
	})
	if err != nil {
		return Outcome{}, err
	}
	return s.deliver(ctx, out)
}
