package flow

import (
	"context"
	"time"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/audit"
	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

const (
	// resumeBatch is how many attempts one round takes up.
	resumeBatch = 20
	// keepEnded is how long ended attempts are kept, to answer who asks for one.
	keepEnded = 30 * 24 * time.Hour
)

// Resume ends attempts whose time is over and takes up those that somebody began to work on and left.
func (f *Flow) Resume(ctx context.Context) error {
	var due []store.Attempt
	err := f.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		now := f.Now()
		found, err := store.DueAttempts(tx, now, resumeBatch)
		if err != nil {
			return err
		}
		due = nil
		for _, a := range found {
			if a.StateAt(now) == connection.Expired {
				err = f.end(tx, a, connection.Expired)
			} else {
				f.claim(&a)
				due = append(due, a)
				err = store.UpdateAttempt(tx, a)
			}
			if err != nil {
				return err
			}
		}
		_, err = store.PurgeAttempts(tx, now.Add(-keepEnded))
		return err
	})
	if err != nil {
		return err
	}
	for _, a := range due {
		own := access.ServicePrincipal("connector", a.Firm)
		own.Initiator = &access.Principal{Kind: access.Administrator, ID: a.Person, Firm: a.Firm}
		if err := f.resume(access.With(ctx, own), a); err != nil && ctx.Err() == nil {
			f.Logger.WarnContext(ctx, "an attempt to connect could not be taken up", "attempt", a.ID, "state", a.State, "error", err)
		}
	}
	return ctx.Err()
}

// resume does the rest of an attempt that was left. A confirmed choice is carried out: two-factor sign-in is required
// again, which changes nothing when it was. The request that confirmed it has ended without an entry in the ledger, or with
// one that says that it failed; so what came of it gets one of its own.
func (f *Flow) resume(ctx context.Context, a store.Attempt) error {
	if a.State != connection.Confirming {
		_, err := f.goOn(ctx, a)
		return err
	}
	if _, err := f.requireTwoFactor(ctx, a); err != nil {
		return err
	}
	_, err := f.finishConfirming(ctx, a, func(tx *sqldb.Tx, made connection.Connection) error {
		return f.Audit.Record(tx, audit.Act{Firm: a.Firm, Action: "connection.confirm_resumed", Permission: "connection.confirm_attempt",
			Resource: store.ConnectionName(made.Ref), Kind: audit.Change})
	})
	return err
}
