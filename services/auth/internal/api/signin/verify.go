package signin

import (
	"context"
	"errors"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/factor"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// Answer is what somebody shows second: one of PIN (with EmailPIN when both were sent), TOTP, Assertion and Recovery.
type Answer struct {
	// Challenge is the id of the challenge.
	Challenge string
	// PIN is the one of the text message, or of the e-mail when there was no text message.
	PIN string
	// EmailPIN is the one of the e-mail when both were sent.
	EmailPIN string
	// TOTP is the code of an authenticator program.
	TOTP string
	// Assertion is the answer of a passkey.
	Assertion string
	// Recovery is a recovery code.
	Recovery string
	// Session is the session that steps up; empty for a sign-in. A challenge of the one does not serve the other.
	Session string
	Address string
}

// kinds are the kinds of factor that a challenge is answered with.
func (in Answer) kinds(c store.Challenge) factor.Kinds {
	switch {
	case in.Assertion != "":
		return factor.Kinds{account.Passkey}
	case in.TOTP != "":
		return factor.Kinds{account.TOTP}
	case in.Recovery != "":
		return factor.Kinds{account.RecoveryCode}
	}
	return c.Channel.Kinds()
}

// shown is what an answer has shown.
type shown struct {
	kinds   factor.Kinds
	passkey PasskeyShown
	// weak is true when the firm forbids what was shown, and lets it pass for want of anything else.
	weak bool
}

// Verify redeems a challenge and opens the session. It is done in one transaction: of any number of callers with the
// right answer one gets the session and the others ErrExpired; wrong ones are counted before anybody learns that they
// were wrong.
func (s *Service) Verify(ctx context.Context, in Answer) (Opened, error) {
	var opened Opened
	var verdict error // what is told after a transaction that is committed all the same
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) (err error) {
		opened, verdict = Opened{}, nil
		now := s.Now()
		c, a, err := s.waiting(tx, in.Challenge, now)
		if err != nil {
			return err
		}
		if c.Session != in.Session {
			return ErrExpired
		}
		got := shown{kinds: in.kinds(c)}
		if len(got.kinds) == 0 || !c.Factors.Has(got.kinds[0]) {
			return ErrFactor
		}
		if err := mayTryCode(a, got.kinds[0], now); err != nil {
			return err
		}
		verdict, err = s.prove(tx, c, &a, in, &got, now)
		if err != nil {
			return err
		}
		if verdict != nil {
			return s.wrong(tx, c, a, got.kinds[0], in.Address, now)
		}
		how := asked{account: a, address: in.Address}
		if err := s.stillTaken(tx, c, &how, &got); err != nil {
			return err
		}
		c.Closed = now
		if ok, err := store.UpdateChallenge(tx, c); err != nil || !ok {
			return orExpired(err)
		}
		opened, err = s.redeem(tx, c, how, got, now)
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

// mayTryCode tells whether an answer of a kind is looked at now. A passkey can't be guessed and always is; recovery codes
// wait like the others, and are never switched off.
func mayTryCode(a account.Account, kind account.Factor, now time.Time) error {
	switch kind {
	case account.Passkey:
		return nil
	case account.RecoveryCode:
		return waited(a, now)
	}
	return codesOpen(a, now)
}

// prove looks at the answer. The verdict is why it is refused; the error is anything else. For a passkey alone it finds
// out whose it is.
func (s *Service) prove(tx *sqldb.Tx, c store.Challenge, a *account.Account, in Answer, got *shown, now time.Time) (verdict, err error) {
	var right bool
	switch got.kinds[0] {
	case account.Passkey:
		return s.provePasskey(tx, c, a, in, got)
	case account.TOTP:
		right, err = s.Proofs.AcceptTOTP(tx, *a, in.TOTP, now)
	case account.RecoveryCode:
		right, err = s.Proofs.UseRecovery(tx, *a, in.Recovery, now)
	default:
		right = s.fits(c, a.Firm, in)
	}
	if err == nil && !right {
		verdict = ErrRefused
	}
	return verdict, err
}

func (s *Service) provePasskey(tx *sqldb.Tx, c store.Challenge, a *account.Account, in Answer, got *shown) (verdict, err error) {
	if s.Passkeys == nil {
		return nil, ErrFactor
	}
	got.passkey, err = s.Passkeys.Verify(tx, passkeyChallenge(c, *a), in.Assertion)
	switch {
	case errors.Is(err, ErrPasskey):
		return err, nil
	case err != nil:
		return nil, err
	case c.Account != "" && got.passkey.Account != c.Account, c.Alone && !got.passkey.UserVerified:
		return ErrPasskey, nil
	case c.Account != "":
		return nil, nil
	}
	switch *a, err = store.AnyAccount(tx, got.passkey.Account); {
	case errors.Is(err, sqldb.ErrNotFound), err == nil && a.State != account.Active:
		return ErrRefused, nil
	}
	return nil, err
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

// stillTaken reads the policy again: what the firm has stopped accepting since the challenge was made is not taken, unless
// there is nothing else. It fills in what the sign-in is for.
func (s *Service) stillTaken(tx *sqldb.Tx, c store.Challenge, how *asked, got *shown) (err error) {
	a := how.account
	if how.firm, err = store.FirmOf(tx, a.Firm); err != nil {
		return err
	}
	if how.stepUp, err = steppingUp(tx, c); err != nil {
		return err
	}
	if how.enrolled, err = s.Enrolled(tx, a, how.firm); err != nil {
		return err
	}
	switch kind := got.kinds[0]; {
	case c.Alone && !how.firm.PasskeyAlone(a):
		return ErrFactor
	case kind == account.EmailPIN:
		why, err := s.emailMay(tx, *how)
		if err == nil && why != nil {
			err = ErrExpired
		}
		return err
	case kind == account.RecoveryCode || how.firm.Allows(a, kind):
		return nil
	case kind == account.SMSPIN && c.Session == "" && Stranded(a, how.firm, how.enrolled):
		got.weak = true
		return nil
	}
	return ErrExpired
}

// wrong counts a wrong answer for the challenge and, unless it was a passkey's, for the account: one count for all codes,
// whatever the channel and the challenge.
func (s *Service) wrong(tx *sqldb.Tx, c store.Challenge, a account.Account, kind account.Factor, address string, now time.Time) error {
	c.Failures++
	if c.Failures >= factor.MaxTries {
		c.Closed = now
	}
	if _, err := store.UpdateChallenge(tx, c); err != nil {
		return err
	}
	if kind == account.Passkey {
		return recordWrong(tx, a, kind, address, now)
	}
	if err := s.countWrongCode(tx, &a, address, now); err != nil {
		return err
	}
	return recordWrong(tx, a, kind, address, now)
}

// countWrongCode counts a wrong code, and switches codes off when it was one too many.
func (s *Service) countWrongCode(tx *sqldb.Tx, a *account.Account, address string, now time.Time) error {
	a.PIN.Failures++
	if w := factor.Wait(a.PIN.Failures); w > 0 {
		a.PIN.BlockedUntil = now.Add(w)
	}
	if a.PIN.Failures == wrongCodesTold {
		if err := s.suspicious(tx, *a, codesWrong, address); err != nil {
			return err
		}
	}
	if a.PIN.Failures >= factor.MaxFailures && a.PIN.Disabled.IsZero() {
		a.PIN.Disabled = now
		if err := s.switchedOff(tx, *a, address, now); err != nil {
			return err
		}
	}
	return store.UpdateAccount(tx, *a)
}

// switchedOff closes what waits for a code that is not looked at any more, and tells the holder.
func (s *Service) switchedOff(tx *sqldb.Tx, a account.Account, address string, now time.Time) error {
	if err := store.CloseChallenges(tx, a.ID, now); err != nil {
		return err
	}
	return s.suspicious(tx, a, codesOff, address)
}

// wrongCodesTold is how many wrong codes in a row the holder of an account is told of: who types codes knows the password.
// Four are mistyped, the fifth costs the first wait.
const wrongCodesTold = 5

// suspicious tells the holder of an account that somebody else may be trying to sign in.
func (s *Service) suspicious(tx *sqldb.Tx, a account.Account, what, address string) error {
	if s.Post == nil {
		return nil
	}
	firm, err := store.FirmOf(tx, a.Firm)
	if err != nil {
		return err
	}
	return s.Post.Suspicious(tx, a, firm, what, address)
}

// ShowRecovery uses up a recovery code of somebody who is signed in, under the same bounds and the same count as at a
// sign-in. The verdict is why it is refused; the caller commits all the same.
func (s *Service) ShowRecovery(tx *sqldb.Tx, a account.Account, code, address string) (verdict, err error) {
	now := s.Now()
	if verdict := waited(a, now); verdict != nil {
		return verdict, nil
	}
	right, err := s.Proofs.UseRecovery(tx, a, code, now)
	if err != nil {
		return nil, err
	}
	if right {
		a.PIN.Failures, a.PIN.BlockedUntil = 0, time.Time{}
		if err := store.UpdateAccount(tx, a); err != nil {
			return nil, err
		}
		firm, err := store.FirmOf(tx, a.Firm)
		if err != nil {
			return nil, err
		}
		return nil, s.tell(tx, a, firm, recoveryUsed, address)
	}
	if err := s.countWrongCode(tx, &a, address, now); err != nil {
		return nil, err
	}
	return ErrRefused, recordWrong(tx, a, account.RecoveryCode, address, now)
}
