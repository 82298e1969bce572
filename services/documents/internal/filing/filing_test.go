package filing_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/documents/internal/filing"
)

const month = 30 * 24 * time.Hour

func TestWarning(t *testing.T) {
	for _, c := range []struct {
		n       int64
		archive bool
		want    string
	}{
		{0, true, "0 documents will be archived and the folder deleted"},
		{1, true, "1 document will be archived and the folder deleted"},
		{12, true, "12 documents will be archived and the folder deleted"},
		{12, false, "12 documents and the folder will be deleted; they can be restored for 30 days, then they are destroyed"},
	} {
		require.Equal(t, c.want, filing.Warning(c.n, c.archive, month))
	}
	require.Contains(t, filing.Warning(2, false, 24*time.Hour), "for 1 day,")
	require.Contains(t, filing.Warning(2, false, 90*time.Minute), "for 1h30m0s,")
}

func TestWhatCanBeDeletedAndWhereItGoes(t *testing.T) {
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		kind  filing.FolderKind
		state filing.FolderState
		want  error
		color string
	}{
		{filing.Business, filing.Active, nil, "blue"},
		{filing.Orphaned, filing.Active, nil, "green"},
		{filing.Client, filing.Active, filing.ErrClientFolder, "yellow"},
		{filing.Business, filing.Archived, filing.ErrNotFound, "blue"},
		{filing.Orphaned, filing.Deleted, filing.ErrNotFound, "green"},
		{filing.Client, filing.Removed, filing.ErrNotFound, "yellow"},
	} {
		f := filing.Folder{Kind: c.kind, State: c.state}
		require.ErrorIs(t, f.Deletable(), c.want)
		require.Equal(t, c.color, f.Color())
	}
	f := filing.Folder{State: filing.Active, Documents: 3, System: 1}
	require.EqualValues(t, 2, f.Held())
	archived := f.Delete(true, now, month)
	require.Equal(t, filing.Archived, archived.State)
	require.True(t, archived.Purge.IsZero(), "the archive is for good")
	deleted := f.Delete(false, now, month)
	require.Equal(t, now.Add(month), deleted.Purge)
	back := deleted.Restore()
	require.Equal(t, f, back)
	for state, shown := range map[filing.FolderState]bool{filing.Active: true, filing.Archived: true, filing.Deleted: true,
		filing.Removed: false, filing.Purged: false} {
		require.Equal(t, shown, filing.Folder{State: state}.Shown(), state)
	}
}

func TestNamesToTry(t *testing.T) {
	id := "0198a000-0000-7000-8000-0123456789ab"
	require.Equal(t, []string{"Smith", "Smith (SMI01)", "Smith (456789ab)", "Smith (" + id + ")"}, filing.Names("Smith", "SMI01", id))
	require.Equal(t, []string{"Smith", "Smith (456789ab)", "Smith (" + id + ")"}, filing.Names("Smith", "", id))
	require.Len(t, filing.Names("SMI01", "SMI01", id), 3, "a code that is the name tells nothing apart")
	for _, name := range filing.Names(strings.Repeat("\u00fc", 400), strings.Repeat("c", 200), id) {
		require.LessOrEqual(t, len(name), 500)
		require.True(t, utf8.ValidString(name), "cut between characters")
	}
}
