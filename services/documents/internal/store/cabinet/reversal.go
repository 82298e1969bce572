package cabinet

import (
	"time"

	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	documentseventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/departure"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store"
)

// Return is what came back with a client.
type Return struct {
	// Folder is the id of its folder, and Documents how many it holds.
	Folder    string
	Documents int64
	// Missing names what could not be brought back.
	Missing []string
}

// ReverseOffboarding brings the client back: the same folder under the same id, from wherever it went, and its email jobs
// into the list. What people destroyed is named, and an empty folder made in its place. Doing it again answers the same.
// display may be empty: the name that is known stays.
func (c *Cabinet) ReverseOffboarding(tx *sqldb.Tx, firm, id, offboarding, display string) (Return, error) {
	client, o, err := c.offboarding(tx, firm, id, offboarding)
	if err != nil {
		return Return{}, err
	}
	done, err := departure.Reverse(client, o)
	if err != nil {
		return Return{}, err
	}
	if !done {
		if display != "" {
			client.DisplayName = store.Honest(display)
		}
		if client, o, err = c.comeBack(tx, client, o); err != nil {
			return Return{}, err
		}
	}
	back := Return{Folder: client.Folder, Missing: o.Missing}
	if client.Folder != "" {
		f, err := store.FolderOf(tx, firm, client.Folder)
		if err != nil {
			return back, err
		}
		back.Documents = f.Documents
	}
	return back, nil
}

// RestoreClient is ReverseOffboarding by the word of the client list, unless it has said something newer since.
func (c *Cabinet) RestoreClient(tx *sqldb.Tx, p Profile, offboarding string) error {
	client, err := store.EnsureClient(tx, p.Firm, p.Client)
	if err != nil {
		return err
	}
	if p.Sequence > client.Listing {
		client.Listing = p.Sequence
		if err := store.SaveClient(tx, client); err != nil {
			return err
		}
		if _, err := c.ReverseOffboarding(tx, p.Firm, p.Client, offboarding, ""); err != nil {
			return err
		}
	}
	return c.NameClient(tx, p)
}

// comeBack puts a held client into the list again.
func (c *Cabinet) comeBack(tx *sqldb.Tx, client departure.Client, o departure.Offboarding) (departure.Client, departure.Offboarding, error) {
	client.State, o.State = departure.Listed, departure.Reversed
	if client.Fence == o.ID {
		client.Fence = ""
	}
	f, lost, err := c.returnFolder(tx, client)
	if err != nil {
		return client, o, err
	}
	client.Folder, o.Removed = f.ID, false
	if lost != "" {
		o.Missing = append(o.Missing, lost)
	}
	if err := c.save(tx, client, o); err != nil {
		return client, o, err
	}
	return client, o, c.tellOf(tx, f, &documentseventsv1.FolderRestored{
		Offboarding: names.Format(OffboardingPattern, o.Firm, o.ID), Client: names.Format(ClientPattern, o.Firm, o.Client),
		Folder: names.Format(FolderPattern, f.Firm, f.ID), Missing: o.Missing,
	})
}

// returnFolder makes the client's folder a client folder in use, whatever became of it. lost is the sentence about what
// was destroyed.
func (c *Cabinet) returnFolder(tx *sqldb.Tx, client departure.Client) (f filing.Folder, lost string, err error) {
	fresh := filing.Folder{Firm: client.Firm, Kind: filing.Client, Client: client.ID, DisplayName: titleOf(client)}
	if client.Folder == "" {
		f, err = c.addFolder(tx, fresh, client.Code)
		return f, "", err
	}
	if f, err = store.LockFolder(tx, client.Firm, client.Folder); err != nil {
		return f, "", err
	}
	if f.State == filing.Purged {
		if f.Documents > 0 {
			lost = departure.Destroyed(f.DisplayName, f.Documents, f.Gone.Format(time.DateOnly))
		}
		f, err = c.addFolder(tx, fresh, client.Code)
		return f, lost, err
	}
	f.Kind = filing.Client
	f, err = c.reopen(tx, f, titleOf(client), client.Code)
	return f, "", err
}
