package flow

import (
	"strings"
	"time"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/api/reason"
	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// Import makes a connection from before OAuth 2 known, in tx. It can do nothing until an attempt upgrades it. Importing the
// same practice again is importing it once: what waits for its upgrade under that name is answered, with the options given
// now. options is nil where none are.
func (f *Flow) Import(tx *sqldb.Tx, firm string, p connection.Provider, practice string, options *connection.Options) (connection.Connection, error) {
	practice = strings.Join(strings.Fields(practice), " ")
	def, configured := f.Providers[p]
	switch {
	case !configured:
		return connection.Connection{}, reason.NotConfigured
	case !def.LegacyIDs:
		return connection.Connection{}, reason.NotSupported.Messagef("connections of this provider need no upgrade: connect anew")
	case practice == "":
		return connection.Connection{}, rpcerr.Default(invalidArgument).Field("tenant_name", "required", "is the name it is known by")
	case options != nil && len(options.ContactTypes) > 0 && !def.ContactTypes:
		return connection.Connection{}, ContactTypesRefused("options.contact_types")
	}
	waiting, err := store.LegacyConnections(tx, firm, p)
	if err != nil {
		return connection.Connection{}, err
	}
	for _, c := range waiting {
		if !connection.SameName(c.TenantName, practice) {
			continue
		}
		if options == nil || options.Complete().Equal(c.Options) {
			return c, nil
		}
		c.Options = options.Complete()
		c.Version++
		return c, store.SaveConnection(tx, c, time.Time{})
	}
	id, err := newID()
	if err != nil {
		return connection.Connection{}, err
	}
	c := connection.Connection{Ref: connection.Ref{Firm: firm, ID: id}, Provider: p, TenantName: practice, TenantType: def.TenantType,
		State: connection.Legacy, Reason: connection.LegacyReason, Options: connection.DefaultOptions(),
		Created: f.Now().UTC().Truncate(time.Microsecond), Version: 1, DayCallsLeft: -1}
	if options != nil {
		c.Options = options.Complete()
	}
	return c, store.SaveConnection(tx, c, time.Time{})
}

// upgradable looks whether a connection is one to upgrade.
func upgradable(tx *sqldb.Tx, ref connection.Ref, p connection.Provider) error {
	c, err := store.ConnectionByID(tx, ref, true)
	if err == nil && (c.State != connection.Legacy || c.Provider != p) {
		return reason.NotLegacy
	}
	return err
}

// Before returns what an attempt is compared with: the connection it upgrades, or the firm's last one of the provider, or nil.
func (f *Flow) Before(tx *sqldb.Tx, a store.Attempt) (*connection.Connection, error) {
	if a.Upgrade == "" {
		return store.LastConnection(tx, a.Firm, a.Provider)
	}
	c, err := store.ConnectionByID(tx, connection.Ref{Firm: a.Firm, ID: a.Upgrade}, false)
	return &c, err
}

// target returns the connection that an attempt makes active: the one it upgrades, or the one there is of the tenant that was
// chosen, or nil when that is to be a new one.
//
// A tenant that is connected already stays with that connection, and an upgrade to it is refused. Making one of two would
// mean to decide for every client of both whether it is the same one; whoever drops the legacy connection, or disconnects
// the other, has said which one counts.
func (f *Flow) target(tx *sqldb.Tx, a store.Attempt) (*connection.Connection, error) {
	there, err := store.ConnectionOfTenant(tx, a.Firm, a.Provider, a.Choice.Tenant)
	if err != nil || a.Upgrade == "" {
		return there, err
	}
	c, err := store.ConnectionByID(tx, connection.Ref{Firm: a.Firm, ID: a.Upgrade}, true)
	switch {
	case err != nil:
		return nil, err
	case c.State != connection.Legacy:
		return nil, reason.NotLegacy.Messagef("the connection was upgraded or removed meanwhile")
	case there != nil && there.Live():
		return nil, reason.TenantConnected.With("connection", store.ConnectionName(there.Ref)).With("tenant_name", there.TenantName)
	}
	return &c, nil
}
