package store

import (
	"context"
	"strings"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/session"
)

const sessionColumns = `id, firm, account, kind, parent, add_in, strength, methods, created_at, expires_at, used_at,
	step_up_until, ended_at, address, must_enrol, enrol_until`

func scanSession(r *sqldb.Rows) (session.Session, error) {
	var s session.Session
	var methods string
	err := r.Scan(sessionDest(&s, &methods)...)
	s.Methods = strings.Fields(methods)
	return s, err
}

func sessionDest(s *session.Session, methods *string) []any {
	return []any{&s.ID, &s.Firm, &s.Account, &s.Kind, &s.Parent, &s.AddIn, &s.Strength, methods, when{&s.Created},
		when{&s.Expires}, when{&s.Used}, when{&s.StepUpUntil}, when{&s.Ended}, &s.Address, &s.MustEnrol, when{&s.EnrolUntil}}
}

// InsertSession adds a session under the hash of its token.
func InsertSession(tx *sqldb.Tx, hash []byte, s session.Session) error {
	_, err := tx.Exec(`INSERT INTO sessions (token_hash, `+sessionColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`, hash, s.ID, s.Firm, s.Account, s.Kind,
		s.Parent, s.AddIn, int(s.Strength), strings.Join(s.Methods, " "), micros(s.Created), micros(s.Expires),
		micros(s.Used), micros(s.StepUpUntil), micros(s.Ended), s.Address, s.MustEnrol, micros(s.EnrolUntil))
	return err
}

// Session returns a session by its id, or ErrNotFound.
func Session(tx *sqldb.Tx, id string) (session.Session, error) {
	return one(tx, scanSession, `SELECT `+sessionColumns+` FROM sessions WHERE id = $1`, id)
}

// SessionByHash returns the session of a token's hash, or ErrNotFound.
func SessionByHash(tx *sqldb.Tx, hash []byte) (session.Session, error) {
	return one(tx, scanSession, `SELECT `+sessionColumns+` FROM sessions WHERE token_hash = $1`, hash)
}

// Unlock puts a new token in place of the old one and counts as use. A step-up does not outlive the lock. It answers false
// when the session has ended, or has another token by now.
func Unlock(tx *sqldb.Tx, id string, old, fresh []byte, now time.Time) (bool, error) {
	return changedOne(tx.Exec(`UPDATE sessions SET token_hash = $3, used_at = $4, step_up_until = 0, unlock_failures = 0
		WHERE id = $1 AND token_hash = $2 AND ended_at = 0 AND expires_at > $4 AND unlock_failures < $5`,
		id, old, fresh, micros(now), session.MaxUnlocks))
}

// CountUnlockFailure counts a wrong password at the lock of a session, and answers how many there were.
func CountUnlockFailure(tx *sqldb.Tx, id string) (failures int, err error) {
	err = tx.QueryRow(`UPDATE sessions SET unlock_failures = unlock_failures + 1 WHERE id = $1
		RETURNING unlock_failures`, id).Scan(&failures)
	return failures, err
}

// Holder is what a session check needs to know of the account.
type Holder struct {
	Kind        account.Kind
	Role        account.Role
	Contact     string
	State       account.State
	DisplayName string
}

// prefixed are sessionColumns of the table s.
const prefixed = `s.id, s.firm, s.account, s.kind, s.parent, s.add_in, s.strength, s.methods, s.created_at,
	s.expires_at, s.used_at, s.step_up_until, s.ended_at, s.address, s.must_enrol, s.enrol_until`

const resolveQuery = `SELECT ` + prefixed + `, a.kind, a.role, a.contact, a.state, a.display_name
	FROM sessions s JOIN accounts a ON a.id = s.account WHERE s.token_hash = $1`

// SessionByToken returns the session of a token and whose it is, or ErrNotFound. It is one statement by itself: a
// transaction around it would be two more trips to the database.
func SessionByToken(ctx context.Context, db *sqldb.DB, hash []byte) (s session.Session, h Holder, err error) {
	var methods string
	err = db.QueryRow(ctx, resolveQuery, hash).Scan(append(sessionDest(&s, &methods),
		&h.Kind, &h.Role, &h.Contact, &h.State, &h.DisplayName)...)
	s.Methods = strings.Fields(methods)
	return s, h, err
}

// SessionUse returns what changes about a session: when it was used last and when it was ended. It is one statement by
// itself, since every request of the suite waits for it.
func SessionUse(ctx context.Context, db *sqldb.DB, hash []byte) (used, ended time.Time, err error) {
	err = db.QueryRow(ctx, `SELECT used_at, ended_at FROM sessions WHERE token_hash = $1`, hash).Scan(when{&used}, when{&ended})
	return used, ended, err
}

// TouchSession notes when a session was used.
func TouchSession(tx *sqldb.Tx, id string, now time.Time) error {
	_, err := tx.Exec(`UPDATE sessions SET used_at = $2 WHERE id = $1 AND used_at < $2`, id, micros(now))
	return err
}

// SessionCursor is the last row of a page of sessions.
type SessionCursor struct {
	Created int64
	ID      string
}

// ListSessions returns the sessions of an account that are not over, locked ones included, newest first, after the cursor.
func ListSessions(tx *sqldb.Tx, account string, now time.Time, after SessionCursor, limit int) ([]session.Session, error) {
	return sqldb.Collect(tx, scanSession, `SELECT `+sessionColumns+` FROM sessions WHERE account = $1 AND ended_at = 0
		AND expires_at > $2 AND (kind = 'PERSON' OR used_at > $3) AND (created_at, id) < ($4, $5) ORDER BY created_at DESC, id DESC LIMIT $6`,
		account, micros(now), micros(now.Add(-session.Idle)), after.Created, after.ID, limit)
}

// FirmSession is a session of a firm and the kind of account that holds it.
type FirmSession struct {
	session.Session
	HolderKind account.Kind
}

// FirmSessions returns the sessions of a firm that are not over, locked ones included: first people's, then Add-Ins'.
func FirmSessions(tx *sqldb.Tx, firm string, now time.Time) ([]FirmSession, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (s FirmSession, err error) {
		var methods string
		err = r.Scan(append(sessionDest(&s.Session, &methods), &s.HolderKind)...)
		s.Methods = strings.Fields(methods)
		return s, err
	}, `SELECT `+prefixed+`, a.kind FROM sessions s JOIN accounts a ON a.id = s.account
		WHERE s.firm = $1 AND s.ended_at = 0 AND s.expires_at > $2 ORDER BY s.kind DESC, s.id`, firm, micros(now))
}

// End names which sessions to end. Empty fields do not narrow; at least one is set.
type End struct {
	// Session ends one session and the Add-In sessions that hang on it.
	Session string
	// Account ends all sessions of an account.
	Account string
}

// ended is a session that was ended, and whose firm it was in.
type ended struct{ id, firm string }

// endSessions ends sessions that are not over and returns them.
func endSessions(tx *sqldb.Tx, e End, now time.Time) ([]ended, error) {
	if e.Session == "" && e.Account == "" {
		return nil, nil // whose sessions is not said: nobody's
	}
	return sqldb.Collect(tx, func(r *sqldb.Rows) (s ended, err error) { return s, r.Scan(&s.id, &s.firm) },
		`UPDATE sessions SET ended_at = $1
		WHERE ended_at = 0 AND expires_at > $1 AND ($2 = '' OR id = $2 OR parent = $2) AND ($3 = '' OR account = $3)
		RETURNING id, firm`, micros(now), e.Session, e.Account)
}

// MoveAddIns hangs the Add-In sessions of one session on another of the same person.
func MoveAddIns(tx *sqldb.Tx, from, to string) error {
	_, err := tx.Exec(`UPDATE sessions SET parent = $2 WHERE parent = $1 AND ended_at = 0`, from, to)
	return err
}
