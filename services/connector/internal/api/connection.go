// Package api answers the connector's RPCs. It turns requests into calls of the domain and the store and back; what is
// more than that stands in package flow.
package api

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"

	"github.com/concord-suite/concord/services/connector/internal/api/flow"
	"github.com/concord-suite/concord/services/connector/internal/api/reason"
	"github.com/concord-suite/concord/services/connector/internal/api/wire"
	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/upstream"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// Connections implements ConnectionService.
type Connections struct {
	connectorv1.UnsafeConnectionServiceServer

	DB        *sqldb.DB
	Memory    *idem.Memory
	Flow      *flow.Flow
	Upstream  *upstream.Upstream
	Providers provider.Registry
	Now       func() time.Time
}

var _ connectorv1.ConnectionServiceServer = (*Connections)(nil)

// ref reads the firm and the id of a resource name.
func ref(field, pattern, name string) (connection.Ref, error) {
	ids, err := names.ParseField(field, pattern, name)
	if err != nil {
		return connection.Ref{}, err
	}
	return connection.Ref{Firm: ids[0], ID: ids[1]}, nil
}

// person is who acts, in the end: the account of the caller.
func person(ctx context.Context) string { return access.From(ctx).Origin().ID }

// ListConnections lists the firm's connections, newest first.
func (s *Connections) ListConnections(ctx context.Context, req *connectorv1.ListConnectionsRequest) (*connectorv1.ListConnectionsResponse, error) {
	firm, err := names.ParseField("parent", wire.FirmPattern, req.GetParent())
	if err != nil {
		return nil, err
	}
	after, err := parsePlace(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := pageSize(req.GetPageSize())
	var list []connection.Connection
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		list, err = store.ListConnections(tx, firm[0], after, size+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	resp := &connectorv1.ListConnectionsResponse{}
	if len(list) > size {
		list = list[:size]
		resp.NextPageToken = placeOf(list[size-1])
	}
	for _, c := range list {
		resp.Connections = append(resp.Connections, wire.ToConnection(c))
	}
	return resp, nil
}

// GetConnection answers one connection.
func (s *Connections) GetConnection(ctx context.Context, req *connectorv1.GetConnectionRequest) (*connectorv1.GetConnectionResponse, error) {
	r, err := ref("name", store.ConnectionPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	var c connection.Connection
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		c, err = store.ConnectionByID(tx, r, false)
		return err
	})
	if err != nil {
		return nil, reason.Of(err)
	}
	return &connectorv1.GetConnectionResponse{Connection: wire.ToConnection(c)}, nil
}

// UpdateConnection changes the options, and takes note that a change of tenant was reviewed.
func (s *Connections) UpdateConnection(ctx context.Context, req *connectorv1.UpdateConnectionRequest) (*connectorv1.UpdateConnectionResponse, error) {
	r, err := ref("connection.name", store.ConnectionPattern, req.GetConnection().GetName())
	if err != nil {
		return nil, err
	}
	if err := s.checkTypes(upstream.Aside(ctx), r, req); err != nil {
		return nil, reason.Of(err)
	}
	resp, err := idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*connectorv1.UpdateConnectionResponse, error) {
		c, err := store.ConnectionByID(tx, r, true)
		if err != nil {
			return nil, err
		}
		if err := s.update(tx, &c, req); err != nil {
			return nil, err
		}
		return &connectorv1.UpdateConnectionResponse{Connection: wire.ToConnection(c)}, nil
	})
	return resp, reason.Of(err)
}

func (s *Connections) update(tx *sqldb.Tx, c *connection.Connection, req *connectorv1.UpdateConnectionRequest) error {
	switch {
	case req.GetConnection().GetEtag() == "":
		return rpcerr.Default(codes.InvalidArgument).Field("connection.etag", "required", "is needed, as it was read")
	case req.GetConnection().GetEtag() != wire.Etag(*c):
		return reason.EtagMismatch
	case !c.Live(), c.State == connection.Legacy: // what a legacy connection is to be is chosen when it is upgraded
		return reason.Inactive
	}
	before := *c
	if err := masked(c, req); err != nil {
		return err
	}
	if len(c.Options.ContactTypes) > 0 && !s.Providers[c.Provider].ContactTypes {
		return flow.ContactTypesRefused("connection.options.contact_types")
	}
	if c.Options.Equal(before.Options) && c.RemovalsSuspended == before.RemovalsSuspended {
		return nil
	}
	c.Version++
	if err := store.SaveConnection(tx, *c, time.Time{}); err != nil {
		return err
	}
	return store.Tell(tx, *c, &connectoreventsv1.ConnectionUpdated{Connection: wire.ToConnection(*c)})
}

// DisconnectConnection ends a connection. One that has ended is answered as it is.
func (s *Connections) DisconnectConnection(ctx context.Context, req *connectorv1.DisconnectConnectionRequest) (*connectorv1.DisconnectConnectionResponse, error) {
	r, err := ref("name", store.ConnectionPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	resp, err := idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*connectorv1.DisconnectConnectionResponse, error) {
		c, err := s.Flow.Disconnect(tx, r, person(ctx))
		if err != nil {
			return nil, err
		}
		return &connectorv1.DisconnectConnectionResponse{Connection: wire.ToConnection(c)}, nil
	})
	return resp, reason.Of(err)
}

// maskPaths are what may stand in the mask of an update, with what each takes over.
var maskPaths = map[string]func(c *connection.Connection, from connection.Options){
	"options.contact_types":          func(c *connection.Connection, o connection.Options) { c.Options.ContactTypes = o.ContactTypes },
	"options.new_record_policy":      func(c *connection.Connection, o connection.Options) { c.Options.NewRecords = o.NewRecords },
	"options.removal_policy":         func(c *connection.Connection, o connection.Options) { c.Options.Removals = o.Removals },
	"options.removal_guard_permille": func(c *connection.Connection, o connection.Options) { c.Options.GuardPermille = o.GuardPermille },
	"options.removal_guard_floor":    func(c *connection.Connection, o connection.Options) { c.Options.GuardFloor = o.GuardFloor },
	"options.full_sync_every_days": func(c *connection.Connection, o connection.Options) {
		c.Options.FullSyncEveryDays = o.FullSyncEveryDays
	},
}

// masked takes the fields of a request that its mask names; without a mask all options.
func masked(c *connection.Connection, req *connectorv1.UpdateConnectionRequest) error {
	wanted, paths := wire.Options(req.GetConnection().GetOptions()), req.GetUpdateMask().GetPaths()
	if len(paths) == 0 {
		paths = []string{"options"}
	}
	for i, path := range paths {
		take, known := maskPaths[path]
		switch {
		case path == "options":
			c.Options = wanted
		case path == "removals_suspended" && !req.GetConnection().GetRemovalsSuspended():
			c.RemovalsSuspended = false
		case path == "removals_suspended":
			return rpcerr.Default(codes.InvalidArgument).Field("connection.removals_suspended", "const", "can only be set to false")
		case known:
			take(c, wanted)
		default:
			return rpcerr.Default(codes.InvalidArgument).Field("update_mask.paths["+itoa(i)+"]", "in", "names no field that can be changed")
		}
	}
	c.Options = c.Options.Complete()
	c.Options.ContactTypes = slices.Compact(slices.Sorted(slices.Values(c.Options.ContactTypes)))
	return nil
}
