package rotation

import (
	"context"
	"errors"
	"fmt"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
)

// batch is how many rows one transaction seals anew: some milliseconds, in which SQLite has no other writer.
const batch = 50

// Progress is what a pass over the rows did.
type Progress struct {
	// Resealed rows are under the present key now; Unreadable ones do not open with any key of the keyring.
	Resealed, Unreadable int
}

// Reseal goes once over all rows under old keys of the vault and seals them with the present one. told is called after each
// batch; the pass ends when it returns an error. Rows that another transaction is changing, or changed meanwhile, are left
// to the next pass.
func (b Book) Reseal(ctx context.Context, v *vault.Vault, told func(Secret, Progress) error) (all Progress, err error) {
	for _, s := range b.Secrets {
		old, _ := v.Keys().With(vault.Old)
		for _, key := range old {
			done, err := b.sweep(ctx, v, s, key, told)
			all.Resealed += done.Resealed
			all.Unreadable += done.Unreadable
			if err != nil {
				return all, err
			}
		}
	}
	return all, nil
}

// sweep goes over the rows of one column under one key.
func (b Book) sweep(ctx context.Context, v *vault.Vault, s Secret, key vault.KeyID, told func(Secret, Progress) error) (all Progress, err error) {
	for after, more := "", true; more; {
		var done Progress
		next := after
		err := b.DB.Tx(ctx, func(tx *sqldb.Tx) (err error) {
			done, next, more, err = s.reseal(tx, v, key, after)
			return err
		}, sqldb.ReadCommitted)
		if err != nil {
			return all, fmt.Errorf("rotation: %s: %w", s.Name(), err)
		}
		after = next
		all.Resealed += done.Resealed
		all.Unreadable += done.Unreadable
		if done != (Progress{}) {
			if err := told(s, done); err != nil {
				return all, err
			}
		}
	}
	return all, ctx.Err()
}

// sealed is a row with a value to be sealed anew.
type sealed struct {
	id, firm string
	text     []byte
}

// reseal seals one batch anew: the rows after an id, by id.
func (s Secret) reseal(tx *sqldb.Tx, v *vault.Vault, key vault.KeyID, after string) (done Progress, last string, more bool, err error) {
	rows, err := sqldb.Collect(tx, func(r *sqldb.Rows) (row sealed, err error) {
		return row, r.Scan(&row.id, &row.firm, &row.text)
	}, `SELECT `+s.columns()+` FROM `+s.Table+` WHERE `+s.Key+` = $1 AND `+s.ID+` > $2 AND `+s.present()+`
		ORDER BY `+s.ID+` LIMIT $3`+tx.Dialect().SkipLocked(), string(key), after, batch)
	if err != nil || len(rows) == 0 {
		return done, after, false, err
	}
	for _, row := range rows {
		switch changed, err := s.replace(tx, v, key, row); {
		case errors.Is(err, vault.ErrSealed):
			done.Unreadable++
		case err != nil:
			return done, after, false, err
		case changed:
			done.Resealed++
		}
	}
	return done, rows[len(rows)-1].id, len(rows) == batch, nil
}

// replace seals one value anew, if it still stands.
func (s Secret) replace(tx *sqldb.Tx, v *vault.Vault, key vault.KeyID, row sealed) (bool, error) {
	place := s.row(row.id, row.firm)
	secret, err := v.Open(row.text, place)
	if err != nil {
		return false, err
	}
	text, present, err := v.Seal(secret, place)
	if err != nil {
		return false, err
	}
	n, err := tx.Exec(`UPDATE `+s.Table+` SET `+s.Sealed+` = $1, `+s.Key+` = $2
		WHERE `+s.ID+` = $3 AND `+s.Key+` = $4 AND `+s.Sealed+` = $5`, text, string(present), row.id, string(key), row.text)
	return n == 1, err
}
