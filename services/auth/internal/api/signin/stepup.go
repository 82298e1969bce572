package signin

import (
	"context"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/factor"
	"github.com/concord-suite/concord/services/auth/internal/password"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// StepUp checks the password of a session's holder again and asks for a second factor. An e-mailed PIN lifts a session
// that has shown the password alone, and no other. Without a password a passkey alone is asked for, which has to verify its
// user. The error is sqldb.ErrNotFound when the session is over.
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
	if pass == "" {
		return s.beginStepUp(ctx, current, a, address, true)
	}
	if err := s.Confirm(ctx, a, pass, address); err != nil {
		return Outcome{}, err
	}
	return s.beginStepUp(ctx, current, a, address, false)
}

// Confirm checks the password of an account whose holder is signed in, under the bounds of signing in. It returns
// ErrRefused for a wrong one, after it was counted and recorded.
func (s *Service) Confirm(ctx context.Context, a account.Account, pass, address string) error {
	leave, err := s.lines.enter(ctx, pairOf(a.Email, address))
	if err != nil {
		return err
	}
	defer leave()
	if err := s.DB.Read(ctx, func(tx *sqldb.Tx) error { return s.mayTry(tx, a.Email, address) }); err != nil {
		return err
	}
	right := false
	err = s.Hasher.Do(ctx, func(slot *password.Slot) error {
		right = slot.Check(pass, []string{a.Password})[0].Match
		return nil
	})
	if err != nil || right {
		return err
	}
	apart, done := Apart(ctx)
	defer done()
	if err := s.wrongPassword(apart, a.Email, address, []account.Account{a}); err != nil {
		return err
	}
	return ErrRefused
}

func (s *Service) beginStepUp(ctx context.Context, current session.Session, checked account.Account, address string, alone bool) (Outcome, error) {
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
		in := asked{account: a, stepUp: current, address: address}
		if in.firm, err = store.FirmOf(tx, a.Firm); err != nil {
			return err
		}
		if in.enrolled, err = s.Enrolled(tx, a, in.firm); err != nil {
			return err
		}
		if alone {
			if !in.enrolled.Has(account.Passkey) || !in.firm.PasskeyAlone(a) {
				return ErrFactor
			}
			out, err = s.newChallenge(tx, in, offer{factors: factor.Kinds{account.Passkey}, alone: true}, now)
			return err
		}
		accounts, err := store.AccountsByEmail(tx, a.Email)
		if err != nil {
			return err
		}
		if err := s.forgive(tx, a.Email, address, len(accounts) == 1); err != nil {
			return err
		}
		out, err = s.challenge(tx, in, now)
		return err
	})
	if err != nil {
		return Outcome{}, err
	}
	return s.deliver(ctx, out)
}
