package inbound

import (
	"context"
	"errors"
	"time"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// Requirements are the connections on whose account a firm asks for a second factor.
type Requirements interface {
	// Repair makes true that a connection was there at a time, or was not any more, unless somebody has said otherwise since.
	// It answers whether it changed something; sqldb.ErrNotFound when there is no such firm.
	Repair(tx *sqldb.Tx, firm, connection string, there bool, at time.Time) (bool, error)
}

// RegisterConnections adds the handlers that follow connections. The connector calls before a connection becomes active and
// after one is removed; these make up for a call whose effect was lost.
func RegisterConnections(c *events.Consumer, r Requirements) {
	in := connections{r}
	events.Handle(c, func(ctx context.Context, tx *sqldb.Tx, m events.Meta, e *connectoreventsv1.ConnectionEstablished) error {
		return in.repair(tx, m, e.GetConnection().GetName(), true)
	})
	events.Handle(c, func(ctx context.Context, tx *sqldb.Tx, m events.Meta, e *connectoreventsv1.ConnectionUpgraded) error {
		return in.repair(tx, m, e.GetConnection().GetName(), true)
	})
	events.Handle(c, func(ctx context.Context, tx *sqldb.Tx, m events.Meta, e *connectoreventsv1.ConnectionRemoved) error {
		return in.repair(tx, m, e.GetConnection(), false)
	})
}

type connections struct{ required Requirements }

func (in connections) repair(tx *sqldb.Tx, m events.Meta, name string, there bool) error {
	ids, err := names.Parse(store.ConnectionName, name)
	if err != nil || len(ids) != 2 {
		return events.Failure("not the name of a connection", nil)
	}
	_, err = in.required.Repair(tx, ids[0], ids[1], there, m.Time)
	if errors.Is(err, sqldb.ErrNotFound) {
		return events.Failure("no such firm", nil)
	}
	return err
}
