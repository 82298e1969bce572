package runner

import (
	"context"
	"fmt"

	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/peer"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/details"
	"github.com/concord-suite/concord/services/sync/internal/store/legacies"
)

var listings = map[run.Step]connectorv1.Listing{
	run.Clients:  connectorv1.Listing_LISTING_CLIENTS,
	run.Contacts: connectorv1.Listing_LISTING_CONTACTS,
	run.Changes:  connectorv1.Listing_LISTING_CHANGED_CLIENTS,
	run.Legacy:   connectorv1.Listing_LISTING_LEGACY_IDS,
}

// list reads the listing of the present step to its end, one transaction per page.
func (w *Worker) list(ctx context.Context, r *run.Run) error {
	listing, err := w.Peers.List(ctx, store.Name(r.Firm, "connections", r.Connection), listings[r.Step], r.PageToken, r.Since)
	if err != nil {
		return err
	}
	next, stop := ahead(listing)
	defer stop()
	resumed := r.ListingMessages > 0
	for step := r.Step; r.State == run.Running && r.Step == step && !r.CancelRequested; {
		page, err := next()
		if err != nil {
			return err
		}
		if err := w.keepPage(ctx, r, page, resumed); err != nil {
			return err
		}
		resumed = false
	}
	return nil
}

// ahead reads a listing one message ahead of who asks for them, so that one is received and decoded while the one before
// it is written. stop ends the listing, and returns when nothing reads it any more.
func ahead(listing *peer.Listing) (next func() (*connectorv1.StreamRecordsResponse, error), stop func()) {
	type received struct {
		page *connectorv1.StreamRecordsResponse
		err  error
	}
	messages, stopped, ended := make(chan received), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			page, err := listing.Next()
			select {
			case messages <- received{page, err}:
			case <-stopped:
				return
			}
			if err != nil {
				return // whoever got it asks no more
			}
		}
	}()
	next = func() (*connectorv1.StreamRecordsResponse, error) {
		m := <-messages
		return m.page, m.err
	}
	return next, func() {
		close(stopped)
		listing.Close()
		<-ended
	}
}

// keepPage does everything that follows from one page, in one transaction with the token to go on from. A large page may
// come in several messages, which are kept one by one; a listing that was interrupted between them goes on with the whole
// page, and what was kept of it is forgotten first.
func (w *Worker) keepPage(ctx context.Context, r *run.Run, page *connectorv1.StreamRecordsResponse, resumed bool) error {
	sorted := sortPage(page)
	return w.advance(ctx, r, func(tx *sqldb.Tx, r *run.Run) error {
		r.Calls += int64(page.GetCalls())
		if t := page.GetTenantId(); t != "" && t != r.Tenant {
			r.State, r.EndedAt = run.Failed, w.Now()
			r.Message = "the listing came from another tenant than the connection's; nothing was taken from it"
			return nil
		}
		if resumed {
			if err := store.DropPages(tx, r.ID, r.Step, int64(page.GetPage())); err != nil {
				return err
			}
		}
		if int64(page.GetPage()) != r.ListingPage {
			r.ListingPage = int64(page.GetPage())
			r.Pages++
		}
		if r.ListingMessages == 0 {
			begin(r)
		}
		r.ListingMessages++
		recovered(r)
		r.Total = max(page.GetAnnouncedTotal(), 0)
		if r.ServerStart.IsZero() {
			r.ServerStart = page.GetServerTime().AsTime()
		}
		if err := store.AddPage(tx, w.pageOf(r, page, sorted)); err != nil {
			return err
		}
		if err := w.apply(tx, r, sorted); err != nil {
			return err
		}
		r.Done += int64(len(page.GetRecords()))
		r.ListedClients += int64(len(sorted.clients))
		r.ListedContacts += int64(len(sorted.contacts))
		r.PageToken = page.GetResumeToken()
		if page.GetComplete() {
			r.Enter(r.Next(), w.Now())
		}
		return nil
	})
}

// begin forgets what the listing that begins held the last time it began.
func begin(r *run.Run) {
	if r.Step != run.Contacts {
		r.ListedClients = 0
	}
	if r.Step != run.Clients {
		r.ListedContacts = 0
	}
}

// apply does what follows from the records of a page.
func (w *Worker) apply(tx *sqldb.Tx, r *run.Run, sorted sortedPage) error {
	if r.Step == run.Legacy {
		return legacies.Stage(tx, r, legacyRecords(sorted))
	}
	if r.ListingMessages == 1 && len(sorted.clients) > 0 {
		if err := details.Expect(tx, r.Firm, r.Connection, sorted.unread); err != nil {
			return err
		}
	}
	if err := w.applyClients(tx, r, sorted); err != nil {
		return fmt.Errorf("runner: clients of page %d: %w", r.ListingPage, err)
	}
	if err := w.stageContacts(tx, r, sorted); err != nil {
		return fmt.Errorf("runner: contacts of page %d: %w", r.ListingPage, err)
	}
	return nil
}

func (w *Worker) pageOf(r *run.Run, page *connectorv1.StreamRecordsResponse, s sortedPage) store.Page {
	p := store.Page{
		Run: r.ID, Listing: r.Step, Message: r.ListingMessages, Number: r.ListingPage, Records: int64(len(page.GetRecords())), Complete: page.GetComplete(),
		Drifted: page.GetDrifted(), Announced: page.GetAnnouncedTotal(), Tenant: page.GetTenantId(), ServerTime: s.at,
	}
	if r.Step == run.Changes {
		return p // who is absent from a listing of changes says nothing
	}
	for _, c := range s.clients {
		switch {
		case c.active:
			p.Seen = append(p.Seen, c.id)
		case c.outside:
			p.Outside = append(p.Outside, c.id)
		default:
			p.Flagged = append(p.Flagged, c.id)
		}
	}
	p.Outside = append(p.Outside, s.outside...)
	for _, c := range s.contacts {
		p.Seen = append(p.Seen, c.id)
	}
	return p
}

// recovered forgets errors once something worked again.
func recovered(r *run.Run) {
	if r.Attempts > 0 {
		r.Attempts, r.Garbled, r.Message = 0, 0, ""
	}
}
