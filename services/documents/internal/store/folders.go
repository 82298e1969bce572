package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/documents/internal/filing"
)

const folderColumns = `f.id, f.firm, f.kind, f.state, f.client, f.display_name, f.documents, f.system, f.created, f.gone, f.purge, f.version`

func scanFolder(s scanner, more ...any) (f filing.Folder, err error) {
	var created, gone, purge int64
	err = s.Scan(append([]any{&f.ID, &f.Firm, &f.Kind, &f.State, &f.Client, &f.DisplayName, &f.Documents, &f.System,
		&created, &gone, &purge, &f.Version}, more...)...)
	f.Created, f.Gone, f.Purge = moment(created), moment(gone), moment(purge)
	return f, err
}

// FolderOf reads a folder, whatever its state.
func FolderOf(tx *sqldb.Tx, firm, id string) (filing.Folder, error) {
	f, err := scanFolder(tx.QueryRow(`SELECT `+folderColumns+` FROM folders f WHERE f.firm = $1 AND f.id = $2`, firm, id))
	return f, missing(err)
}

// LockFolder is FolderOf, holding the row.
func LockFolder(tx *sqldb.Tx, firm, id string) (filing.Folder, error) {
	f, err := scanFolder(tx.QueryRow(`SELECT `+folderColumns+` FROM folders f WHERE f.firm = $1 AND f.id = $2`+
		tx.Dialect().ForUpdate(), firm, id))
	return f, missing(err)
}

// AddFolder writes a new folder. Its name is taken with TakeName.
func AddFolder(tx *sqldb.Tx, f filing.Folder) error {
	_, err := tx.Exec(`INSERT INTO folders (id, firm, kind, state, client, display_name, name_key, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		f.ID, f.Firm, f.Kind, f.State, f.Client, f.DisplayName, NameKey(f.DisplayName), micros(f.Created))
	return err
}

// SaveFolder writes what a locked folder is and where it stands, not what it holds.
func SaveFolder(tx *sqldb.Tx, f filing.Folder) error {
	return changed(tx.Exec(`UPDATE folders SET kind = $3, state = $4, client = $5, display_name = $6, name_key = $7, gone = $8,
		purge = $9, version = version + 1 WHERE firm = $1 AND id = $2`,
		f.Firm, f.ID, f.Kind, f.State, f.Client, f.DisplayName, NameKey(f.DisplayName), micros(f.Gone), micros(f.Purge)))
}

// CountFolder adds to what a locked folder holds.
func CountFolder(tx *sqldb.Tx, firm, id string, documents, system int64) error {
	return changed(tx.Exec(`UPDATE folders SET documents = documents + $3, system = system + $4, version = version + 1
		WHERE firm = $1 AND id = $2`, firm, id, documents, system))
}

// FolderQuery selects folders.
type FolderQuery struct {
	Firm   string
	Kind   filing.FolderKind // any when empty
	State  filing.FolderState
	Client string // any when empty
	Text   string // what the name contains; any when empty
	// Contact, when set, leaves the client folders that this contact sees, and counts what it sees in them.
	Contact string
	Page
}

// Page is a place in a list sorted by a text and an id.
type Page struct {
	// AfterKey and AfterID are those of the last row of the page before; empty for the first page.
	AfterKey, AfterID string
	// Limit is how many rows to read.
	Limit int
}

// seenBy is the condition that contact $n sees folder f: a client folder in use, of a client it relates to now.
const seenBy = `(f.kind = 'CLIENT' AND f.state = 'ACTIVE' AND EXISTS (SELECT 1 FROM contact_clients r
	JOIN clients c ON c.firm = r.firm AND c.id = r.client
	WHERE r.firm = f.firm AND r.contact = $2 AND r.client = f.client AND c.state = 'LISTED'))`

// Folders lists folders by name. The keys of the rows are for Page.
func Folders(tx *sqldb.Tx, q FolderQuery) (folders []filing.Folder, keys []string, err error) {
	rows, err := tx.Query(`SELECT `+folderColumns+`, f.name_key,
		CASE WHEN $2 = '' THEN 0 ELSE (SELECT count(*) FROM documents d WHERE d.folder = f.id AND d.published) END
		FROM folders f WHERE f.firm = $1 AND f.state = $3 AND ($4 = '' OR f.kind = $4) AND ($5 = '' OR f.client = $5)
		AND ($6 = '' OR f.name_key LIKE $7 ESCAPE '\') AND ($2 = '' OR `+seenBy+`)
		AND (f.name_key, f.id) > ($8, $9) ORDER BY f.name_key, f.id LIMIT $10`,
		q.Firm, q.Contact, q.State, q.Kind, q.Client, q.Text, pattern(q.Text), q.AfterKey, q.AfterID, q.Limit)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		var seen int64
		f, err := scanFolder(rows, &key, &seen)
		if err != nil {
			return nil, nil, err
		}
		if q.Contact != "" {
			f.Documents, f.System = seen, 0
		}
		folders, keys = append(folders, f), append(keys, key)
	}
	return folders, keys, rows.Err()
}

// FolderSeenBy reads a folder as a contact sees it, or filing.ErrNotFound.
func FolderSeenBy(tx *sqldb.Tx, firm, contact, id string) (filing.Folder, error) {
	f, err := scanFolder(tx.QueryRow(`SELECT `+folderColumns+` FROM folders f WHERE f.firm = $1 AND f.id = $3 AND `+seenBy,
		firm, contact, id))
	if err != nil {
		return f, missing(err)
	}
	f.System = 0
	err = tx.QueryRow(`SELECT count(*) FROM documents WHERE firm = $1 AND folder = $2 AND published`, firm, id).Scan(&f.Documents)
	return f, err
}

// PurgeDue lists deleted folders whose time has come, the longest due first.
func PurgeDue(tx *sqldb.Tx, now time.Time, limit int) ([]filing.Folder, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (filing.Folder, error) { return scanFolder(r) },
		`SELECT `+folderColumns+` FROM folders f WHERE f.state = 'DELETED' AND f.purge <= $1 ORDER BY f.purge LIMIT $2`,
		micros(now), limit)
}

// OpenSignatures reports whether a document in the folder waits for a signature. Open requests are few, so it starts from
// them and its cost does not grow with the folder.
func OpenSignatures(tx *sqldb.Tx, firm, folder, client string) (bool, error) {
	var n int
	err := tx.QueryRow(`SELECT count(*) FROM signature_requests r JOIN documents d ON d.id = r.document
		WHERE r.firm = $1 AND r.client = $2 AND r.state = 'OPEN' AND d.folder = $3`, firm, client, folder).Scan(&n)
	return n > 0, err
}
