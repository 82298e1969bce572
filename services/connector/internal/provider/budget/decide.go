package budget

import (
	"time"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// verdict is what stands against a call: the limit and when to look again. No limit lets it pass.
type verdict struct {
	limit string
	until time.Time
	// crowded is set when the app's minute is short: nobody else may decide at the same time, and those who can wait go by
	// the pace. room is what this lane may still take of the minute.
	crowded bool
	room    int
	// pace is when the next call is due when this one passes.
	pace time.Time
}

// crowd is how many calls to different tenants may be let pass at the same moment without seeing each other: as many as
// there are connections to the database, some tens. With less left of the app's minute, calls are decided one by one.
const crowd = 100

// toldPart of a day, an hour, is how long the provider's own count is believed to stand. Its day may begin anew at any
// time, and only a call can tell.
const toldPart = 24

// kept returns what a lane leaves alone.
func kept(l provider.Limits, lane Lane) provider.Reserve {
	r := l.Reserve
	switch lane {
	case Interactive:
		return provider.Reserve{}
	case Least:
		r.Concurrent = min(r.Concurrent+l.Runs.Concurrent, l.Concurrent-1) // one call at a time there must be
		r.PerMinute += l.Runs.PerMinute
		r.PerDay += l.Runs.PerDay
		r.AppPerMinute += l.Runs.AppPerMinute
	}
	return r
}

// decide compares what is used with what may be used.
func decide(u store.BudgetUse, l provider.Limits, lane Lane, now time.Time, cfg Config) verdict {
	kept := kept(l, lane)
	for _, block := range []verdict{{limit: u.BlockedBy, until: u.Blocked}, {limit: u.AppBlockedBy, until: u.AppBlocked}} {
		if block.until.After(now) {
			return block
		}
	}
	soon, toldUntil := now.Add(poll), u.Told.Add(cfg.Day/toldPart)
	room := l.PerMinute - kept.PerMinute - u.Minute - u.Running
	switch {
	case u.Day+u.Running >= l.PerDay-kept.PerDay:
		return verdict{limit: Day, until: later(u.DayFrees, soon)}
	case lane != Interactive && u.DayLeft >= 0 && u.DayLeft-u.Running <= kept.PerDay && toldUntil.After(now):
		return verdict{limit: Day, until: toldUntil}
	case room <= 0:
		return verdict{limit: Minute, until: later(u.MinuteFrees, soon)}
	case room <= u.Before, lane == Least && u.Recent+u.Running >= spread(l.PerMinute-kept.PerMinute):
		return verdict{limit: Minute, until: now.Add(cfg.Minute / minuteSlots)}
	case u.Running >= l.Concurrent-kept.Concurrent:
		return verdict{limit: Concurrent, until: soon}
	}
	all := l.AppPerMinute - kept.AppPerMinute
	left := all - u.AppMinute - u.AppRunning
	return verdict{room: left, crowded: left <= crowd || lane != Interactive && u.AppRecent+u.AppRunning >= spread(all)/2}
}

// spread is how many calls are made in one part of the minute by work that can wait for days. It is a fifth more than
// even, so that all of the minute is used although a call counts a little longer than it must.
func spread(perMinute int) int { return (perMinute+parts-1)/parts + max(1, perMinute/parts/5) }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
