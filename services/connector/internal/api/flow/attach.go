package flow

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/audit"
	"github.com/concord-suite/concord/platform/sqldb"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"

	"github.com/concord-suite/concord/services/connector/internal/api/wire"
	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

const invalidArgument = codes.InvalidArgument

// attach makes the connection active with a grant, and tells it. What the connection had before is kept: its id, what it
// is recognised by, and a review of the tenant that is still to come.
func (f *Flow) attach(tx *sqldb.Tx, a store.Attempt, c connection.Connection, g store.Grant, now time.Time) (connection.Connection, error) {
	tenant, oldGrant, broken := a.Tenant(a.Choice.Tenant), c.Grant, c.State == connection.NeedsReauth || c.State == connection.Degraded
	c.TenantName, c.TenantType, c.UpstreamID = tenant.Name, tenant.Type, tenant.UpstreamID
	c.Grant, c.State, c.Reason, c.Failures = g.ID, connection.Active, "", 0
	c.Options, c.ConnectedBy = a.Choice.Options, a.Person
	c.RemovalsSuspended = c.RemovalsSuspended || a.Choice.Differs
	if broken {
		c.Version++
		recovered := &connectoreventsv1.ConnectionRecovered{Connection: store.ConnectionName(c.Ref), OccurTime: timestamppb.New(now)}
		if err := store.Tell(tx, c, recovered); err != nil {
			return c, err
		}
	}
	c.Version++
	if err := store.SaveConnection(tx, c, now); err != nil {
		return c, err
	}
	if oldGrant != "" && oldGrant != g.ID {
		if err := f.noteReplaced(tx, c, oldGrant, g); err != nil {
			return c, err
		}
		if _, err := f.leaveGrant(tx, c, oldGrant, ""); err != nil {
			return c, err
		}
	}
	tx.Notify(ChoresTopic)
	if a.Upgrade != "" {
		return c, store.Tell(tx, c, &connectoreventsv1.ConnectionUpgraded{Connection: wire.ToConnection(c), ConfirmedBy: a.Person})
	}
	return c, store.Tell(tx, c, &connectoreventsv1.ConnectionEstablished{
		Connection: wire.ToConnection(c), ConfirmedBy: a.Person, TenantChanged: a.Choice.Differs})
}

// noteReplaced puts into the ledger that a connection uses somebody else's consent from now on. That the connection was
// confirmed, and by whom, stands there anyway.
func (f *Flow) noteReplaced(tx *sqldb.Tx, c connection.Connection, before string, g store.Grant) error {
	old, err := store.GrantByID(tx, before, false)
	if err != nil || old.Subject == "" || old.Subject == g.Subject {
		return err
	}
	return f.Audit.Record(tx, audit.Act{Firm: c.Firm, Action: "connection.consent_replaced", Permission: "connection.confirm_attempt",
		Resource: store.ConnectionName(c.Ref), Kind: audit.Change})
}

// Disconnect ends a connection of a firm, in tx. The provider and auth are told afterwards, however long that takes: for
// the firm it is over now.
func (f *Flow) Disconnect(tx *sqldb.Tx, ref connection.Ref, person string) (connection.Connection, error) {
	c, err := store.ConnectionByID(tx, ref, true)
	if err != nil || !c.Live() {
		return c, err
	}
	grant := c.Grant
	c.Grant, c.State, c.Reason, c.Failures = "", connection.Disconnected, "Disconnected by an administrator.", 0
	c.Version++
	if err := store.SaveConnection(tx, c, time.Time{}); err != nil {
		return c, err
	}
	if grant != "" { // a legacy connection has none: nobody outside knows of it
		if err := f.leave(tx, c, grant); err != nil {
			return c, err
		}
		release := store.Chore{Firm: c.Firm, Connection: c.ID, Kind: store.ReleaseTwoFactor, Provider: c.Provider}
		if err := f.addChore(tx, release); err != nil {
			return c, err
		}
	}
	return c, store.Tell(tx, c, &connectoreventsv1.ConnectionRemoved{Connection: store.ConnectionName(c.Ref), RemovedBy: person})
}

// leave leaves chores to remove the tenant at the provider and, with a grant's last connection, to end the grant.
func (f *Flow) leave(tx *sqldb.Tx, c connection.Connection, grant string) error {
	g, err := store.GrantByID(tx, grant, true)
	if err != nil {
		return err
	}
	first := ""
	if g.Usable() {
		if first, err = newID(); err != nil {
			return err
		}
		remove := store.Chore{ID: first, Firm: c.Firm, Connection: c.ID, Kind: store.RemoveTenant, Provider: c.Provider, Grant: grant, UpstreamID: c.UpstreamID}
		if err := f.addChore(tx, remove); err != nil {
			return err
		}
	}
	_, err = f.leaveGrant(tx, c, grant, first)
	return err
}

// leaveGrant ends a grant that has no connection left, after the chore given. It reports whether it had none.
func (f *Flow) leaveGrant(tx *sqldb.Tx, c connection.Connection, grant, after string) (bool, error) {
	users, err := store.ConnectionsOfGrant(tx, grant)
	if err != nil || len(users) > 0 {
		return false, err
	}
	g, err := store.GrantByID(tx, grant, true)
	if err != nil {
		return false, err
	}
	if !g.Usable() {
		g.Close(store.GrantClosed, "")
		_, err := store.UpdateGrant(tx, g, g.Generation)
		return true, err
	}
	g.Status = store.GrantClosing
	if _, err := store.UpdateGrant(tx, g, g.Generation); err != nil {
		return true, err
	}
	return true, f.addChore(tx, store.Chore{Firm: c.Firm, Kind: store.Revoke, Provider: c.Provider, Grant: grant, Subject: g.Subject, After: after})
}
