package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"

	"github.com/concord-suite/concord/services/connector/internal/api/reason"
	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/upstream"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// Choice is what a person confirms.
type Choice struct {
	Tenant  string
	Options connection.Options
	// Acknowledged is set when the person has seen that the tenant is another than the last time.
	Acknowledged bool
}

// Result is the connection that was made.
type Result struct {
	Connection connection.Connection
	// SwitchedOn is set when two-factor sign-in was off before.
	SwitchedOn bool
}

// Confirm makes a connection of an attempt. finish is called in the transaction that makes it.
//
// It looks whether the person has the privileges, has two-factor sign-in switched on, and only then lets the connection
// be. A process that dies in between has the rest done by a worker: the person has decided.
func (f *Flow) Confirm(ctx context.Context, ref connection.Ref, person string, c Choice, finish func(*sqldb.Tx, Result) error) (Result, error) {
	a, err := f.own(ctx, ref, person)
	if err != nil {
		return Result{}, err
	}
	now := f.Now()
	switch state := a.StateAt(now); {
	case state == connection.Confirmed && a.Choice.Tenant == c.Tenant:
		return f.made(ctx, a, finish)
	case state == connection.Confirming && a.Claimed(now):
		return Result{}, reason.ProviderUnavailable.Messagef("this attempt is being confirmed right now; ask again")
	case state != connection.Authorised && state != connection.Confirming:
		return Result{}, reason.OfAttempt(a.Attempt, state)
	}
	if err := f.check(ctx, a, c); err != nil {
		return Result{}, err
	}
	result, err := f.decide(upstream.Aside(ctx), &a, c)
	if err != nil {
		return Result{}, err
	}
	result.Connection, err = f.finishConfirming(ctx, a, func(tx *sqldb.Tx, made connection.Connection) error {
		return finish(tx, Result{Connection: made, SwitchedOn: result.SwitchedOn})
	})
	return result, err
}

// own reads an attempt of a person. Somebody else's is not there.
func (f *Flow) own(ctx context.Context, ref connection.Ref, person string) (a store.Attempt, err error) {
	err = f.DB.Read(ctx, func(tx *sqldb.Tx) error {
		a, err = store.AttemptByID(tx, ref, false)
		return err
	})
	if errors.Is(err, sqldb.ErrNotFound) || err == nil && a.Person != person {
		return a, reason.NotFound
	}
	return a, err
}

// made returns the connection of an attempt that was confirmed before.
func (f *Flow) made(ctx context.Context, a store.Attempt, finish func(*sqldb.Tx, Result) error) (r Result, err error) {
	err = f.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		r.Connection, err = store.ConnectionByID(tx, connection.Ref{Firm: a.Firm, ID: a.Choice.Connection}, false)
		if err != nil {
			return err
		}
		return finish(tx, r)
	})
	return r, err
}

// check looks at the choice: is the tenant one of those consented to, may the person use it, are the options possible.
func (f *Flow) check(ctx context.Context, a store.Attempt, c Choice) error {
	def, configured := f.Providers[a.Provider]
	tenant := a.Tenant(c.Tenant)
	switch {
	case !configured:
		return reason.NotConfigured
	case tenant == nil:
		return reason.TenantUnknown.Field("tenant_id", "unknown", "is not among the tenants of this attempt")
	case len(c.Options.ContactTypes) > 0 && !def.ContactTypes:
		return ContactTypesRefused("options.contact_types")
	}
	t, err := f.tokens(a)
	if err != nil {
		return err
	}
	caller := f.Upstream.With(def, tenant.ID, t.Access)
	err = def.Adapter.Probe(ctx, caller)
	if errors.Is(err, provider.ErrForbidden) && f.gone(ctx, def, tenant.ID, t) {
		return reason.TenantUnknown.Messagef("%q was disconnected at the provider since access was allowed; start again", tenant.Name).Because(err)
	}
	if errors.Is(err, provider.ErrForbidden) {
		return reason.PrivilegeMissing.Messagef("%s", def.Adapter.Privilege()).Because(err)
	}
	if err == nil {
		err = CheckContactTypes(ctx, def, caller, c.Options.ContactTypes, nil, "options.contact_types")
	}
	return reason.Of(err)
}

// gone reports whether a tenant is no longer connected at the provider. One that does not tell is taken to be there.
func (f *Flow) gone(ctx context.Context, def provider.Definition, tenant string, t provider.Tokens) bool {
	list, err := def.Identity.Tenants(ctx, t.Access, "")
	return err == nil && (connection.Attempt{Tenants: list}).Tenant(tenant) == nil
}

// maxMoves bounds how often confirming begins anew because the connection was changed at the same time.
const maxMoves = 3

// undoWait bounds the way back after a choice that could not be carried out.
const undoWait = 5 * time.Second

// decide writes down the choice and has two-factor sign-in switched on. When that can't be done the attempt is as it was.
func (f *Flow) decide(ctx context.Context, a *store.Attempt, c Choice) (Result, error) {
	if err := f.choose(ctx, a, c); err != nil {
		return Result{}, err
	}
	switchedOn, err := f.requireTwoFactor(ctx, *a)
	if err == nil {
		return Result{SwitchedOn: switchedOn}, nil
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWait) // also for a caller who has gone
	defer cancel()
	back := f.mine(undo, a, func(tx *sqldb.Tx) error {
		a.State, a.ClaimOwner, a.ClaimUntil = connection.Authorised, "", time.Time{}
		return store.UpdateAttempt(tx, *a)
	})
	return Result{}, errors.Join(err, back)
}

// choose moves an attempt to confirming.
func (f *Flow) choose(ctx context.Context, a *store.Attempt, c Choice) error {
	return f.mine(ctx, a, func(tx *sqldb.Tx) error {
		now := f.Now()
		if state := a.StateAt(now); state != connection.Authorised && state != connection.Confirming {
			return reason.OfAttempt(a.Attempt, state)
		}
		last, err := f.Before(tx, *a)
		if err != nil {
			return err
		}
		differs := last != nil && last.Differs(*a.Tenant(c.Tenant))
		if differs && !c.Acknowledged {
			return reason.TenantDiffers.With("last_tenant_name", last.TenantName).With("last_tenant_id", last.TenantID).
				With("tenant_name", a.Tenant(c.Tenant).Name)
		}
		if err := f.unchoose(tx, a, c.Tenant); err != nil {
			return err
		}
		a.Choice = connection.Choice{Tenant: c.Tenant, Connection: a.Choice.Connection, Differs: differs, Options: c.Options.Complete()}
		a.State = connection.Confirming
		f.claim(a)
		return f.aim(tx, a)
	})
}

// unchoose forgets the connection of an earlier choice, which could not be carried out, when now another tenant is chosen.
func (f *Flow) unchoose(tx *sqldb.Tx, a *store.Attempt, tenant string) error {
	if a.Choice.Connection == "" || a.Choice.Tenant == tenant {
		return nil
	}
	err := f.release(tx, *a)
	a.Choice.Connection = ""
	return err
}

// aim sets which connection an attempt is going to make or renew, and calls back what is still to be told of it.
func (f *Flow) aim(tx *sqldb.Tx, a *store.Attempt) error {
	there, err := f.target(tx, *a)
	if err != nil {
		return err
	}
	a.Choice.Version = 0
	switch {
	case there != nil:
		a.Choice.Connection, a.Choice.Version = there.ID, there.Version
	case a.Choice.Connection == "":
		if a.Choice.Connection, err = newID(); err != nil {
			return err
		}
	}
	free, err := store.CancelChores(tx, connection.Ref{Firm: a.Firm, ID: a.Choice.Connection}, f.Now())
	if err != nil {
		return err
	}
	if !free {
		return reason.ProviderUnavailable.Messagef("the connection is still being removed at the provider; try again in a moment")
	}
	return store.UpdateAttempt(tx, *a)
}

func (f *Flow) requireTwoFactor(ctx context.Context, a store.Attempt) (bool, error) {
	resp, err := f.Auth.RequireTwoFactor(ctx, &authv1.RequireTwoFactorRequest{
		Firm:       names.Format(names.FirmPattern, a.Firm),
		Connection: store.ConnectionName(connection.Ref{Firm: a.Firm, ID: a.Choice.Connection}),
	})
	if err != nil {
		return false, fmt.Errorf("flow: two-factor sign-in could not be required: %w", err)
	}
	return resp.GetSwitchedOn(), nil
}

// errMoved says that the connection was changed since two-factor sign-in was required for it.
var errMoved = errors.New("flow: the connection was changed meanwhile")

// finishConfirming makes the connection. When the connection was changed since the choice was written down, two-factor
// sign-in is required once more: the change may have released it. A disconnection is the later decision and stands.
func (f *Flow) finishConfirming(ctx context.Context, a store.Attempt, finish func(*sqldb.Tx, connection.Connection) error) (connection.Connection, error) {
	aside := upstream.Aside(ctx)
	for move := 1; ; move++ {
		made, err := f.establish(ctx, a, finish)
		if !errors.Is(err, errMoved) || move == maxMoves {
			return made, err
		}
		if err := f.aimAgain(aside, &a); err != nil {
			return connection.Connection{}, err
		}
		if _, err := f.requireTwoFactor(aside, a); err != nil {
			return connection.Connection{}, err
		}
	}
}

// aimAgain takes note of a change of the connection, or ends the attempt when the change was its end.
func (f *Flow) aimAgain(ctx context.Context, a *store.Attempt) error {
	var over error
	err := f.mine(ctx, a, func(tx *sqldb.Tx) error {
		over = nil
		there, err := f.target(tx, *a)
		text := "the connection was disconnected while it was being made; start again"
		switch known, refused := errors.AsType[*rpcerr.Error](err); {
		case refused:
			over, text = known, known.Message()
		case err != nil:
			return err
		case there == nil || there.Live():
			return f.aim(tx, a)
		default:
			over = reason.AttemptEnded.Messagef("%s", text)
		}
		return f.fail(tx, a, "", text)
	})
	return errors.Join(err, over)
}

// establish is the one transaction that makes the connection: it, its grant, the end of the attempt, and the event.
func (f *Flow) establish(ctx context.Context, a store.Attempt, finish func(*sqldb.Tx, connection.Connection) error) (made connection.Connection, err error) {
	err = f.mine(ctx, &a, func(tx *sqldb.Tx) error {
		now := f.Now().UTC().Truncate(time.Microsecond)
		there, err := f.target(tx, a)
		if _, refused := errors.AsType[*rpcerr.Error](err); refused {
			return errMoved
		}
		if err != nil {
			return err
		}
		c := connection.Connection{Ref: connection.Ref{Firm: a.Firm, ID: a.Choice.Connection}, Provider: a.Provider,
			TenantID: a.Choice.Tenant, Created: now, DayCallsLeft: -1}
		if there != nil {
			c = *there
		}
		if c.Version != a.Choice.Version || c.ID != a.Choice.Connection {
			return errMoved
		}
		if a.Upgrade != "" {
			if err := store.LeaveTenant(tx, a.Firm, a.Provider, a.Choice.Tenant); err != nil {
				return err
			}
			c.TenantID = a.Choice.Tenant
		}
		grant, err := f.grant(tx, a, now)
		if err != nil {
			return err
		}
		if made, err = f.attach(tx, a, c, grant, now); err != nil {
			return err
		}
		a.End(connection.Confirmed)
		if err := store.UpdateAttempt(tx, a); err != nil {
			return err
		}
		return finish(tx, made)
	})
	return made, err
}

// grant makes the attempt's tokens a grant, or renews the grant that the firm has of this person, if they cover what that
// one covered.
func (f *Flow) grant(tx *sqldb.Tx, a store.Attempt, now time.Time) (store.Grant, error) {
	t, err := f.tokens(a)
	if err != nil {
		return store.Grant{}, err
	}
	app := f.Providers[a.Provider].App
	if a.Subject != "" {
		old, err := store.GrantOfSubject(tx, a.Firm, app, a.Subject)
		if err != nil {
			return store.Grant{}, err
		}
		if old != nil && covers(a.Scopes, old.Scopes) {
			return f.renewed(tx, *old, a, t, now)
		}
	}
	id, err := newID()
	if err != nil {
		return store.Grant{}, err
	}
	g := store.Grant{ID: id, Firm: a.Firm, App: app, Subject: a.Subject, Person: a.ConsentedBy, Scopes: a.Scopes, Status: store.GrantActive, Created: now}
	if err := f.Custody.Put(&g, t); err != nil {
		return g, err
	}
	return g, store.InsertGrant(tx, g)
}

// renewed puts new tokens into a grant. Connections that waited for that work again.
func (f *Flow) renewed(tx *sqldb.Tx, g store.Grant, a store.Attempt, t provider.Tokens, now time.Time) (store.Grant, error) {
	dead, before := g.Status == store.GrantDead, g.Generation
	g.Status, g.Reason, g.Scopes, g.Spare = store.GrantActive, "", a.Scopes, store.Sealed{}
	if a.ConsentedBy != "" {
		g.Person = a.ConsentedBy
	}
	if err := f.Custody.Put(&g, t); err != nil {
		return g, err
	}
	if _, err := store.UpdateGrant(tx, g, before); err != nil || !dead {
		return g, err
	}
	waiting, err := store.ConnectionsOfGrant(tx, g.ID)
	if err != nil {
		return g, err
	}
	for _, one := range waiting {
		if one.ID != a.Choice.Connection && one.State == connection.NeedsReauth {
			if err := store.SetState(tx, one, connection.Active, "", now); err != nil {
				return g, err
			}
		}
	}
	return g, nil
}
