package custody

import (
	"context"
	"hash/fnv"
	"math"
	"sync"
	"time"

	"github.com/concord-suite/concord/services/connector/internal/store"
)

// usage is which grants this process uses, so that they are renewed before anybody has to wait for it.
type usage struct {
	mu   sync.Mutex
	last map[string]use
}

// use is the last time an access token was handed out, and when it is to be renewed.
type use struct{ at, due time.Time }

func (u *usage) note(grant string, now, due time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last[grant] = use{at: now, due: due}
}

// regularly bounds how long ago a grant was used that is renewed ahead: half the life of Xero's tokens. Who asks less
// often than that finds the token expired as often as not.
const regularly = 15 * time.Minute

// due returns the grants to be renewed ahead, and forgets those that are no longer used.
func (u *usage) due(now time.Time) (grants []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for grant, one := range u.last {
		switch {
		case now.Sub(one.at) > regularly:
			delete(u.last, grant)
		case !now.Before(one.due):
			grants = append(grants, grant)
		}
	}
	return grants
}

// aheadAt is when a grant in use is renewed: in the sixth of the token's life before it falls due, at a moment that
// depends on the grant, so that grants which were made at once do not stay together, and a little on the replica, so that
// one finds it renewed by the other. The last tenth is left: upkeep comes round every few seconds.
func (c *Custodian) aheadAt(g store.Grant) time.Time {
	window := due(g).Sub(g.AccessIssued) / 5 // due is after five sixths
	spread := 0.6*share(g.ID) + 0.3*share(g.ID+c.replica)
	return due(g).Add(-window + time.Duration(spread*float64(window)))
}

// share returns a number from 0 up to 1 that looks drawn by lot and is always the same for a text.
func share(text string) float64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // never fails
	x := h.Sum64()
	x ^= x >> 32 // texts that differ at their end alone differ in the low half of this hash
	x *= 0x9e3779b97f4a7c15
	return float64(x>>11) / (math.MaxUint64 >> 11)
}

// renewAhead renews a grant in use whose time has come. Nobody waits for it: until the token falls due it is handed out.
func (c *Custodian) renewAhead(ctx context.Context, grant string) error {
	g, err := c.read(ctx, grant)
	if err != nil {
		return err
	}
	now := c.now()
	c.usage.mu.Lock()
	if one, known := c.usage.last[grant]; known { // it may have been renewed since it was used
		one.due = c.aheadAt(g)
		c.usage.last[grant] = one
	}
	c.usage.mu.Unlock()
	ahead := func(g store.Grant, now time.Time) bool { return !now.Before(c.aheadAt(g)) }
	if !g.Usable() || g.Access.Empty() || !ahead(g, now) {
		return nil
	}
	return c.renew(ctx, grant, ahead)
}
