// Package inbound takes what the outside tells by itself to those in the suite who want to know.
package inbound

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/sqldb"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/store"
	"github.com/concord-suite/concord/services/connector/internal/webhook"
)

// Webhooks tells the suite what came into the inbox of webhooks.
type Webhooks struct {
	DB     *sqldb.DB
	Now    func() time.Time
	Logger *slog.Logger
}

const (
	// batch is how many events one transaction settles.
	batch = 1000
	// most is how many records one message names, as the contract bounds it.
	most = 500
	// keep is how long a settled event is remembered. The provider tells an event again for a day.
	keep = 7 * 24 * time.Hour
)

// Deliver tells what waits. Taking an event from the inbox and putting the message into the outbox is one transaction, so
// that an event is told once whoever dies when.
func (w *Webhooks) Deliver(ctx context.Context) error {
	for {
		taken, dropped := 0, 0
		err := w.DB.Tx(ctx, func(tx *sqldb.Tx) error {
			all, err := store.TakeEvents(tx, connection.Xero, batch)
			if err != nil {
				return err
			}
			taken = len(all)
			dropped, err = w.settle(tx, all)
			return err
		})
		if err != nil {
			return fmt.Errorf("inbound: webhooks: %w", err)
		}
		if dropped > 0 {
			w.Logger.InfoContext(ctx, "changes in tenants that nobody has connected were dropped", "events", dropped)
		}
		if taken < batch {
			return nil
		}
	}
}

// settle tells events to every connection of their tenants and returns how many nobody wanted.
func (w *Webhooks) settle(tx *sqldb.Tx, all []webhook.Event) (dropped int, err error) {
	tenants := map[string][]webhook.Event{}
	var order []string
	for _, e := range all {
		if tenants[e.Tenant] == nil {
			order = append(order, e.Tenant)
		}
		tenants[e.Tenant] = append(tenants[e.Tenant], e)
	}
	for _, tenant := range order {
		of := tenants[tenant]
		connections, err := store.ConnectionsOfTenant(tx, connection.Xero, tenant)
		if err != nil {
			return 0, err
		}
		outcome := store.Told
		if len(connections) == 0 {
			outcome = store.Nobody
			dropped += len(of)
		}
		for _, c := range connections {
			if err := tell(tx, c, of); err != nil {
				return 0, err
			}
		}
		ids := make([]string, len(of))
		for i, e := range of {
			ids[i] = e.ID
		}
		if err := store.SettleEvents(tx, ids, outcome, w.Now()); err != nil {
			return 0, err
		}
	}
	return dropped, nil
}

// tell names changed records to those who listen for a connection. The messages stand in no order: what a record is like
// they do not say.
func tell(tx *sqldb.Tx, c connection.Connection, all []webhook.Event) error {
	latest := map[string]time.Time{}
	for _, e := range all {
		if at, known := latest[e.Record]; !known || e.At.After(at) {
			latest[e.Record] = e.At
		}
	}
	records := make([]string, 0, len(latest))
	for id := range latest {
		records = append(records, id)
	}
	slices.Sort(records)
	for chunk := range slices.Chunk(records, most) {
		var at time.Time
		for _, id := range chunk {
			if latest[id].After(at) {
				at = latest[id]
			}
		}
		_, err := events.Add(tx, events.Event{Firm: c.Firm, Message: &connectoreventsv1.RecordsChanged{
			Connection: store.ConnectionName(c.Ref), RecordIds: chunk, OccurTime: timestamppb.New(at)}})
		if err != nil {
			return err
		}
	}
	return nil
}

// Purge forgets events that were settled long ago.
func (w *Webhooks) Purge(ctx context.Context) error {
	return w.DB.Tx(ctx, func(tx *sqldb.Tx) error { return store.PurgeEvents(tx, w.Now().Add(-keep)) })
}
