package custody

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// renew renews a grant, or waits for this process's renewal of it that is under way. A renewal that has begun goes on
// when the caller leaves: the token may be spent.
//
// due says, of the row as it is when its lease is taken, whether there is still something to do.
func (c *Custodian) renew(ctx context.Context, grant string, due func(store.Grant, time.Time) bool) error {
	done := c.flights.DoChan(grant, func() (any, error) {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.cfg.Lease)
		defer cancel()
		return nil, c.refresh(bounded, grant, due)
	})
	select {
	case r := <-done:
		return r.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// intent is a refresh that was written down.
type intent struct {
	grant    store.Grant
	token    string
	owner    string // of this try
	replayed bool   // an earlier try spent the token, or may have, and its answer is lost
	// lost is when that was, the last time.
	lost time.Time
}

// refresh spends the refresh token of a grant once, if it is this process's turn.
func (c *Custodian) refresh(ctx context.Context, grant string, due func(store.Grant, time.Time) bool) error {
	in, err := c.intend(ctx, grant, due)
	if err != nil || in == nil {
		return err
	}
	left := in.grant.LeaseUntil.Sub(c.now()) - (c.cfg.Lease - c.cfg.Call)
	if left <= 0 { // this process stood still: others may be at it, and the trace is there for them
		return nil
	}
	identity := c.identities[in.grant.App]
	if identity == nil {
		return c.failed(ctx, *in, false, provider.Errorf(provider.ErrClient, "the provider of this consent is no longer configured"))
	}
	call, cancel := context.WithTimeout(ctx, min(left, c.cfg.Call))
	defer cancel()
	tokens, err := identity.Refresh(call, in.token)
	switch {
	case err == nil:
		return c.save(ctx, *in, tokens)
	case errors.Is(err, provider.ErrGrant):
		return c.judge(ctx, *in, err)
	case errors.Is(err, provider.ErrClient), errors.Is(err, provider.ErrLimit): // refused before the token was looked at
		return c.failed(ctx, *in, false, err)
	default: // who answered, and whether the token was spent before, is not known
		return c.failed(ctx, *in, true, err)
	}
}

// intend takes the lease and writes the intent. It returns nil when there is nothing to do for this process now.
func (c *Custodian) intend(ctx context.Context, grant string, due func(store.Grant, time.Time) bool) (*intent, error) {
	var in *intent
	err := c.db.Tx(ctx, func(tx *sqldb.Tx) error {
		in = nil
		g, err := store.GrantByID(tx, grant, true)
		now := c.now()
		if err != nil || !g.Usable() || !due(g, now) || c.leased(g, now) || c.resting(g, now) {
			return err
		}
		next := intent{replayed: g.Attempt != "", owner: uuid.NewString(), lost: g.AttemptStarted}
		g.LeaseOwner, g.LeaseUntil = next.owner, now.Add(c.cfg.Lease)
		if !next.replayed {
			g.Attempt = uuid.NewString()
		}
		if next.lost.After(now) { // by a clock that was wrong
			next.lost = now
		}
		g.AttemptStarted = now // should the answer to this one be lost, too
		if _, err := store.UpdateGrant(tx, g, g.Generation); err != nil {
			return err
		}
		next.grant = g
		in = &next
		return nil
	})
	if err != nil || in == nil {
		return nil, err
	}
	token, err := c.vault.Open(in.grant.Refresh.Text, in.grant.Row("refresh"))
	if err != nil {
		return nil, c.failed(ctx, *in, false, fmt.Errorf("custody: the refresh token of grant %s: %w", grant, err))
	}
	in.token = string(token)
	return in, nil
}

// save writes the answer, again and again while the database does not take it: it exists nowhere else.
func (c *Custodian) save(ctx context.Context, in intent, tokens provider.Tokens) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveFor)
	defer cancel()
	for pause := saveAgain; ; pause = min(2*pause, saveSlowly) {
		err := c.db.Tx(ctx, func(tx *sqldb.Tx) error { return c.commit(tx, in, tokens) })
		if err == nil {
			return nil
		}
		c.logger.ErrorContext(ctx, "the answer of the identity service could not be saved; trying again", "grant", in.grant.ID, "error", err)
		if wait(ctx, nil, pause) != nil {
			return err
		}
	}
}

const (
	// saveFor bounds saving. A database that is down for a day has people at it who restart everything around it.
	saveFor = 24 * time.Hour
	// saveAgain is the wait before the second try to save: a lost connection is back at once.
	saveAgain = 20 * time.Millisecond
	// saveSlowly is the longest wait between tries: a database that restarts takes some seconds.
	saveSlowly = 2 * time.Second
)

// commit writes the answer over the generation it was asked for, or beside a newer one.
func (c *Custodian) commit(tx *sqldb.Tx, in intent, tokens provider.Tokens) error {
	g, err := store.GrantByID(tx, in.grant.ID, true)
	if err != nil {
		return err
	}
	defer tx.Notify(topic(g.ID))
	switch {
	case g.Committed == in.owner: // saved already: the answer to that COMMIT was lost
		return nil
	case g.Status == store.GrantDead:
		return c.revive(tx, g, in, tokens)
	case !g.Usable():
		return nil
	case g.Generation != in.grant.Generation || g.Attempt != in.grant.Attempt:
		return c.keepSpare(tx, g, tokens)
	}
	if err := c.Put(&g, tokens); err != nil {
		return err
	}
	g.Committed = in.owner
	_, err = store.UpdateGrant(tx, g, in.grant.Generation)
	return err
}

// revive takes back that a grant is dead: whoever found that did not know of this answer. That holds also when another
// answer to the same token was saved before: of the two the provider honoured this one.
func (c *Custodian) revive(tx *sqldb.Tx, g store.Grant, in intent, tokens provider.Tokens) error {
	before := g.Generation
	if err := c.Put(&g, tokens); err != nil {
		return err
	}
	g.Status, g.Reason, g.Committed = store.GrantActive, "", in.owner
	if _, err := store.UpdateGrant(tx, g, before); err != nil {
		return err
	}
	all, err := store.ConnectionsOfGrant(tx, g.ID)
	if err != nil {
		return err
	}
	for _, one := range all {
		if one.State != connection.NeedsReauth || one.Reason != withdrawn {
			continue
		}
		if err := store.SetState(tx, one, connection.Active, "", c.now()); err != nil {
			return err
		}
	}
	return nil
}

// keepSpare keeps the refresh token of an answer that came after another one was saved.
func (c *Custodian) keepSpare(tx *sqldb.Tx, g store.Grant, tokens provider.Tokens) error {
	sealed, key, err := c.vault.Seal([]byte(tokens.Refresh), g.Row("spare"))
	if err != nil {
		return err
	}
	g.Spare, g.SpareUntil = store.Sealed{Text: sealed, Key: key}, c.now().Add(spareLife)
	_, err = store.UpdateGrant(tx, g, g.Generation)
	return err
}

// spareLife is how long a spare is worth trying: as long as an unused token lives at the provider, 60 days, less a day.
const spareLife = 59 * 24 * time.Hour

// judge decides what a refused grant means.
func (c *Custodian) judge(ctx context.Context, in intent, refusal error) error {
	var verdict error
	err := c.db.Tx(ctx, func(tx *sqldb.Tx) error {
		verdict = nil
		g, err := store.GrantByID(tx, in.grant.ID, true)
		if err != nil {
			return err
		}
		defer tx.Notify(topic(g.ID))
		now := c.now()
		switch {
		case g.Generation != in.grant.Generation || g.Attempt != in.grant.Attempt || !g.Usable():
			return nil // renewed, or consented to anew, meanwhile: the refusal was of an older token
		case in.replayed && now.Sub(in.lost) < c.cfg.Grace+skew:
			verdict = provider.Errorf(provider.ErrUnavailable, "the provider does not accept the last token yet; it is tried again")
			return c.postpone(tx, g, in, false, now)
		case !g.Spare.Empty() && g.SpareUntil.After(now):
			return c.useSpare(tx, g)
		}
		verdict = fmt.Errorf("%w: %s", ErrDead, withdrawn)
		return c.bury(tx, g, now)
	})
	if err != nil {
		return err
	}
	if verdict != nil {
		c.logger.WarnContext(ctx, "the identity service refused a grant", "grant", in.grant.ID, "replayed", in.replayed, "error", refusal)
	}
	return verdict
}

// withdrawn is the reason of a connection whose grant is dead.
const withdrawn = "The provider no longer accepts the consent: it was withdrawn there, or not used for 60 days. " +
	"An administrator connects again; clients, links and settings stay as they are."

// bury marks a grant as dead and tells its connections.
func (c *Custodian) bury(tx *sqldb.Tx, g store.Grant, now time.Time) error {
	status := store.GrantDead
	if g.Status == store.GrantClosing {
		status = store.GrantClosed
	}
	g.Close(status, withdrawn)
	if _, err := store.UpdateGrant(tx, g, g.Generation); err != nil {
		return err
	}
	all, err := store.ConnectionsOfGrant(tx, g.ID)
	if err != nil {
		return err
	}
	for _, one := range all {
		if err := store.SetState(tx, one, connection.NeedsReauth, withdrawn, now); err != nil {
			return err
		}
	}
	return nil
}

// useSpare makes the spare the present refresh token.
func (c *Custodian) useSpare(tx *sqldb.Tx, g store.Grant) error {
	token, err := c.vault.Open(g.Spare.Text, g.Row("spare"))
	if err != nil {
		return err
	}
	sealed, key, err := c.vault.Seal(token, g.Row("refresh"))
	if err != nil {
		return err
	}
	before := g.Generation
	g.Refresh, g.Spare = store.Sealed{Text: sealed, Key: key}, store.Sealed{}
	g.Generation++
	g.LeaseOwner, g.LeaseUntil, g.Attempt, g.AttemptStarted = "", time.Time{}, "", time.Time{}
	_, err = store.UpdateGrant(tx, g, before)
	return err
}

// failed gives the lease back after a refresh that brought nothing. spent says that the token may be spent all the same;
// then, and when an earlier try left that open, the trace stays and the same token is spent again.
func (c *Custodian) failed(ctx context.Context, in intent, spent bool, why error) error {
	err := c.db.Tx(ctx, func(tx *sqldb.Tx) error {
		g, err := store.GrantByID(tx, in.grant.ID, true)
		if err != nil || g.Generation != in.grant.Generation || g.LeaseOwner != in.owner {
			return err
		}
		defer tx.Notify(topic(g.ID))
		return c.postpone(tx, g, in, spent, c.now())
	})
	return errors.Join(why, err)
}

// postpone gives the lease back until the next try. The trace is then as spent, or as the tries before, left it.
func (c *Custodian) postpone(tx *sqldb.Tx, g store.Grant, in intent, spent bool, now time.Time) error {
	g.LeaseOwner, g.LeaseUntil = "", time.Time{}
	switch {
	case spent: // the trace stays as the intent left it
	case in.replayed:
		g.AttemptStarted = in.lost
	default:
		g.Attempt, g.AttemptStarted = "", time.Time{}
	}
	g.RetryAt = now.Add(c.cfg.Retry << min(g.Failures, maxDoublings))
	g.Failures++
	_, err := store.UpdateGrant(tx, g, g.Generation)
	return err
}
