package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// SigningKey signs internal tokens.
type SigningKey struct {
	ID     string
	Public []byte
	// Sealed is the private half, sealed for this row.
	Sealed   []byte
	VaultKey string
	Created  time.Time
	// Active is from when it signs; Retires from when it verifies no more, far ahead for the newest.
	Active  time.Time
	Retires time.Time
}

const keyColumns = `id, public_key, sealed, vault_key, created_at, active_at, retires_at`

// SigningKeys returns the keys that are not retired, newest first.
func SigningKeys(tx *sqldb.Tx, now time.Time) ([]SigningKey, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (k SigningKey, err error) {
		return k, r.Scan(&k.ID, &k.Public, &k.Sealed, &k.VaultKey, when{&k.Created}, when{&k.Active}, when{&k.Retires})
	}, `SELECT `+keyColumns+` FROM signing_keys WHERE retires_at > $1 ORDER BY active_at DESC, id`, micros(now))
}

// InsertSigningKey adds a key.
func InsertSigningKey(tx *sqldb.Tx, k SigningKey) error {
	_, err := tx.Exec(`INSERT INTO signing_keys (`+keyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		k.ID, k.Public, k.Sealed, k.VaultKey, micros(k.Created), micros(k.Active), micros(k.Retires))
	return err
}

// RetireSigningKeys sets when every key but one stops verifying, unless it is sooner already.
func RetireSigningKeys(tx *sqldb.Tx, except string, at time.Time) error {
	_, err := tx.Exec(`UPDATE signing_keys SET retires_at = $2 WHERE id <> $1 AND retires_at > $2`, except, micros(at))
	return err
}

// ResealSigningKey replaces the sealed half of a key.
func ResealSigningKey(tx *sqldb.Tx, id string, sealed []byte, vaultKey string) error {
	_, err := tx.Exec(`UPDATE signing_keys SET sealed = $2, vault_key = $3 WHERE id = $1`, id, sealed, vaultKey)
	return err
}

// DropSigningKeys destroys keys that are retired.
func DropSigningKeys(tx *sqldb.Tx, now time.Time) error {
	_, err := tx.Exec(`DELETE FROM signing_keys WHERE retires_at <= $1`, micros(now))
	return err
}
