package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/custody"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// ChoresTopic is what a worker watches to hear of new chores at once.
const ChoresTopic = "connector.chores"

func (f *Flow) addChore(tx *sqldb.Tx, c store.Chore) (err error) {
	if c.ID == "" {
		if c.ID, err = newID(); err != nil {
			return err
		}
	}
	c.Created = f.Now()
	if c.Due.Before(c.Created) {
		c.Due = c.Created
	}
	tx.Notify(ChoresTopic)
	return store.InsertChore(tx, c)
}

const (
	// choreBatch is how many chores one round takes.
	choreBatch = 20
	// choreLife is how often a chore is tried: with the waits below that is about two weeks, in which any outage ends.
	choreLife = 60
	// choreSoon and choreLate are the first and the longest wait between tries.
	choreSoon, choreLate = 2 * time.Second, 6 * time.Hour
)

// errLater says that a chore waits for something else, which is no failed try.
var errLater = errors.New("flow: somebody may still need this consent, or is renewing it")

// Chores does what is due and reports how many chores it took.
func (f *Flow) Chores(ctx context.Context) (int, error) {
	owner := uuid.NewString()
	var due []store.Chore
	err := f.DB.Tx(ctx, func(tx *sqldb.Tx) (err error) {
		now := f.Now()
		due, err = store.ClaimChores(tx, owner, now, now.Add(f.cfg.Claim), choreBatch)
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, c := range due {
		why := f.do(ctx, c)
		if ctx.Err() != nil {
			return len(due), ctx.Err()
		}
		if err := f.DB.Tx(ctx, func(tx *sqldb.Tx) error { return f.settle(tx, c, why) }); err != nil {
			return len(due), err
		}
	}
	return len(due), nil
}

// settle removes a chore that is done, or sets when it is tried again.
func (f *Flow) settle(tx *sqldb.Tx, c store.Chore, why error) error {
	switch {
	case why == nil:
		tx.Notify(ChoresTopic) // another chore may have waited for this one
		return store.DoneChore(tx, c.ID, c.ClaimOwner)
	case errors.Is(why, errLater):
		return store.PutOffChore(tx, c.ID, c.ClaimOwner, f.Now().Add(f.cfg.Life/10))
	case c.Tries >= choreLife:
		f.Logger.ErrorContext(tx.Context(), "a chore is given up", "chore", c.ID, "kind", c.Kind, "connection", c.Connection, "error", why)
		if err := f.closeGrant(tx, c.Grant, c.Kind); err != nil {
			return err
		}
		return store.DoneChore(tx, c.ID, c.ClaimOwner)
	}
	f.Logger.WarnContext(tx.Context(), "a chore is tried again later", "chore", c.ID, "kind", c.Kind, "connection", c.Connection, "error", why)
	wait := min(choreSoon<<min(c.Tries, 20), choreLate)
	return store.PostponeChore(tx, c.ID, c.ClaimOwner, f.Now().Add(wait), provider.Text(why))
}

func (f *Flow) do(ctx context.Context, c store.Chore) error {
	ctx = access.With(ctx, access.ServicePrincipal("connector", c.Firm))
	switch c.Kind {
	case store.RemoveTenant:
		return f.removeTenant(ctx, c)
	case store.Revoke:
		return f.revoke(ctx, c)
	case store.ReleaseTwoFactor:
		_, err := f.Auth.ReleaseTwoFactor(ctx, &authv1.ReleaseTwoFactorRequest{
			Firm:       names.Format(names.FirmPattern, c.Firm),
			Connection: store.ConnectionName(connection.Ref{Firm: c.Firm, ID: c.Connection}),
		})
		if known := rpcerr.From(err); known != nil && known.Code() == codes.NotFound {
			return nil
		}
		return err
	}
	return fmt.Errorf("flow: a chore of unknown kind %q", c.Kind)
}

// removeTenant ends the connection at the provider, unless another firm uses the same one: it belongs to the person who
// consented, and a bookkeeper may have connected the same practice for two firms.
func (f *Flow) removeTenant(ctx context.Context, c store.Chore) error {
	identity := f.Providers[c.Provider].Identity
	if identity == nil {
		return nil // no longer configured: there is nobody to tell
	}
	var shared bool
	err := f.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		shared, err = store.UpstreamShared(tx, c.Provider, c.UpstreamID, c.Connection)
		return err
	})
	if err != nil || shared {
		return err
	}
	token, err := f.Custody.Token(ctx, c.Grant)
	if errors.Is(err, custody.ErrDead) {
		return nil // the provider ended it already
	}
	if err != nil {
		return err
	}
	err = identity.Remove(ctx, token.Access(), c.UpstreamID)
	if errors.Is(err, provider.ErrToken) {
		err = errors.Join(err, f.Custody.Refused(ctx, c.Grant, token))
	}
	return err
}

// revoke ends a grant, or tokens that no grant holds. Revoking one grant of a person may end all the person has with
// this installation, so nothing is revoked of somebody who has another grant; what is held here is dropped all the same.
func (f *Flow) revoke(ctx context.Context, c store.Chore) error {
	def, configured := f.Providers[c.Provider]
	needed, err := f.needed(ctx, c, def.App)
	if err != nil {
		return err
	}
	if configured && !needed {
		token, err := f.refreshToken(ctx, c)
		if err == nil && token != "" {
			err = def.Identity.Revoke(ctx, token)
		}
		if err != nil {
			return err
		}
	}
	return f.DB.Tx(ctx, func(tx *sqldb.Tx) error { return f.closeGrant(tx, c.Grant, c.Kind) })
}

// closeGrant drops what is held of a grant that was to be revoked, once that is done or given up.
func (f *Flow) closeGrant(tx *sqldb.Tx, grant string, kind store.ChoreKind) error {
	if grant == "" || kind != store.Revoke {
		return nil
	}
	g, err := store.GrantByID(tx, grant, true)
	if err != nil || g.Status != store.GrantClosing {
		return err
	}
	g.Close(store.GrantClosed, "")
	_, err = store.UpdateGrant(tx, g, g.Generation)
	return err
}

// needed reports whether the person whose grant is to end has another one, or is unknown. While the person may be about
// to give consent again, the answer is errLater.
func (f *Flow) needed(ctx context.Context, c store.Chore, app string) (needed bool, err error) {
	if c.Subject == "" {
		return true, nil
	}
	err = f.DB.Read(ctx, func(tx *sqldb.Tx) error {
		open, err := store.SubjectOpen(tx, c.Firm, c.Subject, f.Now())
		if err != nil {
			return err
		}
		if open {
			return errLater
		}
		needed, err = store.SubjectGranted(tx, app, c.Subject, c.Grant)
		return err
	})
	return needed, err
}

// renewalWait bounds how long a grant is kept for a renewal that does not end: the provider gives a lost answer again for half
// an hour.
const renewalWait = time.Hour

// refreshToken opens the token that is to be revoked. While a renewal of the grant is under way, or its answer was lost, the
// answer is errLater: the token that it gives is the one to revoke.
func (f *Flow) refreshToken(ctx context.Context, c store.Chore) (token string, err error) {
	if c.Grant == "" {
		return token, f.open(c.Token, c.Row(), &token)
	}
	err = f.DB.Read(ctx, func(tx *sqldb.Tx) error {
		g, err := store.GrantByID(tx, c.Grant, false)
		if err != nil {
			return err
		}
		if g.Usable() && g.Attempt != "" && f.Now().Sub(c.Created) < renewalWait {
			return errLater
		}
		token, err = f.Custody.RefreshToken(g)
		return err
	})
	return token, err
}
