package budget

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/store"
)

// queue decides about the rest of the app's minute. Those who wait for it stand in an order: by lane, and within a lane
// the firm first that had least of the minute for its weight. A call passes when there is room for it and for all before.
func (b *Budget) queue(tx *sqldb.Tx, p *Permit, use store.BudgetUse, v verdict, now time.Time) (verdict, error) {
	waits, err := store.AppWaits(tx, p.ask.App, now)
	if err != nil {
		return v, err
	}
	before, due := 0, 0
	if len(waits) > 0 {
		used, err := store.FirmUse(tx, p.ask.App, b.spans, now)
		if err != nil {
			return v, err
		}
		before, due = ahead(waits, used, b.cfg.Weights, p, now.Add(b.spans.MinuteSlot))
	}
	if due < v.roomNow {
		return v, nil
	}
	v = verdict{limit: AppMinute, room: v.room, roomNow: v.roomNow}
	for _, w := range []struct {
		room   int
		window time.Duration
	}{{v.room, b.spans.Minute}, {v.roomNow, b.spans.Recent}} {
		frees, err := store.Frees(tx, Key{App: p.ask.App}, Minute, w.window, now)
		if err != nil {
			return v, err
		}
		v.until = later(v.until, turn(frees, before-w.room+1, now, w.window))
	}
	return v, nil
}

// turn is when so many more calls have left the window. Calls under way leave it a window after they end.
func turn(frees []store.Freed, need int, now time.Time, window time.Duration) time.Time {
	if need <= 0 {
		return now
	}
	for _, f := range frees {
		if need -= f.N; need <= 0 {
			return later(f.At, now.Add(poll))
		}
	}
	return now.Add(window)
}

// ahead counts the waiting calls whose turn is before that of p, and of those the ones that ask again soon. No place is
// kept for the others: when they thought that their turn would come later, they would leave it empty.
func ahead(waits []store.BudgetWait, used, weights map[string]int, p *Permit, soon time.Time) (all, due int) {
	mine, place := p.ask.Firm, 1
	for _, w := range waits {
		if w.ID == p.id {
			break
		}
		if w.Firm == mine && Lane(w.Lane) == p.ask.Lane {
			place++
		}
	}
	at, placed := share(used[mine]+place, mine, weights), map[string]int{}
	before := func(w store.BudgetWait) bool {
		if lane := Lane(w.Lane); lane != p.ask.Lane {
			return lane < p.ask.Lane
		}
		placed[w.Firm]++
		if w.Firm == mine {
			return placed[mine] < place
		}
		theirs := share(used[w.Firm]+placed[w.Firm], w.Firm, weights)
		return theirs < at || theirs == at && w.Firm < mine
	}
	for _, w := range waits {
		if w.ID == p.id || !before(w) {
			continue
		}
		all++
		if !w.Due.After(soon) {
			due++
		}
	}
	return all, due
}

// share is how much of the minute a number of calls is for a firm of some weight.
func share(calls int, firm string, weights map[string]int) float64 {
	return float64(calls) / float64(max(1, weights[firm]))
}
