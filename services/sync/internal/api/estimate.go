package api

import (
	"context"
	"fmt"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// EstimateRun implements RunService. What there is to read is known from the last time; what that costs, and how much of the
// day is left, connector says without asking the provider.
func (s *runs) EstimateRun(ctx context.Context, req *syncv1.EstimateRunRequest) (*syncv1.EstimateRunResponse, error) {
	ids, err := parse("parent", firmPattern, req.GetParent())
	if err != nil {
		return nil, err
	}
	connection, err := within(ids[0], "connection", connectionPattern, req.GetConnection())
	if err != nil {
		return nil, err
	}
	if err := s.know(ctx, ids[0], connection); err != nil {
		return nil, err
	}
	var conn run.Connection
	var known store.Expected
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		if conn, err = store.Connection(tx, ids[0], connection); err != nil {
			return err
		}
		known, err = store.ExpectedOf(tx, conn)
		return err
	})
	if err != nil {
		return nil, err
	}
	if !conn.State.Usable() {
		return nil, errInactive.With("state", string(conn.State)).With("state_reason", conn.StateReason)
	}
	ask, basis := expected(run.Kind(word(req.GetKind(), "RUN_KIND_")), known, conn.Guard.Limit(known.LinkedClients))
	ask.Connection = req.GetConnection()
	said, err := s.Peers.Estimate(ctx, ask)
	if err != nil {
		return nil, err
	}
	return &syncv1.EstimateRunResponse{
		Calls: said.GetCalls(), Duration: said.GetDuration(), DayLimit: said.GetDayLimit(), DayLeft: said.GetDayLeft(),
		DaySharePermille: said.GetDaySharePermille(), BeginTime: said.GetBeginTime(), EndTime: said.GetEndTime(), Basis: basis,
	}, nil
}

// guessedChange is the part of the clients taken to have changed before a listing of changes has shown how many do: one in
// fifty, a busy day of a practice.
const guessedChange = 50

// expected says what a run of a kind will read, and in a sentence from what that is known. most is how many removals a run
// confirms at most.
func expected(kind run.Kind, k store.Expected, most int64) (*connectorv1.EstimateCallsRequest, string) {
	if kind == run.Manual && k.Changes {
		return changesExpected(k)
	}
	ask := &connectorv1.EstimateCallsRequest{Listings: []connectorv1.Listing{
		connectorv1.Listing_LISTING_CLIENTS, connectorv1.Listing_LISTING_CONTACTS,
	}}
	var basis string
	switch {
	case k.Clients > 0:
		ask.Clients, ask.Contacts = k.Clients, k.Contacts
		basis = fmt.Sprintf("%s and %s at the last full sync, on %s", some(k.Clients, "client"), some(k.Contacts, "contact"), on(k.FullAt))
	case k.LinkedClients > 0:
		ask.Clients, ask.Contacts = k.LinkedClients, k.LinkedContacts
		basis = fmt.Sprintf("%s and %s that are linked", some(k.LinkedClients, "client"), some(k.LinkedContacts, "contact"))
	case k.Legacy > 0:
		ask.Clients, ask.Contacts = k.Legacy, k.Legacy
		basis = fmt.Sprintf("%s of the legacy connection, and as many contacts", some(k.Legacy, "client"))
	default:
		basis = "nothing is known yet of how much there is: one page of each listing, and one more for every full page"
	}
	switch kind {
	case run.Upgrade:
		ask.Listings = append([]connectorv1.Listing{connectorv1.Listing_LISTING_LEGACY_IDS}, ask.GetListings()...)
		basis += "; the full sync that follows is part of it"
	case run.Full:
		if ask.Reads = min(k.Removals, most); ask.GetReads() > 0 {
			basis += fmt.Sprintf("; %s read one by one, as many as the last time", some(ask.GetReads(), "record"))
		}
	default:
		basis += "; the first sync reads everything"
	}
	return ask, basis
}

func changesExpected(k store.Expected) (*connectorv1.EstimateCallsRequest, string) {
	ask := &connectorv1.EstimateCallsRequest{Listings: []connectorv1.Listing{connectorv1.Listing_LISTING_CHANGED_CLIENTS}}
	if !k.ManualAt.IsZero() {
		ask.Clients, ask.Contacts = k.ChangedClients, k.ChangedContacts
		return ask, fmt.Sprintf("%s that had changed at the last manual sync, on %s", some(k.ChangedClients, "client"), on(k.ManualAt))
	}
	ask.Clients, ask.Contacts = (k.LinkedClients+guessedChange-1)/guessedChange, (k.LinkedContacts+guessedChange-1)/guessedChange
	return ask, fmt.Sprintf("one in %d of %s, since no manual sync has shown yet how many change", guessedChange, some(k.LinkedClients, "client"))
}

func some(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return thousands(n) + " " + what
}

// thousands writes a number as people read it: 3,100.
func thousands(n int64) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

func on(t time.Time) string { return t.UTC().Format("2 January 2006") }
