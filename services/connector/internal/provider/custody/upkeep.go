package custody

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/store"
)

const (
	// upkeepBatch is how many grants of a kind one round of upkeep takes up.
	upkeepBatch = 100
	// upkeepWidth is how many are renewed at once. An answer takes as long as it takes; one after the other, a hundred
	// slow ones would take longer than the provider's grace.
	upkeepWidth = 8
)

// Upkeep takes up refreshes that were begun and left, renews grants that have been idle for long, and those in use whose
// access token falls due soon. It is called every few seconds: what was begun must be taken up within the provider's
// grace.
func (c *Custodian) Upkeep(ctx context.Context) error {
	var left []string
	err := c.db.Read(ctx, func(tx *sqldb.Tx) error {
		now := c.now()
		begun, err := store.PendingGrants(tx, now, now.Add(c.longestWait()), upkeepBatch)
		if err != nil {
			return err
		}
		idle, err := store.IdleGrants(tx, now.Add(-c.cfg.Idle), c.lapsing(now), now, now.Add(c.longestWait()), upkeepBatch)
		left = append(begun, idle...)
		return err
	})
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(upkeepWidth)
	unfinished := func(g store.Grant, now time.Time) bool {
		return g.Attempt != "" || c.expiring(g, now) || g.Refreshed.After(c.lapsing(now))
	}
	for _, grant := range left {
		c.keep(ctx, &group, grant, func() error { return c.renew(ctx, grant, unfinished) })
	}
	for _, grant := range c.usage.due(c.now()) {
		c.keep(ctx, &group, grant, func() error { return c.renewAhead(ctx, grant) })
	}
	_ = group.Wait() // each says in the log what went wrong
	return ctx.Err()
}

// lapsing is how late a grant can say that it was refreshed and still come to be idle before it lapses. A clock that was
// wrong wrote what is later than that.
func (c *Custodian) lapsing(now time.Time) time.Time { return now.Add(spareLife - c.cfg.Idle) }

// keep has something done about a grant; what fails is taken up the next time.
func (c *Custodian) keep(ctx context.Context, group *errgroup.Group, grant string, do func() error) {
	group.Go(func() error {
		if err := do(); err != nil && ctx.Err() == nil {
			c.logger.WarnContext(ctx, "a grant could not be renewed", "grant", grant, "error", err)
		}
		return nil
	})
}
