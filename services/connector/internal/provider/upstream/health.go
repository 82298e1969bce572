package upstream

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/budget"
	"github.com/concord-suite/concord/services/connector/internal/provider/custody"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// noteEvery is how old "the last call that worked" may be: writing it for every call would make a write of every read.
const noteEvery = 15 * time.Second

// ErrGone says that the provider no longer knows the connection: somebody removed it there.
var ErrGone = errors.New("the connection was removed at the provider")

// report keeps the health of a connection after a call, and returns what the call's error means.
func (u *Upstream) report(ctx context.Context, c connection.Connection, def provider.Definition, err error) error {
	var health error
	switch {
	case err == nil, errors.Is(err, provider.ErrRefused), errors.Is(err, provider.ErrValues), errors.Is(err, provider.ErrUnknownRecord):
		health = u.worked(ctx, c)
	case errors.Is(err, provider.ErrForbidden):
		err, health = u.forbidden(ctx, c, def, err)
	case errors.Is(err, provider.ErrScope), errors.Is(err, provider.ErrClient):
		health = u.degrade(ctx, c, provider.Text(err), 1)
	case errors.Is(err, provider.ErrUnavailable), errors.Is(err, provider.ErrToken):
		health = u.degrade(ctx, c, provider.Text(err), connection.DegradedAfter)
	}
	if health != nil {
		u.logger.WarnContext(ctx, "the health of a connection could not be written down", "connection", c.ID, "error", health)
	}
	return err
}

// worked notes a call that worked, and that the connection works again.
func (u *Upstream) worked(ctx context.Context, c connection.Connection) error {
	now := u.now()
	u.mu.Lock()
	recent := now.Sub(u.noted[c.ID]) < noteEvery && c.State == connection.Active && c.Failures == 0
	if !recent {
		u.noted[c.ID] = now
	}
	u.mu.Unlock()
	if recent {
		return nil
	}
	return u.db.Tx(ctx, func(tx *sqldb.Tx) error {
		present, err := store.ConnectionByID(tx, c.Ref, true)
		if err != nil || !present.Usable() {
			return err
		}
		if err := store.SetState(tx, present, connection.Active, "", now); err != nil {
			return err
		}
		return store.NoteSuccess(tx, c.Ref, now)
	})
}

// degrade notes a call that failed, and calls the connection degraded after some in a row.
func (u *Upstream) degrade(ctx context.Context, c connection.Connection, reason string, after int) error {
	u.mu.Lock()
	delete(u.noted, c.ID) // the next success is news
	u.mu.Unlock()
	return u.db.Tx(ctx, func(tx *sqldb.Tx) error {
		present, err := store.ConnectionByID(tx, c.Ref, true)
		if err != nil || !present.Usable() {
			return err
		}
		present.Failures++
		if present.Failures >= after {
			return store.SetState(tx, present, connection.Degraded, sentence(reason), u.now())
		}
		return store.SaveConnection(tx, present, time.Time{})
	})
}

func sentence(reason string) string {
	if reason == "" {
		reason = "the provider can't be used"
	}
	return "For now: " + reason + ". It is tried again by itself."
}

// gone is the reason of a connection that was removed at the provider.
const gone = "Somebody removed the connection at the provider. An administrator connects again; clients, links and settings stay as they are."

// forbidden finds out what a refusal means: the tenant is no longer connected there, or the person may not do this any
// more. The list of connections tells; a provider that does not answer leaves it at the second, which mends by itself.
func (u *Upstream) forbidden(ctx context.Context, c connection.Connection, def provider.Definition, err error) (meaning, health error) {
	token, tokenErr := u.custody.Token(ctx, c.Grant)
	if tokenErr == nil {
		tenants, listErr := def.Identity.Tenants(ctx, token.Access(), "")
		if listErr == nil && (connection.Attempt{Tenants: tenants}).Tenant(c.TenantID) == nil {
			return errors.Join(ErrGone, err), u.db.Tx(ctx, func(tx *sqldb.Tx) error {
				present, err := store.ConnectionByID(tx, c.Ref, true)
				if err != nil || !present.Usable() {
					return err
				}
				return store.SetState(tx, present, connection.NeedsReauth, gone, u.now())
			})
		}
	}
	reason := Lacking(def, err)
	return err, u.db.Tx(ctx, func(tx *sqldb.Tx) error {
		present, err := store.ConnectionByID(tx, c.Ref, true)
		if err != nil || !present.Usable() {
			return err
		}
		return store.SetState(tx, present, connection.Degraded, reason, u.now())
	})
}

// Lacking says in words what a person lacks whom the provider forbids calls although the connection is there, and what to
// do: a role in the tenant at all, or a privilege.
func Lacking(def provider.Definition, err error) string {
	if errors.Is(err, provider.ErrNoAccess) {
		return "The person who authorised no longer has a role in the " + def.TenantNoun + ", though the connection is still there. " +
			"Somebody who manages users there gives it back, or somebody who has one connects again."
	}
	return def.Adapter.Privilege()
}

const (
	// degradedBatch is how many degraded connections one round tries, degradedWidth how many of them at once: one whose
	// provider hangs keeps the others waiting as little as may be.
	degradedBatch, degradedWidth = 50, 8
	// degradedWait bounds one try, with its wait for its turn. A provider that takes longer has not recovered.
	degradedWait = 2 * time.Minute
)

// Upkeep tries degraded connections whose time has come, with one cheap call each.
func (u *Upstream) Upkeep(ctx context.Context, providers provider.Registry, every time.Duration) error {
	var due []connection.Ref
	err := u.db.Tx(ctx, func(tx *sqldb.Tx) (err error) {
		due, err = store.TakeDegraded(tx, u.now(), every, degradedBatch)
		return err
	})
	var group errgroup.Group
	group.SetLimit(degradedWidth)
	for _, ref := range due {
		group.Go(func() error {
			own, cancel := context.WithTimeout(ctx, degradedWait)
			defer cancel()
			if err := u.probe(own, providers, ref); err != nil && ctx.Err() == nil {
				u.logger.InfoContext(ctx, "a degraded connection was tried again", "connection", ref.ID, "error", err)
			}
			return nil
		})
	}
	_ = group.Wait() // each says in the log what went wrong
	return errors.Join(err, ctx.Err())
}

func (u *Upstream) probe(ctx context.Context, providers provider.Registry, ref connection.Ref) error {
	var c connection.Connection
	err := u.db.Read(ctx, func(tx *sqldb.Tx) (err error) {
		c, err = store.ConnectionByID(tx, ref, false)
		return err
	})
	def, configured := providers[c.Provider]
	if err != nil || !configured || !c.Usable() {
		return err
	}
	return def.Adapter.Probe(ctx, u.Of(c, def, budget.Background))
}

// Dead reports whether an error means that an administrator has to connect again.
func Dead(err error) bool { return errors.Is(err, custody.ErrDead) || errors.Is(err, ErrGone) }
