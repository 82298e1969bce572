package store

import (
	"fmt"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// BudgetKey is whose calls are counted: those to one tenant of one registration at a provider. The empty tenant stands
// for all tenants together.
type BudgetKey struct{ App, Tenant string }

// Spans are the lengths of the windows, and of the slots their calls are counted in.
type Spans struct {
	Minute, MinuteSlot, Day, DaySlot time.Duration
	// Recent is the last part of the minute, for work that spreads its calls.
	Recent time.Duration
	// FirmSlot is the slot that a firm's calls are counted in, for its share of the app's minute.
	FirmSlot time.Duration
}

// BudgetUse is what has been used of the limits.
type BudgetUse struct {
	// Running are the calls to the tenant that have begun and not ended, AppRunning those to all tenants.
	Running, AppRunning int
	// Minute, Day and AppMinute are the calls that ended within the windows, Recent and AppRecent those of the last part of
	// the minute.
	Minute, Day, AppMinute, Recent, AppRecent int
	// MinuteFrees and DayFrees are when the oldest of them leave the window.
	MinuteFrees, DayFrees time.Time
	// Before is how many calls of earlier lanes wait for the tenant's minute.
	Before int
	// Blocked is until when the provider asked to wait, and BlockedBy for which limit; the same for all tenants.
	Blocked, AppBlocked     time.Time
	BlockedBy, AppBlockedBy string
	// DayLeft is what the provider said is left of the day, -1 for nothing said, and Told when it said so.
	DayLeft int
	Told    time.Time
}

// LockBudget lets one transaction at a time decide about a tenant's calls. Who decides alone about all tenants of the app
// keeps every other away; the others do not keep each other away.
func LockBudget(tx *sqldb.Tx, k BudgetKey, alone bool) error {
	lock := sqldb.AdvisoryLock
	if !alone {
		lock = sharedLock
	}
	if err := lock(tx, "budget/"+k.App); err != nil {
		return err
	}
	return sqldb.AdvisoryLock(tx, "budget/"+k.App+"/"+k.Tenant)
}

// sharedLock holds a lock together with others until the transaction ends. On SQLite there is one writer anyway.
func sharedLock(tx *sqldb.Tx, key string) error {
	if tx.Dialect() != sqldb.Postgres {
		return nil
	}
	_, err := tx.Exec(`SELECT pg_advisory_xact_lock_shared(hashtextextended(current_schema() || '/' || $1, 0))`, key)
	return err
}

// SweepCalls counts calls as ended whose time is over: their process died, or their end could not be written.
func SweepCalls(tx *sqldb.Tx, k BudgetKey, s Spans, now time.Time) error {
	firms, err := ids(tx, `DELETE FROM budget_calls WHERE app = $1 AND tenant = $2 AND until <= $3 RETURNING firm`, k.App, k.Tenant, micros(now))
	if err != nil {
		return err
	}
	for _, firm := range firms {
		if err := countCall(tx, k, firm, s, now, now); err != nil {
			return err
		}
	}
	return nil
}

// ReadBudget reads what is used, in one statement: a call that ends meanwhile is seen as running or as ended, never as
// neither. lane is that of who asks.
func ReadBudget(tx *sqldb.Tx, k BudgetKey, s Spans, lane int, now time.Time) (BudgetUse, error) {
	u := BudgetUse{DayLeft: -1}
	sum := func(span, tenant, since string) string {
		return fmt.Sprintf(`(SELECT COALESCE(SUM(used), 0) FROM budget_usage WHERE app = $1 AND tenant = %s AND span = '%s' AND slot > %s),`,
			tenant, span, since)
	}
	oldest := func(span, since string) string {
		return fmt.Sprintf(`(SELECT COALESCE(MIN(slot), 0) FROM budget_usage WHERE app = $1 AND tenant = $2 AND span = '%s' AND slot > %s),`, span, since)
	}
	var minute, day int64
	err := tx.QueryRow(`SELECT `+sum("minute", "$2", "$3")+oldest("minute", "$3")+sum("day", "$2", "$4")+oldest("day", "$4")+
		sum("minute", "''", "$3")+sum("minute", "$2", "$6")+sum("minute", "''", "$6")+`
		(SELECT COUNT(*) FROM budget_calls WHERE app = $1 AND tenant = $2), (SELECT COUNT(*) FROM budget_calls WHERE app = $1 AND until > $5),
		(SELECT COUNT(*) FROM budget_waits WHERE app = $1 AND limited_by = 'minute' AND tenant = $2 AND lane < $7 AND until > $5)`,
		k.App, k.Tenant, micros(now.Add(-s.Minute)), micros(now.Add(-s.Day)), micros(now), micros(now.Add(-s.Recent)), lane).
		Scan(&u.Minute, &minute, &u.Day, &day, &u.AppMinute, &u.Recent, &u.AppRecent, &u.Running, &u.AppRunning, &u.Before)
	if err != nil {
		return u, err
	}
	u.MinuteFrees, u.DayFrees = frees(minute, s.Minute), frees(day, s.Day)
	return u, readTold(tx, k, &u)
}

func frees(slot int64, span time.Duration) time.Time {
	if slot == 0 {
		return time.Time{}
	}
	return sqldb.FromMicros(slot).Add(span)
}

// Freed is when calls leave a window, and how many.
type Freed struct {
	At time.Time
	N  int
}

// Frees reads when the calls of a window leave it, the oldest first: of a tenant's "minute" or "day", or of all tenants'.
func Frees(tx *sqldb.Tx, k BudgetKey, span string, window time.Duration, now time.Time) ([]Freed, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (Freed, error) {
		var slot int64
		var f Freed
		err := r.Scan(&slot, &f.N)
		f.At = frees(slot, window)
		return f, err
	}, `SELECT slot, used FROM budget_usage WHERE app = $1 AND tenant = $2 AND span = $3 AND slot > $4 ORDER BY slot`,
		k.App, k.Tenant, span, micros(now.Add(-window)))
}

// BeginCall notes a call that is about to be made and counts as running until a time at the latest.
func BeginCall(tx *sqldb.Tx, id string, k BudgetKey, firm string, until time.Time) error {
	_, err := tx.Exec(`INSERT INTO budget_calls (id, app, tenant, firm, until) VALUES ($1, $2, $3, $4, $5)`,
		id, k.App, k.Tenant, firm, micros(until))
	return err
}

// EndCall counts a call as ended now, and against the minute as of when the provider had counted it. A call that was swept
// is counted already.
func EndCall(tx *sqldb.Tx, id string, k BudgetKey, firm string, s Spans, counted, now time.Time) error {
	n, err := tx.Exec(`DELETE FROM budget_calls WHERE id = $1`, id)
	if err != nil || n == 0 {
		return err
	}
	return countCall(tx, k, firm, s, counted, now)
}

// LingerCall lets a call whose answer was not read to its end count as running until a time: the provider may still be
// at it.
func LingerCall(tx *sqldb.Tx, id string, until time.Time) error {
	_, err := tx.Exec(`UPDATE budget_calls SET until = $2 WHERE id = $1`, id, micros(until))
	return err
}

// countCall adds a call to the slots that end next after it was counted, and drops the tenant's slots that left their
// window. Every transaction changes rows in this order, those of all tenants last, where they keep others waiting.
func countCall(tx *sqldb.Tx, k BudgetKey, firm string, s Spans, counted, now time.Time) error {
	for _, c := range []struct {
		span         string
		slot, window time.Duration
	}{{"minute", s.MinuteSlot, s.Minute}, {"day", s.DaySlot, s.Day}} {
		if err := addUse(tx, k.App, k.Tenant, c.span, slotOf(counted, c.slot)); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM budget_usage WHERE app = $1 AND tenant = $2 AND span = $3 AND slot <= $4`,
			k.App, k.Tenant, c.span, micros(now.Add(-c.window))); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(`INSERT INTO budget_firms (app, firm, slot, used) VALUES ($1, $2, $3, 1)
		ON CONFLICT (app, firm, slot) DO UPDATE SET used = budget_firms.used + 1`, k.App, firm, slotOf(counted, s.FirmSlot)); err != nil {
		return err
	}
	return addUse(tx, k.App, "", "minute", slotOf(counted, s.MinuteSlot)) // its old slots are dropped by PurgeBudget
}

func slotOf(at time.Time, slot time.Duration) int64 { return micros(at.Truncate(slot).Add(slot)) }

func addUse(tx *sqldb.Tx, app, tenant, span string, slot int64) error {
	_, err := tx.Exec(`INSERT INTO budget_usage (app, tenant, span, slot, used) VALUES ($1, $2, $3, $4, 1)
		ON CONFLICT (app, tenant, span, slot) DO UPDATE SET used = budget_usage.used + 1`, app, tenant, span, slot)
	return err
}

// PurgeBudget drops slots that left their window, calls whose end was never written down and that no longer matter, and
// waits that are over.
func PurgeBudget(tx *sqldb.Tx, s Spans, now time.Time) error {
	if _, err := tx.Exec(`DELETE FROM budget_calls WHERE until <= $1`, micros(now.Add(-s.Day))); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM budget_waits WHERE until <= $1`, micros(now.Add(-s.Minute))); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM budget_firms WHERE slot <= $1`, micros(now.Add(-s.Minute))); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM budget_usage WHERE (span = 'minute' AND slot <= $1) OR (span = 'day' AND slot <= $2)`,
		micros(now.Add(-s.Minute)), micros(now.Add(-s.Day)))
	return err
}
