package people

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// Pepper is the secret that goes into password hashes, sealed.
type Pepper struct {
	ID       string
	Sealed   []byte
	VaultKey string
}

// CurrentPepper returns the pepper of new hashes, or ErrNotFound before the first start.
func CurrentPepper(tx *sqldb.Tx) (p Pepper, err error) {
	err = tx.QueryRow(`SELECT id, sealed, vault_key FROM peppers ORDER BY created_at DESC, id DESC LIMIT 1`).
		Scan(&p.ID, &p.Sealed, &p.VaultKey)
	return p, err
}

// OfferPepper keeps a pepper when there is none with its id: of several processes that start first at once one wins.
func OfferPepper(tx *sqldb.Tx, p Pepper, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO peppers (id, sealed, vault_key, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (id) DO NOTHING`, p.ID, p.Sealed, p.VaultKey, sqldb.Micros(now))
	return err
}
