package budget

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/store"
)

// queue decides about the rest of the app's minute. Those who wait for it stand in an order: by lane, and within a lane
// the firm first that had least of the minute for its weight. A call passes when there is room for it and for all before.
func (b *Budget) queue(tx *sqldb.Tx, p *Permit, v verdict, now time.Time) (verdict, error) {
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
	next, err := store.Pace(tx, p.ask.App)
	if err != nil {
		return v, err
	}
	room, every := v.room, b.step(p.ask)
	if p.ask.Lane != Interactive {
		next = later(next, now.Add(-burst*every))
		room = min(room, paced(next, now, every))
	}
	if due < room {
		v.pace = next.Add(every)
		return v, nil
	}
	frees, err := store.Frees(tx, Key{App: p.ask.App}, Minute, b.spans.Minute, now)
	if err != nil {
		return v, err
	}
	v.limit, v.until = AppMinute, turn(frees, before-v.room+1, now, b.spans.Minute)
	if p.ask.Lane != Interactive {
		v.until = later(v.until, next.Add(time.Duration(before)*every))
	}
	return v, nil
}

// paced is how many calls may go by the pace now.
func paced(next, now time.Time, every time.Duration) int {
	if next.After(now) {
		return 0
	}
	return int(now.Sub(next)/every) + 1
}

// burst is how many calls that can wait may go at once when there was none for a while.
const burst = 10

// step is the time between two calls that go by the pace: a sixth less than would spread them evenly over the minute, so
// that all of it is used although a call counts a little longer than it must. A minute that is used as it comes is free
// for those who come later only when it is over.
func (b *Budget) step(a Ask) time.Duration {
	return b.cfg.Minute * 5 / 6 / time.Duration(max(1, a.Limits.AppPerMinute-kept(a.Limits, a.Lane).AppPerMinute))
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
