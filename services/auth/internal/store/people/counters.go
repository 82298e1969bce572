package people

import (
	"errors"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// Count counts one more for a subject within a window that begins with the first, and returns how many there are and when
// the window began. After a clock went back behind the beginning a new window begins.
func Count(tx *sqldb.Tx, subject []byte, window time.Duration, now time.Time) (n int, began time.Time, err error) {
	var us int64
	err = tx.QueryRow(`INSERT INTO counters (subject, began_at, count) VALUES ($1, $2, 1)
		ON CONFLICT (subject) DO UPDATE SET
		count = CASE WHEN counters.began_at > $3 AND counters.began_at <= excluded.began_at THEN counters.count + 1 ELSE 1 END,
		began_at = CASE WHEN counters.began_at > $3 AND counters.began_at <= excluded.began_at THEN counters.began_at
			ELSE excluded.began_at END
		RETURNING count, began_at`, subject, sqldb.Micros(now), sqldb.Micros(now.Add(-window))).Scan(&n, &us)
	return n, sqldb.FromMicros(us), err
}

const (
	// keepOver is how long resets stay that are over, for questions of the day.
	keepOver = 24 * time.Hour
	// keepCounters is longer than any window.
	keepCounters = 48 * time.Hour
)

// Sweep deletes what is over for long.
func Sweep(tx *sqldb.Tx, now time.Time) error {
	for query, age := range map[string]time.Duration{
		`DELETE FROM resets WHERE expires_at < $1`:         keepOver,
		`DELETE FROM reset_requests WHERE created_at < $1`: keepOver,
		`DELETE FROM counters WHERE began_at < $1`:         keepCounters,
	} {
		if _, err := tx.Exec(query, sqldb.Micros(now.Add(-age))); err != nil {
			return err
		}
	}
	return nil
}

// Pour adds one to a bucket that loses one every so often and holds so many at most. It costs the same whatever is in it.
// The row keeps when the bucket will be empty, so that two pours at once are two.
func Pour(tx *sqldb.Tx, subject []byte, every time.Duration, most int, now time.Time) error {
	brim := sqldb.Micros(now.Add(time.Duration(most-1) * every)) // also after the clock went back
	_, err := tx.Exec(`INSERT INTO counters (subject, began_at, count) VALUES ($1, $2, 1)
		ON CONFLICT (subject) DO UPDATE SET count = counters.count + 1, began_at = $4 + CASE
		WHEN counters.began_at > $5 THEN $5 WHEN counters.began_at > $3 THEN counters.began_at ELSE $3 END`,
		subject, sqldb.Micros(now.Add(every)), sqldb.Micros(now), every.Microseconds(), brim)
	return err
}

// Drain empties a bucket.
func Drain(tx *sqldb.Tx, subject []byte) error {
	_, err := tx.Exec(`DELETE FROM counters WHERE subject = $1`, subject)
	return err
}

// EmptyAt is when a bucket will be empty; in the past when it is.
func EmptyAt(tx *sqldb.Tx, subject []byte) (time.Time, error) {
	var us int64
	err := tx.QueryRow(`SELECT began_at FROM counters WHERE subject = $1`, subject).Scan(&us)
	if errors.Is(err, sqldb.ErrNotFound) {
		return time.Time{}, nil
	}
	return sqldb.FromMicros(us), err
}
