package store

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/services/connector/internal/connection"
)

// ConnectionPattern is the resource name of a connection.
const ConnectionPattern = "firms/{firm}/connections/{connection}"

// ConnectionName returns the resource name of a connection.
func ConnectionName(r connection.Ref) string { return names.Format(ConnectionPattern, r.Firm, r.ID) }

// Tell adds an event about a connection to the outbox. The connection's version is its place among the others.
func Tell(tx *sqldb.Tx, c connection.Connection, message proto.Message) error {
	_, err := events.Add(tx, events.Event{Firm: c.Firm, Entity: "connections/" + c.ID, Sequence: c.Version, Message: message})
	return err
}

// SetState moves a connection that was read and locked in the same transaction into a state, and tells those who listen
// when it stopped, for now or for good, and when it works again. It does nothing when the connection is in that state for
// that reason already.
func SetState(tx *sqldb.Tx, c connection.Connection, state connection.State, reason string, now time.Time) error {
	if c.State == state && c.Reason == reason {
		return nil
	}
	before := c.State
	c.State, c.Reason = state, reason
	c.Version++
	if state == connection.Active {
		c.Failures = 0
	}
	if err := SaveConnection(tx, c, time.Time{}); err != nil {
		return err
	}
	switch {
	case state == connection.NeedsReauth && before != connection.NeedsReauth:
		return Tell(tx, c, &connectoreventsv1.ConnectionNeedsReauth{
			Connection: ConnectionName(c.Ref), Reason: reason, OccurTime: timestamppb.New(now)})
	case state == connection.Degraded && before != connection.Degraded:
		return Tell(tx, c, &connectoreventsv1.ConnectionDegraded{
			Connection: ConnectionName(c.Ref), Reason: reason, OccurTime: timestamppb.New(now)})
	case state == connection.Active && (before == connection.NeedsReauth || before == connection.Degraded):
		return Tell(tx, c, &connectoreventsv1.ConnectionRecovered{
			Connection: ConnectionName(c.Ref), OccurTime: timestamppb.New(now)})
	}
	return nil
}
