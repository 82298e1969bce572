// Package budget lets calls to a provider pass within its limits. All replicas share one account in the database, so that
// together they keep what each of them alone would.
//
// A provider counts calls in windows whose beginning nobody knows, at a moment between our sending and our having the
// answer. So a call counts here from before it is sent until one window after its answer: however the provider's windows
// lie, it never sees more than it allows. That costs a call's duration and one slot per window, about 2 %.
//
// Part of each limit is kept for calls a person waits for (Interactive). What the provider says itself, in its headers
// and in refusals, is believed over the own account. A wait that is longer than a caller can be kept is not slept: it is
// answered as *Exhausted with the time, and the caller parks its work.
//
// The replicas' clocks may differ by the length of a slot, half a second with the provider's minute.
package budget

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// Lane is what part of the limits a call may use.
type Lane int

// The lanes.
const (
	// Background is for work nobody waits for; it leaves the reserve alone.
	Background Lane = iota
	// Interactive is for calls a person waits for.
	Interactive
)

// Key is whose limits count.
type Key = store.BudgetKey

// The names of the limits, as the provider's header spells them.
const (
	Concurrent = "concurrent"
	Minute     = "minute"
	Day        = "day"
	AppMinute  = "appminute"
)

// Exhausted says that a limit is used up for longer than a caller is kept waiting.
type Exhausted struct {
	// Limit names it.
	Limit string
	// Until is when it is worth trying again.
	Until time.Time
}

// Error names the limit and the time.
func (e *Exhausted) Error() string {
	return fmt.Sprintf("budget: the provider's limit %q is used up until %s", e.Limit, e.Until.UTC().Format(time.RFC3339))
}

// Config is how long the windows are and how long a caller waits at most.
type Config struct {
	// Minute and Day are the lengths of the provider's windows.
	Minute, Day time.Duration
	// MaxWait is the longest wait; beyond it the answer is Exhausted.
	MaxWait time.Duration
}

// Budget is the account. It is safe for concurrent use.
type Budget struct {
	db    *sqldb.DB
	cfg   Config
	spans store.Spans
	now   func() time.Time
}

const (
	// slots is how many slots a minute is counted in: a call counts up to one slot longer than it must.
	minuteSlots = 120
	// daySlots does the same for a day: 5 minutes, so that a tenant has a few hundred rows at most.
	daySlots = 288
)

// New makes the account over a database.
func New(db *sqldb.DB, cfg Config, now func() time.Time) *Budget {
	slot := cfg.Minute / minuteSlots
	return &Budget{db: db, cfg: cfg, now: now, spans: store.Spans{
		Minute:     cfg.Minute + slot, // a slot more, for clocks that differ
		MinuteSlot: slot, Day: cfg.Day, DaySlot: cfg.Day / daySlots,
	}}
}

// Permit is the right to make one call. It must be given back by End.
type Permit struct {
	budget *Budget
	id     string
	key    Key
}

// Acquire waits until a call may be made and takes the right to it. The call must end within life; after that it counts
// as ended. The error is *Exhausted, the end of ctx, or the database's.
func (b *Budget) Acquire(ctx context.Context, k Key, limits provider.Limits, lane Lane, life time.Duration) (*Permit, error) {
	ended, stop := b.db.Watch(topic(k))
	defer stop()
	p := &Permit{budget: b, id: uuid.NewString(), key: k}
	for {
		v, err := b.try(ctx, p, limits, lane, life)
		if err != nil {
			return nil, err
		}
		if v.limit == "" {
			return p, nil
		}
		wait := v.until.Sub(b.now())
		if v.limit == Day || wait > b.cfg.MaxWait {
			return nil, &Exhausted{Limit: v.limit, Until: v.until}
		}
		if err := b.pause(ctx, wait, ended); err != nil {
			return nil, err
		}
	}
}

// try takes the permit, or tells what stands against it.
func (b *Budget) try(ctx context.Context, p *Permit, limits provider.Limits, lane Lane, life time.Duration) (v verdict, err error) {
	err = b.db.Tx(ctx, func(tx *sqldb.Tx) error {
		now := b.now()
		if err := store.LockBudget(tx, p.key); err != nil {
			return err
		}
		if err := store.SweepCalls(tx, p.key, b.spans, now); err != nil {
			return err
		}
		use, err := store.ReadBudget(tx, p.key, b.spans, now)
		if err != nil {
			return err
		}
		if v = decide(use, limits, lane, now, b.cfg); v.limit != "" {
			return nil
		}
		return store.BeginCall(tx, p.id, p.key, now.Add(life))
	}, sqldb.ReadCommitted)
	return v, err
}

// poll is how often a waiting call looks again when another process may end one: often enough not to leave a slot
// unused, rarely enough not to be the load.
const poll = 50 * time.Millisecond

// pause waits for the time given, or for a call of this process to end. A little chance keeps those who wait for the same
// moment apart.
func (b *Budget) pause(ctx context.Context, wait time.Duration, ended <-chan struct{}) error {
	if wait <= 0 {
		wait = poll
	}
	t := time.NewTimer(wait + rand.N(b.spans.MinuteSlot/5+time.Millisecond))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// Told is what an answer said about the limits.
type Told struct {
	// DayLeft is the provider's count of what is left today, -1 when it did not say.
	DayLeft int
	// Limit is set when the call was refused for a limit, with the wait asked for, 0 for none.
	Limit      string
	RetryAfter time.Duration
	// Whole is set when the answer was read to its end, so that the provider is done with the call.
	Whole bool
}

// endWait bounds the writing down of an end, which happens also for a caller who has gone.
const endWait = 5 * time.Second

// End gives the permit back. When it can't be written down, the permit ends by its time; the error is for the log.
func (p *Permit) End(ctx context.Context, told Told) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWait)
	defer cancel()
	b := p.budget
	return b.db.Tx(ctx, func(tx *sqldb.Tx) error {
		now := b.now()
		if err := b.end(tx, p, told, now); err != nil {
			return err
		}
		if told.DayLeft >= 0 {
			if err := store.TellDayLeft(tx, p.key, told.DayLeft, now); err != nil {
				return err
			}
		}
		tx.Notify(topic(p.key))
		if told.Limit == "" {
			return nil
		}
		k := p.key
		if told.Limit == AppMinute {
			k.Tenant = ""
		}
		return store.Block(tx, k, now.Add(b.hold(told)), told.Limit)
	}, sqldb.ReadCommitted)
}

func (b *Budget) end(tx *sqldb.Tx, p *Permit, told Told, now time.Time) error {
	if told.Whole {
		return store.EndCall(tx, p.id, p.key, b.spans, now)
	}
	return store.LingerCall(tx, p.id, now.Add(b.cfg.Minute/lingerPart))
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

// Purge drops what no longer counts.
func (b *Budget) Purge(ctx context.Context) error {
	return b.db.Tx(ctx, func(tx *sqldb.Tx) error { return store.PurgeBudget(tx, b.spans, b.now()) }, sqldb.ReadCommitted)
}

func topic(k Key) string { return "budget/" + k.App + "/" + k.Tenant }
