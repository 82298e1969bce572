// Package messages is the SQL of text messages: what was sent, what was reported about it, what bounds it, and what a firm
// wants its messages to look like.
//
// Every function works inside the caller's transaction and decides nothing. Times are UTC microseconds, 0 for "never".
// Errors are those of package sqldb.
package messages

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/receipt"
)

// Text is a text message. What it says is kept nowhere.
type Text struct {
	// ID is ours; Message is the id of the Provider that took it. Account is empty for a notice, which is no account's PIN.
	ID, Account, Firm string
	// Challenge is the hash of the challenge it carries the PIN of; empty for another purpose.
	Challenge []byte
	// Block is the number without its last digits.
	Block             string
	Provider, Message string
	State             receipt.State
	// Code is what the provider said went wrong.
	Code string
	// Answered is true once its PIN came back.
	Answered bool
	Created  time.Time
}

const textColumns = `id, account, firm, challenge, block, provider, message, state, code, answered, created_at`

func scanText(r *sqldb.Rows) (t Text, err error) {
	return t, r.Scan(&t.ID, &t.Account, &t.Firm, &t.Challenge, &t.Block, &t.Provider, &t.Message, &t.State, &t.Code,
		&t.Answered, when{&t.Created})
}

// Insert adds a text message that is about to be sent.
func Insert(tx *sqldb.Tx, t Text) error {
	challenge := t.Challenge
	if challenge == nil {
		challenge = []byte{}
	}
	_, err := tx.Exec(`INSERT INTO text_messages (id, account, firm, challenge, block, answered, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, t.ID, t.Account, t.Firm, challenge, t.Block, sqldb.Flag(t.Answered), sqldb.Micros(t.Created))
	return err
}

// Update writes what became of a text message.
func Update(tx *sqldb.Tx, t Text) error {
	_, err := tx.Exec(`UPDATE text_messages SET provider = $2, message = $3, state = $4, code = $5 WHERE id = $1`,
		t.ID, t.Provider, t.Message, t.State, t.Code)
	return err
}

// ByID returns a text message by our id, or ErrNotFound.
func ByID(tx *sqldb.Tx, id string) (Text, error) {
	return one(tx, `SELECT `+textColumns+` FROM text_messages WHERE id = $1`, id)
}

// ByMessage returns a text message by its provider's id, or ErrNotFound.
func ByMessage(tx *sqldb.Tx, provider, message string) (Text, error) {
	return one(tx, `SELECT `+textColumns+` FROM text_messages WHERE message = $2 AND message <> '' AND provider = $1`, provider, message)
}

// LastOf returns the last text message of a challenge, or ErrNotFound.
func LastOf(tx *sqldb.Tx, challenge []byte) (Text, error) {
	return one(tx, `SELECT `+textColumns+` FROM text_messages WHERE challenge = $1 ORDER BY created_at DESC, id DESC LIMIT 1`, challenge)
}

// Since lists the text messages to an account after a time, the oldest first.
func Since(tx *sqldb.Tx, account string, after time.Time, limit int) ([]Text, error) {
	return sqldb.Collect(tx, scanText, `SELECT `+textColumns+` FROM text_messages
		WHERE account = $1 AND created_at > $2 ORDER BY created_at, id LIMIT $3`, account, sqldb.Micros(after), limit)
}

// Answer notes that the PIN of a text message to an account came back, for all that were on their way.
func Answer(tx *sqldb.Tx, account string) error {
	_, err := tx.Exec(`UPDATE text_messages SET answered = 1 WHERE account = $1 AND answered = 0`, account)
	return err
}

// Unanswered counts the accounts in a block of numbers that had a text message after a time and answered none of those, up
// to a limit.
func Unanswered(tx *sqldb.Tx, block string, after time.Time, limit int) (n int, err error) {
	return n, tx.QueryRow(`SELECT count(*) FROM (SELECT account FROM text_messages WHERE block = $1 AND created_at > $2
		GROUP BY account HAVING max(answered) = 0 LIMIT $3) AS silent`, block, sqldb.Micros(after), limit).Scan(&n)
}

// CountDay counts one more text message of a firm on a day, unless there were as many as allowed: then it answers false.
func CountDay(tx *sqldb.Tx, firm string, at time.Time, allowed int) (sent int, ok bool, err error) {
	counted, err := sqldb.Collect(tx, func(r *sqldb.Rows) (n int, err error) { return n, r.Scan(&n) },
		`INSERT INTO text_days (firm, day, sent) VALUES ($1, $2, 1)
		ON CONFLICT (firm, day) DO UPDATE SET sent = text_days.sent + 1 WHERE text_days.sent < $3 RETURNING sent`,
		firm, dayOf(at), allowed)
	if err != nil || len(counted) == 0 {
		return 0, false, err
	}
	return counted[0], true, nil
}

// DayCount is how many text messages a firm had on a day.
func DayCount(tx *sqldb.Tx, firm string, at time.Time) (int, error) {
	counted, err := sqldb.Collect(tx, func(r *sqldb.Rows) (n int, err error) { return n, r.Scan(&n) },
		`SELECT sent FROM text_days WHERE firm = $1 AND day = $2`, firm, dayOf(at))
	if err != nil || len(counted) == 0 {
		return 0, err
	}
	return counted[0], nil
}

// day is the length of the time over which a firm's text messages are counted.
const day = 24 * time.Hour

func dayOf(at time.Time) int64 { return at.Unix() / int64(day/time.Second) }

// Stop keeps text messages from a block of numbers for a while. It answers false when it was stopped already.
func Stop(tx *sqldb.Tx, block string, now, until time.Time) (bool, error) {
	n, err := tx.Exec(`INSERT INTO text_stops (block, stopped_at, until_at) VALUES ($1, $2, $3)
		ON CONFLICT (block) DO UPDATE SET stopped_at = $2, until_at = $3 WHERE text_stops.until_at <= $2`,
		block, sqldb.Micros(now), sqldb.Micros(until))
	return n == 1, err
}

// StoppedUntil is until when no text messages go to a block of numbers; the zero time when they do.
func StoppedUntil(tx *sqldb.Tx, block string) (time.Time, error) {
	until, err := sqldb.Collect(tx, func(r *sqldb.Rows) (t time.Time, err error) { return t, r.Scan(when{&t}) },
		`SELECT until_at FROM text_stops WHERE block = $1`, block)
	if err != nil || len(until) == 0 {
		return time.Time{}, err
	}
	return until[0], nil
}

const (
	// keepTexts is how long text messages stay for questions of what became of them.
	keepTexts = 7 * day
	// keepDays is how long the counts of days stay.
	keepDays = 90 * day
)

// Sweep deletes what is old.
func Sweep(tx *sqldb.Tx, now time.Time) error {
	for _, s := range []struct {
		query string
		arg   int64
	}{
		{`DELETE FROM text_messages WHERE created_at < $1`, sqldb.Micros(now.Add(-keepTexts))},
		{`DELETE FROM text_days WHERE day < $1`, dayOf(now.Add(-keepDays))},
		{`DELETE FROM text_stops WHERE until_at < $1`, sqldb.Micros(now.Add(-day))},
	} {
		if _, err := tx.Exec(s.query, s.arg); err != nil {
			return err
		}
	}
	return nil
}

// one returns the row of a query, or ErrNotFound.
func one(tx *sqldb.Tx, query string, args ...any) (Text, error) {
	found, err := sqldb.Collect(tx, scanText, query, args...)
	if err != nil || len(found) == 0 {
		return Text{}, orNotFound(err)
	}
	return found[0], nil
}

func orNotFound(err error) error {
	if err == nil {
		return sqldb.ErrNotFound
	}
	return err
}

// when scans a stored time.
type when struct{ t *time.Time }

// Scan implements sql.Scanner.
func (w when) Scan(src any) error {
	if us, _ := src.(int64); us != 0 { // the columns are NOT NULL integers on both engines
		*w.t = sqldb.FromMicros(us)
	}
	return nil
}
