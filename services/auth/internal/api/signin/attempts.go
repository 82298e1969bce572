package signin

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/factor"
	"github.com/concord-suite/concord/services/auth/internal/password"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/people"
)

// Wrong passwords are counted four times: by address and origin together, where the wait grows from the fifth on as for
// PINs; by address alone, where it begins at the hundredth and stays short; by origin alone, over all addresses; and by the
// domain of the address, which mostly is a firm's. The domain stands for the firm since it says nothing about who exists.
//
// An origin from which the person signed in lately, or has just set the password anew, is held to the first count only. So
// a stranger can slow down guessing, their own and other strangers', but cannot keep the person out.
const (
	manyFailures = 100
	manyWait     = 30 * time.Second
	// fromOrigin wrong passwords come from one origin at once, and one every originEvery after that: an office full of
	// people comes back from holidays, and lists of stolen passwords are no use.
	fromOrigin  = 60
	originEvery = time.Minute
	// forDomain and domainEvery bound those for one firm from everywhere. The wait is short: people from new places meet
	// it as well.
	forDomain   = 300
	domainEvery = 10 * time.Second
	// forgetAfter is when failures are no longer taken for one attack.
	forgetAfter = 24 * time.Hour
	// trustFor is how long an origin stays known.
	trustFor = 30 * 24 * time.Hour
)

// What the holder of an account is told.
const (
	guessesMany = "A hundred wrong passwords were tried for your address. None was right. Such guesses are slowed down; you can go on."
	codesWrong  = "Somebody who knows your password entered five wrong codes in a row."
)

// subjectKey is what attempts are counted under. A hash, so that the table is no list of addresses.
type subjectKey [sha256.Size]byte

func pairOf(email, address string) subjectKey {
	return sha256.Sum256([]byte("pair\x00" + email + "\x00" + Origin(address)))
}
func totalOf(email string) subjectKey { return sha256.Sum256([]byte("total\x00" + email)) }
func originOf(address string) subjectKey {
	return sha256.Sum256([]byte("origin\x00" + Origin(address)))
}
func domainOf(email string) subjectKey {
	_, domain, _ := strings.Cut(email, "@")
	return sha256.Sum256([]byte("domain\x00" + domain))
}

// Origin is the network address by which attempts are counted: of IPv6 the first 64 bits, since whoever has one address
// has all of those.
func Origin(address string) string {
	const site = 64
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	prefix, _ := ip.WithZone("").Prefix(site) // fails for lengths beyond an address only
	return prefix.String()
}

// buckets are those that a wrong password goes into beside the counts of its address.
func buckets(email, address string) [2]bucket {
	return [...]bucket{
		{originOf(address), fromOrigin, originEvery},
		{domainOf(email), forDomain, domainEvery},
	}
}

type bucket struct {
	key   subjectKey
	most  int
	every time.Duration
}

// full returns until when nothing more goes into the bucket; in the past when something does.
func (b bucket) full(tx *sqldb.Tx) (time.Time, error) {
	empty, err := people.EmptyAt(tx, b.key[:])
	return empty.Add(-time.Duration(b.most-1) * b.every), err
}

// mayTry returns a *WaitError when this origin, or everybody, has to wait for this address.
func (s *Service) mayTry(tx *sqldb.Tx, email, address string) error {
	now := s.Now()
	key := pairOf(email, address)
	pair, err := store.AttemptsOf(tx, key[:])
	if err != nil {
		return err
	}
	if factor.Waiting(pair.BlockedUntil, now) {
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
	if factor.Waiting(total.BlockedUntil, now) {
		return &WaitError{Until: total.BlockedUntil}
	}
	for _, b := range buckets(email, address) {
		until, err := b.full(tx)
		if err != nil {
			return err
		}
		if factor.Waiting(until, now) {
			return &WaitError{Until: until}
		}
	}
	return nil
}

// wrongPassword counts and records a wrong password.
func (s *Service) wrongPassword(ctx context.Context, email, address string, candidates []account.Account) error {
	return s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		now := s.Now()
		pairKey, totalKey := pairOf(email, address), totalOf(email)
		many := false
		err := fail(tx, pairKey, now, factor.Wait)
		if err == nil {
			err = fail(tx, totalKey, now, func(failures int) time.Duration {
				many = failures == manyFailures
				if failures < manyFailures {
					return 0
				}
				return manyWait
			})
		}
		if err != nil {
			return err
		}
		for _, b := range buckets(email, address) {
			if err := people.Pour(tx, b.key[:], b.every, b.most, now); err != nil {
				return err
			}
		}
		if many {
			if err := s.tellOfGuesses(tx, candidates, address); err != nil {
				return err
			}
		}
		return recordWrongPassword(tx, candidates, address, now)
	})
}

// tellOfGuesses tells the holders of an address that its passwords are being guessed: at the hundredth wrong one in a row of
// days, once, so that nobody's mailbox is filled by a stranger. What it costs beside the hash that was computed does not
// show whether the address has an account.
func (s *Service) tellOfGuesses(tx *sqldb.Tx, candidates []account.Account, address string) error {
	if s.Post == nil {
		return nil
	}
	for _, a := range candidates[:min(len(candidates), maxRecorded)] {
		firm, err := store.FirmOf(tx, a.Firm)
		if err != nil {
			return err
		}
		if err := s.Post.Suspicious(tx, a, firm, guessesMany, address); err != nil {
			return err
		}
	}
	return nil
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

// forgive forgets the failures of an origin that knew the password, and knows it from now on. A password that is not that of
// every account of the address leaves the failures until they are a day old: whoever knows it could else guess at the others.
func (s *Service) forgive(tx *sqldb.Tx, email, address string, every bool) error {
	if every {
		return s.Welcome(tx, email, address)
	}
	pair := pairOf(email, address)
	before, err := store.AttemptsOf(tx, pair[:])
	if err != nil {
		return err
	}
	before.TrustedUntil = s.Now().Add(trustFor)
	return store.PutAttempts(tx, pair[:], before)
}

// Welcome is for whoever has just proven, by the mailbox, to be the person: their origin is known from now on. So there is
// always a way past the waits that strangers cause.
func (s *Service) Welcome(tx *sqldb.Tx, email, address string) error {
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
