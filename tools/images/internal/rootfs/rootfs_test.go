package rootfs_test

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/tools/images/internal/rootfs"
)

// Browsers and systems trust some 120 to 150 authorities. A list of ten or a thousand would be a mistake.
const fewest, most = 100, 200

func TestAuthoritiesAreAUsualList(t *testing.T) {
	var data []byte
	for _, e := range rootfs.Entries([]byte("free")) {
		if e.Path == "etc/ssl/certs/ca-certificates.crt" {
			data = e.Data
		}
	}
	count := strings.Count(string(data), "BEGIN CERTIFICATE")
	require.Greater(t, count, fewest)
	require.Less(t, count, most)
	require.True(t, x509.NewCertPool().AppendCertsFromPEM(data))
}

func TestTarIsTheSameEachTime(t *testing.T) {
	first, err := rootfs.Tar([]byte("free"))
	require.NoError(t, err)
	second, err := rootfs.Tar([]byte("free"))
	require.NoError(t, err)
	require.Equal(t, first, second)

	for r := tar.NewReader(bytes.NewReader(first)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		require.Zero(t, header.Uid+header.Gid, header.Name)
		require.Zero(t, header.ModTime.Unix(), header.Name)
	}
}

// The folder that the Dockerfile copies has the modes of the tar, whatever the umask.
func TestWriteGivesWhatTarGives(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	require.NoError(t, rootfs.Write(root, []byte("free")))
	found := 0
	require.NoError(t, filepath.WalkDir(root, func(string, fs.DirEntry, error) error { found++; return nil }))
	require.Equal(t, len(rootfs.Entries([]byte("free")))+1, found)
	for _, e := range rootfs.Entries([]byte("free")) {
		info, err := os.Stat(filepath.Join(root, e.Path))
		require.NoError(t, err)
		require.Equal(t, e.Mode, info.Mode(), e.Path)
		if !info.IsDir() {
			data, err := os.ReadFile(filepath.Join(root, e.Path))
			require.NoError(t, err)
			require.Equal(t, e.Data, data)
		}
	}
}
