package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// BudgetWait is a call that waits for its turn.
type BudgetWait struct {
	ID string
	BudgetKey
	Firm string
	// Lane is which goes first, 0 before 1.
	Lane int
	// LimitedBy is the limit it waits for: minute or appminute.
	LimitedBy string
	// Since is when it began to wait, Due when it asks again, and Until when it counts as gone unless it has.
	Since, Due, Until time.Time
}

// SaveWait notes, or notes again, that a call waits.
func SaveWait(tx *sqldb.Tx, w BudgetWait) error {
	_, err := tx.Exec(`INSERT INTO budget_waits (id, app, tenant, firm, lane, limited_by, since, due, until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (id) DO UPDATE SET limited_by = excluded.limited_by, due = excluded.due, until = excluded.until`,
		w.ID, w.App, w.Tenant, w.Firm, w.Lane, w.LimitedBy, micros(w.Since), micros(w.Due), micros(w.Until))
	return err
}

// DropWait notes that a call no longer waits.
func DropWait(tx *sqldb.Tx, id string) error {
	_, err := tx.Exec(`DELETE FROM budget_waits WHERE id = $1`, id)
	return err
}

// AppWaits reads the calls that wait for the app's minute, those that wait longest first.
func AppWaits(tx *sqldb.Tx, app string, now time.Time) ([]BudgetWait, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (w BudgetWait, err error) {
		return w, r.Scan(&w.ID, &w.Firm, &w.Lane, times{&w.Due})
	},
		`SELECT id, firm, lane, due FROM budget_waits WHERE app = $1 AND limited_by = 'appminute' AND until > $2 ORDER BY since, id`, app, micros(now))
}

// FirmUse reads how many calls each firm has in the app's minute, those under way included.
func FirmUse(tx *sqldb.Tx, app string, s Spans, now time.Time) (map[string]int, error) {
	used := map[string]int{}
	_, err := sqldb.Collect(tx, func(r *sqldb.Rows) (struct{}, error) {
		var firm string
		var n int
		err := r.Scan(&firm, &n)
		used[firm] = n
		return struct{}{}, err
	}, `SELECT firm, SUM(n) FROM (SELECT firm, used AS n FROM budget_firms WHERE app = $1 AND slot > $2
			UNION ALL SELECT firm, 1 AS n FROM budget_calls WHERE app = $1 AND until > $3) AS calls GROUP BY firm`,
		app, micros(now.Add(-s.Minute)), micros(now))
	return used, err
}

// Pace reads when the next call of an app is due that goes by its pace; zero when none went yet.
func Pace(tx *sqldb.Tx, app string) (due time.Time, err error) {
	err = tx.QueryRow(`SELECT COALESCE(MAX(due), 0) FROM budget_pace WHERE app = $1`, app).Scan(times{&due})
	return due, err
}

// SavePace keeps when the next one is due.
func SavePace(tx *sqldb.Tx, app string, due time.Time) error {
	_, err := tx.Exec(`INSERT INTO budget_pace (app, due) VALUES ($1, $2) ON CONFLICT (app) DO UPDATE SET due = excluded.due`, app, micros(due))
	return err
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
