package rotation

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
)

// Worker keeps the rows of one process's database under the present key. Make one with NewWorker and Run it.
type Worker struct {
	book   Book
	vault  *vault.Vault
	logger *slog.Logger
	name   string // of this process, for people and unique

	unreadable int // rows, when it was last told
}

// NewWorker makes a worker.
func NewWorker(b Book, v *vault.Vault, logger *slog.Logger) *Worker {
	return &Worker{book: b, vault: v, logger: logger, name: processName()}
}

// breath is the pause after a batch, in which others write.
const breath = 5 * time.Millisecond

// Run follows the keyring file, says which keys the process has and seals anew what is under an old one, until ctx ends.
func (w *Worker) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return w.vault.Follow(ctx, w.logger) })
	group.Go(func() error { return w.work(ctx) })
	return group.Wait()
}

func (w *Worker) work(ctx context.Context) error {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	defer w.leave(ctx)
	for {
		changed := w.vault.Changed() // before looking: a change meanwhile is not missed
		err := w.book.DB.Tx(ctx, func(tx *sqldb.Tx) error { return beat(tx, w.name, w.vault.Keys()) }, sqldb.ReadCommitted)
		if err == nil {
			err = w.reseal(ctx)
		}
		if err != nil && ctx.Err() == nil {
			w.logger.WarnContext(ctx, "secrets could not be sealed anew; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-tick.C:
		}
	}
}

// leave says that the process ends, so that nobody waits for it. Who is killed is missed after a while.
func (w *Worker) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := w.book.DB.Tx(ctx, func(tx *sqldb.Tx) error { return leave(tx, w.name) }, sqldb.ReadCommitted); err != nil {
		w.logger.WarnContext(ctx, "the end of this process could not be told", "error", err)
	}
}

func (w *Worker) reseal(ctx context.Context) error {
	pause := time.NewTimer(breath)
	defer pause.Stop()
	last := time.NewTicker(beatEvery)
	defer last.Stop()
	all, err := w.book.Reseal(ctx, w.vault, func(Secret, Progress) error {
		pause.Reset(breath)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-last.C: // a long pass must not look like an end
			return w.book.DB.Tx(ctx, func(tx *sqldb.Tx) error { return beat(tx, w.name, w.vault.Keys()) }, sqldb.ReadCommitted)
		case <-pause.C:
			return nil
		}
	})
	if all.Resealed > 0 {
		w.logger.InfoContext(ctx, "secrets were sealed anew", "rows", all.Resealed, "key", w.vault.SealingKey())
	}
	if all.Unreadable > 0 && all.Unreadable != w.unreadable {
		w.logger.ErrorContext(ctx, "secrets do not open with the key they name", "rows", all.Unreadable)
	}
	w.unreadable = all.Unreadable
	return err
}
