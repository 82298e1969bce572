package datadir_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/allinone/internal/datadir"
)

func TestOneProcessAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	d, err := datadir.Open(path)
	require.NoError(t, err)
	_, err = datadir.Open(path)
	require.ErrorContains(t, err, "in use by another process")
	require.NoError(t, d.Close())
	d, err = datadir.Open(path)
	require.NoError(t, err)
	require.NoError(t, d.Close())
}

func TestOnlyTheOwnerReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	d, err := datadir.Open(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	for _, sub := range []string{"", "keys", "blobs", "nats"} {
		st, err := os.Stat(filepath.Join(path, sub))
		require.NoError(t, err)
		require.Zero(t, st.Mode().Perm()&0o077, sub)
	}
}

func TestSomethingElseInTheWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err := datadir.Open(path)
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, "something else")
}

// A disk without room is told before anything starts. /dev/full answers every write with ENOSPC.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.MkdirAll(path, 0o700))
	require.NoError(t, os.Symlink("/dev/full", filepath.Join(path, "probe")))
	_, err := datadir.Open(path)
	require.ErrorContains(t, err, "the disk is full")
}

func TestDirectoryThatOthersMayWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.Mkdir(path, 0o700))
	require.NoError(t, os.Chmod(path, 0o777))
	_, err := datadir.Open(path)
	require.ErrorContains(t, err, "chmod 700")
	left, err := os.ReadDir(path)
	require.NoError(t, err)
	require.Empty(t, left, "nothing was put into it")
}
