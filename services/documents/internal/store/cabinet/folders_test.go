package cabinet_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	documentseventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
)

func TestClientsOfTheSameNameGetTheirOwnFolders(t *testing.T) {
	each(t, func(r *rig) {
		names := map[string]bool{}
		for range 3 {
			_, folder := r.client("Smith Family Trust")
			f := r.folder(folder)
			require.Equal(r.t, filing.Client, f.Kind)
			require.Equal(r.t, "yellow", f.Color())
			require.False(r.t, names[f.DisplayName], f.DisplayName)
			names[f.DisplayName] = true
		}
		require.True(r.t, names["Smith Family Trust"], "the first has the plain name")
		id := newID()
		require.NoError(r.t, r.tx(func(tx *sqldb.Tx) error {
			return r.c.NameClient(tx, cabinet.Profile{Firm: r.firm, Client: id, DisplayName: "SMITH FAMILY TRUST", Code: "SMIT01", Sequence: 1})
		}))
		require.Equal(r.t, "SMITH FAMILY TRUST (SMIT01)", r.folder(r.clientRow(id).Folder).DisplayName, "the code tells them apart")
	})
}

func TestFolderFollowsTheClientsName(t *testing.T) {
	each(t, func(r *rig) {
		client, folder := r.client("Alt")
		name := func(display string, sequence int64) {
			require.NoError(r.t, r.tx(func(tx *sqldb.Tx) error {
				return r.c.NameClient(tx, cabinet.Profile{Firm: r.firm, Client: client, DisplayName: display, Sequence: sequence})
			}))
		}
		name("Neu", 5)
		name("Old news", 4)
		name("Neu", 5)
		require.Equal(r.t, "Neu", r.folder(folder).DisplayName)
		_, other := r.client("Alt")
		require.Equal(r.t, "Alt", r.folder(other).DisplayName, "the old name was given back")
		// ü as one character and as two is the same name.
		name("M\u00fcller", 6)
		_, other = r.client("Mu\u0308ller")
		require.NotEqual(r.t, "M\u00fcller", r.folder(other).DisplayName)
	})
}

func TestABusinessFolderKeepsItsName(t *testing.T) {
	each(t, func(r *rig) {
		create := func(name string) (filing.Folder, error) {
			return try(r, func(tx *sqldb.Tx) (filing.Folder, error) { return r.c.CreateFolder(tx, r.firm, name) })
		}
		f, err := create(" Templates ")
		require.NoError(r.t, err)
		require.Equal(r.t, "Templates", f.DisplayName)
		require.Equal(r.t, "blue", f.Color())
		_, err = create("TEMPLATES")
		require.ErrorIs(r.t, err, filing.ErrNameTaken)
		other := *r
		other.firm = newID()
		_, err = try(&other, func(tx *sqldb.Tx) (filing.Folder, error) { return r.c.CreateFolder(tx, other.firm, "Templates") })
		require.NoError(r.t, err, "firms do not share names")
	})
}

// grant gives or takes the document archive.
func (r *rig) grant(archive bool) {
	require.NoError(r.t, r.tx(func(tx *sqldb.Tx) error { return store.SetArchive(tx, r.firm, archive) }))
}

func (r *rig) delete(folder string, confirmed int64) (filing.Folder, error) {
	return try(r, func(tx *sqldb.Tx) (filing.Folder, error) {
		return r.c.DeleteFolder(tx, r.firm, folder, confirmed, actor)
	})
}

func (r *rig) business(name string) string {
	return do(r, func(tx *sqldb.Tx) (filing.Folder, error) { return r.c.CreateFolder(tx, r.firm, name) }).ID
}

func TestDeletingWithTheArchiveKeepsEverything(t *testing.T) {
	each(t, func(r *rig) {
		r.grant(true)
		folder := r.business("Deeds")
		first := r.file(folder, "a.txt")
		r.file(folder, "b.txt")
		d := do(r, func(tx *sqldb.Tx) (cabinet.Deletion, error) { return r.c.PreviewDeletion(tx, r.firm, folder) })
		require.Equal(r.t, "2 documents will be archived and the folder deleted", d.Warning)
		require.True(r.t, d.Archive)
		r.file(folder, "c.txt")
		_, err := r.delete(folder, 2)
		require.ErrorIs(r.t, err, filing.ErrCountChanged)
		f, err := r.delete(folder, 3)
		require.NoError(r.t, err)
		require.Equal(r.t, filing.Archived, f.State)
		require.Zero(r.t, f.Purge)
		require.Equal(r.t, filing.Archived, r.document(first.ID).Where)
		require.EqualValues(r.t, 3, told[*documentseventsv1.DocumentsArchived](r)[0].GetDocumentCount())
		_, err = r.delete(folder, 3)
		require.ErrorIs(r.t, err, filing.ErrNotFound)

		taken := r.business("Deeds")
		back := do(r, func(tx *sqldb.Tx) (filing.Folder, error) { return r.c.RestoreFolder(tx, r.firm, folder) })
		require.Equal(r.t, folder, back.ID)
		require.Equal(r.t, filing.Active, back.State)
		require.NotEqual(r.t, r.folder(taken).DisplayName, back.DisplayName)
		require.Contains(r.t, back.DisplayName, "Deeds (")
		_, err = try(r, func(tx *sqldb.Tx) (filing.Folder, error) { return r.c.RestoreFolder(tx, r.firm, folder) })
		require.ErrorIs(r.t, err, filing.ErrNotArchived)
	})
}

func TestDeletingWithoutTheArchiveIsRecoverableForAWhile(t *testing.T) {
	each(t, func(r *rig) {
		kept, gone := r.business("Kept"), r.business("Gone")
		document := r.file(gone, "x.txt")
		r.file(kept, "y.txt")
		d := do(r, func(tx *sqldb.Tx) (cabinet.Deletion, error) { return r.c.PreviewDeletion(tx, r.firm, gone) })
		require.Equal(r.t, "1 document and the folder will be deleted; they can be restored for 30 days, then they are destroyed", d.Warning)
		for _, folder := range []string{kept, gone} {
			f, err := r.delete(folder, 1)
			require.NoError(r.t, err)
			require.Equal(r.t, filing.Deleted, f.State)
			require.Equal(r.t, r.now().Add(30*24*time.Hour), f.Purge)
		}
		r.wait(29 * 24 * time.Hour)
		do(r, func(tx *sqldb.Tx) (filing.Folder, error) { return r.c.RestoreFolder(tx, r.firm, kept) })
		due := func() []filing.Folder {
			return do(r, func(tx *sqldb.Tx) ([]filing.Folder, error) { return store.PurgeDue(tx, r.now(), 10) })
		}
		require.Empty(r.t, due())
		r.wait(24 * time.Hour)
		require.Len(r.t, due(), 1)
		for _, folder := range []string{gone, kept} {
			done := do(r, func(tx *sqldb.Tx) (bool, error) { return r.c.PurgeFolder(tx, r.firm, folder) })
			require.Equal(r.t, folder == gone, done, "what was restored is spared")
		}
		_, err := try(r, func(tx *sqldb.Tx) (filing.Document, error) { return store.DocumentOf(tx, r.firm, document.ID) })
		require.ErrorIs(r.t, err, filing.ErrNotFound)
		require.EqualValues(r.t, 1, r.folder(kept).Documents)
		_, err = try(r, func(tx *sqldb.Tx) (filing.Folder, error) { return r.c.RestoreFolder(tx, r.firm, gone) })
		require.ErrorIs(r.t, err, filing.ErrNotFound)
		require.Empty(r.t, told[*documentseventsv1.DocumentsArchived](r))
	})
}

func TestWhatCanNotBeDeleted(t *testing.T) {
	each(t, func(r *rig) {
		client, folder := r.client("Stays")
		_, err := r.delete(folder, 0)
		require.ErrorIs(r.t, err, filing.ErrClientFolder)
		_, err = r.delete(newID(), 0)
		require.ErrorIs(r.t, err, filing.ErrNotFound)
		// A client that left with an open signature, which the client list did not know of.
		d := r.file(folder, "contract.pdf")
		r.letter(client, r.relate(client), d.ID)
		r.commit(client, newID())
		_, err = r.delete(folder, 1)
		require.ErrorIs(r.t, err, filing.ErrSignatureOpen)
	})
}

func TestRestoringOneDocument(t *testing.T) {
	each(t, func(r *rig) {
		r.grant(true)
		from, to := r.business("Old"), r.business("New")
		d := r.file(from, "a.txt")
		r.file(from, "b.txt")
		_, clientFolder := r.client("Target")
		restore := func(document, folder string) (filing.Document, error) {
			return try(r, func(tx *sqldb.Tx) (filing.Document, error) {
				return r.c.RestoreDocument(tx, r.firm, document, folder, actor)
			})
		}
		_, err := restore(d.ID, to)
		require.ErrorIs(r.t, err, filing.ErrNotArchived)
		_, err = r.delete(from, 2)
		require.NoError(r.t, err)
		_, err = restore(d.ID, from)
		require.ErrorIs(r.t, err, filing.ErrNotReceiving, "an archived folder takes nothing")
		got, err := restore(d.ID, clientFolder)
		require.NoError(r.t, err)
		require.Equal(r.t, clientFolder, got.Folder)
		require.Equal(r.t, d.SHA256, got.SHA256)
		require.EqualValues(r.t, 1, r.folder(from).Documents)
		require.EqualValues(r.t, 1, r.folder(clientFolder).Documents)
		_, err = restore(d.ID, to)
		require.ErrorIs(r.t, err, filing.ErrNotArchived)
		_, err = restore(newID(), to)
		require.ErrorIs(r.t, err, filing.ErrNotFound)
	})
}

func TestNothingOfAnotherFirmIsFound(t *testing.T) {
	each(t, func(r *rig) {
		client, folder := r.client("Ours")
		d := r.file(folder, "a.txt")
		job := r.letter(client, r.relate(client), d.ID)
		other := newRig(r.t, r.db)
		for what, err := range map[string]error{
			"folder":   onlyErr(try(other, func(tx *sqldb.Tx) (any, error) { return store.FolderOf(tx, other.firm, folder) })),
			"document": onlyErr(try(other, func(tx *sqldb.Tx) (any, error) { return store.DocumentOf(tx, other.firm, d.ID) })),
			"client":   onlyErr(try(other, func(tx *sqldb.Tx) (any, error) { return store.ClientOf(tx, other.firm, client) })),
			"job":      onlyErr(try(other, func(tx *sqldb.Tx) (any, error) { return store.JobOf(tx, other.firm, job.ID) })),
			"request":  onlyErr(try(other, func(tx *sqldb.Tx) (any, error) { return store.RequestOf(tx, other.firm, job.Requests[0].ID) })),
			"publish":  onlyErr(try(other, func(tx *sqldb.Tx) (any, error) { return r.c.PublishDocument(tx, other.firm, d.ID, true) })),
			"delete":   onlyErr(other.delete(folder, 1)),
			"withdraw": onlyErr(try(other, func(tx *sqldb.Tx) (any, error) {
				return r.c.WithdrawRequest(tx, other.firm, job.Requests[0].ID, "x", actor)
			})),
			"preview": onlyErr(try(other, func(tx *sqldb.Tx) (any, error) { return r.c.PreviewOffboarding(tx, other.firm, client) })),
		} {
			require.ErrorIs(r.t, err, filing.ErrNotFound, what)
		}
	})
}

func onlyErr[T any](_ T, err error) error { return err }

// The number of documents must not matter: one row changes.
func BenchmarkArchiveFolder(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("documents=%d", n), func(b *testing.B) { archiveFolder(b, n) })
	}
}
