// Package inbound takes what other services tell: audit entries for the ledger, and what became of contacts.
package inbound

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	synceventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/chain"
)

// ClientList is the stream on which sync tells what became of contacts.
const ClientList = "SYNC"

// Register adds the handlers to auth's consumer.
func Register(c *events.Consumer, now func() time.Time) {
	in := inbound{now: now}
	events.Handle(c, in.auditRecorded)
	events.Handle(c, in.contactRemoved)
	events.Handle(c, in.contactReleased)
	events.Handle(c, in.contactRelationsChanged)
}

type inbound struct {
	now func() time.Time
}

// auditRecorded puts entries at the end of their firms' chains, each once, whatever comes twice.
func (in inbound) auditRecorded(_ context.Context, tx *sqldb.Tx, _ events.Meta, e *auditeventsv1.AuditRecorded) error {
	var firms []string
	byFirm := map[string][]chain.Entry{}
	for _, entry := range e.GetEntries() {
		if entry.GetEntryId() == "" || !entry.GetOccurredAt().IsValid() {
			return events.Failure("an entry without an id or a time", nil)
		}
		payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(entry)
		if err != nil {
			return events.Failure("an entry that does not encode", nil)
		}
		firm := entry.GetFirm()
		if byFirm[firm] == nil {
			firms = append(firms, firm)
		}
		byFirm[firm] = append(byFirm[firm], chain.Entry{
			ID: entry.GetEntryId(), Occurred: entry.GetOccurredAt().AsTime(), Actor: entry.GetActor(),
			Action: entry.GetAction(), Resource: entry.GetResource(), Succeeded: entry.GetSuccess(), Payload: payload,
		})
	}
	slices.Sort(firms) // whoever takes several heads takes them in one order
	for _, firm := range firms {
		if _, err := chain.Append(tx, firm, byFirm[firm]); err != nil {
			return err
		}
	}
	return nil
}

// wordOf is what an event says of a contact by which it is put in order.
func wordOf(m events.Meta, contact string) (store.Word, error) {
	ids, err := names.Parse(store.ContactName, contact)
	if err != nil {
		return store.Word{}, events.Failure("not the name of a contact", nil)
	}
	return store.Word{Firm: ids[0], Contact: ids[1], Sequence: m.Sequence, At: m.Time}, nil
}

// contactRemoved ends the login of a contact that is gone. Normally there is none: sync asks before it removes a contact.
func (in inbound) contactRemoved(_ context.Context, tx *sqldb.Tx, m events.Meta, e *synceventsv1.ContactRemoved) error {
	return in.removal(tx, m, e.GetContact(), true)
}

// contactReleased takes a removal back: sync learnt too late that the contact has a login.
func (in inbound) contactReleased(_ context.Context, tx *sqldb.Tx, m events.Meta, e *synceventsv1.ContactReleased) error {
	return in.removal(tx, m, e.GetContact(), false)
}

func (in inbound) removal(tx *sqldb.Tx, m events.Meta, contact string, removed bool) error {
	w, err := wordOf(m, contact)
	if err != nil {
		return err
	}
	gone, err := store.PutRemoval(tx, w, removed)
	if err != nil || !gone {
		return err
	}
	return in.endLogin(tx, w)
}

// contactRelationsChanged lets a contact that came back with its client be invited again. A contact without any client
// keeps its login, unless it was removed: what it sees is decided where the data is.
func (in inbound) contactRelationsChanged(_ context.Context, tx *sqldb.Tx, m events.Meta, e *synceventsv1.ContactRelationsChanged) error {
	w, err := wordOf(m, e.GetContact())
	if err != nil {
		return err
	}
	gone, err := store.PutRelations(tx, w, len(e.GetClients()) > 0)
	if err != nil || !gone {
		return err
	}
	return in.endLogin(tx, w)
}

func (in inbound) endLogin(tx *sqldb.Tx, w store.Word) error {
	a, err := store.AccountOfContact(tx, w.Firm, w.Contact)
	if errors.Is(err, sqldb.ErrNotFound) || (err == nil && a.State == account.Disabled) {
		return nil
	}
	if err != nil {
		return err
	}
	a.State = account.Disabled
	a.Revision++
	if err := store.UpdateAccount(tx, a); err != nil {
		return err
	}
	if err := store.CloseInvitations(tx, a.ID, in.now()); err != nil {
		return err
	}
	if err := store.CloseChallenges(tx, a.ID, in.now()); err != nil {
		return err
	}
	if _, err := store.Ended(tx, store.End{Account: a.ID}, in.now()); err != nil {
		return err
	}
	return store.AnnounceContactLogin(tx, a)
}
