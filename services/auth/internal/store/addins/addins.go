// Package addins is the SQL of Add-Ins: the generations of their tokens, and the keys of ID tokens.
//
// Like package store it works inside the caller's transaction, decides nothing, and serves both engines with one text.
// Tokens are known by the hashes that package session makes of them.
package addins

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/addin"
)

// micros is the stored form of a time; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return sqldb.Micros(t)
}

// when scans a stored time.
type when struct{ t *time.Time }

// Scan implements sql.Scanner.
func (w when) Scan(src any) error {
	us, _ := src.(int64) // the columns are NOT NULL integers on both engines
	if *w.t = (time.Time{}); us != 0 {
		*w.t = sqldb.FromMicros(us)
	}
	return nil
}

// scope scans a stored set of scopes.
type scope struct{ s *addin.Scope }

// Scan implements sql.Scanner.
func (s scope) Scan(src any) error {
	text, _ := src.(string)
	*s.s, _ = addin.ParseScope(text) // what was stored was parsed before
	return nil
}

func one[T any](all []T, err error) (found T, _ error) {
	switch {
	case err != nil:
		return found, err
	case len(all) == 0:
		return found, sqldb.ErrNotFound
	}
	return all[0], nil
}

const columns = `session, generation, granted, scope, authenticated_at, issued_at, expires_at, used_at, rotated_at, salt`

func scan(r *sqldb.Rows) (t addin.Tokens, err error) {
	return t, r.Scan(&t.Session, &t.Generation, scope{&t.Granted}, scope{&t.Scope}, when{&t.Authenticated}, when{&t.Issued},
		when{&t.Expires}, when{&t.Used}, when{&t.Rotated}, &t.Salt)
}

// Insert adds a generation under the hashes of its tokens; refresh is nil when there is none.
func Insert(tx *sqldb.Tx, t addin.Tokens, access, refresh []byte) error {
	_, err := tx.Exec(`INSERT INTO add_in_tokens (access_hash, refresh_hash, `+columns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`, access, refresh, t.Session, t.Generation,
		t.Granted.String(), t.Scope.String(), micros(t.Authenticated), micros(t.Issued), micros(t.Expires), micros(t.Used),
		micros(t.Rotated), []byte{})
	return err
}

// ByRefresh returns the generation of a refresh token, or ErrNotFound.
func ByRefresh(tx *sqldb.Tx, hash []byte) (addin.Tokens, error) {
	return one(sqldb.Collect(tx, scan, `SELECT `+columns+` FROM add_in_tokens WHERE refresh_hash = $1`, hash))
}

// ByAccess returns the generation of an access token, or ErrNotFound.
func ByAccess(tx *sqldb.Tx, hash []byte) (addin.Tokens, error) {
	return one(sqldb.Collect(tx, scan, `SELECT `+columns+` FROM add_in_tokens WHERE access_hash = $1`, hash))
}

// Generation returns a generation of a session, or ErrNotFound.
func Generation(tx *sqldb.Tx, session string, generation int64) (addin.Tokens, error) {
	return one(sqldb.Collect(tx, scan, `SELECT `+columns+` FROM add_in_tokens WHERE session = $1 AND generation = $2`,
		session, generation))
}

// Rotate notes that the refresh token of a generation was redeemed, and the salt its successors were made with. The salt
// of the generation before goes: its answer was used, so it arrived.
func Rotate(tx *sqldb.Tx, t addin.Tokens, salt []byte, now time.Time) error {
	_, err := tx.Exec(`UPDATE add_in_tokens SET rotated_at = $3, salt = $4, used_at = CASE used_at WHEN 0 THEN $3 ELSE used_at END
		WHERE session = $1 AND generation = $2`, t.Session, t.Generation, micros(now), salt)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE add_in_tokens SET salt = $3 WHERE session = $1 AND generation = $2`, t.Session, t.Generation-1, []byte{})
	return err
}

// Use notes that an access token was used first, and so that its answer arrived.
func Use(tx *sqldb.Tx, t addin.Tokens, now time.Time) error {
	_, err := tx.Exec(`UPDATE add_in_tokens SET used_at = $3 WHERE session = $1 AND generation = $2 AND used_at = 0`,
		t.Session, t.Generation, micros(now))
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE add_in_tokens SET salt = $3 WHERE session = $1 AND generation = $2`, t.Session, t.Generation-1, []byte{})
	return err
}
