package cabinet_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	documentseventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/departure"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/signing"
	"github.com/concord-suite/concord/services/documents/internal/store"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
)

func (r *rig) arrive(upload, content string) (filing.Document, error) {
	return try(r, func(tx *sqldb.Tx) (filing.Document, error) { return r.c.FileUpload(tx, upload, r.arrived(content)) })
}

func TestAnUploadLandsWhereverItsFolderWent(t *testing.T) {
	each(t, func(r *rig) {
		r.grant(true)
		// The client left meanwhile, its folder held something.
		client, folder := r.client("Left")
		r.file(folder, "a.txt")
		upload := r.upload(folder, "late.txt")
		r.commit(client, newID())
		d, err := r.arrive(upload, "late")
		require.NoError(r.t, err)
		require.Equal(r.t, folder, d.Folder)
		require.EqualValues(r.t, 2, r.folder(folder).Documents)

		// The orphaned folder was archived meanwhile.
		upload = r.upload(folder, "later.txt")
		_, err = r.delete(folder, 2)
		require.NoError(r.t, err)
		d, err = r.arrive(upload, "later")
		require.NoError(r.t, err)
		require.Equal(r.t, filing.Archived, d.Where)
		require.EqualValues(r.t, 3, r.folder(folder).Documents)

		// The client left meanwhile and its folder was removed, since it was empty.
		client, folder = r.client("Empty")
		upload = r.upload(folder, "first.txt")
		offboarding := newID()
		require.True(r.t, r.commit(client, offboarding).Removed)
		d, err = r.arrive(upload, "first")
		require.NoError(r.t, err)
		require.Equal(r.t, folder, d.Folder)
		f := r.folder(folder)
		require.Equal(r.t, filing.Active, f.State)
		require.Equal(r.t, filing.Orphaned, f.Kind)
		orphaned := told[*documentseventsv1.FolderOrphaned](r)
		require.False(r.t, orphaned[len(orphaned)-1].GetRemoved())
		require.EqualValues(r.t, 1, orphaned[len(orphaned)-1].GetDocumentCount())
		require.Equal(r.t, cabinet.Left{Folder: folder, Documents: 1}, r.commit(client, offboarding), "the saga hears the truth")

		// The folder was deleted meanwhile, without an archive.
		r.grant(false)
		folder = r.business("Deleted")
		upload = r.upload(folder, "x.txt")
		_, err = r.delete(folder, 0)
		require.NoError(r.t, err)
		d, err = r.arrive(upload, "x")
		require.NoError(r.t, err)
		require.Equal(r.t, filing.Deleted, d.Where)
		// And destroyed.
		upload = r.upload(folder, "y.txt")
		r.wait(31 * 24 * time.Hour)
		require.True(r.t, do(r, func(tx *sqldb.Tx) (bool, error) { return r.c.PurgeFolder(tx, r.firm, folder) }))
		_, err = r.arrive(upload, "y")
		require.ErrorIs(r.t, err, filing.ErrNotReceiving)
	})
}

func TestAnUploadIsFiledOnce(t *testing.T) {
	each(t, func(r *rig) {
		folder := r.business("Once")
		upload := r.upload(folder, "a.txt")
		first, err := r.arrive(upload, "bytes")
		require.NoError(r.t, err)
		again, err := r.arrive(upload, "bytes")
		require.NoError(r.t, err, "an answer that was lost is given again")
		require.Equal(r.t, first, again)
		_, err = r.arrive(upload, "other bytes")
		require.ErrorIs(r.t, err, cabinet.ErrUploadEnded)
		_, err = r.arrive(newID(), "bytes")
		require.ErrorIs(r.t, err, cabinet.ErrUploadEnded)
		require.EqualValues(r.t, 1, r.folder(folder).Documents)
		require.Len(r.t, told[*documentseventsv1.DocumentFiled](r), 1)
	})
}

// The answer to a commit is lost, or the commit is: the client tries again and there is one document.
func TestFilingWithALostCommit(t *testing.T) {
	sqldbtest.EachURL(t, func(t *testing.T, url string) {
		faults := sqldbtest.NewFaults()
		db := sqldbtest.Open(t, url, migrations, faults.Option())
		for name, hurt := range map[string]func(){
			"lost":          func() { faults.FailCommit(1) },
			"done, no word": func() { faults.CommitThenFail(1) },
		} {
			r := newRig(t, db)
			folder := r.business("Lost")
			upload := r.upload(folder, "a.txt")
			hurt()
			_, err := r.arrive(upload, "bytes")
			require.ErrorIs(t, err, sqldb.ErrOutcomeUnknown, name)
			d, err := r.arrive(upload, "bytes")
			require.NoError(t, err, name)
			require.Equal(t, upload, d.ID)
			require.EqualValues(t, 1, r.folder(folder).Documents, name)
			require.Len(t, told[*documentseventsv1.DocumentFiled](r), 1, name)
		}
	})
}

// A fence, an email job and an upload at the same moment: whoever comes first, no job is left behind a fence.
func TestBeginAgainstJobsAndUploads(t *testing.T) {
	each(t, func(r *rig) {
		for round := range 20 {
			client, folder := r.client(fmt.Sprintf("Race %d", round))
			contact := r.relate(client)
			d := r.file(folder, "a.txt")
			upload, offboarding := r.upload(folder, "b.txt"), newID()
			var wg sync.WaitGroup
			var fenced cabinet.Standing
			var beginErr, sendErr, fileErr error
			wg.Go(func() { fenced, beginErr = r.begin(client, offboarding, false) })
			wg.Go(func() {
				sendErr = onlyErr(try(r, func(tx *sqldb.Tx) (signing.Job, error) {
					return r.c.SendLetter(tx, cabinet.Letter{Firm: r.firm, Client: client, Subject: "x", Documents: []string{d.ID},
						ForSignature: []string{d.ID}, Recipients: []string{contact}, SentBy: actor})
				}))
			})
			wg.Go(func() { _, fileErr = r.arrive(upload, "b") })
			wg.Wait()
			require.NoError(r.t, beginErr)
			require.NoError(r.t, fileErr)
			switch stands := r.clientRow(client).Fence == offboarding; {
			case stands:
				require.Empty(r.t, fenced.Holdings)
				require.ErrorIs(r.t, sendErr, departure.ErrFenced)
			default:
				require.Len(r.t, fenced.Holdings, 1)
				require.NoError(r.t, sendErr)
			}
			places := r.trails(client)
			for i, place := range places {
				require.EqualValues(r.t, i+1, place)
			}
		}
	})
}

func TestManyUploadsIntoOneFolder(t *testing.T) {
	each(t, func(r *rig) {
		client, folder := r.client("Many")
		const n = 24
		var wg sync.WaitGroup
		for i := range n {
			upload := r.upload(folder, fmt.Sprintf("%d.txt", i))
			wg.Go(func() {
				if _, err := r.arrive(upload, fmt.Sprint(i%5)); err != nil {
					r.t.Error(err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(r.t, n, r.folder(folder).Documents)
		require.Len(r.t, r.trails(client), n)
	})
}

// Bytes that are being removed are not referred to; the next generation is.
func TestBytesThatAreBeingRemoved(t *testing.T) {
	each(t, func(r *rig) {
		folder := r.business("Blobs")
		d := r.file(folder, "same bytes")
		condemn := func() int64 {
			return do(r, func(tx *sqldb.Tx) (int64, error) { return store.CondemnBlobs(tx, r.now().Add(-time.Hour), 10) })
		}
		r.wait(2 * time.Hour)
		require.Zero(r.t, condemn(), "a document refers to them")
		_, err := r.delete(folder, 1)
		require.NoError(r.t, err)
		r.wait(31 * 24 * time.Hour)
		do(r, func(tx *sqldb.Tx) (bool, error) { return r.c.PurgeFolder(tx, r.firm, folder) })
		require.Zero(r.t, condemn(), "the grace begins when they are let go")
		r.wait(2 * time.Hour)
		require.EqualValues(r.t, 1, condemn())

		folder = r.business("Again")
		upload := r.upload(folder, "again.txt")
		arrived := r.arrived("same bytes")
		_, err = try(r, func(tx *sqldb.Tx) (filing.Document, error) { return r.c.FileUpload(tx, upload, arrived) })
		require.ErrorIs(r.t, err, store.ErrBlobGoing)
		key := do(r, func(tx *sqldb.Tx) (key blob.Key, err error) {
			key, _, err = store.LiveBlob(tx, r.firm, d.SHA256)
			return key, err
		})
		require.EqualValues(r.t, 2, key.Generation)
		arrived.Key = key
		_, err = try(r, func(tx *sqldb.Tx) (filing.Document, error) { return r.c.FileUpload(tx, upload, arrived) })
		require.NoError(r.t, err)
		old := key
		old.Generation = 1
		require.NoError(r.t, r.tx(func(tx *sqldb.Tx) error { return store.BuryBlob(tx, old) }))
		require.Equal(r.t, key, do(r, func(tx *sqldb.Tx) (blob.Key, error) {
			live, _, err := store.LiveBlob(tx, r.firm, d.SHA256)
			return live, err
		}), "the old one's burial does not touch the new")
	})
}

func TestStrayFilesAndUploadsUnderWay(t *testing.T) {
	each(t, func(r *rig) {
		stray := func(key blob.Key) bool {
			return do(r, func(tx *sqldb.Tx) (bool, error) { return store.CondemnStray(tx, blob.Info{Key: key, Size: 5}, r.now()) })
		}
		use := func(key blob.Key) error {
			return r.tx(func(tx *sqldb.Tx) error { return store.UseBlob(tx, key, 5, r.now()) })
		}
		first := r.arrived("stray").Key
		second, third := first, first
		second.Generation, third.Generation = 2, 3
		require.True(r.t, stray(first), "no row knows it")
		require.ErrorIs(r.t, use(first), store.ErrBlobGoing, "too late for the upload that had just put it")
		require.NoError(r.t, use(second))
		require.False(r.t, stray(second), "it is in use")
		require.False(r.t, stray(third), "an upload may be about to use it")
		require.True(r.t, stray(first), "a generation that is over is never used again")
		require.ErrorIs(r.t, use(first), store.ErrBlobGoing)
	})
}

func archiveFolder(b *testing.B, documents int) {
	for _, engine := range sqldbtest.Engines() {
		b.Run(string(engine), func(b *testing.B) {
			r := newRig(b, sqldbtest.Open(b, sqldbtest.URL(b, engine), migrations))
			r.grant(true)
			client, folder := r.client("Big")
			d := r.file(folder, "first.txt")
			require.NoError(b, r.tx(func(tx *sqldb.Tx) error {
				for i := range documents - 1 {
					d.ID, d.DisplayName = newID(), fmt.Sprintf("document %d.pdf", i)
					if err := store.AddDocument(tx, d); err != nil {
						return err
					}
				}
				return store.CountFolder(tx, r.firm, folder, int64(documents-1), 0)
			}))
			r.commit(client, newID())
			b.ResetTimer()
			for b.Loop() {
				if _, err := r.delete(folder, int64(documents)); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if _, err := try(r, func(tx *sqldb.Tx) (filing.Folder, error) { return r.c.RestoreFolder(tx, r.firm, folder) }); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
