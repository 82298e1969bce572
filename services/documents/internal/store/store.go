// Package store is the SQL of documents: rows in, domain values out, on SQLite and PostgreSQL alike.
//
// Every function works inside the transaction it is given, and every statement names the firm. Functions called Lock...
// hold the row until the transaction ends; who changes more than one row locks them in the order client, folder, firm,
// document, blob, so that two transactions never wait for each other. What is read after the lock is what holds.
//
// The package decides nothing. Its one opinion is that a row that is not there is filing.ErrNotFound.
package store

import (
	"embed"
	"errors"
	"io/fs"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/documents/internal/filing"
)

//go:embed migrations
var migrations embed.FS

// Migrations is the schema of documents, without the tables that platform packages bring.
var Migrations fs.FS = migrations

// missing turns the absence of a row into the domain's word for it.
func missing(err error) error {
	if errors.Is(err, sqldb.ErrNotFound) {
		return filing.ErrNotFound
	}
	return err
}

// micros stores a moment; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return sqldb.Micros(t)
}

// moment reads what micros stored.
func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return sqldb.FromMicros(us)
}

// scanner is a row under the cursor: *sqldb.Row and *sqldb.Rows.
type scanner interface{ Scan(dest ...any) error }

// changed turns "no row was changed" into filing.ErrNotFound.
func changed(n int64, err error) error {
	if err == nil && n == 0 {
		return filing.ErrNotFound
	}
	return err
}

// Firm is what documents keeps of a firm.
type Firm struct {
	ID string
	// Archive is true when the firm has the document archive.
	Archive bool
	// Records is the id of the folder for off-boarding records; empty before one was needed.
	Records string
}

// FirmOf reads a firm. One that was never written has no document archive and no folder for records.
func FirmOf(tx *sqldb.Tx, id string) (Firm, error) {
	f := Firm{ID: id}
	err := tx.QueryRow(`SELECT document_archive, records_folder FROM firms WHERE id = $1`, id).Scan(&f.Archive, &f.Records)
	if errors.Is(err, sqldb.ErrNotFound) {
		return f, nil
	}
	return f, err
}

// LockFirm is FirmOf, holding the row.
func LockFirm(tx *sqldb.Tx, id string) (Firm, error) {
	if _, err := tx.Exec(`INSERT INTO firms (id) VALUES ($1) ON CONFLICT DO NOTHING`, id); err != nil {
		return Firm{}, err
	}
	if tx.Dialect() == sqldb.Postgres {
		if _, err := tx.Exec(`SELECT 1 FROM firms WHERE id = $1 FOR UPDATE`, id); err != nil {
			return Firm{}, err
		}
	}
	return FirmOf(tx, id)
}

// SetArchive grants or withdraws a firm's document archive.
func SetArchive(tx *sqldb.Tx, firm string, enabled bool) error {
	_, err := tx.Exec(`INSERT INTO firms (id, document_archive) VALUES ($1, $2)
		ON CONFLICT (id) DO UPDATE SET document_archive = excluded.document_archive`, firm, enabled)
	return err
}

// SetRecords remembers the folder for off-boarding records.
func SetRecords(tx *sqldb.Tx, firm, folder string) error {
	return changed(tx.Exec(`UPDATE firms SET records_folder = $2 WHERE id = $1`, firm, folder))
}

// NextJobNumber counts the firm's email jobs, without gaps: the number is the transaction's, or nobody's.
func NextJobNumber(tx *sqldb.Tx, firm string) (n int64, err error) {
	err = tx.QueryRow(`INSERT INTO firms (id, last_job_number) VALUES ($1, 1)
		ON CONFLICT (id) DO UPDATE SET last_job_number = firms.last_job_number + 1 RETURNING last_job_number`, firm).Scan(&n)
	return n, err
}
