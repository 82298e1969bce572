package signin

import (
	"context"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/password"
)

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
