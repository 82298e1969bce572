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
}

// appMargin is kept of the limit over all tenants, which is counted without a lock: calls to different tenants that are
// let pass at the same moment do not see each other. There are at most as many as database connections, some tens. Of a
// small limit it is a tenth.
func appMargin(limit int) int { return min(100, limit/10) }

// toldPart of a day, an hour, is how long the provider's own count is believed to stand. Its day may begin anew at any
// time, and only a call can tell.
const toldPart = 24

// decide compares what is used with what may be used.
func decide(u store.BudgetUse, l provider.Limits, lane Lane, now time.Time, cfg Config) verdict {
	var kept provider.Reserve
	if lane == Background {
		kept = l.Reserve
	}
	for _, block := range []verdict{{u.BlockedBy, u.Blocked}, {u.AppBlockedBy, u.AppBlocked}} {
		if block.until.After(now) {
			return block
		}
	}
	soon, toldUntil := now.Add(poll), u.Told.Add(cfg.Day/toldPart)
	switch {
	case u.Day+u.Running >= l.PerDay-kept.PerDay:
		return verdict{Day, later(u.DayFrees, soon)}
	case lane == Background && u.DayLeft >= 0 && u.DayLeft-u.Running <= kept.PerDay && toldUntil.After(now):
		return verdict{Day, toldUntil}
	case u.Minute+u.Running >= l.PerMinute-kept.PerMinute:
		return verdict{Minute, later(u.MinuteFrees, soon)}
	case u.AppMinute+u.AppRunning >= l.AppPerMinute-kept.AppPerMinute-appMargin(l.AppPerMinute):
		return verdict{AppMinute, later(u.AppMinuteFrees, soon)}
	case u.Running >= l.Concurrent-kept.Concurrent:
		return verdict{Concurrent, soon}
	}
	return verdict{}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
