// Package figures counts what an assessor asks of a firm: who can show what, which sessions are open, how people signed
// in. It holds no names.
package figures

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/session"
)

// Coverage counts the accounts of one kind. Passkey to Recovery count active ones.
type Coverage struct {
	Active, Invited, Disabled int
	// Administrators are the active accounts with that role.
	Administrators int
	// Passkey, TOTP and SMS count those that have one, SMS a mobile that was validated; EmailOnly those that have none of
	// the three; Recovery those with codes left.
	Passkey, TOTP, SMS, EmailOnly, Recovery int
}

// CoverageOf counts the accounts of a kind in a firm. Site is the host that passkeys count for.
func CoverageOf(tx *sqldb.Tx, firm string, kind account.Kind, site string, now time.Time) (c Coverage, err error) {
	type group struct {
		state, role                  string
		passkey, totp, sms, recovery int64
		n                            int
	}
	groups, err := sqldb.Collect(tx, func(r *sqldb.Rows) (g group, err error) {
		return g, r.Scan(&g.state, &g.role, &g.passkey, &g.totp, &g.sms, &g.recovery, &g.n)
	}, `SELECT state, role, passkey, totp, sms, recovery, count(*) FROM (
		SELECT a.state, a.role,
			CASE WHEN EXISTS (SELECT 1 FROM passkeys p WHERE p.account = a.id AND p.site = $3) THEN 1 ELSE 0 END AS passkey,
			CASE WHEN EXISTS (SELECT 1 FROM totps t WHERE t.account = a.id) THEN 1 ELSE 0 END AS totp,
			CASE WHEN a.mobile <> '' AND a.mobile_validated_at <> 0 THEN 1 ELSE 0 END AS sms,
			CASE WHEN EXISTS (SELECT 1 FROM recovery_codes c WHERE c.account = a.id AND c.used_at = 0
				AND (c.expires_at = 0 OR c.expires_at > $4)) THEN 1 ELSE 0 END AS recovery
		FROM accounts a WHERE a.firm = $1 AND a.kind = $2) AS one
		GROUP BY state, role, passkey, totp, sms, recovery`, firm, string(kind), site, sqldb.Micros(now))
	for _, g := range groups {
		switch account.State(g.state) {
		case account.Invited:
			c.Invited += g.n
			continue
		case account.Disabled:
			c.Disabled += g.n
			continue
		}
		c.Active += g.n
		if account.Role(g.role) == account.Administrator {
			c.Administrators += g.n
		}
		c.Passkey += g.n * int(g.passkey)
		c.TOTP += g.n * int(g.totp)
		c.SMS += g.n * int(g.sms)
		c.Recovery += g.n * int(g.recovery)
		if g.passkey+g.totp+g.sms == 0 {
			c.EmailOnly += g.n
		}
	}
	return c, err
}

// Sessions describes the open sessions of a firm's people.
type Sessions struct {
	Open, AddIns, Single int
	// Oldest is when the oldest of them was opened; zero without one.
	Oldest time.Time
}

// SessionsOf counts the open sessions of a firm, locked ones included.
func SessionsOf(tx *sqldb.Tx, firm string, now time.Time) (s Sessions, err error) {
	var oldest int64
	err = tx.QueryRow(`SELECT count(*), coalesce(sum(CASE WHEN kind = 'ADD_IN' THEN 1 ELSE 0 END), 0),
		coalesce(sum(CASE WHEN strength = $3 THEN 1 ELSE 0 END), 0), coalesce(min(created_at), 0)
		FROM sessions WHERE firm = $1 AND ended_at = 0 AND expires_at > $2`, firm, sqldb.Micros(now), int(session.Single)).
		Scan(&s.Open, &s.AddIns, &s.Single, &oldest)
	if oldest != 0 {
		s.Oldest = sqldb.FromMicros(oldest)
	}
	return s, err
}

// Acts calls seen with the bytes of each entry of a chain since a moment whose action begins with a prefix.
func Acts(tx *sqldb.Tx, chain, prefix string, since time.Time, seen func(payload []byte) error) error {
	rows, err := tx.Query(`SELECT payload FROM ledger_entries WHERE chain = $1 AND action >= $2 AND action < $3 AND occurred_at >= $4`,
		chain, prefix, prefix+"\x7f", sqldb.Micros(since))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var payload []byte
		if err := rows.Scan(&payload); err != nil {
			return err
		}
		if err := seen(payload); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Key is a key of a table of keys. Retires is zero for one that has no end.
type Key struct {
	ID               string
	Created, Retires time.Time
}

// endless is after which a key's end is no end: those in use have one a century ahead.
const endless = 50 * 365 * 24 * time.Hour

// KeysOf lists the keys of a table that has id, created_at and, when ending is set, retires_at, the newest first.
func KeysOf(tx *sqldb.Tx, table string, ending bool, now time.Time) ([]Key, error) {
	retires := "0"
	if ending {
		retires = "retires_at"
	}
	return sqldb.Collect(tx, func(r *sqldb.Rows) (k Key, err error) {
		var created, retires int64
		err = r.Scan(&k.ID, &created, &retires)
		k.Created = sqldb.FromMicros(created)
		if end := sqldb.FromMicros(retires); retires != 0 && end.Sub(now) < endless {
			k.Retires = end
		}
		return k, err
	}, `SELECT id, created_at, `+retires+` FROM `+table+` ORDER BY created_at DESC, id`)
}

// FirmID finds a firm by its id or by its name, in any case; "" when there is none. It answers all ids when several have the
// name.
func FirmID(tx *sqldb.Tx, text string) ([]string, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (id string, err error) { return id, r.Scan(&id) },
		`SELECT id FROM firms WHERE id = $1 OR lower(display_name) = lower($1) ORDER BY id LIMIT 10`, text)
}
