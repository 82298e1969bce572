package budget

import (
	"context"
	"slices"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// State is how the limits of a tenant stand.
type State struct {
	store.BudgetUse
	// DayFreed is when the day's calls leave it again, the oldest first.
	DayFreed []store.Freed
	// At is when it was read.
	At time.Time
}

// State reads how the limits of a tenant stand.
func (b *Budget) State(ctx context.Context, k Key) (s State, err error) {
	err = b.db.Read(ctx, func(tx *sqldb.Tx) error {
		s.At = b.now()
		if s.BudgetUse, err = store.ReadBudget(tx, k, b.spans, int(Interactive), s.At); err != nil {
			return err
		}
		s.DayFreed, err = store.Frees(tx, k, Day, b.spans.Day, s.At)
		return err
	})
	return s, err
}

// DayLeft is how many calls of a lane are left today: by the own account, or by the provider's when that says fewer and
// is fresh. It is never negative.
func (b *Budget) DayLeft(s State, l provider.Limits, lane Lane) int {
	left := l.PerDay - s.Day - s.Running
	if b.told(s) {
		left = min(left, s.DayLeft-s.Running)
	}
	return max(0, left-kept(l, lane).PerDay)
}

// told reports whether the provider's own count of the day still stands.
func (b *Budget) told(s State) bool {
	return s.BudgetUse.DayLeft >= 0 && s.Told.Add(b.cfg.Day/toldPart).After(s.At)
}

// MinuteLeft is how many calls of a lane are left in this minute. It is never negative.
func (b *Budget) MinuteLeft(s State, l provider.Limits, lane Lane) int {
	return max(0, l.PerMinute-kept(l, lane).PerMinute-s.Minute-s.Running)
}

// Work is a number of calls to be made in a lane.
type Work struct {
	Lane  Lane
	Calls int
}

// Forecast says when work can begin and when the limits let it be done, one piece after the other, were nobody else
// calling. The provider's own time comes on top.
func (b *Budget) Forecast(s State, l provider.Limits, work []Work) (begin, end time.Time) {
	begin = s.At
	for _, blocked := range []time.Time{s.Blocked, s.AppBlocked} {
		begin = later(begin, blocked)
	}
	f := b.forecast(s, l, begin)
	first := true
	for _, w := range work {
		for left := w.Calls; left > 0; {
			took := f.take(left, kept(l, w.Lane))
			if took > 0 && first {
				begin, first = f.base, false
			}
			left -= took
		}
	}
	return begin, later(begin, f.at)
}

// forecast walks through the days.
type forecast struct {
	limits      provider.Limits
	minute, day time.Duration
	// used are the day's calls, and freed is when they leave it.
	used  int
	freed []store.Freed
	// base is when the present stretch of calls began, paced how many calls its minutes have, at how far it is.
	base, at time.Time
	paced    int
}

func (b *Budget) forecast(s State, l provider.Limits, begin time.Time) *forecast {
	f := &forecast{limits: l, minute: b.cfg.Minute, day: b.cfg.Day, used: s.Day + s.Running, freed: slices.Clone(s.DayFreed),
		base: begin, at: begin, paced: s.Minute + s.Running}
	if s.Running > 0 {
		f.freed = append(f.freed, store.Freed{At: s.At.Add(f.day), N: s.Running})
	}
	if others := l.PerDay - f.used - s.BudgetUse.DayLeft; b.told(s) && others > 0 {
		// Somebody else uses the day as well. When theirs comes back nobody knows; within a day it does.
		f.used += others
		f.freed = append(f.freed, store.Freed{At: s.Told.Add(f.day), N: others})
	}
	slices.SortStableFunc(f.freed, func(a, b store.Freed) int { return a.At.Compare(b.At) })
	if begin.After(s.At) {
		f.paced = 0
	}
	return f
}

// take makes as many of the calls as the day has left, or goes on to when it has more. It returns how many it made.
func (f *forecast) take(calls int, kept provider.Reserve) int {
	for len(f.freed) > 0 && !f.freed[0].At.After(f.at) {
		f.used -= f.freed[0].N
		f.freed = f.freed[1:]
	}
	// At least one a day there must be; the settings see to much more.
	left := max(1, f.limits.PerDay-kept.PerDay) - f.used
	if left <= 0 {
		f.at = f.freed[0].At
		f.base, f.paced = f.at, 0
		return 0
	}
	n := min(left, calls)
	f.used += n
	f.freed = append(f.freed, store.Freed{At: f.at.Add(f.day), N: n})
	f.paced += n
	perMinute := max(1, min(f.limits.PerMinute-kept.PerMinute, f.limits.AppPerMinute-kept.AppPerMinute))
	f.at = f.base.Add(time.Duration((f.paced-1)/perMinute) * f.minute)
	return n
}
