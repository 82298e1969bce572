package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// Delivery is an e-mail on its way.
type Delivery struct {
	ID, Firm, Recipient, Subject string
	// Sealed is the text, sealed for this row.
	Sealed   []byte
	VaultKey string
	Created  time.Time
	Due      time.Time
	Attempts int
}

const deliveryColumns = `id, firm, recipient, subject, sealed, vault_key, created_at, due_at, attempts`

// DeliveryTopic wakes the sender of this process after a commit, by sqldb's Notify.
const DeliveryTopic = "auth.delivery"

// InsertDelivery puts an e-mail on its way.
func InsertDelivery(tx *sqldb.Tx, d Delivery) error {
	_, err := tx.Exec(`INSERT INTO deliveries (`+deliveryColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		d.ID, d.Firm, d.Recipient, d.Subject, d.Sealed, d.VaultKey, micros(d.Created), micros(d.Due), d.Attempts)
	tx.Notify(DeliveryTopic)
	return err
}

// ClaimDeliveries takes e-mails that are due, counts the attempt and puts them off until the given time, when somebody
// else tries if this process dies.
func ClaimDeliveries(tx *sqldb.Tx, now, until time.Time, limit int) ([]Delivery, error) {
	ids, err := sqldb.Collect(tx, scanText, `SELECT id FROM deliveries WHERE finished_at = 0 AND due_at <= $1
		ORDER BY due_at, id LIMIT $2`+tx.Dialect().SkipLocked(), micros(now), limit)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	d := tx.Dialect()
	return sqldb.Collect(tx, func(r *sqldb.Rows) (d Delivery, err error) {
		return d, r.Scan(&d.ID, &d.Firm, &d.Recipient, &d.Subject, &d.Sealed, &d.VaultKey, when{&d.Created}, when{&d.Due},
			&d.Attempts)
	}, `UPDATE deliveries SET attempts = attempts + 1, due_at = $1 WHERE `+d.AnyOf("id", 2)+` RETURNING `+deliveryColumns,
		micros(until), sqldb.List(d, ids))
}

// DeliveriesWaiting counts the e-mails that are on their way.
func DeliveriesWaiting(tx *sqldb.Tx) (n int, err error) {
	return n, tx.QueryRow(`SELECT count(*) FROM deliveries WHERE finished_at = 0`).Scan(&n)
}

// FinishDelivery ends the way of an e-mail and destroys its text. Failure is empty when it was handed over.
func FinishDelivery(tx *sqldb.Tx, id, failure string, now time.Time) error {
	_, err := tx.Exec(`UPDATE deliveries SET finished_at = $2, failure = $3, sealed = $4 WHERE id = $1`,
		id, micros(now), failure, []byte{})
	return err
}

// RetryDelivery tries again later.
func RetryDelivery(tx *sqldb.Tx, id, failure string, due time.Time) error {
	_, err := tx.Exec(`UPDATE deliveries SET due_at = $2, failure = $3 WHERE id = $1 AND finished_at = 0`,
		id, micros(due), failure)
	return err
}
