package chain

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// Key signs copies of the ledger.
type Key struct {
	ID     string
	Public []byte
	// Sealed is the private half, sealed for this row.
	Sealed   []byte
	VaultKey string
	Created  time.Time
}

// Keys returns all keys there ever were, the newest first: it signs.
func Keys(tx *sqldb.Tx) ([]Key, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (k Key, err error) {
		var created int64
		err = r.Scan(&k.ID, &k.Public, &k.Sealed, &k.VaultKey, &created)
		k.Created = sqldb.FromMicros(created)
		return k, err
	}, `SELECT id, public_key, sealed, vault_key, created_at FROM ledger_keys ORDER BY created_at DESC, id`)
}

// InsertKey adds a key.
func InsertKey(tx *sqldb.Tx, k Key) error {
	_, err := tx.Exec(`INSERT INTO ledger_keys (id, public_key, sealed, vault_key, created_at) VALUES ($1, $2, $3, $4, $5)`,
		k.ID, k.Public, k.Sealed, k.VaultKey, sqldb.Micros(k.Created))
	return err
}
