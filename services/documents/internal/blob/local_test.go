package blob_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/blob/blobtest"
)

func TestLocal(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store {
		s, err := blob.OpenLocal(t.TempDir())
		require.NoError(t, err)
		return s
	})
}

func TestLocalWithNamedStaging(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store {
		s, err := blob.OpenLocalNamed(t.TempDir())
		require.NoError(t, err)
		return s
	})
}

func TestLocalSaysWhatIsWrongWithItsFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := blob.OpenLocal(file)
	require.ErrorContains(t, err, "is not a folder")
	_, err = blob.OpenLocal(filepath.Join(t.TempDir(), "missing"))
	require.ErrorContains(t, err, "does not exist")
}

// A second store on the same folder stands for a second process, or for the same one after a restart.
func TestLocalFindsEverythingAgain(t *testing.T) {
	root := t.TempDir()
	first, err := blob.OpenLocal(root)
	require.NoError(t, err)
	key, _ := blobtest.Put(t, first, blobtest.FirmA, []byte("stays"))
	second, err := blob.OpenLocal(root)
	require.NoError(t, err)
	require.Equal(t, []byte("stays"), blobtest.Get(t, second, key))
	_, created := blobtest.Put(t, second, blobtest.FirmA, []byte("stays"))
	require.False(t, created)
}

func TestLocalMakesFoldersAgainThatSomebodyRemoved(t *testing.T) {
	root := t.TempDir()
	s, err := blob.OpenLocal(root)
	require.NoError(t, err)
	blobtest.Put(t, s, blobtest.FirmA, []byte("one"))
	require.NoError(t, os.RemoveAll(filepath.Join(root, blobtest.FirmA)))
	key, created := blobtest.Put(t, s, blobtest.FirmA, []byte("one"))
	require.True(t, created)
	require.Equal(t, []byte("one"), blobtest.Get(t, s, key))
}

// What a power cut or a failing disk left under the name of some bytes is mended by the next upload of them.
func TestLocalMendsADamagedBlob(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"cut short": func(path string) error { return os.Truncate(path, 2) },
		"zeros":     func(path string) error { return os.WriteFile(path, make([]byte, 5), 0o600) },
	} {
		for kind, open := range map[string]func(string) (*blob.Local, error){"nameless": blob.OpenLocal, "named": blob.OpenLocalNamed} {
			t.Run(name+" "+kind, func(t *testing.T) {
				root := t.TempDir()
				s, err := open(root)
				require.NoError(t, err)
				key, _ := blobtest.Put(t, s, blobtest.FirmA, []byte("whole"))
				reader, err := s.Open(t.Context(), key)
				require.NoError(t, err)
				defer reader.Close()
				require.NoError(t, damage(filepath.Join(root, filepath.FromSlash(key.String()))))
				_, created := blobtest.Put(t, s, blobtest.FirmA, []byte("whole"))
				require.False(t, created)
				require.Equal(t, []byte("whole"), blobtest.Get(t, s, key))
				require.Equal(t, []string{key.String()}, blobtest.Keys(t, s, ""))
				left, err := os.ReadDir(filepath.Join(root, ".staging"))
				require.NoError(t, err)
				require.Empty(t, left)
			})
		}
	}
}

// The answer to a commit may be lost and the commit made again, by the one who staged the bytes.
func TestLocalCommitsAgain(t *testing.T) {
	root := t.TempDir()
	s, err := blob.OpenLocal(root)
	require.NoError(t, err)
	staged, err := s.Stage(t.Context(), blob.Unknown)
	require.NoError(t, err)
	defer staged.Discard()
	_, err = staged.Write([]byte("twice"))
	require.NoError(t, err)
	key := blobtest.KeyOf(blobtest.FirmA, []byte("twice"))
	for _, first := range []bool{true, false, false} {
		created, err := staged.Commit(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, first, created)
	}
	require.Equal(t, []byte("twice"), blobtest.Get(t, s, key))
	left, err := os.ReadDir(filepath.Join(root, ".staging"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestLocalPassesOverForeignFiles(t *testing.T) {
	root := t.TempDir()
	s, err := blob.OpenLocal(root)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root, "README"), []byte("mine"), 0o600))
	require.Empty(t, blobtest.Keys(t, s, ""))
}

func TestReclaimTakesWhatADeadProcessLeft(t *testing.T) {
	root := t.TempDir()
	s, err := blob.OpenLocalNamed(root)
	require.NoError(t, err)
	_, err = s.Stage(t.Context(), blob.Unknown) // never discarded, as if its process had died
	require.NoError(t, err)
	left := func() int {
		entries, err := os.ReadDir(filepath.Join(root, ".staging"))
		require.NoError(t, err)
		return len(entries)
	}
	require.NoError(t, s.Reclaim(t.Context(), time.Now().Add(-time.Hour)))
	require.Equal(t, 1, left(), "too young")
	require.NoError(t, s.Reclaim(t.Context(), time.Now().Add(time.Hour)))
	require.Zero(t, left())
}

// The kernel answers every write to /dev/full as a full disk does.
func TestFullDisk(t *testing.T) {
	s, err := blob.OpenLocalOn(t.TempDir(), func() (*os.File, error) { return os.OpenFile("/dev/full", os.O_RDWR, 0) })
	require.NoError(t, err)
	staged, err := s.Stage(t.Context(), blob.Unknown)
	require.NoError(t, err)
	defer staged.Discard()
	content := []byte("does not fit")
	_, err = staged.Write(content)
	require.ErrorIs(t, err, blob.ErrNoSpace)
	_, err = staged.Commit(t.Context(), blobtest.KeyOf(blobtest.FirmA, content))
	require.ErrorIs(t, err, blob.ErrNoSpace)
	require.Empty(t, blobtest.Keys(t, s, ""))
}
