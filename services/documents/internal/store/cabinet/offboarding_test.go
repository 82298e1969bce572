package cabinet_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	documentseventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/departure"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/signing"
	"github.com/concord-suite/concord/services/documents/internal/store"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
)

func TestAClientLeavesAndComesBack(t *testing.T) {
	each(t, func(r *rig) {
		client, folder := r.client("Leaver")
		d := r.file(folder, "a.txt")
		offboarding := newID()
		s, err := r.begin(client, offboarding, false)
		require.NoError(r.t, err)
		require.Empty(r.t, s.Holdings)
		require.Equal(r.t, folder, s.Folder)
		require.EqualValues(r.t, 1, s.Documents)
		require.EqualValues(r.t, 1, s.Trail, "one document was filed")

		for range 3 {
			left := r.commit(client, offboarding)
			require.Equal(r.t, cabinet.Left{Folder: folder, Documents: 1}, left)
		}
		f := r.folder(folder)
		require.Equal(r.t, filing.Orphaned, f.Kind)
		require.Equal(r.t, "green", f.Color())
		require.Equal(r.t, departure.Departed, r.clientRow(client).State)
		require.Len(r.t, told[*documentseventsv1.FolderOrphaned](r), 1)

		for range 3 {
			back := r.reverse(client, offboarding, "Leaver & Son")
			require.Equal(r.t, folder, back.Folder)
			require.EqualValues(r.t, 1, back.Documents)
			require.Empty(r.t, back.Missing)
		}
		f = r.folder(folder)
		require.Equal(r.t, filing.Client, f.Kind)
		require.Equal(r.t, "Leaver & Son", f.DisplayName)
		require.Equal(r.t, d.SHA256, r.document(d.ID).SHA256)
		require.Equal(r.t, departure.Listed, r.clientRow(client).State)
		require.Len(r.t, told[*documentseventsv1.FolderRestored](r), 1)
		require.Equal(r.t, cabinet.Left{Folder: folder, Documents: 1}, r.commit(client, offboarding), "an old commit changes nothing")
		require.Equal(r.t, departure.Listed, r.clientRow(client).State)
	})
}

func TestAnEmptyFolderGoesAndComesBack(t *testing.T) {
	each(t, func(r *rig) {
		client, folder := r.client("Empty")
		offboarding := newID()
		left := r.commit(client, offboarding)
		require.Equal(r.t, cabinet.Left{Folder: folder, Removed: true}, left)
		require.Equal(r.t, filing.Removed, r.folder(folder).State)
		_, other := r.client("Empty")
		require.Equal(r.t, "Empty", r.folder(other).DisplayName, "the name is free")
		require.Equal(r.t, folder, r.reverse(client, offboarding, "").Folder)
		require.Equal(r.t, filing.Active, r.folder(folder).State)
		require.Contains(r.t, r.folder(folder).DisplayName, "Empty (")
	})
}

func TestTheHistoryAloneDoesNotKeepAFolder(t *testing.T) {
	each(t, func(r *rig) {
		client, folder := r.client("Quiet")
		d, in := r.system(client, "history/1", "csv")
		require.True(r.t, in, "the folder holds nothing else")
		require.NotEqual(r.t, folder, d.Folder)
		require.Equal(r.t, cabinet.Records, r.folder(d.Folder).DisplayName)
		require.Equal(r.t, filing.System, d.FiledBy)
		require.True(r.t, r.commit(client, newID()).Removed)
		require.Equal(r.t, d.Folder, r.document(d.ID).Folder)

		// A history that lies in the client's folder from an earlier departure goes along to the records.
		client, folder = r.client("Second time")
		moved, in := r.system(client, "history/1", "csv 1")
		require.True(r.t, in)
		one := r.document(moved.ID)
		require.NoError(r.t, r.tx(func(tx *sqldb.Tx) error {
			one.Folder = folder
			if err := store.CountFolder(tx, r.firm, moved.Folder, -1, -1); err != nil {
				return err
			}
			if err := store.CountFolder(tx, r.firm, folder, 1, 1); err != nil {
				return err
			}
			return store.SaveDocument(tx, one)
		}))
		require.True(r.t, r.commit(client, newID()).Removed)
		require.Equal(r.t, d.Folder, r.document(moved.ID).Folder)
		require.EqualValues(r.t, 2, r.folder(d.Folder).Documents)
		require.Zero(r.t, r.folder(folder).Documents)
	})
}

func TestFilingAKeyAgain(t *testing.T) {
	each(t, func(r *rig) {
		client, folder := r.client("Busy")
		r.file(folder, "a.txt")
		trail := r.clientRow(client).Trail
		first, in := r.system(client, "history/1", "one")
		require.False(r.t, in)
		require.Equal(r.t, folder, first.Folder)
		again, _ := r.system(client, "history/1", "one")
		require.Equal(r.t, first, again)
		second, _ := r.system(client, "history/1", "one and two")
		require.Equal(r.t, first.ID, second.ID)
		require.NotEqual(r.t, first.SHA256, second.SHA256)
		other, _ := r.system(client, "history/2", "one")
		require.NotEqual(r.t, first.ID, other.ID)
		f := r.folder(folder)
		require.EqualValues(r.t, 3, f.Documents)
		require.EqualValues(r.t, 2, f.System)
		require.Equal(r.t, trail, r.clientRow(client).Trail, "filing the history does not move it")

		// Filed among the records, then the client got a document: filed again it belongs to the client's folder.
		client, folder = r.client("Late")
		early, in := r.system(client, "history/1", "early")
		require.True(r.t, in)
		r.file(folder, "late.txt")
		late, in := r.system(client, "history/1", "early")
		require.False(r.t, in)
		require.Equal(r.t, early.ID, late.ID)
		require.Equal(r.t, folder, late.Folder)
		require.Zero(r.t, r.folder(early.Folder).Documents)
	})
}

func TestOpenSignaturesBlock(t *testing.T) {
	each(t, func(r *rig) {
		client, folder := r.client("Signer")
		contact := r.relate(client)
		job := r.letter(client, contact, r.file(folder, "a.txt").ID, r.file(folder, "b.txt").ID)
		require.EqualValues(r.t, 1, job.Number)
		offboarding := newID()
		s, err := r.begin(client, offboarding, false)
		require.NoError(r.t, err)
		require.Equal(r.t, []signing.Holding{{Job: job.ID, Number: 1, Documents: 2}}, s.Holdings)
		require.Equal(r.t, "email job 1 holds 2 documents for signature", s.Holdings[0].Sentence())
		require.Empty(r.t, r.clientRow(client).Fence, "with blockers there is no fence")
		r.letter(client, contact, job.Documents[0])

		s, err = r.begin(client, offboarding, true)
		require.NoError(r.t, err)
		require.Empty(r.t, s.Holdings)
		require.Equal(r.t, offboarding, r.clientRow(client).Fence)
		require.Equal(r.t, r.clientRow(client).Trail, s.Trail)
		completed := told[*documentseventsv1.SignatureCompleted](r)
		require.Len(r.t, completed, 3, "each withdrawn request is told")
		require.Zero(r.t, completed[2].GetOpenForClient())
		require.Contains(r.t, completed[0].GetTrail().GetSummary(), "left the country")
		request := do(r, func(tx *sqldb.Tx) (signing.Request, error) { return store.RequestOf(tx, r.firm, job.Requests[0].ID) })
		require.Equal(r.t, signing.Withdrawn, request.State)
		require.Equal(r.t, "left the country", request.Reason)
	})
}

// A begin that was on its way when its saga was cancelled must not put up a fence that nobody will lift.
func TestWhatWasAbortedNeverBegins(t *testing.T) {
	each(t, func(r *rig) {
		abort := func(client, offboarding string) {
			r.t.Helper()
			for range 2 {
				require.NoError(r.t, r.tx(func(tx *sqldb.Tx) error { return r.c.AbortOffboarding(tx, r.firm, client, offboarding) }))
			}
		}
		client, folder := r.client("Stayer")
		fenced, unheard := newID(), newID()
		_, err := r.begin(client, fenced, false)
		require.NoError(r.t, err)
		abort(client, unheard)
		require.Equal(r.t, fenced, r.clientRow(client).Fence, "another's fence stands")
		abort(client, fenced)
		job := r.letter(client, r.relate(client), r.file(folder, "a.txt").ID)
		for _, o := range []string{fenced, unheard} {
			_, err = r.begin(client, o, true)
			require.ErrorIs(r.t, err, departure.ErrAborted)
		}
		require.Empty(r.t, r.clientRow(client).Fence)
		request := do(r, func(tx *sqldb.Tx) (signing.Request, error) { return store.RequestOf(tx, r.firm, job.Requests[0].ID) })
		require.NotEqual(r.t, signing.Withdrawn, request.State, "and nothing was withdrawn")

		stranger, never := newID(), newID() // not even the client is known
		abort(stranger, never)
		_, err = r.begin(stranger, never, false)
		require.ErrorIs(r.t, err, departure.ErrAborted)

		again := newID()
		_, err = r.begin(client, again, true)
		require.NoError(r.t, err, "another off-boarding begins")
		require.Equal(r.t, again, r.clientRow(client).Fence)
	})
}

func TestAFenceHoldsOffNewWork(t *testing.T) {
	each(t, func(r *rig) {
		client, folder := r.client("Fenced")
		contact := r.relate(client)
		d := r.file(folder, "a.txt")
		send := func() error {
			return onlyErr(try(r, func(tx *sqldb.Tx) (signing.Job, error) {
				return r.c.SendLetter(tx, cabinet.Letter{Firm: r.firm, Client: client, Subject: "x", Documents: []string{d.ID},
					Recipients: []string{contact}, SentBy: actor})
			}))
		}
		mine, other := newID(), newID()
		for range 2 {
			_, err := r.begin(client, mine, false)
			require.NoError(r.t, err)
		}
		require.ErrorIs(r.t, send(), departure.ErrFenced)
		_, err := r.begin(client, other, false)
		require.ErrorIs(r.t, err, departure.ErrFenced, "one off-boarding at a time")
		r.file(folder, "uploads still land.txt")
		abort := func(id string) error {
			return r.tx(func(tx *sqldb.Tx) error { return r.c.AbortOffboarding(tx, r.firm, client, id) })
		}
		require.NoError(r.t, abort(other), "nothing to lift")
		require.ErrorIs(r.t, send(), departure.ErrFenced)
		require.NoError(r.t, abort(mine))
		require.NoError(r.t, abort(mine))
		require.NoError(r.t, send())
		mine = newID()
		_, err = r.begin(client, mine, false)
		require.NoError(r.t, err, "the client can leave another time")
		r.commit(client, mine)
		require.ErrorIs(r.t, abort(mine), departure.ErrCommitted)
		require.ErrorIs(r.t, send(), departure.ErrGone)
		_, err = r.begin(client, mine, false)
		require.NoError(r.t, err, "repeating it answers the same")
		_, err = r.begin(client, newID(), false)
		require.ErrorIs(r.t, err, departure.ErrGone)
		wrong, _ := r.client("Another")
		_, err = r.begin(wrong, mine, false)
		require.ErrorIs(r.t, err, departure.ErrOtherClient)
	})
}

func TestEmailJobsLeaveTheGridAndComeBack(t *testing.T) {
	each(t, func(r *rig) {
		client, folder := r.client("Jobs")
		stays, staysFolder := r.client("Stays")
		job := r.letter(client, r.relate(client), r.file(folder, "a.txt").ID)
		other := r.letter(stays, r.relate(stays), r.file(staysFolder, "b.txt").ID)
		grid := func() (ids []string) {
			jobs := do(r, func(tx *sqldb.Tx) ([]signing.Job, error) {
				return store.Jobs(tx, store.JobQuery{Firm: r.firm, Limit: 10})
			})
			for _, j := range jobs {
				ids = append(ids, j.ID)
			}
			return ids
		}
		require.Equal(r.t, []string{other.ID, job.ID}, grid(), "newest first")
		offboarding := newID()
		_, err := r.begin(client, offboarding, true)
		require.NoError(r.t, err)
		r.commit(client, offboarding)
		require.Equal(r.t, []string{other.ID}, grid())
		r.reverse(client, offboarding, "")
		require.Equal(r.t, []string{other.ID, job.ID}, grid())
	})
}

func TestComingBackFromTheArchiveAndFromDestruction(t *testing.T) {
	each(t, func(r *rig) {
		leave := func(name string, archive bool) (client, folder, offboarding string) {
			client, folder = r.client(name)
			r.file(folder, name)
			offboarding = newID()
			r.commit(client, offboarding)
			r.grant(archive)
			_, err := r.delete(folder, 1)
			require.NoError(r.t, err)
			return client, folder, offboarding
		}
		client, folder, offboarding := leave("Archived", true)
		back := r.reverse(client, offboarding, "")
		require.Equal(r.t, cabinet.Return{Folder: folder, Documents: 1, Missing: nil}, back)
		require.Equal(r.t, filing.Client, r.folder(folder).Kind)
		require.Equal(r.t, filing.Active, r.folder(folder).State)

		client, folder, offboarding = leave("Recoverable", false)
		require.Equal(r.t, folder, r.reverse(client, offboarding, "").Folder)
		require.Zero(r.t, r.folder(folder).Purge)

		client, folder, offboarding = leave("Destroyed", false)
		r.wait(31 * 24 * time.Hour)
		require.True(r.t, do(r, func(tx *sqldb.Tx) (bool, error) { return r.c.PurgeFolder(tx, r.firm, folder) }))
		for range 2 {
			back = r.reverse(client, offboarding, "")
			require.NotEqual(r.t, folder, back.Folder)
			require.Zero(r.t, back.Documents)
			require.Equal(r.t, []string{`the folder "Destroyed" was deleted by hand; its one document was destroyed on 2026-12-21`}, back.Missing)
		}
		require.Equal(r.t, back.Missing, told[*documentseventsv1.FolderRestored](r)[2].GetMissing())
	})
}

// The client list speaks by call and by event, in any order, more than once.
func TestTheClientListMaySpeakInAnyOrder(t *testing.T) {
	type word struct {
		name string
		say  func(r *rig, client, offboarding string) error
	}
	archived := word{"archived", func(r *rig, client, offboarding string) error {
		return r.tx(func(tx *sqldb.Tx) error { return r.c.ArchiveClient(tx, r.firm, client, offboarding, 6) })
	}}
	restored := word{"restored", func(r *rig, client, offboarding string) error {
		return r.tx(func(tx *sqldb.Tx) error {
			return r.c.RestoreClient(tx, cabinet.Profile{Firm: r.firm, Client: client, DisplayName: "Back", Sequence: 7}, offboarding)
		})
	}}
	renamed := word{"renamed", func(r *rig, client, _ string) error {
		return r.tx(func(tx *sqldb.Tx) error {
			return r.c.NameClient(tx, cabinet.Profile{Firm: r.firm, Client: client, DisplayName: "Renamed", Sequence: 8})
		})
	}}
	commit := word{"commit", func(r *rig, client, offboarding string) error {
		return onlyErr(try(r, func(tx *sqldb.Tx) (any, error) { return r.c.CommitOffboarding(tx, r.firm, client, offboarding) }))
	}}
	each(t, func(r *rig) {
		for _, words := range [][]word{
			{archived, restored, renamed}, {restored, archived, renamed}, {renamed, restored, archived}, {renamed, archived, restored},
			{commit, renamed, restored, archived}, {restored, commit, archived, renamed}, {commit, archived, renamed, restored},
			{archived, archived, archived, restored, restored, restored, renamed, renamed, renamed},
			{archived, restored, archived, restored, renamed, archived, commit},
		} {
			client, folder := r.client("Order")
			r.file(folder, "a.txt")
			offboarding, said := newID(), ""
			for _, w := range words {
				require.NoError(r.t, w.say(r, client, offboarding))
				said += w.name + " "
			}
			row := r.clientRow(client)
			require.Equal(r.t, departure.Listed, row.State, said)
			require.Equal(r.t, "Renamed", row.DisplayName, said)
			require.Equal(r.t, filing.Client, r.folder(folder).Kind, said)
			require.Contains(r.t, r.folder(folder).DisplayName, "Renamed", said)
			require.EqualValues(r.t, 1, r.folder(folder).Documents, said)
		}
	})
}

func TestAClientThatIsKnownByItsDepartureAlone(t *testing.T) {
	each(t, func(r *rig) {
		client, offboarding := newID(), newID()
		s, err := r.begin(client, offboarding, false)
		require.NoError(r.t, err)
		require.Empty(r.t, s.Folder)
		_, in := r.system(client, "history/1", "csv")
		require.True(r.t, in)
		require.Equal(r.t, cabinet.Left{}, r.commit(client, offboarding))
		require.NoError(r.t, r.tx(func(tx *sqldb.Tx) error {
			return r.c.NameClient(tx, cabinet.Profile{Firm: r.firm, Client: client, DisplayName: "Late news", Sequence: 1})
		}))
		require.Empty(r.t, r.clientRow(client).Folder, "it left; no folder is made for it")
		back := r.reverse(client, offboarding, "")
		require.Equal(r.t, "Late news", r.folder(back.Folder).DisplayName)
	})
}

func TestTrailsHaveNoGaps(t *testing.T) {
	each(t, func(r *rig) {
		r.grant(true)
		client, folder := r.client("Trail")
		contact := r.relate(client)
		for range 3 {
			job := r.letter(client, contact, r.file(folder, "a.txt").ID)
			_, err := try(r, func(tx *sqldb.Tx) (signing.Request, error) {
				return r.c.WithdrawRequest(tx, r.firm, job.Requests[0].ID, "mistake", actor)
			})
			require.NoError(r.t, err)
			_, err = r.delete(folder, 99) // refused: takes no place
			require.Error(r.t, err)
		}
		offboarding := newID()
		_, err := r.begin(client, offboarding, false)
		require.NoError(r.t, err)
		r.system(client, "history/1", "csv")
		r.commit(client, offboarding)
		_, err = r.delete(folder, 4)
		require.NoError(r.t, err)
		places := r.trails(client)
		require.Len(r.t, places, 10)
		for i, place := range places {
			require.EqualValues(r.t, i+1, place)
		}
		require.EqualValues(r.t, 10, r.clientRow(client).Trail)
	})
}
