// Package cabinet holds the operations on folders, documents, email jobs and off-boardings that are one transaction each,
// with the events that tell of them. A call, an event, an upload and a background worker reach the same operations from
// different sides; what they have in common stands here once.
//
// An operation locks the client first, then folders, then looks at what it was asked to change: what it then reads is what
// holds when it commits. It may be run again by the database and keeps nothing outside the transaction. It does not know
// who may call it; that is decided before.
package cabinet

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	documentseventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/departure"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store"
)

// The patterns of the resource names that events carry.
const (
	ClientPattern      = "firms/{firm}/clients/{client}"
	FolderPattern      = "firms/{firm}/folders/{folder}"
	DocumentPattern    = "firms/{firm}/documents/{document}"
	JobPattern         = "firms/{firm}/emailJobs/{job}"
	RequestPattern     = "firms/{firm}/signatureRequests/{request}"
	ContactPattern     = "firms/{firm}/contacts/{contact}"
	OffboardingPattern = "firms/{firm}/offboardings/{offboarding}"
)

// Cabinet runs the operations.
type Cabinet struct {
	now         func() time.Time
	recoverable time.Duration
}

// New makes a cabinet. recoverable is for how long a folder that was deleted without the document archive can be restored.
func New(now func() time.Time, recoverable time.Duration) *Cabinet {
	return &Cabinet{now: now, recoverable: recoverable}
}

// Recoverable is for how long a deleted folder can be restored.
func (c *Cabinet) Recoverable() time.Duration { return c.recoverable }

// newID makes a lowercase UUID whose beginning grows with time, which keeps the indexes of ids compact.
func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("cabinet: making an id: %w", err)
	}
	return id.String(), nil
}

// trailOf is the entity whose sequence is the client's trail.
func trailOf(client string) string { return "clients/" + client }

// tell records an event about a client, with the next place on its trail. Without a client the event has no trail.
func (c *Cabinet) tell(tx *sqldb.Tx, firm, client, actor, summary string, build func(*documentseventsv1.ClientTrail) proto.Message) error {
	e := events.Event{Firm: firm}
	var trail *documentseventsv1.ClientTrail
	if client != "" {
		place, err := store.NextTrail(tx, firm, client)
		if err != nil {
			return err
		}
		e.Entity, e.Sequence = trailOf(client), place
		trail = &documentseventsv1.ClientTrail{
			Client: names.Format(ClientPattern, firm, client), Sequence: place, OccurTime: timestamppb.New(c.now()),
			Actor: actor, Summary: summary,
		}
	}
	e.Message = build(trail)
	_, err := events.Add(tx, e)
	return err
}

// tellOf records an event about a folder, in the order of the folder's own changes.
func (c *Cabinet) tellOf(tx *sqldb.Tx, f filing.Folder, message proto.Message) error {
	now, err := store.FolderOf(tx, f.Firm, f.ID)
	if err != nil {
		return err
	}
	_, err = events.Add(tx, events.Event{Firm: f.Firm, Entity: "folders/" + f.ID, Sequence: now.Version, Message: message})
	return err
}

// lockFolder holds the folder's client, if it has one, and then the folder. The client of a folder never changes, so it may
// be read before it is held.
func lockFolder(tx *sqldb.Tx, firm, id string) (filing.Folder, departure.Client, error) {
	seen, err := store.FolderOf(tx, firm, id)
	if err != nil {
		return seen, departure.Client{}, err
	}
	var client departure.Client
	if seen.Client != "" {
		if client, err = store.LockClient(tx, firm, seen.Client); err != nil {
			return seen, client, err
		}
	}
	if tx.Dialect().ForUpdate() == "" { // who writes is alone: what was read holds
		return seen, client, nil
	}
	f, err := store.LockFolder(tx, firm, id)
	return f, client, err
}

// addFolder makes a folder under the first free of its names.
func (c *Cabinet) addFolder(tx *sqldb.Tx, f filing.Folder, code string) (filing.Folder, error) {
	id, err := newID()
	if err != nil {
		return f, err
	}
	f.ID, f.State, f.Created, f.Version = id, filing.Active, c.now(), 1
	of := f.ID
	if f.Client != "" {
		of = f.Client
	}
	if f.DisplayName, err = store.TakeName(tx, f.Firm, f.ID, filing.Names(f.DisplayName, code, of)); err != nil {
		return f, err
	}
	return f, store.AddFolder(tx, f)
}

// reopen makes a folder active again, under the first free of its names.
func (c *Cabinet) reopen(tx *sqldb.Tx, f filing.Folder, display, code string) (filing.Folder, error) {
	of := f.ID
	if f.Client != "" {
		of = f.Client
	}
	name, err := store.TakeName(tx, f.Firm, f.ID, filing.Names(display, code, of))
	if err != nil {
		return f, err
	}
	f = f.Restore()
	f.DisplayName = name
	return f, store.SaveFolder(tx, f)
}

// remove takes a folder out of use: into the archive, into the recoverable period, or away.
func remove(tx *sqldb.Tx, f filing.Folder) error {
	if err := store.DropName(tx, f.ID); err != nil {
		return err
	}
	return store.SaveFolder(tx, f)
}
