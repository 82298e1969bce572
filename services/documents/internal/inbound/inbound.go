// Package inbound follows the client list: what sync tells of clients and contacts. It also ends the tickets of sessions
// that ended.
//
// Events come in any order and more than once; the inbox keeps those away that took effect, and sequences those that are
// older than what is known. A client that leaves or returns is mostly known already, by a call: whichever comes first
// does it.
package inbound

import (
	"context"
	"errors"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	autheventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
	synceventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"
	"github.com/concord-suite/concord/services/documents/internal/store"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
)

// Stream is the stream that the client list speaks on.
const Stream = "SYNC"

// Handle adds the handlers to a consumer.
func Handle(c *events.Consumer, cab *cabinet.Cabinet) {
	h := handlers{cab}
	events.Handle(c, h.created)
	events.Handle(c, h.updated)
	events.Handle(c, h.archived)
	events.Handle(c, h.restored)
	events.Handle(c, h.related)
	events.Handle(c, h.revoked)
}

type handlers struct{ cabinet *cabinet.Cabinet }

var errForeign = errors.New("inbound: an event of one firm names a resource of another")

// ofFirm reads the id in a resource name of the event's firm.
func ofFirm(m events.Meta, pattern, name string) (string, error) {
	ids, err := names.Parse(pattern, name)
	if err == nil && ids[0] != m.Firm {
		err = errForeign
	}
	if err != nil {
		return "", events.Failure("the event names nothing of its firm where it should name "+pattern, err)
	}
	return ids[1], nil
}

func (h handlers) created(_ context.Context, tx *sqldb.Tx, m events.Meta, e *synceventsv1.ClientCreated) error {
	return h.named(tx, m, e.GetClient(), e.GetDisplayName(), e.GetCode())
}

func (h handlers) updated(_ context.Context, tx *sqldb.Tx, m events.Meta, e *synceventsv1.ClientUpdated) error {
	return h.named(tx, m, e.GetClient(), e.GetDisplayName(), e.GetCode())
}

func (h handlers) named(tx *sqldb.Tx, m events.Meta, client, display, code string) error {
	id, err := ofFirm(m, cabinet.ClientPattern, client)
	if err != nil {
		return err
	}
	return h.cabinet.NameClient(tx, cabinet.Profile{Firm: m.Firm, Client: id, DisplayName: display, Code: code, Sequence: m.Sequence})
}

func (h handlers) archived(_ context.Context, tx *sqldb.Tx, m events.Meta, e *synceventsv1.ClientArchived) error {
	client, offboarding, err := departure(m, e.GetClient(), e.GetOffboarding())
	if err != nil {
		return err
	}
	return h.cabinet.ArchiveClient(tx, m.Firm, client, offboarding, m.Sequence)
}

func (h handlers) restored(_ context.Context, tx *sqldb.Tx, m events.Meta, e *synceventsv1.ClientRestored) error {
	client, offboarding, err := departure(m, e.GetClient(), e.GetOffboarding())
	if err != nil {
		return err
	}
	return h.cabinet.RestoreClient(tx, cabinet.Profile{Firm: m.Firm, Client: client, DisplayName: e.GetDisplayName(),
		Code: e.GetCode(), Sequence: m.Sequence}, offboarding)
}

func departure(m events.Meta, client, offboarding string) (clientID, offboardingID string, err error) {
	if clientID, err = ofFirm(m, cabinet.ClientPattern, client); err != nil {
		return "", "", err
	}
	offboardingID, err = ofFirm(m, cabinet.OffboardingPattern, offboarding)
	return clientID, offboardingID, err
}

// related takes over what a contact relates to. A contact that was removed relates to nothing, which is told by such an
// event too.
func (h handlers) related(_ context.Context, tx *sqldb.Tx, m events.Meta, e *synceventsv1.ContactRelationsChanged) error {
	contact, err := ofFirm(m, cabinet.ContactPattern, e.GetContact())
	if err != nil {
		return err
	}
	s := store.Scope{Firm: m.Firm, Contact: contact}
	for _, name := range e.GetClients() {
		client, err := ofFirm(m, cabinet.ClientPattern, name)
		if err != nil {
			return err
		}
		s.Clients = append(s.Clients, client)
	}
	return h.cabinet.RelateContact(tx, s, m.Sequence)
}

// revoked ends the tickets of a session. An upload that is under way lands: its person was signed in when it began.
func (h handlers) revoked(_ context.Context, tx *sqldb.Tx, m events.Meta, e *autheventsv1.SessionRevoked) error {
	return store.RevokeTickets(tx, e.GetSession(), m.Time)
}
