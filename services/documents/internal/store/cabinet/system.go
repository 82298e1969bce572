package cabinet

import (
	"errors"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/documents/internal/departure"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store"
)

// Records is the name of the business folder for the histories of clients whose own folder held nothing.
const Records = "Off-boarding records"

// SystemFile is a document that the suite itself made about a client.
type SystemFile struct {
	Firm, Client, Key string
	DisplayName       string
	// Revision is how new it is.
	Revision int64
	// Offboarding is the id of the off-boarding it belongs to; empty when it belongs to none.
	Offboarding string
	Bytes       Arrived
}

// Filed is a document that the suite filed, as it stands.
type Filed struct {
	Document filing.Document
	// InRecords is true when it is not in the client's own folder.
	InRecords bool
	// Trail is the place of the last event about the client at the moment of filing.
	Trail int64
}

// FileSystem files what the suite made about a client: into the client's folder, or among the records when that holds
// nothing else. A key that was filed before is the same document: left as it is when its bytes are the same or its
// revision is higher, replaced otherwise, and moved when it belongs elsewhere by now. So a request that comes late, from
// a worker that was given up for dead, undoes nothing; and for an off-boarding that was aborted nothing is filed at all.
//
// It has no place on the client's trail. It is the history that is filed, and filing it must not make it stale. Uploads
// that land meanwhile do: the answer says how far the trail had come, while the client is held.
func (c *Cabinet) FileSystem(tx *sqldb.Tx, s SystemFile) (Filed, error) {
	client, err := c.filingClient(tx, s)
	if err != nil {
		return Filed{}, err
	}
	filed := Filed{Trail: client.Trail}
	d, err := store.SystemDocument(tx, s.Firm, s.Client, s.Key)
	fresh := errors.Is(err, filing.ErrNotFound)
	switch {
	case err != nil && !fresh:
		return filed, err
	case !fresh && d.Revision > s.Revision:
		filed.Document, filed.InRecords = d, d.Folder != client.Folder
		return filed, nil
	}
	f, err := c.folderFor(tx, client)
	if err != nil {
		return filed, err
	}
	filed.InRecords = f.ID != client.Folder
	if fresh {
		filed.Document, err = c.addSystem(tx, s, f)
	} else {
		filed.Document, err = c.replaceSystem(tx, d, s, f)
	}
	return filed, err
}

// filingClient holds the client, and says whether the off-boarding may file anything still.
func (c *Cabinet) filingClient(tx *sqldb.Tx, s SystemFile) (departure.Client, error) {
	if s.Offboarding == "" {
		return store.EnsureClient(tx, s.Firm, s.Client)
	}
	client, o, err := c.offboarding(tx, s.Firm, s.Client, s.Offboarding)
	if err != nil {
		return client, err
	}
	return client, departure.File(client, o)
}

// folderFor holds the folder that gets what the suite files about a client.
func (c *Cabinet) folderFor(tx *sqldb.Tx, client departure.Client) (filing.Folder, error) {
	if client.Folder != "" {
		f, err := store.LockFolder(tx, client.Firm, client.Folder)
		if err != nil || f.State == filing.Active && f.Held() > 0 {
			return f, err
		}
	}
	return c.records(tx, client.Firm)
}

func (c *Cabinet) addSystem(tx *sqldb.Tx, s SystemFile, f filing.Folder) (filing.Document, error) {
	id, err := newID()
	if err != nil {
		return filing.Document{}, err
	}
	d := filing.Document{
		ID: id, Firm: s.Firm, Folder: f.ID, DisplayName: s.DisplayName, MediaType: s.Bytes.MediaType, Size: s.Bytes.Size,
		SHA256: s.Bytes.Key.SHA256, FiledBy: filing.System, Key: s.Key, Client: s.Client, Revision: s.Revision,
		Offboarding: s.Offboarding, Created: c.now(),
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
	if d.SHA256 == s.Bytes.Key.SHA256 && d.Folder == f.ID && d.Revision == s.Revision {
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
	d.Revision, d.Offboarding = s.Revision, s.Offboarding
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

// dropFiled takes away what was filed for an off-boarding that does not happen. The history it was made of goes on. What was
// sent to somebody meanwhile stays, as any document that was sent, and goes with no off-boarding any more.
func (c *Cabinet) dropFiled(tx *sqldb.Tx, o departure.Offboarding) error {
	filed, err := store.FiledFor(tx, o.Firm, o.Client, o.ID)
	if err != nil {
		return err
	}
	for _, d := range filed {
		if d, err = holdWithFolder(tx, d); err != nil {
			return err
		}
		sent, err := store.Sent(tx, d.Firm, d.Client, d.ID)
		if err != nil {
			return err
		}
		if sent {
			d.Offboarding = ""
			if err := store.SaveDocument(tx, d); err != nil {
				return err
			}
			continue
		}
		if err := store.CountFolder(tx, d.Firm, d.Folder, -1, -1); err != nil {
			return err
		}
		if err := store.DropDocument(tx, d, sqldb.Micros(c.now())); err != nil {
			return err
		}
	}
	return nil
}

// holdWithFolder holds the folder of a document of a held client, wherever it was put since it was read.
func holdWithFolder(tx *sqldb.Tx, d filing.Document) (filing.Document, error) {
	for {
		if _, err := store.LockFolder(tx, d.Firm, d.Folder); err != nil {
			return d, err
		}
		now, err := store.DocumentOf(tx, d.Firm, d.ID)
		if err != nil || now.Folder == d.Folder {
			return now, err
		}
		d = now
	}
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
