package budget

import (
	"context"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/store"
)

// Told is what an answer said about the limits.
type Told struct {
	// DayLeft is the provider's count of what is left today, -1 when it did not say.
	DayLeft int
	// Limit is set when the call was refused for a limit, with the wait asked for, 0 for none.
	Limit      string
	RetryAfter time.Duration
	// Answered is when the answer began; the provider had counted the call by then. Zero when there was none.
	Answered time.Time
	// Whole is set when the answer was read to its end, so that the provider is done with the call.
	Whole bool
}

// endWait bounds the writing down of an end, which happens also for a caller who has gone.
const endWait = 5 * time.Second

// End gives the permit back. When it can't be written down, the permit ends by its time; the error is for the log.
func (p *Permit) End(ctx context.Context, told Told) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWait)
	defer cancel()
	b, k := p.budget, p.ask.Key
	return b.db.Tx(ctx, func(tx *sqldb.Tx) error {
		now := b.now()
		if told.DayLeft >= 0 {
			if err := store.TellDayLeft(tx, k, told.DayLeft, now); err != nil {
				return err
			}
		}
		if err := b.end(tx, p, told, now); err != nil {
			return err
		}
		tx.Notify(topic(k))
		if told.Limit == "" {
			return nil
		}
		if told.Limit == AppMinute {
			k.Tenant = ""
		}
		return store.Block(tx, k, now.Add(b.hold(told)), told.Limit)
	}, sqldb.ReadCommitted)
}

func (b *Budget) end(tx *sqldb.Tx, p *Permit, told Told, now time.Time) error {
	if !told.Whole {
		return store.LingerCall(tx, p.id, now.Add(b.cfg.Minute/lingerPart))
	}
	counted := now
	if !told.Answered.IsZero() && told.Answered.Before(now) {
		counted = told.Answered
	}
	return store.EndCall(tx, p.id, p.ask.Key, p.ask.Firm, b.spans, counted, now)
}

// lingerPart of a minute, two seconds, is how long a provider is given to notice that nobody listens any more.
const lingerPart = 30

// hold is how long to wait after a refusal. For calls at once the provider names no time: a sixtieth of the window, which
// is a second, lets those under way end.
func (b *Budget) hold(told Told) time.Duration {
	switch {
	case told.RetryAfter > 0:
		return told.RetryAfter
	case told.Limit == Concurrent:
		return b.cfg.Minute / 60
	case told.Limit == Day:
		return b.cfg.Day / 24
	}
	return b.cfg.Minute
}

// note writes down that a call waits for a limit that others may be served at first.
func (b *Budget) note(tx *sqldb.Tx, p *Permit, v verdict, now time.Time) error {
	if v.limit != Minute && v.limit != AppMinute || v.until.Sub(now) > b.cfg.MaxWait {
		return b.forget(tx, p) // it is no longer in anybody's way
	}
	p.noted = true
	return store.SaveWait(tx, store.BudgetWait{ID: p.id, BudgetKey: p.ask.Key, Firm: p.ask.Firm, Lane: int(p.ask.Lane), LimitedBy: v.limit,
		Since: p.since, Due: v.until, Until: later(v.until, now).Add(b.cfg.Minute / lingerPart)})
}

func (b *Budget) forget(tx *sqldb.Tx, p *Permit) error {
	if !p.noted {
		return nil
	}
	p.noted = false
	return store.DropWait(tx, p.id)
}

// giveUp lets those behind a call go on that waits no longer. A wait that can't be dropped ends by its time.
func (b *Budget) giveUp(ctx context.Context, p *Permit) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWait)
	defer cancel()
	_ = b.db.Tx(ctx, func(tx *sqldb.Tx) error { return store.DropWait(tx, p.id) }, sqldb.ReadCommitted)
}
