package store

import (
	"context"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/filing"
)

const documentColumns = `d.id, d.firm, d.folder, d.display_name, d.media_type, d.size, d.sha256, d.published, d.filed_by,
	d.system_client, d.system_key, d.revision, d.offboarding, d.created, f.state,
	EXISTS (SELECT 1 FROM signature_requests r WHERE r.document = d.id AND r.state = 'OPEN')`

const documentTables = ` FROM documents d JOIN folders f ON f.id = d.folder `

func scanDocument(s scanner, more ...any) (d filing.Document, err error) {
	var created int64
	err = s.Scan(append([]any{&d.ID, &d.Firm, &d.Folder, &d.DisplayName, &d.MediaType, &d.Size, &d.SHA256, &d.Published,
		&d.FiledBy, &d.Client, &d.Key, &d.Revision, &d.Offboarding, &created, &d.Where, &d.SignatureOpen}, more...)...)
	d.Created = moment(created)
	return d, err
}

// DocumentOf reads a document, wherever its folder stands.
func DocumentOf(tx *sqldb.Tx, firm, id string) (filing.Document, error) {
	d, err := scanDocument(tx.QueryRow(`SELECT `+documentColumns+documentTables+`WHERE d.firm = $1 AND d.id = $2`, firm, id))
	return d, missing(err)
}

// DocumentOnTicket reads by one statement what a download ticket permits, the document, and where its bytes are. What the
// contact of the ticket may see is not looked at.
func DocumentOnTicket(ctx context.Context, db *sqldb.DB, id string) (t filing.Download, d filing.Document, key blob.Key, err error) {
	t.ID = id
	var expires int64
	d, err = scanDocument(db.QueryRow(ctx, `SELECT `+documentColumns+`, t.caller, t.contact, t.session, t.expires, b.generation
		FROM downloads t JOIN documents d ON d.firm = t.firm AND d.id = t.document JOIN folders f ON f.id = d.folder
		JOIN blobs b ON b.firm = d.firm AND b.sha256 = d.sha256 AND b.state = '`+live+`' WHERE t.id = $1`, id),
		&t.Caller.Name, &t.Caller.Contact, &t.Caller.Session, &expires, &key.Generation)
	t.Firm, t.Document, t.Expires = d.Firm, d.ID, moment(expires)
	key.Firm, key.SHA256 = d.Firm, d.SHA256
	return t, d, key, missing(err)
}

// DocumentSeenBy reads a document as a contact sees it: published, in a folder that the contact sees.
func DocumentSeenBy(tx *sqldb.Tx, firm, contact, id string) (filing.Document, error) {
	d, err := scanDocument(tx.QueryRow(`SELECT `+documentColumns+documentTables+
		`WHERE d.firm = $1 AND d.id = $3 AND d.published AND `+seenBy, firm, contact, id))
	return d, missing(err)
}

// SystemDocument reads what the suite filed about a client under a key.
func SystemDocument(tx *sqldb.Tx, firm, client, key string) (filing.Document, error) {
	d, err := scanDocument(tx.QueryRow(`SELECT `+documentColumns+documentTables+
		`WHERE d.firm = $1 AND d.system_client = $2 AND d.system_key = $3`, firm, client, key))
	return d, missing(err)
}

// AddDocument writes a new document. The caller counts it in its folder.
func AddDocument(tx *sqldb.Tx, d filing.Document) error {
	_, err := tx.Exec(`INSERT INTO documents (id, firm, folder, display_name, name_key, media_type, size, sha256, published,
		filed_by, system_client, system_key, revision, offboarding, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		d.ID, d.Firm, d.Folder, d.DisplayName, NameKey(d.DisplayName), d.MediaType, d.Size, d.SHA256, d.Published,
		d.FiledBy, d.Client, d.Key, d.Revision, d.Offboarding, micros(d.Created))
	return err
}

// SaveDocument writes what may change about a document: folder, name, bytes, published, revision.
func SaveDocument(tx *sqldb.Tx, d filing.Document) error {
	return changed(tx.Exec(`UPDATE documents SET folder = $3, display_name = $4, name_key = $5, media_type = $6, size = $7,
		sha256 = $8, published = $9, created = $10, revision = $11, offboarding = $12 WHERE firm = $1 AND id = $2`,
		d.Firm, d.ID, d.Folder, d.DisplayName, NameKey(d.DisplayName), d.MediaType, d.Size, d.SHA256, d.Published, micros(d.Created),
		d.Revision, d.Offboarding))
}

// FiledFor lists what the suite filed about a client for an off-boarding.
func FiledFor(tx *sqldb.Tx, firm, client, offboarding string) ([]filing.Document, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (filing.Document, error) { return scanDocument(r) }, `SELECT `+documentColumns+
		documentTables+`WHERE d.firm = $1 AND d.system_client = $2 AND d.system_key <> '' AND d.offboarding = $3 ORDER BY d.id`,
		firm, client, offboarding)
}

// DropDocument deletes a document's row. The caller counts it in its folder; the grace of its bytes begins now.
func DropDocument(tx *sqldb.Tx, d filing.Document, nowMicros int64) error {
	if _, err := tx.Exec(`UPDATE blobs SET touched = $3 WHERE firm = $1 AND sha256 = $2`, d.Firm, d.SHA256, nowMicros); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM downloads WHERE document = $1`, d.ID); err != nil {
		return err
	}
	return changed(tx.Exec(`DELETE FROM documents WHERE firm = $1 AND id = $2`, d.Firm, d.ID))
}

// MoveSystemDocuments puts what the suite filed in one folder into another and answers how many there were. The caller
// counts them.
func MoveSystemDocuments(tx *sqldb.Tx, firm, from, to string) (int64, error) {
	return tx.Exec(`UPDATE documents SET folder = $3 WHERE firm = $1 AND folder = $2 AND system_key <> ''`, firm, from, to)
}

// DestroyDocuments deletes the rows of a folder's documents. Their bytes are touched, so that the grace of the sweep
// begins now.
func DestroyDocuments(tx *sqldb.Tx, firm, folder string, nowMicros int64) error {
	if _, err := tx.Exec(`UPDATE blobs SET touched = $3 WHERE firm = $1 AND sha256 IN
		(SELECT sha256 FROM documents WHERE firm = $1 AND folder = $2)`, firm, folder, nowMicros); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM downloads WHERE document IN (SELECT id FROM documents WHERE firm = $1 AND folder = $2)`, firm, folder); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM documents WHERE firm = $1 AND folder = $2`, firm, folder)
	return err
}

// DocumentQuery selects documents.
type DocumentQuery struct {
	Firm   string
	Folder string // any when empty
	// Archived selects documents of archived folders, and no others.
	Archived bool
	Text     string // what the name contains; any when empty
	Contact  string // when set, only what this contact sees
	Page
}

// Documents lists documents by name. The keys of the rows are for Page.
func Documents(tx *sqldb.Tx, q DocumentQuery) (documents []filing.Document, keys []string, err error) {
	in := []filing.FolderState{filing.Active}
	switch {
	case q.Archived:
		in = []filing.FolderState{filing.Archived}
	case q.Folder != "":
		in = append(in, filing.Deleted) // who names a deleted folder sees what would be restored
	}
	d := tx.Dialect()
	rows, err := tx.Query(`SELECT `+documentColumns+`, d.name_key`+documentTables+`WHERE d.firm = $1
		AND ($3 = '' OR d.folder = $3) AND `+d.AnyOf("f.state", 9)+` AND ($4 = '' OR d.name_key LIKE $5 ESCAPE '\')
		AND ($2 = '' OR (d.published AND `+seenBy+`)) AND (d.name_key, d.id) > ($6, $7)
		ORDER BY d.name_key, d.id LIMIT $8`,
		q.Firm, q.Contact, q.Folder, q.Text, pattern(q.Text), q.AfterKey, q.AfterID, q.Limit, sqldb.List(d, in))
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		d, err := scanDocument(rows, &key)
		if err != nil {
			return nil, nil, err
		}
		documents, keys = append(documents, d), append(keys, key)
	}
	return documents, keys, rows.Err()
}
