package store

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/sqldb"
	synceventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/run"
)

// emit records one event in the transaction of what happened.
func emit(tx *sqldb.Tx, firm, entity string, sequence int64, m proto.Message) error {
	_, err := events.Add(tx, events.Event{Firm: firm, Entity: entity, Sequence: sequence, Message: m})
	return err
}

func emitCreated(tx *sqldb.Tx, firm string, clients []NewClient) error {
	return events.AddAll(tx, func(yield func(events.Event) bool) {
		for _, c := range clients {
			if !yield(events.Event{Firm: firm, Entity: "clients/" + c.ID, Sequence: 1, Message: &synceventsv1.ClientCreated{
				Client: Name(firm, "clients", c.ID), DisplayName: c.Fields.Name, Code: c.Fields.Code,
			}}) {
				return
			}
		}
	})
}

func emitUpdated(tx *sqldb.Tx, firm string, updates []ClientUpdate) error {
	return events.AddAll(tx, func(yield func(events.Event) bool) {
		for _, u := range updates {
			if u.announced() && !yield(events.Event{Firm: firm, Entity: "clients/" + u.Client.ID, Sequence: u.Client.EventSeq + 1,
				Message: &synceventsv1.ClientUpdated{
					Client: Name(firm, "clients", u.Client.ID), DisplayName: u.Link.Base.Name, Code: u.Link.Base.Code,
				}}) {
				return
			}
		}
	})
}

// relationSet is the full set of clients a contact relates to, and its place among the sets of that contact.
type relationSet struct {
	contact string
	seq     int64
	clients []string // names
}

func emitRelationSets(tx *sqldb.Tx, firm string, sets []relationSet) error {
	return events.AddAll(tx, func(yield func(events.Event) bool) {
		for _, s := range sets {
			if !yield(events.Event{Firm: firm, Entity: "contacts/" + s.contact + "/relations", Sequence: s.seq,
				Message: &synceventsv1.ContactRelationsChanged{Contact: Name(firm, "contacts", s.contact), Clients: s.clients}}) {
				return
			}
		}
	})
}

// nextClientEvent counts up the events about a client.
func nextClientEvent(tx *sqldb.Tx, id string) (n int64, err error) {
	return n, tx.QueryRow(`UPDATE clients SET event_seq = event_seq + 1 WHERE id = $1 RETURNING event_seq`, id).Scan(&n)
}

// EmitArchived tells that a client left.
func EmitArchived(tx *sqldb.Tx, firm, clientID, offboarding, reason string, at time.Time) error {
	seq, err := nextClientEvent(tx, clientID)
	if err != nil {
		return err
	}
	return emit(tx, firm, "clients/"+clientID, seq, &synceventsv1.ClientArchived{
		Client: Name(firm, "clients", clientID), Offboarding: Name(firm, "offboardings", offboarding),
		ArchiveTime: timestamppb.New(at), Reason: reason,
	})
}

// EmitRestored tells that a client is back.
func EmitRestored(tx *sqldb.Tx, c client.Client, offboarding string) error {
	seq, err := nextClientEvent(tx, c.ID)
	if err != nil {
		return err
	}
	return emit(tx, c.Firm, "clients/"+c.ID, seq, &synceventsv1.ClientRestored{
		Client: Name(c.Firm, "clients", c.ID), Offboarding: Name(c.Firm, "offboardings", offboarding),
		DisplayName: c.Fields.Name, Code: c.Fields.Code,
	})
}

// emitContacts tells that contacts were removed or released. These events and the sets of relations are counted apart,
// so that a reader who skips older sets never skips one of these.
func emitContacts(tx *sqldb.Tx, firm string, contacts []string, released bool) error {
	type counted struct {
		id  string
		seq int64
	}
	all, err := sqldb.Collect(tx, func(r *sqldb.Rows) (c counted, err error) { return c, r.Scan(&c.id, &c.seq) },
		`UPDATE contacts SET event_seq = event_seq + 1 WHERE `+anyOf(tx, "id", 1)+` RETURNING id, event_seq`, ids(tx, contacts))
	if err != nil {
		return err
	}
	return events.AddAll(tx, func(yield func(events.Event) bool) {
		for _, c := range all {
			var m proto.Message = &synceventsv1.ContactRemoved{Contact: Name(firm, "contacts", c.id)}
			if released {
				m = &synceventsv1.ContactReleased{Contact: Name(firm, "contacts", c.id)}
			}
			if !yield(events.Event{Firm: firm, Entity: "contacts/" + c.id, Sequence: c.seq, Message: m}) {
				return
			}
		}
	})
}

// EmitFinished tells that a run ended.
func EmitFinished(tx *sqldb.Tx, r *run.Run) error {
	return emit(tx, r.Firm, "runs/"+r.ID, 1, &synceventsv1.RunFinished{
		Run: Name(r.Firm, "runs", r.ID), Outcome: string(r.State),
	})
}
