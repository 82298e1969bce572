package cabinet

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	documentseventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/departure"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store"
)

// ErrUploadEnded: the upload is not known (any more), or its document was filed with other bytes.
var ErrUploadEnded = errors.New("cabinet: the upload has ended")

// Arrived is bytes that came to rest in the store.
type Arrived struct {
	Key  blob.Key
	Size int64
	// MediaType is what they are.
	MediaType string
}

// FileUpload makes the document of an upload whose bytes have arrived. The folder takes it wherever it stands by now: a
// folder that was archived or deleted meanwhile takes it there, and one that was removed because it was empty comes
// back. The same bytes again answer the document of the first time.
func (c *Cabinet) FileUpload(tx *sqldb.Tx, upload string, bytes Arrived) (filing.Document, error) {
	u, err := store.LockUpload(tx, upload)
	if errors.Is(err, filing.ErrNotFound) {
		return filing.Document{}, ErrUploadEnded
	}
	if err != nil {
		return filing.Document{}, err
	}
	if u.Done {
		return c.filed(tx, u, bytes)
	}
	f, client, err := lockFolder(tx, u.Firm, u.Folder)
	if err != nil {
		return filing.Document{}, err
	}
	switch f.State {
	case filing.Purged:
		return filing.Document{}, filing.ErrNotReceiving
	case filing.Removed:
		if f, err = c.revive(tx, f, client); err != nil {
			return filing.Document{}, err
		}
	}
	d := filing.Document{
		ID: u.ID, Firm: u.Firm, Folder: f.ID, DisplayName: u.DisplayName, MediaType: bytes.MediaType, Size: bytes.Size,
		SHA256: bytes.Key.SHA256, FiledBy: u.Caller.Name, Where: f.State,
		Created:   time.UnixMicro(sqldb.Micros(c.now())).UTC(), // as it is read again
		Published: u.Caller.Contact != "",                      // who sends a document to the firm sees it
	}
	if err := c.add(tx, d, bytes, 0); err != nil {
		return d, err
	}
	if err := store.FinishUpload(tx, u.ID); err != nil {
		return d, err
	}
	return d, c.tellFiled(tx, d, f.Client, u.Caller.Name, fmt.Sprintf("%q filed", d.DisplayName))
}

// filed answers the document of an upload that came to its end before.
func (c *Cabinet) filed(tx *sqldb.Tx, u filing.Upload, bytes Arrived) (filing.Document, error) {
	d, err := store.DocumentOf(tx, u.Firm, u.ID)
	if errors.Is(err, filing.ErrNotFound) || (err == nil && d.SHA256 != bytes.Key.SHA256) {
		return d, ErrUploadEnded
	}
	return d, err
}

// add writes a document that refers to bytes, and counts it. The blob is the last to be held.
func (c *Cabinet) add(tx *sqldb.Tx, d filing.Document, bytes Arrived, system int64) error {
	if err := store.AddDocument(tx, d); err != nil {
		return err
	}
	if err := store.CountFolder(tx, d.Firm, d.Folder, 1, system); err != nil {
		return err
	}
	return store.UseBlob(tx, bytes.Key, bytes.Size, c.now())
}

// revive brings back a folder that was removed because it held nothing, for a document that was on its way.
func (c *Cabinet) revive(tx *sqldb.Tx, f filing.Folder, client departure.Client) (filing.Folder, error) {
	f.Kind = filing.Orphaned
	if client.State == departure.Listed {
		f.Kind = filing.Client
	}
	f, err := c.reopen(tx, f, f.DisplayName, client.Code)
	if err != nil || f.Kind == filing.Client {
		return f, err
	}
	last, err := store.LastOffboarding(tx, f.Firm, f.Client)
	if err != nil {
		return f, err
	}
	last.Removed = false
	if err := store.SaveOffboarding(tx, last, sqldb.Micros(c.now())); err != nil {
		return f, err
	}
	return f, c.tellOrphaned(tx, f, last, 1)
}

func (c *Cabinet) tellFiled(tx *sqldb.Tx, d filing.Document, client, actor, summary string) error {
	return c.tell(tx, d.Firm, client, actor, summary, func(t *documentseventsv1.ClientTrail) proto.Message {
		return &documentseventsv1.DocumentFiled{
			Trail: t, Document: names.Format(DocumentPattern, d.Firm, d.ID), Folder: names.Format(FolderPattern, d.Firm, d.Folder),
		}
	})
}

// PublishDocument shows a document of a client folder to the client's contacts, or hides it again.
func (c *Cabinet) PublishDocument(tx *sqldb.Tx, firm, id string, published bool) (filing.Document, error) {
	seen, err := store.DocumentOf(tx, firm, id)
	if err != nil {
		return seen, err
	}
	f, client, err := lockFolder(tx, firm, seen.Folder)
	if err != nil {
		return seen, err
	}
	d, err := store.DocumentOf(tx, firm, id)
	switch {
	case err != nil:
		return d, err
	case d.Folder != f.ID, f.Kind != filing.Client, f.State != filing.Active, client.State != departure.Listed:
		return d, filing.ErrNotPublishable
	case !published && d.SignatureOpen:
		return d, filing.ErrSignatureOpen
	}
	d.Published = published
	return d, store.SaveDocument(tx, d)
}

// RestoreDocument takes one document out of an archived folder into a folder in use.
func (c *Cabinet) RestoreDocument(tx *sqldb.Tx, firm, id, folder, actor string) (filing.Document, error) {
	d, err := store.DocumentOf(tx, firm, id)
	if err != nil {
		return d, err
	}
	from, to, err := lockPair(tx, firm, d.Folder, folder)
	if err != nil {
		return d, err
	}
	if d, err = store.DocumentOf(tx, firm, id); err != nil {
		return d, err
	}
	switch {
	case d.Folder != from.ID, from.State != filing.Archived:
		return d, filing.ErrNotArchived
	case to.State != filing.Active:
		return d, filing.ErrNotReceiving
	}
	d.Folder, d.Published = to.ID, false
	if err := store.SaveDocument(tx, d); err != nil {
		return d, err
	}
	var system int64
	if d.Key != "" {
		system = 1
	}
	if err := store.CountFolder(tx, firm, from.ID, -1, -system); err != nil {
		return d, err
	}
	if err := store.CountFolder(tx, firm, to.ID, 1, system); err != nil {
		return d, err
	}
	summary := fmt.Sprintf("%q restored from the document archive", d.DisplayName)
	if err := c.tellFiled(tx, d, to.Client, actor, summary); err != nil {
		return d, err
	}
	return store.DocumentOf(tx, firm, id)
}

// lockPair holds two folders, and before them their clients, in the order of ids.
func lockPair(tx *sqldb.Tx, firm, a, b string) (first, second filing.Folder, err error) {
	var clients []string
	for _, id := range []string{a, b} {
		f, err := store.FolderOf(tx, firm, id)
		if err != nil {
			return first, second, err
		}
		if f.Client != "" {
			clients = append(clients, f.Client)
		}
	}
	slices.Sort(clients)
	for _, id := range slices.Compact(clients) {
		if _, err := store.LockClient(tx, firm, id); err != nil {
			return first, second, err
		}
	}
	held := map[string]filing.Folder{}
	for _, id := range slices.Compact(slices.Sorted(slices.Values([]string{a, b}))) {
		if held[id], err = store.LockFolder(tx, firm, id); err != nil {
			return first, second, err
		}
	}
	return held[a], held[b], nil
}
