package runner

import (
	"context"
	"errors"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/offboard"
	"github.com/concord-suite/concord/services/sync/internal/peer"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/lease"
)

// Checks takes the contacts that one batch of a sync left without a client, and decides what becomes of them by auth's own
// word: who has a login is released, who has none is removed. Auth gives nobody of them a login from before it is asked
// until that is decided, so that nobody is removed who is just getting one. It calls claimed once it has some, and
// returns lease.ErrIdle when there are none.
func (w *Worker) Checks(ctx context.Context, claimed func()) error {
	c, err := lease.Claim(ctx, w.DB, func(tx *sqldb.Tx) (store.LoginCheck, error) {
		return store.ClaimLoginCheck(tx, w.Owner, w.Now(), w.Lease)
	})
	if err != nil {
		return err
	}
	claimed()
	work, stop := w.keep(peer.InFirm(ctx, c.Firm, ""), func(tx *sqldb.Tx, until time.Time) error {
		return store.HoldLoginCheck(tx, c.ID, c.Epoch, until)
	})
	defer stop()
	cause := w.check(work, c)
	if cause == nil || errors.Is(cause, store.ErrLeaseLost) {
		return nil
	}
	next, attempts := w.Now(), c.Attempts
	if ctx.Err() == nil {
		attempts++
		next = offboard.RetryAt(next, attempts) // as an off-boarding, it never gives up
		w.Log.Warn("contacts without clients wait for auth", "check", c.ID, "contacts", len(c.Contacts), "error", cause)
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), letGoWait)
	defer cancel()
	return w.DB.Tx(bounded, func(tx *sqldb.Tx) error {
		return store.ReleaseLoginCheck(tx, c.ID, c.Epoch, next, attempts)
	}, sqldb.ReadCommitted)
}

func (w *Worker) check(ctx context.Context, c store.LoginCheck) error {
	firm := "firms/" + c.Firm
	if !c.Settled {
		contacts := make([]string, len(c.Contacts))
		for i, id := range c.Contacts {
			contacts[i] = store.Name(c.Firm, "contacts", id)
		}
		logins, err := w.Peers.Fence(ctx, firm, c.ID, contacts)
		if err != nil {
			return err
		}
		has := make(map[string]bool, len(logins))
		for _, name := range logins {
			has[name] = true
		}
		if err := w.DB.Tx(ctx, func(tx *sqldb.Tx) error { return w.part(tx, c, has) }, sqldb.ReadCommitted); err != nil {
			return err
		}
	}
	if err := w.Peers.Lift(ctx, firm, c.ID); err != nil {
		return err
	}
	return w.DB.Tx(ctx, func(tx *sqldb.Tx) error { return store.EndLoginCheck(tx, c.ID, c.Epoch) }, sqldb.ReadCommitted)
}

// part gives the contacts that still have no client the state that follows from whether they have a login. What they
// relate to, nobody any more, was told when they lost their last client.
func (w *Worker) part(tx *sqldb.Tx, c store.LoginCheck, logins map[string]bool) error {
	if err := store.HoldLoginCheck(tx, c.ID, c.Epoch, w.Now().Add(w.Lease)); err != nil {
		return err
	}
	locked, err := store.LockContacts(tx, c.Contacts)
	if err != nil {
		return err
	}
	counts, err := store.ClientsCounted(tx, c.Contacts, "")
	if err != nil {
		return err
	}
	var released, removed []string
	for _, id := range c.Contacts {
		if locked[id].State != client.Active {
			continue
		}
		switch offboard.FateOf(logins[store.Name(c.Firm, "contacts", id)], counts[id]) {
		case offboard.ReleasedFate:
			released = append(released, id)
		case offboard.RemovedFate:
			removed = append(removed, id)
		}
	}
	if err := store.SetContactState(tx, c.Firm, released, client.Released, w.Now()); err != nil {
		return err
	}
	if err := store.SetContactState(tx, c.Firm, removed, client.Removed, w.Now()); err != nil {
		return err
	}
	return store.SettleLoginCheck(tx, c.ID)
}
