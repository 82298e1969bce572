package flow

import (
	"context"
	"slices"
	"strconv"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/api/reason"
	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// ContactTypes lists what can be chosen of a tenant of a person's authorised attempt, of the pre-selected one for "", and
// what the firm's last connection of the provider has chosen.
func (f *Flow) ContactTypes(ctx context.Context, ref connection.Ref, person, tenant string) (all []provider.ContactType, chosen []string, err error) {
	a, err := f.own(ctx, ref, person)
	if err != nil {
		return nil, nil, err
	}
	if state := a.StateAt(f.Now()); state != connection.Authorised && state != connection.Confirming {
		return nil, nil, reason.OfAttempt(a.Attempt, state)
	}
	if tenant == "" {
		tenant = a.Preselected
	}
	def, configured := f.Providers[a.Provider]
	switch {
	case !configured:
		return nil, nil, reason.NotConfigured
	case a.Tenant(tenant) == nil:
		return nil, nil, reason.TenantUnknown.Field("tenant_id", "unknown", "is not among the tenants of this attempt")
	}
	typed, ok := def.Adapter.(provider.Typed)
	if !ok {
		return nil, nil, nil
	}
	err = f.DB.Read(ctx, func(tx *sqldb.Tx) error {
		last, err := store.LastConnection(tx, a.Firm, a.Provider)
		if last != nil {
			chosen = last.Options.ContactTypes
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	t, err := f.tokens(a)
	if err != nil {
		return nil, nil, err
	}
	all, err = typed.ContactTypes(ctx, f.Upstream.With(def, tenant, t.Access))
	return all, chosen, err
}

// ContactTypesRefused says that a provider has no contact types to choose from.
func ContactTypesRefused(field string) error {
	return rpcerr.Default(invalidArgument).Field(field, "not_supported", "this provider has no contact types to choose from; leave it empty")
}

// CheckContactTypes refuses contact types that the provider does not have. Those of before are let through: a group that
// was deleted since must not keep the other options from being changed. The provider is asked only when there is one that
// is neither of before nor always there.
func CheckContactTypes(ctx context.Context, def provider.Definition, c provider.Caller, wanted, before []string, field string) error {
	typed, ok := def.Adapter.(provider.Typed)
	if !ok {
		if len(wanted) > 0 {
			return ContactTypesRefused(field)
		}
		return nil
	}
	asked := func(id string) bool { return !typed.Lasting(id) && !slices.Contains(before, id) }
	if !slices.ContainsFunc(wanted, asked) {
		return nil
	}
	all, err := typed.ContactTypes(ctx, c)
	if err != nil {
		return err
	}
	refused := rpcerr.Default(invalidArgument)
	for i, id := range wanted {
		if asked(id) && !slices.ContainsFunc(all, func(t provider.ContactType) bool { return t.ID == id }) {
			refused = refused.Field(field+"["+strconv.Itoa(i)+"]", "unknown", "is no contact type that the provider has now")
		}
	}
	if len(refused.Violations()) == 0 {
		return nil
	}
	return refused
}
