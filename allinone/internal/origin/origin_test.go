package origin_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/allinone/internal/origin"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestWhatADirectoryWasBegunWith(t *testing.T) {
	dir := t.TempDir()
	_, found, err := origin.In(dir)
	require.NoError(t, err)
	require.False(t, found)

	csv := filepath.Join(t.TempDir(), "clients.csv")
	p, err := origin.Of(write(t, csv, "name\nOne\n"), 0)
	require.NoError(t, err)
	require.NoError(t, origin.Keep(dir, p))
	kept, found, err := origin.In(dir)
	require.NoError(t, err)
	require.True(t, found)
	require.True(t, kept.Same(p))
	require.Contains(t, kept.String(), csv)

	moved, err := origin.Of(write(t, filepath.Join(t.TempDir(), "moved.csv"), "name\nOne\n"), 0)
	require.NoError(t, err)
	require.True(t, kept.Same(moved), "the contents count, not the name")
	edited, err := origin.Of(write(t, csv, "name\nTwo\n"), 0)
	require.NoError(t, err)
	require.False(t, kept.Same(edited))
	generated, err := origin.Of("", 77)
	require.NoError(t, err)
	require.False(t, kept.Same(generated))
	require.Equal(t, "a generated practice of 77 clients", generated.String())
}

func TestFoldersCountByAllTheirFiles(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "index.json"), "[]")
	before, err := origin.Of(folder, 0)
	require.NoError(t, err)
	write(t, filepath.Join(folder, "bodies", "1.xml"), "<a/>")
	after, err := origin.Of(folder, 0)
	require.NoError(t, err)
	require.False(t, before.Same(after))
}

// A world that nothing is written about is another practice than any.
func TestADirectoryOfAnEarlierVersion(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(origin.World(dir), "world.journal"), "")
	p, found, err := origin.In(dir)
	require.NoError(t, err)
	require.True(t, found)
	require.False(t, p.Same(p))
	write(t, filepath.Join(dir, "practice.json"), "half")
	_, _, err = origin.In(dir)
	require.ErrorContains(t, err, "practice.json can't be read")
}
