package rotation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
)

const (
	// beatEvery is how often a process says which keys it has.
	beatEvery = 15 * time.Second
	// gone is after how long a process that says nothing does not count: three times that.
	gone = 45 * time.Second
	// forgotten is after how long it is deleted: later than all is over that it hashed.
	forgotten = 25 * time.Hour
)

// always is how long a process has hashed with its key when it never had another one.
const always = 365 * 24 * time.Hour

// Replica is what a process of a service said last.
type Replica struct {
	Name             string
	Sealing, Hashing vault.KeyID
	Knows            []vault.KeyID
	// Hashes is for how long it has hashed with that key, a year when it never had another one; Silent for how long it has
	// said nothing.
	Hashes, Silent time.Duration
	// Ended says that it took leave, or was killed on this machine.
	Ended bool
}

// Live reports whether the process counts: it said something lately.
func (r Replica) Live() bool { return !r.Ended && r.Silent < gone }

func (r Replica) lacks(keys []vault.KeyID) bool {
	return slices.ContainsFunc(keys, func(k vault.KeyID) bool { return !slices.Contains(r.Knows, k) })
}

// beat writes what a process has.
func beat(tx *sqldb.Tx, name string, keys vault.Keys) error {
	now := tx.Dialect().NowMicros()
	var knows []string
	for _, id := range keys.All() {
		knows = append(knows, string(id))
	}
	_, err := tx.Exec(`INSERT INTO keys_replicas (replica, sealing, hashing, knows, since, seen, gone) VALUES ($1, $2, $3, $4, 0, `+now+`, 0)
		ON CONFLICT (replica) DO UPDATE SET sealing = $2, hashing = $3, knows = $4, seen = `+now+`,
			since = CASE WHEN keys_replicas.hashing = $3 THEN keys_replicas.since ELSE `+now+` END`,
		name, string(keys.Sealing()), string(keys.Hashing()), strings.Join(knows, " "))
	if err != nil {
		return err
	}
	_, err = tx.Exec(`DELETE FROM keys_replicas WHERE seen < `+now+` - $1 AND since < `+now+` - $1`, forgotten.Microseconds())
	return err
}

// leave says that a process ended. What it hashed is still of use for a while, so it stays on the list.
func leave(tx *sqldb.Tx, name string) error {
	_, err := tx.Exec(`UPDATE keys_replicas SET gone = 1, seen = `+tx.Dialect().NowMicros()+` WHERE replica = $1`, name)
	return err
}

// replicas returns the processes, also those that are gone.
func replicas(tx *sqldb.Tx) ([]Replica, error) {
	now := tx.Dialect().NowMicros()
	return sqldb.Collect(tx, func(r *sqldb.Rows) (one Replica, err error) {
		var knows string
		var since, silent int64
		err = r.Scan(&one.Name, &one.Sealing, &one.Hashing, &knows, &since, &silent, &one.Ended)
		for _, id := range strings.Fields(knows) {
			one.Knows = append(one.Knows, vault.KeyID(id))
		}
		one.Ended = one.Ended || dead(one.Name)
		one.Hashes, one.Silent = time.Duration(since)*time.Microsecond, time.Duration(silent)*time.Microsecond
		return one, err
	}, `SELECT replica, sealing, hashing, knows, CASE since WHEN 0 THEN $1 ELSE `+now+` - since END, `+now+` - seen, gone = 1
		FROM keys_replicas ORDER BY replica`, always.Microseconds())
}

// fence puts keys that seal on the list of those that nothing may be sealed with, unless a row is under one. The
// transaction is of the isolation read committed: it sees what those wrote for whom it waited.
func (b Book) fence(tx *sqldb.Tx, keys []vault.KeyID, lose bool) error {
	if _, err := tx.Exec(`UPDATE keys_fence SET moved = moved + 1 WHERE one = 1`); err != nil {
		return err
	}
	for _, s := range b.Secrets {
		u, err := s.uses(tx)
		if err != nil {
			return err
		}
		if n := u.Of(keys); n > 0 && !lose {
			return refuse("%s: %s of %s under the old key", b.Service, rows(n), s.Name())
		}
	}
	for _, key := range keys {
		_, err := tx.Exec(`INSERT INTO keys_retired (key_id, retired) VALUES ($1, `+tx.Dialect().NowMicros()+`)
			ON CONFLICT (key_id) DO NOTHING`, string(key))
		if err != nil {
			return err
		}
	}
	return nil
}

func rows(n int) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", n)
}
