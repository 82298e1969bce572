package cabinet

import (
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	documentseventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/departure"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/signing"
	"github.com/concord-suite/concord/services/documents/internal/store"
)

// Standing is what stands between a client and its departure, and what it would leave behind.
type Standing struct {
	// Holdings are the email jobs that wait for signatures: they block.
	Holdings []signing.Holding
	// Folder is the id of the client's folder, empty when it never had one, and Documents how many it holds.
	Folder    string
	Documents int64
	// Trail is the place of the last event about the client.
	Trail int64
}

// PreviewOffboarding reads the standing of a client. A client that was never heard of has left nothing.
func (c *Cabinet) PreviewOffboarding(tx *sqldb.Tx, firm, id string) (Standing, error) {
	client, err := store.ClientOf(tx, firm, id)
	if err != nil {
		return Standing{}, err
	}
	return standing(tx, client)
}

func standing(tx *sqldb.Tx, client departure.Client) (s Standing, err error) {
	s = Standing{Folder: client.Folder, Trail: client.Trail}
	if client.Folder != "" {
		f, err := store.FolderOf(tx, client.Firm, client.Folder)
		if err != nil {
			return s, err
		}
		s.Documents = f.Documents
	}
	s.Holdings, err = store.Holdings(tx, client.Firm, client.ID)
	return s, err
}

// Fencing is a request to fence a client.
type Fencing struct {
	Firm, Client, Offboarding string
	// Override withdraws open signature requests, with the reason.
	Override bool
	Reason   string
	Actor    string
}

// BeginOffboarding fences a client unless something blocks it; with blockers in the answer there is no fence. The client
// is held meanwhile: an email job made at the same time is either among the blockers or refused by the fence.
func (c *Cabinet) BeginOffboarding(tx *sqldb.Tx, f Fencing) (Standing, error) {
	client, o, err := c.offboarding(tx, f.Firm, f.Client, f.Offboarding)
	if err != nil {
		return Standing{}, err
	}
	done, err := departure.Begin(client, o)
	if err != nil {
		return Standing{}, err
	}
	if done {
		s, err := standing(tx, client)
		s.Holdings = nil
		return s, err
	}
	if f.Override {
		if err := c.withdrawAll(tx, client, f.Reason, f.Actor); err != nil {
			return Standing{}, err
		}
		if client, err = store.LockClient(tx, f.Firm, f.Client); err != nil { // its trail has grown
			return Standing{}, err
		}
	}
	s, err := standing(tx, client)
	if err != nil || len(s.Holdings) > 0 {
		return s, err
	}
	client.Fence, o.State = o.ID, departure.Fenced
	return s, c.save(tx, client, o)
}

// AbortOffboarding gives up an off-boarding that will not happen, for good, lifts its fence if there is one, and takes away
// the history that was filed for it: the client stays, and so does its history.
func (c *Cabinet) AbortOffboarding(tx *sqldb.Tx, firm, id, offboarding string) error {
	client, o, err := c.offboarding(tx, firm, id, offboarding)
	if err != nil {
		return err
	}
	done, err := departure.Abort(client, o)
	if err != nil || done {
		return err
	}
	if client.Fence == o.ID {
		client.Fence = ""
	}
	if err := c.dropFiled(tx, o); err != nil {
		return err
	}
	o.State = departure.Aborted
	return c.save(tx, client, o)
}

// Left is what came of a client's folder.
type Left struct {
	// Folder is its id; empty when the client never had one.
	Folder string
	// Removed is true when it held nothing.
	Removed   bool
	Documents int64
}

// CommitOffboarding lets the client go: its folder becomes an orphaned business folder, or is removed when it holds
// nothing but what the suite filed, and its email jobs leave the list with it. Doing it again answers the same.
func (c *Cabinet) CommitOffboarding(tx *sqldb.Tx, firm, id, offboarding string) (Left, error) {
	client, o, err := c.offboarding(tx, firm, id, offboarding)
	if err != nil {
		return Left{}, err
	}
	done, err := departure.Commit(client, o)
	if err != nil {
		return Left{}, err
	}
	if !done {
		if o, err = c.leave(tx, client, o); err != nil {
			return Left{}, err
		}
	}
	left := Left{Folder: client.Folder, Removed: o.Removed && o.State == departure.Committed}
	if client.Folder != "" {
		f, err := store.FolderOf(tx, firm, client.Folder)
		if err != nil {
			return left, err
		}
		left.Documents = f.Documents
	}
	return left, nil
}

// ArchiveClient is CommitOffboarding by the word of the client list, unless it has said something newer since.
func (c *Cabinet) ArchiveClient(tx *sqldb.Tx, firm, id, offboarding string, sequence int64) error {
	client, err := store.EnsureClient(tx, firm, id)
	if err != nil || sequence <= client.Listing {
		return err
	}
	client.Listing = sequence
	if err := store.SaveClient(tx, client); err != nil {
		return err
	}
	_, err = c.CommitOffboarding(tx, firm, id, offboarding)
	return err
}

// leave puts a held client out of the list.
func (c *Cabinet) leave(tx *sqldb.Tx, client departure.Client, o departure.Offboarding) (departure.Offboarding, error) {
	client.State, o.State = departure.Departed, departure.Committed
	if client.Fence == o.ID {
		client.Fence = ""
	}
	if client.Folder == "" {
		return o, c.save(tx, client, o)
	}
	f, err := store.LockFolder(tx, client.Firm, client.Folder)
	if err != nil {
		return o, err
	}
	if f.Kind == filing.Client && f.State == filing.Active {
		if f, o.Removed, err = c.orphan(tx, f); err != nil {
			return o, err
		}
	}
	if err := c.save(tx, client, o); err != nil {
		return o, err
	}
	return o, c.tellOrphaned(tx, f, o, f.Documents)
}

// orphan turns a client folder into what stays of it.
func (c *Cabinet) orphan(tx *sqldb.Tx, f filing.Folder) (after filing.Folder, removed bool, err error) {
	f.Kind = filing.Orphaned
	if f.Held() > 0 {
		return f, false, store.SaveFolder(tx, f)
	}
	if f.System > 0 {
		records, err := c.records(tx, f.Firm)
		if err != nil {
			return f, false, err
		}
		moved, err := store.MoveSystemDocuments(tx, f.Firm, f.ID, records.ID)
		if err != nil {
			return f, false, err
		}
		if err := store.CountFolder(tx, f.Firm, f.ID, -moved, -moved); err != nil {
			return f, false, err
		}
		if err := store.CountFolder(tx, f.Firm, records.ID, moved, moved); err != nil {
			return f, false, err
		}
		f.Documents, f.System = f.Documents-moved, f.System-moved
	}
	f.State, f.Gone = filing.Removed, c.now()
	return f, true, remove(tx, f)
}

func (c *Cabinet) tellOrphaned(tx *sqldb.Tx, f filing.Folder, o departure.Offboarding, documents int64) error {
	return c.tellOf(tx, f, &documentseventsv1.FolderOrphaned{
		Offboarding: names.Format(OffboardingPattern, o.Firm, o.ID), Client: names.Format(ClientPattern, o.Firm, o.Client),
		Folder: names.Format(FolderPattern, f.Firm, f.ID), Removed: o.Removed, DocumentCount: documents,
	})
}

// offboarding holds the client and reads the off-boarding.
func (c *Cabinet) offboarding(tx *sqldb.Tx, firm, client, id string) (departure.Client, departure.Offboarding, error) {
	held, err := store.EnsureClient(tx, firm, client)
	if err != nil {
		return held, departure.Offboarding{}, err
	}
	o, err := store.OffboardingOf(tx, firm, id, client)
	return held, o, err
}

func (c *Cabinet) save(tx *sqldb.Tx, client departure.Client, o departure.Offboarding) error {
	if err := store.SaveClient(tx, client); err != nil {
		return err
	}
	return store.SaveOffboarding(tx, o, sqldb.Micros(c.now()))
}
