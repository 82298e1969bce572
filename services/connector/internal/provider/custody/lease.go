package custody

import (
	"sync"
	"time"

	"github.com/concord-suite/concord/services/connector/internal/store"
)

// skew is how far the clocks of two replicas may be apart: two minutes off the right time in either direction, which is
// more than a clock that is kept by NTP ever is. What one replica wrote down as a time is compared by another with this
// much allowance.
const skew = 4 * time.Minute

// leases knows since when this process has seen who holds the lease of a grant. By another replica's clock a lease may
// have ended before it began; that it was seen unchanged for as long as it lasts is true whatever the clocks say.
type leases struct {
	mu   sync.Mutex
	seen map[string]sighting
}

type sighting struct {
	owner string
	at    time.Time
}

// held reports whether somebody holds the lease of a grant. lasts is how long a lease lasts.
func (l *leases) held(g store.Grant, now time.Time, lasts time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g.LeaseOwner == "" || g.LeaseUntil.Add(skew).Before(now) {
		delete(l.seen, g.ID)
		return false
	}
	before, known := l.seen[g.ID]
	if !known || before.owner != g.LeaseOwner || now.Before(before.at) { // the last is a clock that was set back
		l.seen[g.ID] = sighting{owner: g.LeaseOwner, at: now}
		return true
	}
	return now.Sub(before.at) < lasts
}

// leased reports whether somebody, this process or another, is renewing a grant.
func (c *Custodian) leased(g store.Grant, now time.Time) bool {
	return c.leases.held(g, now, c.cfg.Lease)
}

// resting reports whether a grant is not to be tried again yet. A time beyond the longest wait was written by a clock
// that was wrong.
func (c *Custodian) resting(g store.Grant, now time.Time) bool {
	return g.RetryAt.After(now) && !g.RetryAt.After(now.Add(c.longestWait()))
}

func (c *Custodian) longestWait() time.Duration { return c.cfg.Retry<<maxDoublings + skew }

// maxDoublings bounds the wait between tries: 32 times the first.
const maxDoublings = 5
