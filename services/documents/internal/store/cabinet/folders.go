package cabinet

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	documentseventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store"
)

// CreateFolder makes a business folder. A name that stands there is filing.ErrNameTaken: a person can choose another.
func (c *Cabinet) CreateFolder(tx *sqldb.Tx, firm, display string) (filing.Folder, error) {
	id, err := newID()
	if err != nil {
		return filing.Folder{}, err
	}
	f := filing.Folder{ID: id, Firm: firm, Kind: filing.Business, State: filing.Active, Created: c.now(), Version: 1}
	if f.DisplayName, err = store.TakeName(tx, firm, id, []string{store.Clean(display)}); err != nil {
		return f, err
	}
	return f, store.AddFolder(tx, f)
}

// Deletion is what deleting a folder would do.
type Deletion struct {
	Folder filing.Folder
	// Archive is true when the documents go into the document archive.
	Archive bool
	// Warning is the sentence to confirm.
	Warning string
}

// PreviewDeletion says what deleting a folder would do, or why it can not be deleted.
func (c *Cabinet) PreviewDeletion(tx *sqldb.Tx, firm, id string) (Deletion, error) {
	f, err := store.FolderOf(tx, firm, id)
	if err != nil {
		return Deletion{}, err
	}
	return c.deletion(tx, f)
}

func (c *Cabinet) deletion(tx *sqldb.Tx, f filing.Folder) (d Deletion, err error) {
	if err := f.Deletable(); err != nil {
		return d, err
	}
	open, err := store.OpenSignatures(tx, f.Firm, f.ID, f.Client)
	if err != nil {
		return d, err
	}
	if open {
		return d, filing.ErrSignatureOpen
	}
	firm, err := store.FirmOf(tx, f.Firm)
	return Deletion{Folder: f, Archive: firm.Archive, Warning: filing.Warning(f.Documents, firm.Archive, c.recoverable)}, err
}

// DeleteFolder puts a folder with all its documents into the document archive or, without one, into the recoverable
// period. confirmed is the number of documents the person saw.
func (c *Cabinet) DeleteFolder(tx *sqldb.Tx, firm, id string, confirmed int64, actor string) (filing.Folder, error) {
	f, _, err := lockFolder(tx, firm, id)
	if err != nil {
		return f, err
	}
	d, err := c.deletion(tx, f)
	if err != nil {
		return f, err
	}
	if f.Documents != confirmed {
		return f, filing.ErrCountChanged
	}
	f = f.Delete(d.Archive, c.now(), c.recoverable)
	if err := remove(tx, f); err != nil {
		return f, err
	}
	if d.Archive {
		summary := fmt.Sprintf("folder %q deleted: %s archived", f.DisplayName, filing.Count(f.Documents))
		err = c.tell(tx, firm, f.Client, actor, summary, func(t *documentseventsv1.ClientTrail) proto.Message {
			return &documentseventsv1.DocumentsArchived{Trail: t, Folder: names.Format(FolderPattern, firm, id), DocumentCount: f.Documents}
		})
		if err != nil {
			return f, err
		}
	}
	return store.FolderOf(tx, firm, id)
}

// RestoreFolder takes a folder back out of the archive or the recoverable period. When its name is taken meanwhile it gets
// the next of its names.
func (c *Cabinet) RestoreFolder(tx *sqldb.Tx, firm, id string) (filing.Folder, error) {
	f, client, err := lockFolder(tx, firm, id)
	switch {
	case err != nil:
		return f, err
	case f.State == filing.Active:
		return f, filing.ErrNotArchived
	case !f.Shown():
		return f, filing.ErrNotFound
	}
	if _, err := c.reopen(tx, f, f.DisplayName, client.Code); err != nil {
		return f, err
	}
	return store.FolderOf(tx, firm, id)
}

// PurgeFolder destroys the documents of a folder whose recoverable period is over. It looks again: a folder that was
// restored meanwhile stays. done is true when it was destroyed.
func (c *Cabinet) PurgeFolder(tx *sqldb.Tx, firm, id string) (done bool, err error) {
	f, _, err := lockFolder(tx, firm, id)
	if err != nil || f.State != filing.Deleted || f.Purge.After(c.now()) {
		return false, err
	}
	open, err := store.OpenSignatures(tx, firm, id, f.Client)
	if err != nil || open {
		return false, err
	}
	if err := store.DestroyDocuments(tx, firm, id, sqldb.Micros(c.now())); err != nil {
		return false, err
	}
	f.State, f.Gone = filing.Purged, c.now()
	return true, store.SaveFolder(tx, f) // its count stays, to say what was destroyed
}
