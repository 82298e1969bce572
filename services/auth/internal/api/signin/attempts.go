package signin

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/factor"
	"github.com/concord-suite/concord/services/auth/internal/password"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// Wrong passwords are counted twice: by address and origin together, where the wait grows from the fifth on as for PINs,
// and by address alone, where it begins at the hundredth and stays short. An origin from which the person signed in
// lately is held to the first count only. So a stranger can slow down guessing, their own and other strangers', but
// cannot keep the person out.
const (
	manyFailures = 100
	manyWait     = 30 * time.Second
	// forgetAfter is when failures are no longer taken for one attack.
	forgetAfter = 24 * time.Hour
	// trustFor is how long an origin stays known.
	trustFor = 30 * 24 * time.Hour
)

// subjectKey is what attempts are counted under. A hash, so that the table is no list of addresses.
type subjectKey [sha256.Size]byte

func pairOf(email, address string) subjectKey {
	return sha256.Sum256([]byte("pair\x00" + email + "\x00" + address))
}
func totalOf(email string) subjectKey { return sha256.Sum256([]byte("total\x00" + email)) }

// mayTry returns a *WaitError when this origin, or everybody, has to wait for this address.
func (s *Service) mayTry(tx *sqldb.Tx, email, address string) error {
	now := s.Now()
	key := pairOf(email, address)
	pair, err := store.AttemptsOf(tx, key[:])
	if err != nil {
		return err
	}
	if pair.BlockedUntil.After(now) {
		return &WaitError{Until: pair.BlockedUntil}
	}
	if pair.TrustedUntil.After(now) {
		return nil
	}
	key = totalOf(email)
	total, err := store.AttemptsOf(tx, key[:])
	if err != nil {
		return err
	}
	if total.BlockedUntil.After(now) {
		return &WaitError{Until: total.BlockedUntil}
	}
	return nil
}

// wrongPassword counts and records a wrong password.
func (s *Service) wrongPassword(ctx context.Context, email, address string, candidates []account.Account) error {
	return s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		now := s.Now()
		pairKey, totalKey := pairOf(email, address), totalOf(email)
		err := fail(tx, pairKey, now, factor.Wait)
		if err == nil {
			err = fail(tx, totalKey, now, func(failures int) time.Duration {
				if failures < manyFailures {
					return 0
				}
				return manyWait
			})
		}
		if err != nil {
			return err
		}
		return recordWrongPassword(tx, candidates, address, now)
	})
}

func fail(tx *sqldb.Tx, key subjectKey, now time.Time, wait func(int) time.Duration) error {
	a, err := store.AttemptsOf(tx, key[:])
	if err != nil {
		return err
	}
	if now.Sub(a.Failed) > forgetAfter {
		a.Failures = 0
	}
	a.Failures++
	a.Failed = now
	if w := wait(a.Failures); w > 0 {
		a.BlockedUntil = now.Add(w)
	}
	return store.PutAttempts(tx, key[:], a)
}

// forgive forgets the failures of an origin that knew the password, and knows it from now on.
func (s *Service) forgive(tx *sqldb.Tx, email, address string) error {
	now := s.Now()
	pair := pairOf(email, address)
	return store.PutAttempts(tx, pair[:], store.Attempts{Failed: now, TrustedUntil: now.Add(trustFor)})
}

// lines lets one password at a time be tried per subject in this process, so that a thousand guesses sent at once are
// counted one after the other. The zero value is ready.
type lines struct {
	mu   sync.Mutex
	open map[subjectKey]*line
}

type line struct {
	turn    chan struct{} // holds one value while somebody has the turn
	waiting int
}

// lineWait is how long somebody waits for those in front; with more of them it is no person who types.
const lineWait = time.Second

// enter waits for the turn of a subject and returns how to leave; password.ErrBusy after a second.
func (l *lines) enter(ctx context.Context, key subjectKey) (leave func(), err error) {
	l.mu.Lock()
	if l.open == nil {
		l.open = map[subjectKey]*line{}
	}
	q := l.open[key]
	if q == nil {
		q = &line{turn: make(chan struct{}, 1)}
		l.open[key] = q
	}
	q.waiting++
	l.mu.Unlock()
	timer := time.NewTimer(lineWait)
	defer timer.Stop()
	select {
	case q.turn <- struct{}{}:
		return func() { <-q.turn; l.drop(key, q) }, nil
	case <-timer.C:
		err = password.ErrBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.drop(key, q)
	return nil, err
}

func (l *lines) drop(key subjectKey, q *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.waiting--; q.waiting == 0 {
		delete(l.open, key)
	}
}
