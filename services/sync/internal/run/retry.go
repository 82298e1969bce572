package run

import (
	"hash/fnv"
	"time"
)

const (
	// FewAttempts is how often in a row an answer may not be understood: the page that says "back soon" is gone by then, and a
	// changed format is not mended by waiting. Errors before it, of an outage that ends with such a page, do not count.
	FewAttempts = 3
	// MaxRestarts bounds how often a listing is begun anew because the provider no longer takes the page token.
	MaxRestarts = 3

	firstWait = time.Second
)

// Retry is how a run lives with errors.
type Retry struct {
	// Attempts is how often in a row it meets an error before it ends FAILED.
	Attempts int64
	// MaxWait bounds the wait after an error.
	MaxWait time.Duration
}

// DefaultRetry outlasts an outage of two and a half hours: providers announce maintenance of one or two, and a nightly run
// that ends FAILED at the first of it costs the practice a day. Every five minutes is often enough for what comes back, and
// costs nobody calls. Who waits in front of the screen sees the error and the next try, and may cancel.
var DefaultRetry = Retry{Attempts: 40, MaxWait: 5 * time.Minute}

// Backoff is how long to wait after the n-th error in a row (n from 1): 1 s, 2 s, 4 s … MaxWait.
func (r Retry) Backoff(n int64) time.Duration {
	if n < 1 {
		n = 1
	}
	if n > 20 { // past any bound, and before the shift overflows
		return r.MaxWait
	}
	return min(firstWait<<(n-1), r.MaxWait)
}

// DueAt is when a connection's next scheduled full run is due: its interval after the last one ended, less a jitter of
// up to a tenth of the interval, a day at most, that is the connection's own. So the connections of an installation that
// were made on one day spread over time, and "every 30 days" never becomes more than 30.
func DueAt(connection string, last time.Time, everyDays int64) time.Time {
	interval := time.Duration(everyDays) * 24 * time.Hour
	span := min(interval/10, 24*time.Hour)
	if span <= 0 {
		return last.Add(interval)
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(connection))
	return last.Add(interval - time.Duration(h.Sum64()%uint64(span)))
}

const (
	firstPause = 6 * time.Hour
	maxPause   = 24 * time.Hour
)

// VainPause is how long after the n-th scheduled full run in a row that proved nothing, failed or was cancelled, the next
// one is due at the earliest: 6 h, 12 h, 24 h. Such a run has tried for hours already or met a listing that moves, and a
// connection that is broken must not eat the day's calls.
func VainPause(n int64) time.Duration {
	if n < 1 {
		n = 1
	}
	if n > 3 {
		return maxPause
	}
	return min(firstPause<<(n-1), maxPause)
}
