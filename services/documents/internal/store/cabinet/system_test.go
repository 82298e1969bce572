package cabinet_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/documents/internal/departure"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/signing"
	"github.com/concord-suite/concord/services/documents/internal/store"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
)

func (r *rig) abort(client, offboarding string) {
	r.t.Helper()
	require.NoError(r.t, r.tx(func(tx *sqldb.Tx) error { return r.c.AbortOffboarding(tx, r.firm, client, offboarding) }))
}

func TestAnOlderHistoryComesTooLate(t *testing.T) {
	each(t, func(r *rig) {
		client, folder := r.client("Late")
		r.file(folder, "a.txt")
		offboarding := newID()
		newer, err := r.fileFor(client, "k", offboarding, 7, "up to 7")
		require.NoError(r.t, err)
		require.EqualValues(r.t, 7, newer.Document.Revision)
		for _, revision := range []int64{6, 0} {
			late, err := r.fileFor(client, "k", offboarding, revision, "up to less")
			require.NoError(r.t, err)
			require.Equal(r.t, newer, late, "what is kept is answered")
		}
		require.Equal(r.t, newer.Document, r.document(newer.Document.ID))
		newest, err := r.fileFor(client, "k", offboarding, 8, "up to 8")
		require.NoError(r.t, err)
		require.Equal(r.t, newer.Document.ID, newest.Document.ID)
		require.NotEqual(r.t, newer.Document.SHA256, newest.Document.SHA256)
		same, err := r.fileFor(client, "k", offboarding, 9, "up to 8")
		require.NoError(r.t, err)
		require.EqualValues(r.t, 9, same.Document.Revision, "the same bytes may be newer")

		// Also after the client has left: the folder is what it became, and nothing moves.
		r.commit(client, offboarding)
		late, err := r.fileFor(client, "k", offboarding, 6, "up to 6")
		require.NoError(r.t, err)
		require.Equal(r.t, same.Document, late.Document)
		require.EqualValues(r.t, 2, r.folder(folder).Documents)
	})
}

func TestFilingSaysHowFarTheTrailHadCome(t *testing.T) {
	each(t, func(r *rig) {
		client, folder := r.client("Trail")
		r.file(folder, "a.txt")
		offboarding := newID()
		s, err := r.begin(client, offboarding, false)
		require.NoError(r.t, err)
		r.file(folder, "after the fence.txt")
		filed, err := r.fileFor(client, "k", offboarding, 1, "csv")
		require.NoError(r.t, err)
		require.Equal(r.t, s.Trail+1, filed.Trail)

		told := do(r, func(tx *sqldb.Tx) ([]cabinet.Told, error) { return r.c.TrailAfter(tx, r.firm, client, s.Trail, 10) })
		require.Len(r.t, told, 1)
		require.Equal(r.t, "documents.v1.document_filed", told[0].Subject)
		require.Equal(r.t, filed.Trail, told[0].Trail.GetSequence())
		require.Equal(r.t, `"after the fence.txt" filed`, told[0].Trail.GetSummary())
		require.Contains(r.t, told[0].Resource, "/documents/")
		told = do(r, func(tx *sqldb.Tx) ([]cabinet.Told, error) { return r.c.TrailAfter(tx, newID(), client, 0, 10) })
		require.Empty(r.t, told, "another firm's")
		told = do(r, func(tx *sqldb.Tx) ([]cabinet.Told, error) { return r.c.TrailAfter(tx, r.firm, client, 0, 1) })
		require.Len(r.t, told, 1, "no more than asked for")
	})
}

func TestWhatAnAbortedOffboardingFiledGoes(t *testing.T) {
	each(t, func(r *rig) {
		for _, held := range []bool{true, false} {
			client, folder := r.client("Stays")
			if held {
				r.file(folder, "a.txt")
			}
			earlier, aborted := newID(), newID()
			before, err := r.fileFor(client, earlier, earlier, 3, "of an earlier departure")
			require.NoError(r.t, err)
			_, err = r.begin(client, aborted, false)
			require.NoError(r.t, err)
			filed, err := r.fileFor(client, aborted, aborted, 5, "of this one")
			require.NoError(r.t, err)
			require.Equal(r.t, !held, filed.InRecords)
			where := r.folder(filed.Document.Folder)
			for range 2 {
				r.abort(client, aborted)
			}
			_, err = try(r, func(tx *sqldb.Tx) (filing.Document, error) { return store.DocumentOf(tx, r.firm, filed.Document.ID) })
			require.ErrorIs(r.t, err, filing.ErrNotFound)
			now := r.folder(where.ID)
			require.Equal(r.t, where.Documents-1, now.Documents)
			require.Equal(r.t, where.System-1, now.System)
			require.Equal(r.t, before.Document, r.document(before.Document.ID), "what another one filed stays")
			_, err = r.fileFor(client, aborted, aborted, 6, "late")
			require.ErrorIs(r.t, err, departure.ErrAborted)
			require.Equal(r.t, now, r.folder(where.ID), "and nothing comes in its place")
		}
	})
}

// What was sent to a contact is there as long as the contact may open and sign it.
func TestWhatWasSentStaysWhenItsOffboardingIsAborted(t *testing.T) {
	each(t, func(r *rig) {
		client, folder := r.client("Sent")
		r.file(folder, "a.txt")
		contact, offboarding := r.relate(client), newID()
		filed, err := r.fileFor(client, offboarding, offboarding, 1, "history") // its fence is on its way
		require.NoError(r.t, err)
		job := r.letter(client, contact, filed.Document.ID)
		where := r.folder(folder)
		r.abort(client, offboarding)
		require.Equal(r.t, where, r.folder(folder))
		require.True(r.t, r.document(filed.Document.ID).SignatureOpen)
		signed, err := r.answer(job.Requests[0].ID, contact, filed.Document.SHA256, true)
		require.NoError(r.t, err)
		require.Equal(r.t, signing.Signed, signed.State)
	})
}
