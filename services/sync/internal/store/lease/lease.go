// Package lease lets many workers, in many processes, share what there is to do in one database.
//
// A worker claims a piece of work for a while and keeps renewing that while it works. One that died renews nothing, and
// its work is taken over after the lease. One that only believes it has the lease finds out in its next transaction: the
// store compares the epoch that the claim gave it and answers ErrLost.
package lease

import (
	"context"
	"errors"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

var (
	// ErrIdle: there is nothing to do now.
	ErrIdle = errors.New("lease: nothing to do")
	// ErrLost: somebody else has the work now, or it is over; whatever was not committed is void.
	ErrLost = errors.New("lease: lost")
)

// Claim takes one piece of work in a transaction of its own. The error is ErrIdle when claim finds none, which it says
// with sqldb.ErrNotFound.
func Claim[W any](ctx context.Context, db *sqldb.DB, claim func(*sqldb.Tx) (W, error)) (work W, err error) {
	err = db.Tx(ctx, func(tx *sqldb.Tx) (err error) {
		work, err = claim(tx)
		return err
	}, sqldb.ReadCommitted)
	if errors.Is(err, sqldb.ErrNotFound) {
		err = ErrIdle
	}
	return work, err
}

// Keep renews a lease of the given length until stop is called, and cancels the context it returns when the lease is
// lost. Other errors of a renewal are borne: two may fail before the lease ends.
func Keep(
	ctx context.Context, db *sqldb.DB, now func() time.Time, length time.Duration, renew func(tx *sqldb.Tx, until time.Time) error,
) (kept context.Context, stop func()) {
	kept, cancel := context.WithCancel(ctx)
	go func() {
		tick := time.NewTicker(length / 3)
		defer tick.Stop()
		for {
			select {
			case <-kept.Done():
				return
			case <-tick.C:
			}
			err := db.Tx(kept, func(tx *sqldb.Tx) error { return renew(tx, now().Add(length)) }, sqldb.ReadCommitted)
			if errors.Is(err, ErrLost) {
				cancel()
				return
			}
		}
	}()
	return kept, cancel
}
