package people

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// Enrolled is what an account has enrolled beside its password.
type Enrolled struct {
	// Passkeys are those good for the site asked about.
	Passkeys, TOTPs int
	// Codes are recovery codes that are good, handed out ones included.
	Codes int
	// Asked is when its holder asked that an enrolment be approved; zero when nothing waits.
	Asked time.Time
	// Spent is true when its mailbox is no second factor.
	Spent bool
}

// EnrolledBy returns what accounts have enrolled for a site, by their ids. Those with nothing are left out.
func EnrolledBy(tx *sqldb.Tx, accounts []string, site string, now time.Time) (map[string]Enrolled, error) {
	out := map[string]Enrolled{}
	if len(accounts) == 0 {
		return out, nil
	}
	d := tx.Dialect()
	for _, q := range []struct {
		query string
		args  []any
		note  func(e *Enrolled, n int64)
	}{
		{`SELECT account, count(*) FROM passkeys WHERE site = $1 AND ` + d.AnyOf("account", 2) + ` GROUP BY account`,
			[]any{site, sqldb.List(d, accounts)}, func(e *Enrolled, n int64) { e.Passkeys = int(n) }},
		{`SELECT account, count(*) FROM totps WHERE ` + d.AnyOf("account", 1) + ` GROUP BY account`,
			[]any{sqldb.List(d, accounts)}, func(e *Enrolled, n int64) { e.TOTPs = int(n) }},
		{`SELECT account, count(*) FROM recovery_codes WHERE used_at = 0 AND (expires_at = 0 OR expires_at > $1) AND ` +
			d.AnyOf("account", 2) + ` GROUP BY account`,
			[]any{sqldb.Micros(now), sqldb.List(d, accounts)}, func(e *Enrolled, n int64) { e.Codes = int(n) }},
		{`SELECT account, count(*) FROM spent_mailboxes WHERE ` + d.AnyOf("account", 1) + ` GROUP BY account`,
			[]any{sqldb.List(d, accounts)}, func(e *Enrolled, n int64) { e.Spent = n > 0 }},
		{`SELECT account, asked_at FROM enrolment_asks WHERE ` + d.AnyOf("account", 1),
			[]any{sqldb.List(d, accounts)}, func(e *Enrolled, us int64) { e.Asked = sqldb.FromMicros(us) }},
	} {
		type row struct {
			account string
			n       int64
		}
		rows, err := sqldb.Collect(tx, func(r *sqldb.Rows) (w row, err error) { return w, r.Scan(&w.account, &w.n) }, q.query, q.args...)
		if err != nil {
			return nil, err
		}
		for _, w := range rows {
			e := out[w.account]
			q.note(&e, w.n)
			out[w.account] = e
		}
	}
	return out, nil
}
