package sweep_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
	"github.com/concord-suite/concord/services/documents/internal/sweep"
	"github.com/concord-suite/concord/services/documents/internal/transfer"
)

// rig is a firm with documents in a real store, and a sweeper.
type rig struct {
	t     *testing.T
	db    *sqldb.DB
	root  string
	blobs *faulty
	c     *cabinet.Cabinet
	s     *sweep.Sweeper
	firm  string
	lead  atomic.Int64
}

// faulty is a store that can fail.
type faulty struct {
	blob.Store
	listing, deleting atomic.Bool
}

var errFaulty = errors.New("injected by the test")

// List fails after the first file when told to.
func (f *faulty) List(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	return f.Store.List(ctx, prefix, func(i blob.Info) error {
		if err := fn(i); err != nil {
			return err
		}
		if f.listing.Load() {
			return errFaulty
		}
		return nil
	})
}

// Delete fails when told to.
func (f *faulty) Delete(ctx context.Context, key blob.Key) error {
	if f.deleting.Load() {
		return errFaulty
	}
	return f.Store.Delete(ctx, key)
}

func each(t *testing.T, fn func(r *rig)) {
	sqldbtest.Each(t, sqldb.Join(events.Schema, store.Migrations), func(t *testing.T, db *sqldb.DB) {
		r := &rig{t: t, db: db, root: t.TempDir(), firm: uuid.Must(uuid.NewV7()).String()}
		local, err := blob.OpenLocal(r.root)
		require.NoError(t, err)
		r.blobs = &faulty{Store: local}
		r.c = cabinet.New(r.now, 30*24*time.Hour)
		r.s = &sweep.Sweeper{DB: db, Blobs: r.blobs, Cabinet: r.c, Now: r.now, Logger: slog.New(slog.DiscardHandler),
			Every: time.Second, Grace: 14 * 24 * time.Hour, Transfer: 24 * time.Hour}
		fn(r)
	})
}

func (r *rig) now() time.Time { return time.Now().Add(time.Duration(r.lead.Load())) }

func (r *rig) wait(d time.Duration) { r.lead.Add(int64(d)) }

func (r *rig) tx(fn func(tx *sqldb.Tx) error) {
	r.t.Helper()
	require.NoError(r.t, r.db.Tx(context.Background(), fn))
}

func (r *rig) folder() (id string) {
	r.t.Helper()
	r.tx(func(tx *sqldb.Tx) error {
		f, err := r.c.CreateFolder(tx, r.firm, uuid.NewString())
		id = f.ID
		return err
	})
	return id
}

// file uploads content the way the handler does.
func (r *rig) file(folder, content string) (d filing.Document, err error) {
	u := filing.Upload{ID: uuid.Must(uuid.NewV7()).String(), Firm: r.firm, Folder: folder, DisplayName: "x", Created: r.now(), Expires: r.now().Add(time.Hour)}
	if err := r.db.Tx(context.Background(), func(tx *sqldb.Tx) error { return store.AddUpload(tx, u) }); err != nil {
		return d, err
	}
	staged, err := r.blobs.Stage(context.Background(), blob.Unknown)
	if err != nil {
		return d, err
	}
	defer staged.Discard()
	if _, err := io.WriteString(staged, content); err != nil {
		return d, err
	}
	err = transfer.Settle(context.Background(), r.db, staged, r.firm, func(tx *sqldb.Tx, key blob.Key) error {
		d, err = r.c.FileUpload(tx, u.ID, cabinet.Arrived{Key: key, Size: staged.Size()})
		return err
	})
	return d, err
}

func (r *rig) mustFile(folder, content string) filing.Document {
	r.t.Helper()
	d, err := r.file(folder, content)
	require.NoError(r.t, err)
	return d
}

// read opens a document's bytes.
func (r *rig) read(d filing.Document) (string, error) {
	var key blob.Key
	if err := r.db.Read(context.Background(), func(tx *sqldb.Tx) (err error) {
		var size int64
		if key, size, err = store.LiveBlob(tx, d.Firm, d.SHA256); err == nil && size < 0 {
			err = filing.ErrNotFound
		}
		return err
	}); err != nil {
		return "", err
	}
	o, err := r.blobs.Open(context.Background(), key)
	if err != nil {
		return "", err
	}
	defer o.Close()
	got, err := io.ReadAll(o)
	return string(got), err
}

// destroy deletes a folder and destroys its documents.
func (r *rig) destroy(folder string, documents int64) {
	r.t.Helper()
	r.tx(func(tx *sqldb.Tx) error {
		_, err := r.c.DeleteFolder(tx, r.firm, folder, documents, "test")
		return err
	})
	r.wait(31 * 24 * time.Hour)
	r.sweep()
}

func (r *rig) sweep() {
	r.t.Helper()
	require.NoError(r.t, r.s.Sweep(context.Background()))
}

func (r *rig) files() (n int) {
	r.t.Helper()
	require.NoError(r.t, r.blobs.Store.List(context.Background(), "", func(blob.Info) error {
		n++
		return nil
	}))
	return n
}

func TestBytesOfDestroyedDocumentsGoAfterTheGrace(t *testing.T) {
	each(t, func(r *rig) {
		kept, gone := r.folder(), r.folder()
		a := r.mustFile(kept, "shared")
		r.mustFile(gone, "shared")
		b := r.mustFile(gone, "alone")
		require.Equal(r.t, 2, r.files())
		r.destroy(gone, 2)
		_, err := r.read(b)
		require.NoError(r.t, err, "the bytes stay through the grace")
		r.wait(15 * 24 * time.Hour)
		r.sweep()
		require.Equal(r.t, 1, r.files())
		_, err = r.read(b)
		require.ErrorIs(r.t, err, filing.ErrNotFound)
		got, err := r.read(a)
		require.NoError(r.t, err)
		require.Equal(r.t, "shared", got)
		r.mustFile(kept, "alone")
		require.Equal(r.t, 2, r.files(), "the same bytes may come again")
		r.sweep()
		require.Equal(r.t, 2, r.files())
	})
}

func TestStraysGoAndNothingElse(t *testing.T) {
	each(t, func(r *rig) {
		folder := r.folder()
		d := r.mustFile(folder, "used")
		staged, err := r.blobs.Stage(context.Background(), blob.Unknown)
		require.NoError(r.t, err)
		defer staged.Discard()
		_, _ = io.WriteString(staged, "never filed")
		sum := sha256.Sum256([]byte("never filed"))
		_, err = staged.Commit(context.Background(), blob.Key{Firm: r.firm, SHA256: blob.Sum(sum[:]), Generation: 1})
		require.NoError(r.t, err)
		require.NoError(r.t, os.WriteFile(r.root+"/README", []byte("somebody's"), 0o600))
		r.sweep()
		require.Equal(r.t, 2, r.files(), "too young: its upload may be on its way")
		r.wait(15 * 24 * time.Hour)
		r.blobs.listing.Store(true)
		require.ErrorIs(r.t, r.s.Sweep(context.Background()), errFaulty)
		r.blobs.listing.Store(false)
		r.blobs.deleting.Store(true)
		require.ErrorIs(r.t, r.s.Sweep(context.Background()), errFaulty, "a failing storage is asked again")
		r.blobs.deleting.Store(false)
		r.sweep()
		require.Equal(r.t, 1, r.files())
		got, err := r.read(d)
		require.NoError(r.t, err)
		require.Equal(r.t, "used", got)
		_, err = os.Stat(r.root + "/README")
		require.NoError(r.t, err)
	})
}

// A listing that ends early, at every place it can, never costs a document.
func TestAListingThatFailsCostsNoDocument(t *testing.T) {
	each(t, func(r *rig) {
		folder := r.folder()
		var all []filing.Document
		for i := range 20 {
			all = append(all, r.mustFile(folder, fmt.Sprint("document ", i)))
		}
		r.wait(20 * 24 * time.Hour)
		r.blobs.listing.Store(true)
		for range 3 {
			require.Error(r.t, r.s.Sweep(context.Background()))
		}
		for _, d := range all {
			_, err := r.read(d)
			require.NoError(r.t, err)
		}
	})
}

func TestTicketsThatRanOutAreForgotten(t *testing.T) {
	each(t, func(r *rig) {
		folder := r.folder()
		r.mustFile(folder, "done")
		count := func() (n int) {
			require.NoError(r.t, r.db.QueryRow(context.Background(), `SELECT count(*) FROM uploads`).Scan(&n))
			return n
		}
		r.wait(24 * time.Hour)
		r.sweep()
		require.Equal(r.t, 1, count(), "an upload that began at the last moment may still be under way")
		r.wait(2 * time.Hour)
		r.sweep()
		require.Zero(r.t, count())
	})
}

// The same few contents are filed, destroyed, swept and filed again at the same time, without any grace. A document that
// was filed has its bytes for as long as it is there.
func TestSweepingAgainstFiling(t *testing.T) {
	each(t, func(r *rig) {
		r.s.Grace = -time.Minute // everything is old enough
		r.s.Transfer = 10_000 * time.Hour
		var wg sync.WaitGroup
		stop := make(chan struct{})
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := r.s.Sweep(context.Background()); err != nil && !errors.Is(err, sqldb.ErrBusy) {
					r.t.Error(err)
					return
				}
				r.wait(25 * time.Hour) // each round lists the storage
			}
		})
		var filers sync.WaitGroup
		for worker := range 4 {
			filers.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(worker)))
				for range 12 {
					folder := r.folder()
					content := fmt.Sprint("content ", random.IntN(3))
					d, err := r.file(folder, content)
					for errors.Is(err, store.ErrBlobGoing) { // nobody sweeps this fast; the sender would try again
						d, err = r.file(folder, content)
					}
					if err != nil {
						r.t.Error(err)
						return
					}
					if got, err := r.read(d); err != nil || got != content {
						r.t.Errorf("a filed document has no bytes: %v", err)
						return
					}
					r.tx(func(tx *sqldb.Tx) error { return store.DestroyDocuments(tx, r.firm, folder, sqldb.Micros(r.now())) })
				}
			})
		}
		filers.Wait()
		close(stop)
		wg.Wait()
	})
}
