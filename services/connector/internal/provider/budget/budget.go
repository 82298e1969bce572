// Package budget lets calls to a provider pass within its limits. All replicas share one account in the database, so that
// together they keep what each of them alone would.
//
// A provider counts calls in windows whose beginning nobody knows, at a moment between our sending and its answer. So a
// call counts here from before it is sent until one window after the answer began: however the provider's windows lie, it
// never sees more than it allows. That costs a call's duration and one slot per window, about 2 %.
//
// Part of each limit is kept for calls a person waits for (Interactive). Work that can wait for days (Least) goes behind
// all other work of its tenant and spreads its calls, so that a run that begins finds room at once. What the app may do in
// a minute for all tenants together is shared between the firms that want it, by their weights: the next call is that of
// the firm that had least for its weight. What a firm leaves, others take.
//
// What the provider says itself, in its headers and in refusals, is believed over the own account. A wait that is longer
// than a caller can be kept is not slept: it is answered as *Exhausted with the time, and the caller parks its work.
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

// Lane is what part of the limits a call may use, and who goes first. Smaller goes first.
type Lane int

// The lanes.
const (
	// Interactive is for calls a person waits for.
	Interactive Lane = iota
	// Background is for work nobody waits for; it leaves the reserve for people alone.
	Background
	// Least is for work that can wait for days; it leaves what runs need alone, too.
	Least
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

// Config is how long the windows are, how long a caller waits at most, and how the app's minute is shared.
type Config struct {
	// Minute and Day are the lengths of the provider's windows.
	Minute, Day time.Duration
	// MaxWait is the longest wait; beyond it the answer is Exhausted.
	MaxWait time.Duration
	// Weights are the shares of firms in the app's minute, by id; 1 for a firm that is not there.
	Weights map[string]int
}

// Budget is the account. It is safe for concurrent use.
type Budget struct {
	db    *sqldb.DB
	cfg   Config
	spans store.Spans
	now   func() time.Time
}

const (
	// minuteSlots is how many slots a minute is counted in: a call counts up to one slot longer than it must.
	minuteSlots = 120
	// daySlots does the same for a day: 5 minutes, so that a tenant has a few hundred rows at most.
	daySlots = 288
	// parts is how many parts of a minute, five seconds long, Least spreads its calls over, and what shares are counted in.
	parts = 12
)

// New makes the account over a database.
func New(db *sqldb.DB, cfg Config, now func() time.Time) *Budget {
	slot := cfg.Minute / minuteSlots
	return &Budget{db: db, cfg: cfg, now: now, spans: store.Spans{
		Minute:     cfg.Minute + slot, // a slot more, for clocks that differ
		MinuteSlot: slot, Day: cfg.Day, DaySlot: cfg.Day / daySlots, Recent: cfg.Minute / parts, FirmSlot: cfg.Minute / parts,
	}}
}

// Ask is a call that somebody wants to make.
type Ask struct {
	Key
	// Firm is on whose behalf, for its share of the app's minute. Calls of no firm share one share.
	Firm string
	Lane Lane
	// Limits are the provider's.
	Limits provider.Limits
	// Life is how long the call takes at most; after that it counts as ended.
	Life time.Duration
}

// Permit is the right to make one call. It must be given back by End.
type Permit struct {
	budget *Budget
	id     string
	ask    Ask
	// since is when it began to wait, in the database when noted.
	since time.Time
	noted bool
}

// Acquire waits until a call may be made and takes the right to it. The error is *Exhausted, the end of ctx, or the
// database's.
func (b *Budget) Acquire(ctx context.Context, a Ask) (*Permit, error) {
	ended, stop := b.db.Watch(topic(a.Key))
	defer stop()
	p := &Permit{budget: b, id: uuid.NewString(), ask: a, since: b.now()}
	got, err := b.acquire(ctx, p, ended)
	if err != nil && p.noted {
		b.giveUp(ctx, p)
	}
	return got, err
}

func (b *Budget) acquire(ctx context.Context, p *Permit, ended <-chan struct{}) (*Permit, error) {
	for alone := b.db.Dialect() == sqldb.SQLite; ; {
		v, err := b.try(ctx, p, alone)
		switch {
		case err != nil:
			return nil, err
		case v.limit == "" && v.crowded && !alone:
			alone = true
			continue
		case v.limit == "":
			return p, nil
		}
		wait := v.until.Sub(b.now())
		if v.limit == Day || wait > b.cfg.MaxWait {
			return nil, &Exhausted{Limit: v.limit, Until: v.until}
		}
		wake := ended
		if v.limit != Concurrent { // a call that ends stays in its minute
			wake = nil
		}
		if err := b.pause(ctx, wait, wake); err != nil {
			return nil, err
		}
		alone = b.db.Dialect() == sqldb.SQLite
	}
}

// try takes the permit, or tells what stands against it. Near the app's limit it tells that it must be tried alone: calls
// to different tenants that are let pass at the same moment do not see each other.
func (b *Budget) try(ctx context.Context, p *Permit, alone bool) (v verdict, err error) {
	noted := p.noted
	err = b.db.Tx(ctx, func(tx *sqldb.Tx) error {
		now := b.now()
		p.noted = noted
		if err := store.LockBudget(tx, p.ask.Key, alone); err != nil {
			return err
		}
		if err := store.SweepCalls(tx, p.ask.Key, b.spans, now); err != nil {
			return err
		}
		use, err := store.ReadBudget(tx, p.ask.Key, b.spans, int(p.ask.Lane), now)
		if err != nil {
			return err
		}
		v = decide(use, p.ask.Limits, p.ask.Lane, now, b.cfg)
		if v.limit == "" && v.crowded {
			if v, err = b.queue(tx, p, v, now); err != nil {
				return err
			}
		}
		switch {
		case v.limit != "":
			return b.note(tx, p, v, now)
		case v.crowded && !alone:
			return nil
		}
		if v.crowded && p.ask.Lane != Interactive {
			if err := store.SavePace(tx, p.ask.App, v.pace); err != nil {
				return err
			}
		}
		if err := b.forget(tx, p); err != nil {
			return err
		}
		return store.BeginCall(tx, p.id, p.ask.Key, p.ask.Firm, now.Add(p.ask.Life))
	}, sqldb.ReadCommitted)
	return v, err
}

const (
	// poll is how often a waiting call looks again when another process may end one: often enough not to leave a slot
	// unused, rarely enough not to be the load.
	poll = 50 * time.Millisecond
	// jitterPart of a slot, a tenth of a second, keeps those who wait for the same moment apart.
	jitterPart = 5
)

// pause waits for the time given, or for a call of this process to end.
func (b *Budget) pause(ctx context.Context, wait time.Duration, ended <-chan struct{}) error {
	if wait <= 0 {
		wait = poll
	}
	t := time.NewTimer(wait + rand.N(b.spans.MinuteSlot/jitterPart+time.Millisecond))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// Purge drops what no longer counts.
func (b *Budget) Purge(ctx context.Context) error {
	return b.db.Tx(ctx, func(tx *sqldb.Tx) error { return store.PurgeBudget(tx, b.spans, b.now()) }, sqldb.ReadCommitted)
}

func topic(k Key) string { return "budget/" + k.App + "/" + k.Tenant }
