package addins

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// Key signs ID tokens.
type Key struct {
	ID string
	// Public is the public half, PKIX.
	Public []byte
	// Sealed is the private half, sealed for this row.
	Sealed   []byte
	VaultKey string
	Created  time.Time
	// Active is from when it signs; Retires from when it is published no more, far ahead for the newest.
	Active  time.Time
	Retires time.Time
}

const keyColumns = `id, public_key, sealed, vault_key, created_at, active_at, retires_at`

// Keys returns the keys that are not retired, newest first.
func Keys(tx *sqldb.Tx, now time.Time) ([]Key, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (k Key, err error) {
		return k, r.Scan(&k.ID, &k.Public, &k.Sealed, &k.VaultKey, when{&k.Created}, when{&k.Active}, when{&k.Retires})
	}, `SELECT `+keyColumns+` FROM id_token_keys WHERE retires_at > $1 ORDER BY active_at DESC, id`, micros(now))
}

// InsertKey adds a key and sets when the others are published no more, unless it is sooner already.
func InsertKey(tx *sqldb.Tx, k Key, othersRetire time.Time) error {
	if _, err := tx.Exec(`UPDATE id_token_keys SET retires_at = $1 WHERE retires_at > $1`, micros(othersRetire)); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO id_token_keys (`+keyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		k.ID, k.Public, k.Sealed, k.VaultKey, micros(k.Created), micros(k.Active), micros(k.Retires))
	return err
}

// ResealKey replaces the sealed half of a key.
func ResealKey(tx *sqldb.Tx, id string, sealed []byte, vaultKey string) error {
	_, err := tx.Exec(`UPDATE id_token_keys SET sealed = $2, vault_key = $3 WHERE id = $1`, id, sealed, vaultKey)
	return err
}
