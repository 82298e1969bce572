package cabinet

import (
	"errors"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store"
)

// Records is the name of the business folder for the histories of clients whose own folder held nothing.
const Records = "Off-boarding records"

// SystemFile is a document that the suite itself made about a client.
type SystemFile struct {
	Firm, Client, Key string
	DisplayName       string
	Bytes             Arrived
}

// FileSystem files what the suite made about a client: into the client's folder, or among the records when that holds
// nothing else. A key that was filed before is the same document: left as it is when its bytes are the same, replaced
// otherwise, and moved when it belongs elsewhere by now.
//
// It has no place on the client's trail. It is the history that is filed, and filing it must not make it stale.
func (c *Cabinet) FileSystem(tx *sqldb.Tx, s SystemFile) (d filing.Document, inRecords bool, err error) {
	client, err := store.EnsureClient(tx, s.Firm, s.Client)
	if err != nil {
		return d, false, err
	}
	var f filing.Folder
	if client.Folder != "" {
		if f, err = store.LockFolder(tx, s.Firm, client.Folder); err != nil {
			return d, false, err
		}
	}
	if inRecords = f.State != filing.Active || f.Held() == 0; inRecords {
		if f, err = c.records(tx, s.Firm); err != nil {
			return d, false, err
		}
	}
	d, err = store.SystemDocument(tx, s.Firm, s.Client, s.Key)
	switch {
	case errors.Is(err, filing.ErrNotFound):
		d, err = c.addSystem(tx, s, f)
	case err == nil:
		d, err = c.replaceSystem(tx, d, s, f)
	}
	return d, inRecords, err
}

func (c *Cabinet) addSystem(tx *sqldb.Tx, s SystemFile, f filing.Folder) (filing.Document, error) {
	id, err := newID()
	if err != nil {
		return filing.Document{}, err
	}
	d := filing.Document{
		ID: id, Firm: s.Firm, Folder: f.ID, DisplayName: s.DisplayName, MediaType: s.Bytes.MediaType, Size: s.Bytes.Size,
		SHA256: s.Bytes.Key.SHA256, FiledBy: filing.System, Key: s.Key, Client: s.Client, Created: c.now(),
	}
	if err := c.add(tx, d, s.Bytes, 1); err != nil {
		return d, err
	}
	if err := c.tellFiled(tx, d, "", filing.System, ""); err != nil {
		return d, err
	}
	return store.DocumentOf(tx, d.Firm, d.ID)
}

func (c *Cabinet) replaceSystem(tx *sqldb.Tx, d filing.Document, s SystemFile, f filing.Folder) (filing.Document, error) {
	if d.SHA256 == s.Bytes.Key.SHA256 && d.Folder == f.ID {
		return d, nil
	}
	if d.Folder != f.ID {
		if err := store.CountFolder(tx, d.Firm, d.Folder, -1, -1); err != nil {
			return d, err
		}
		if err := store.CountFolder(tx, d.Firm, f.ID, 1, 1); err != nil {
			return d, err
		}
	}
	if d.SHA256 != s.Bytes.Key.SHA256 {
		if err := store.TouchBlob(tx, d.Firm, d.SHA256, c.now()); err != nil {
			return d, err
		}
	}
	d.Folder, d.DisplayName, d.MediaType = f.ID, s.DisplayName, s.Bytes.MediaType
	d.SHA256, d.Size, d.Created = s.Bytes.Key.SHA256, s.Bytes.Size, c.now()
	if err := store.SaveDocument(tx, d); err != nil {
		return d, err
	}
	if err := store.UseBlob(tx, s.Bytes.Key, s.Bytes.Size, c.now()); err != nil {
		return d, err
	}
	if err := c.tellFiled(tx, d, "", filing.System, ""); err != nil {
		return d, err
	}
	return store.DocumentOf(tx, d.Firm, d.ID)
}

// records holds the folder for off-boarding records, and makes it when it is needed for the first time or was deleted.
func (c *Cabinet) records(tx *sqldb.Tx, firm string) (filing.Folder, error) {
	held, err := store.LockFirm(tx, firm)
	if err != nil {
		return filing.Folder{}, err
	}
	if held.Records != "" {
		f, err := store.LockFolder(tx, firm, held.Records)
		if err != nil || f.State == filing.Active {
			return f, err
		}
	}
	f, err := c.addFolder(tx, filing.Folder{Firm: firm, Kind: filing.Business, DisplayName: Records}, "")
	if err != nil {
		return f, err
	}
	return f, store.SetRecords(tx, firm, f.ID)
}
