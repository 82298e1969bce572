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
type Spans struct{ Minute, MinuteSlot, Day, DaySlot time.Duration }

// BudgetUse is what has been used of the limits.
type BudgetUse struct {
	// Running are the calls to the tenant that have begun and not ended, AppRunning those to all tenants.
	Running, AppRunning int
	// Minute, Day and AppMinute are the calls that ended within the windows.
	Minute, Day, AppMinute int
	// MinuteFrees, DayFrees and AppMinuteFrees are when the oldest of them leave the window.
	MinuteFrees, DayFrees, AppMinuteFrees time.Time
	// Blocked is until when the provider asked to wait, and BlockedBy for which limit; the same for all tenants.
	Blocked, AppBlocked     time.Time
	BlockedBy, AppBlockedBy string
	// DayLeft is what the provider said is left of the day, -1 for nothing said, and Told when it said so.
	DayLeft int
	Told    time.Time
}

// LockBudget lets one transaction at a time decide about a tenant's calls.
func LockBudget(tx *sqldb.Tx, k BudgetKey) error {
	return sqldb.AdvisoryLock(tx, "budget/"+k.App+"/"+k.Tenant)
}

// SweepCalls counts calls as ended whose time is over: their process died, or their end could not be written.
func SweepCalls(tx *sqldb.Tx, k BudgetKey, s Spans, now time.Time) error {
	n, err := tx.Exec(`DELETE FROM budget_calls WHERE app = $1 AND tenant = $2 AND until <= $3`, k.App, k.Tenant, micros(now))
	if err != nil || n == 0 {
		return err
	}
	return countCalls(tx, k, s, now, n)
}

// ReadBudget reads what is used, in one statement: a call that ends meanwhile is seen as running or as ended, never as
// neither.
func ReadBudget(tx *sqldb.Tx, k BudgetKey, s Spans, now time.Time) (BudgetUse, error) {
	u := BudgetUse{DayLeft: -1}
	sum := func(span, tenant, since string) string {
		return fmt.Sprintf(`(SELECT COALESCE(SUM(used), 0) FROM budget_usage WHERE app = $1 AND tenant = %s AND span = '%s' AND slot > %s),
			(SELECT COALESCE(MIN(slot), 0) FROM budget_usage WHERE app = $1 AND tenant = %s AND span = '%s' AND slot > %s),`,
			tenant, span, since, tenant, span, since)
	}
	var minute, day, appMinute int64
	err := tx.QueryRow(`SELECT `+sum("minute", "$2", "$3")+sum("day", "$2", "$4")+sum("minute", "''", "$3")+`
		(SELECT COUNT(*) FROM budget_calls WHERE app = $1 AND tenant = $2), (SELECT COUNT(*) FROM budget_calls WHERE app = $1 AND until > $3)`,
		k.App, k.Tenant, micros(now.Add(-s.Minute)), micros(now.Add(-s.Day))).
		Scan(&u.Minute, &minute, &u.Day, &day, &u.AppMinute, &appMinute, &u.Running, &u.AppRunning)
	if err != nil {
		return u, err
	}
	u.MinuteFrees, u.DayFrees = frees(minute, s.Minute), frees(day, s.Day)
	u.AppMinuteFrees = frees(appMinute, s.Minute)
	return u, readTold(tx, k, &u)
}

func frees(slot int64, span time.Duration) time.Time {
	if slot == 0 {
		return time.Time{}
	}
	return sqldb.FromMicros(slot).Add(span)
}

func readTold(tx *sqldb.Tx, k BudgetKey, u *BudgetUse) error {
	rows, err := tx.Query(`SELECT tenant, blocked_until, blocked_by, day_left, told FROM budget_told
		WHERE app = $1 AND (tenant = $2 OR tenant = '')`, k.App, k.Tenant)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var tenant, by string
		var until, told time.Time
		var left int
		if err := rows.Scan(&tenant, times{&until}, &by, &left, times{&told}); err != nil {
			return err
		}
		if tenant == "" {
			u.AppBlocked, u.AppBlockedBy = until, by
		} else {
			u.Blocked, u.BlockedBy, u.DayLeft, u.Told = until, by, left, told
		}
	}
	return rows.Err()
}

// BeginCall notes a call that is about to be made and counts as running until a time at the latest.
func BeginCall(tx *sqldb.Tx, id string, k BudgetKey, until time.Time) error {
	_, err := tx.Exec(`INSERT INTO budget_calls (id, app, tenant, until) VALUES ($1, $2, $3, $4)`, id, k.App, k.Tenant, micros(until))
	return err
}

// EndCall counts a call as ended now. A call that was swept is counted already.
func EndCall(tx *sqldb.Tx, id string, k BudgetKey, s Spans, now time.Time) error {
	n, err := tx.Exec(`DELETE FROM budget_calls WHERE id = $1`, id)
	if err != nil || n == 0 {
		return err
	}
	return countCalls(tx, k, s, now, n)
}

// LingerCall lets a call whose answer was not read to its end count as running until a time: the provider may still be
// at it.
func LingerCall(tx *sqldb.Tx, id string, until time.Time) error {
	_, err := tx.Exec(`UPDATE budget_calls SET until = $2 WHERE id = $1`, id, micros(until))
	return err
}

// countCalls adds calls to the slots that end next, and drops slots that left their window.
func countCalls(tx *sqldb.Tx, k BudgetKey, s Spans, now time.Time, n int64) error {
	for _, c := range []struct {
		tenant, span string
		slot, window time.Duration
	}{
		{k.Tenant, "minute", s.MinuteSlot, s.Minute}, {k.Tenant, "day", s.DaySlot, s.Day}, {"", "minute", s.MinuteSlot, s.Minute},
	} {
		slot := now.Truncate(c.slot).Add(c.slot)
		if _, err := tx.Exec(`INSERT INTO budget_usage (app, tenant, span, slot, used) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (app, tenant, span, slot) DO UPDATE SET used = budget_usage.used + excluded.used`,
			k.App, c.tenant, c.span, micros(slot), n); err != nil {
			return err
		}
		if c.tenant == "" {
			continue // swept by PurgeBudget: here it would make every call of the app wait for every other
		}
		if _, err := tx.Exec(`DELETE FROM budget_usage WHERE app = $1 AND tenant = $2 AND span = $3 AND slot <= $4`,
			k.App, c.tenant, c.span, micros(now.Add(-c.window))); err != nil {
			return err
		}
	}
	return nil
}

// TellDayLeft keeps what the provider said is left of the day.
func TellDayLeft(tx *sqldb.Tx, k BudgetKey, left int, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO budget_told (app, tenant, blocked_until, blocked_by, day_left, told) VALUES ($1, $2, 0, '', $3, $4)
		ON CONFLICT (app, tenant) DO UPDATE SET day_left = excluded.day_left, told = excluded.told`, k.App, k.Tenant, left, micros(now))
	return err
}

// Block keeps until when the provider asked to wait. A later end that is known already stands.
func Block(tx *sqldb.Tx, k BudgetKey, until time.Time, by string) error {
	_, err := tx.Exec(`INSERT INTO budget_told (app, tenant, blocked_until, blocked_by, day_left, told) VALUES ($1, $2, $3, $4, -1, 0)
		ON CONFLICT (app, tenant) DO UPDATE SET blocked_until = excluded.blocked_until, blocked_by = excluded.blocked_by
		WHERE budget_told.blocked_until < excluded.blocked_until`, k.App, k.Tenant, micros(until), by)
	return err
}

// PurgeBudget drops slots that left their window, and calls whose end was never written down and that no longer matter.
func PurgeBudget(tx *sqldb.Tx, s Spans, now time.Time) error {
	if _, err := tx.Exec(`DELETE FROM budget_calls WHERE until <= $1`, micros(now.Add(-s.Day))); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM budget_usage WHERE (span = 'minute' AND slot <= $1) OR (span = 'day' AND slot <= $2)`,
		micros(now.Add(-s.Minute)), micros(now.Add(-s.Day)))
	return err
}
