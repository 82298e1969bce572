package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/documents/internal/signing"
)

const deliveryColumns = `id, firm, job, contact, state, attempts, due, closed, problem`

func scanDelivery(s scanner) (d signing.Delivery, err error) {
	var due, closed int64
	err = s.Scan(&d.ID, &d.Firm, &d.Job, &d.Contact, &d.State, &d.Attempts, &due, &closed, &d.Problem)
	d.Due, d.Closed = moment(due), moment(closed)
	return d, err
}

// ClaimDeliveries takes at most limit e-mails whose time has come. They are due again at until, so that those of a process
// that dies are taken by another.
func ClaimDeliveries(tx *sqldb.Tx, now, until time.Time, limit int) ([]signing.Delivery, error) {
	claimed, err := sqldb.Collect(tx, func(r *sqldb.Rows) (signing.Delivery, error) { return scanDelivery(r) },
		`SELECT `+deliveryColumns+` FROM deliveries WHERE state = 'PENDING' AND due <= $1 ORDER BY due, id LIMIT $2`+
			tx.Dialect().SkipLocked(), micros(now), limit)
	if err != nil {
		return nil, err
	}
	for i := range claimed {
		claimed[i].Attempts++
		if _, err := tx.Exec(`UPDATE deliveries SET attempts = $2, due = $3 WHERE id = $1`,
			claimed[i].ID, claimed[i].Attempts, micros(until)); err != nil {
			return nil, err
		}
	}
	return claimed, nil
}

// SaveDelivery writes what became of an attempt, unless another attempt was begun since.
func SaveDelivery(tx *sqldb.Tx, d signing.Delivery) error {
	_, err := tx.Exec(`UPDATE deliveries SET state = $3, due = $4, closed = $5, problem = $6
		WHERE id = $1 AND attempts = $2 AND state = 'PENDING'`,
		d.ID, d.Attempts, d.State, micros(d.Due), micros(d.Closed), d.Problem)
	return err
}

// NextDelivery answers when the next e-mail is due; zero when none waits.
func NextDelivery(tx *sqldb.Tx) (time.Time, error) {
	var due int64
	err := tx.QueryRow(`SELECT coalesce(min(due), 0) FROM deliveries WHERE state = 'PENDING'`).Scan(&due)
	return moment(due), err
}
