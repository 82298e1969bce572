// Package sweep takes away what nobody needs: documents whose recoverable period is over, tickets that ran out, and bytes
// that no document refers to.
//
// Nothing is taken because it is missing from a list. A blob is declared dead in the database, in one statement that also
// looks for documents that refer to it, and from then on no document can come to refer to it; only then its file goes. A
// listing that ends early, a database that does not answer, or a process that dies half-way therefore leaves too much
// behind, never too little, and the next sweep goes on.
package sweep

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
)

// Sweeper sweeps. Any number of processes may run one: they agree by a lock who does.
type Sweeper struct {
	DB      *sqldb.DB
	Blobs   blob.Store
	Cabinet *cabinet.Cabinet
	Now     func() time.Time
	Logger  *slog.Logger
	// Every is how often documents, tickets and bytes are looked at.
	Every time.Duration
	// Grace is for how long bytes are kept that nothing refers to. It is longer than any upload takes, and long enough for
	// a backup of the database and one of the bytes, made one after the other, to fit together.
	Grace time.Duration
	// Transfer is how long an upload may take; tickets are kept for that long.
	Transfer time.Duration

	listed time.Time
}

const (
	// batch bounds the rows of one transaction.
	batch = 500
	// listEvery is how often the storage is listed for files that no row knows. Only a crash makes them.
	listEvery = 24 * time.Hour
)

// Run sweeps until ctx ends.
func (s *Sweeper) Run(ctx context.Context) error {
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	for {
		if err := s.alone(ctx); err != nil && ctx.Err() == nil {
			s.Logger.WarnContext(ctx, "the sweep was not finished; the next one goes on", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// alone sweeps unless another process does.
func (s *Sweeper) alone(ctx context.Context) error {
	lock, err := s.DB.TryLock(ctx, "documents.sweep")
	if err != nil || lock == nil {
		return err
	}
	defer lock.Release()
	return s.Sweep(ctx)
}

// Sweep does one round.
func (s *Sweeper) Sweep(ctx context.Context) error {
	errs := []error{s.purge(ctx), s.forget(ctx), s.condemn(ctx)}
	if now := s.Now(); now.Sub(s.listed) >= listEvery {
		err := s.strays(ctx)
		if err == nil {
			s.listed = now
		}
		errs = append(errs, err, s.Blobs.Reclaim(ctx, now.Add(-s.Transfer)))
	}
	return errors.Join(append(errs, s.bury(ctx))...)
}

// purge destroys the documents of folders whose recoverable period is over.
func (s *Sweeper) purge(ctx context.Context) error {
	tried := map[string]bool{}
	for {
		var due []filing.Folder
		if err := s.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
			due, err = store.PurgeDue(tx, s.Now(), batch)
			return err
		}); err != nil {
			return err
		}
		again := len(due) == batch
		for _, f := range due {
			if tried[f.ID] {
				again = false // it is kept for a reason (an open signature); the next sweep asks again
				continue
			}
			tried[f.ID] = true
			done := false
			if err := s.DB.Tx(ctx, func(tx *sqldb.Tx) (err error) {
				done, err = s.Cabinet.PurgeFolder(tx, f.Firm, f.ID)
				return err
			}); err != nil {
				return err
			}
			if done {
				s.Logger.InfoContext(ctx, "documents destroyed after their recoverable period", "firm", f.Firm, "folder", f.ID, "documents", f.Documents)
			}
		}
		if !again {
			return nil
		}
	}
}

// forget drops tickets that ran out.
func (s *Sweeper) forget(ctx context.Context) error {
	return s.repeat(ctx, func(tx *sqldb.Tx) (int64, error) {
		return store.ForgetTransfers(tx, s.Now().Add(-s.Transfer), batch)
	})
}

// condemn declares dead what no document refers to.
func (s *Sweeper) condemn(ctx context.Context) error {
	return s.repeat(ctx, func(tx *sqldb.Tx) (int64, error) {
		return store.CondemnBlobs(tx, s.Now().Add(-s.Grace), batch)
	})
}

// repeat runs fn in transactions of their own until it finds less than a batch.
func (s *Sweeper) repeat(ctx context.Context, fn func(tx *sqldb.Tx) (int64, error)) error {
	for {
		var n int64
		if err := s.DB.Tx(ctx, func(tx *sqldb.Tx) (err error) {
			n, err = fn(tx)
			return err
		}, sqldb.ReadCommitted); err != nil {
			return err
		}
		if n < batch {
			return nil
		}
	}
}

// strays declares dead the files that no live row knows, when they are older than the grace.
func (s *Sweeper) strays(ctx context.Context) error {
	before := s.Now().Add(-s.Grace)
	var old []blob.Info
	err := s.Blobs.List(ctx, "", func(i blob.Info) error {
		if !i.ModTime.Before(before) {
			return nil
		}
		if old = append(old, i); len(old) < batch {
			return nil
		}
		err := s.judge(ctx, old)
		old = old[:0]
		return err
	})
	if err != nil {
		return err
	}
	return s.judge(ctx, old)
}

// judge removes those of the files that are strays.
func (s *Sweeper) judge(ctx context.Context, files []blob.Info) error {
	var strays []blob.Key
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		strays = nil
		live, err := store.LiveBlobs(tx, files)
		if err != nil {
			return err
		}
		for _, file := range files {
			if live[file.Key] {
				continue
			}
			stray, err := store.CondemnStray(tx, file, s.Now())
			if err != nil {
				return err
			}
			if stray {
				strays = append(strays, file.Key)
			}
		}
		return nil
	}, sqldb.ReadCommitted)
	if err != nil {
		return err // what was declared is taken back
	}
	for _, key := range strays {
		err = errors.Join(err, s.remove(ctx, key))
	}
	return err
}

// bury removes the files of what was declared dead.
func (s *Sweeper) bury(ctx context.Context) error {
	for {
		var dead []blob.Key
		if err := s.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
			dead, err = store.Condemned(tx, batch)
			return err
		}); err != nil {
			return err
		}
		for _, key := range dead {
			if err := s.remove(ctx, key); err != nil {
				return err
			}
		}
		if len(dead) < batch {
			return nil
		}
	}
}

// remove removes the file of a dead blob. Its row follows: a file without one would be found by the next listing.
func (s *Sweeper) remove(ctx context.Context, key blob.Key) error {
	if err := s.Blobs.Delete(ctx, key); err != nil {
		return err
	}
	return s.DB.Tx(ctx, func(tx *sqldb.Tx) error { return store.BuryBlob(tx, key) }, sqldb.ReadCommitted)
}
