package transfer

import (
	"context"
	"errors"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/store"
)

// settleTries bounds how often bytes look for a place. Each further try means that the sweep was removing the very same
// bytes at that moment, or that the answer to a commit was lost.
const settleTries = 4

// Settle makes staged bytes durable and then runs file in a transaction that refers to them by the key it is given. file
// is run again when the bytes had to take another place, or when nobody knows whether it was committed, so it answers the
// same when it was done before.
func Settle(ctx context.Context, db *sqldb.DB, staged blob.Staged, firm string, file func(tx *sqldb.Tx, key blob.Key) error) error {
	var err error
	for range settleTries {
		var key blob.Key
		if err = db.Read(ctx, func(tx *sqldb.Tx) (err error) {
			key, _, err = store.LiveBlob(tx, firm, staged.Sum())
			return err
		}); err != nil {
			return err
		}
		if _, err = staged.Commit(ctx, key); err != nil {
			return err
		}
		// Everything that matters is held by row locks, so others need not be repeated for this one's sake.
		err = db.Tx(ctx, func(tx *sqldb.Tx) error { return file(tx, key) }, sqldb.ReadCommitted)
		if !errors.Is(err, store.ErrBlobGoing) && !errors.Is(err, sqldb.ErrOutcomeUnknown) {
			return err
		}
	}
	return err
}
