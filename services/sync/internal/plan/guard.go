package plan

import (
	"fmt"
	"time"
)

// The guard of connections that set none: at most 5 clients, or a tenth, leave without a person's word.
const (
	defaultFloor    = 5
	defaultPermille = 100
)

// Guard is how many removals of one full run apply by themselves.
type Guard struct {
	// Permille is the share of the connection's linked clients, in thousandths; Floor the number always let through.
	Permille, Floor int64
}

// Limit is the most removals let through for this many linked clients: the floor or the share, whichever is more. A
// share of a client is none. Neither set means the defaults.
func (g Guard) Limit(linked int64) int64 {
	if g.Permille <= 0 && g.Floor <= 0 {
		g = Guard{Permille: defaultPermille, Floor: defaultFloor}
	}
	return max(g.Floor, linked*g.Permille/1000, 0)
}

// Conditions are what else keeps removals from applying by themselves.
type Conditions struct {
	Guard     Guard
	Linked    int64
	Review    bool // the connection's removal policy asks for a person
	Suspended bool // the tenant is another than the last time
}

// Withheld says in words why this many removals wait for a person; "" when they need not.
func (c Conditions) Withheld(candidates int64) string {
	switch limit := c.Guard.Limit(c.Linked); {
	case candidates == 0:
		return ""
	case c.Suspended:
		return suspended
	case candidates > limit:
		return fmt.Sprintf("%d of %d clients would leave, more than the %d that may leave without a decision",
			candidates, c.Linked, limit)
	case c.Review:
		return "this connection asks for a decision on every removal"
	}
	return ""
}

const suspended = "the connection's tenant is another than the last time; removals wait until somebody has looked at them"

// Halted says in words why a removal that was approved waits for a person after all; "" when it goes on. The policy
// decides by what the connection wants now, and for all of the run's candidates as it did before. A person's decision
// stands, unless removals were suspended after it: it was about another state of affairs.
func (c *Change) Halted(now Conditions, candidates int64, suspendedAt time.Time) string {
	switch {
	case c.DecidedBy == Policy:
		return now.Withheld(candidates)
	case now.Suspended && !c.DecidedAt.After(suspendedAt):
		return suspended
	}
	return ""
}

const (
	// AskAgainAfter is how long a record that was in use when it was read, but not listed, or that was put out of scope, is
	// not read again only because it is still not listed. Most of these stay as they are for good, each reading costs a call
	// of the day's, and one that is deleted meanwhile leaves a week later.
	AskAgainAfter = 7 * 24 * time.Hour
	// recalledAtOnce is how many of those that are out of scope one run asks about, and how many of all stand in a plan that
	// waits for a person: a few beside what a run costs anyway, and what one screen shows.
	recalledAtOnce = 25
)

// Recall is how many records are to be asked about again that were in use the last time, or out of scope.
type Recall struct {
	// Limit is the most of all, OutOfScope the most of those that are out of scope.
	Limit, OutOfScope int64
	// After is since when at least nothing was heard of them.
	After time.Duration
}

// Recall says how many are asked about again beside so many candidates, of which some were recalled before. They never make
// it too many, but they are not forgotten for that either: where a person decides in any case they cost no calls before, and
// where just as many leave as may, one that is due for as long again is worth a person's look at all of them.
func (c Conditions) Recall(candidates, recalled int64) Recall {
	r := Recall{Limit: c.Guard.Limit(c.Linked) - candidates, OutOfScope: recalledAtOnce, After: AskAgainAfter}
	switch {
	case c.Withheld(max(candidates, 1)) != "":
		r.Limit = max(0, recalledAtOnce-recalled)
	case r.Limit <= 0:
		r.Limit, r.After = 1, 2*AskAgainAfter
	}
	return r
}
