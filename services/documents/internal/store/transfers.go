package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/documents/internal/filing"
)

// AddUpload writes an upload before its first byte.
func AddUpload(tx *sqldb.Tx, u filing.Upload) error {
	_, err := tx.Exec(`INSERT INTO uploads (id, firm, folder, display_name, media_type, size, sha256, caller, contact, kind,
		principal, session, address, created, expires) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		u.ID, u.Firm, u.Folder, u.DisplayName, u.MediaType, u.Size, u.SHA256, u.Caller.Name, u.Caller.Contact, u.Caller.Kind,
		u.Caller.ID, u.Caller.Session, u.Caller.Address, micros(u.Created), micros(u.Expires))
	return err
}

const uploadColumns = `id, firm, folder, display_name, media_type, size, sha256, caller, contact, kind, principal, session,
	address, done, created, expires`

func scanUpload(s scanner) (u filing.Upload, err error) {
	var created, expires int64
	err = s.Scan(&u.ID, &u.Firm, &u.Folder, &u.DisplayName, &u.MediaType, &u.Size, &u.SHA256, &u.Caller.Name, &u.Caller.Contact,
		&u.Caller.Kind, &u.Caller.ID, &u.Caller.Session, &u.Caller.Address, &u.Done, &created, &expires)
	u.Created, u.Expires = moment(created), moment(expires)
	return u, err
}

// UploadOf reads an upload. It is found without a firm: the token that leads here is the firm's own.
func UploadOf(tx *sqldb.Tx, id string) (filing.Upload, error) {
	u, err := scanUpload(tx.QueryRow(`SELECT `+uploadColumns+` FROM uploads WHERE id = $1`, id))
	return u, missing(err)
}

// LockUpload is UploadOf, holding the row.
func LockUpload(tx *sqldb.Tx, id string) (filing.Upload, error) {
	u, err := scanUpload(tx.QueryRow(`SELECT `+uploadColumns+` FROM uploads WHERE id = $1`+tx.Dialect().ForUpdate(), id))
	return u, missing(err)
}

// FinishUpload marks an upload as filed.
func FinishUpload(tx *sqldb.Tx, id string) error {
	return changed(tx.Exec(`UPDATE uploads SET done = TRUE WHERE id = $1`, id))
}

// AddDownload writes a permission to read a document.
func AddDownload(tx *sqldb.Tx, d filing.Download) error {
	_, err := tx.Exec(`INSERT INTO downloads (id, firm, document, caller, contact, session, expires)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		d.ID, d.Firm, d.Document, d.Caller.Name, d.Caller.Contact, d.Caller.Session, micros(d.Expires))
	return err
}

// ForgetTransfers drops at most limit uploads and limit downloads that ended before the time given, and answers how many.
func ForgetTransfers(tx *sqldb.Tx, before time.Time, limit int) (int64, error) {
	uploads, err := tx.Exec(`DELETE FROM uploads WHERE id IN (SELECT id FROM uploads WHERE expires < $1 LIMIT $2)`, micros(before), limit)
	if err != nil {
		return 0, err
	}
	downloads, err := tx.Exec(`DELETE FROM downloads WHERE id IN (SELECT id FROM downloads WHERE expires < $1 LIMIT $2)`, micros(before), limit)
	return uploads + downloads, err
}

// RevokeTickets ends what a session may still send or fetch.
func RevokeTickets(tx *sqldb.Tx, session string, at time.Time) error {
	if session == "" {
		return nil
	}
	if _, err := tx.Exec(`UPDATE uploads SET expires = $2 WHERE session = $1 AND session <> '' AND expires > $2`, session, micros(at)); err != nil {
		return err
	}
	_, err := tx.Exec(`UPDATE downloads SET expires = $2 WHERE session = $1 AND session <> '' AND expires > $2`, session, micros(at))
	return err
}
