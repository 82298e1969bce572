package api

import (
	"context"
	"slices"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"

	"github.com/concord-suite/concord/services/connector/internal/api/flow"
	"github.com/concord-suite/concord/services/connector/internal/api/reason"
	"github.com/concord-suite/concord/services/connector/internal/api/wire"
	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/budget"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// GetContactTypes asks the provider what can be chosen, of an attempt's tenant or of a connection's. It is one call.
func (s *Connections) GetContactTypes(ctx context.Context, req *connectorv1.GetContactTypesRequest) (*connectorv1.GetContactTypesResponse, error) {
	var all []provider.ContactType
	var chosen []string
	if ids, err := names.Parse(wire.AttemptPattern, req.GetParent()); err == nil {
		all, chosen, err = s.Flow.ContactTypes(ctx, connection.Ref{Firm: ids[0], ID: ids[1]}, person(ctx), req.GetTenantId())
		if err != nil {
			return nil, reason.Of(err)
		}
	} else {
		if all, chosen, err = s.contactTypes(ctx, req); err != nil {
			return nil, reason.Of(err)
		}
	}
	resp := &connectorv1.GetContactTypesResponse{}
	for _, t := range all {
		resp.ContactTypes = append(resp.ContactTypes, &connectorv1.ContactType{
			ContactType: t.ID, DisplayName: t.Name, Selected: slices.Contains(chosen, t.ID)})
	}
	return resp, nil
}

// gone is shown for a chosen contact type that the provider no longer has, so that it can be chosen no longer.
const gone = "A group that is no longer there"

// contactTypes lists what can be chosen for a connection, and what is.
func (s *Connections) contactTypes(ctx context.Context, req *connectorv1.GetContactTypesRequest) ([]provider.ContactType, []string, error) {
	r, err := ref("parent", store.ConnectionPattern, req.GetParent())
	if err != nil {
		return nil, nil, err
	}
	c, err := s.connection(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	def, caller, err := s.caller(c)
	if err != nil {
		return nil, nil, err
	}
	if t := req.GetTenantId(); t != "" && t != c.TenantID {
		return nil, nil, rpcerr.Default(codes.InvalidArgument).Field("tenant_id", "const", "is not the tenant of this connection; leave it empty")
	}
	typed, ok := def.Adapter.(provider.Typed)
	if !ok {
		return nil, nil, nil
	}
	all, err := typed.ContactTypes(ctx, caller)
	if err != nil {
		return nil, nil, err
	}
	for _, id := range c.Options.ContactTypes {
		if !slices.ContainsFunc(all, func(t provider.ContactType) bool { return t.ID == id }) {
			all = append(all, provider.ContactType{ID: id, Name: gone})
		}
	}
	return all, c.Options.ContactTypes, nil
}

func (s *Connections) connection(ctx context.Context, r connection.Ref) (c connection.Connection, err error) {
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		c, err = store.ConnectionByID(tx, r, false)
		return err
	})
	return c, err
}

// caller returns what calls for a connection are made with while a person waits.
func (s *Connections) caller(c connection.Connection) (provider.Definition, provider.Caller, error) {
	def, configured := s.Providers[c.Provider]
	switch {
	case c.State == connection.NeedsReauth:
		return def, nil, reason.NeedsReauth.Messagef("%s", c.Reason)
	case !c.Usable():
		return def, nil, reason.Inactive
	case !configured:
		return def, nil, reason.NotConfigured
	}
	return def, s.Upstream.Of(c, def, budget.Interactive), nil
}

// checkTypes looks, before an update, whether the provider has the contact types that are new in it. A stale update is
// left to the update itself to refuse.
func (s *Connections) checkTypes(ctx context.Context, r connection.Ref, req *connectorv1.UpdateConnectionRequest) error {
	c, err := s.connection(ctx, r)
	if err != nil || req.GetConnection().GetEtag() != wire.Etag(c) {
		return err
	}
	before := c.Options.ContactTypes
	if err := masked(&c, req); err != nil {
		return err
	}
	if !slices.ContainsFunc(c.Options.ContactTypes, func(id string) bool { return !slices.Contains(before, id) }) {
		return nil
	}
	def, caller, err := s.caller(c)
	if err != nil {
		return err
	}
	return flow.CheckContactTypes(ctx, def, caller, c.Options.ContactTypes, before, "connection.options.contact_types")
}
