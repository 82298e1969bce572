package identity_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/boot/internal/identity"
)

// create makes a key and returns its public half, in a file and as it is.
func create(t *testing.T, dir, name string) (file string, key ed25519.PublicKey) {
	t.Helper()
	var public bytes.Buffer
	require.NoError(t, identity.Create(&public, filepath.Join(dir, name+".key")))
	file = filepath.Join(dir, name+".pub")
	require.NoError(t, os.WriteFile(file, public.Bytes(), 0o644))
	private, err := identity.Read(filepath.Join(dir, name+".key"))
	require.NoError(t, err)
	return file, private.Public().(ed25519.PublicKey)
}

func trustOf(t *testing.T, services ...string) string {
	t.Helper()
	var out strings.Builder
	require.NoError(t, identity.WriteTrust(&out, services))
	return out.String()
}

func TestKeysAndTrust(t *testing.T) {
	dir := t.TempDir()
	authPub, auth := create(t, dir, "auth")
	_, sync := create(t, dir, "sync")
	_, next := create(t, dir, "next")
	err := identity.Create(&bytes.Buffer{}, filepath.Join(dir, "auth.key"))
	require.ErrorContains(t, err, "exists already")

	text := trustOf(t, "auth="+authPub, "sync="+filepath.Join(dir, "sync.key"), "sync="+filepath.Join(dir, "next.key"))
	require.NotContains(t, text, "PRIVATE")
	trust, err := access.ParseTrust([]byte(text))
	require.NoError(t, err)
	for issuer, keys := range map[string][]ed25519.PublicKey{"auth": {auth}, "sync": {sync, next}} {
		for _, key := range keys {
			found, err := trust.Key(t.Context(), issuer, access.KeyID(key))
			require.NoError(t, err)
			require.Equal(t, key, found)
		}
	}
	for service, want := range map[string]string{
		"auth": "want NAME=FILE", "auth=/no/such": "auth: open /no/such", "auth=" + os.Args[0]: "holds no Ed25519 key in PEM",
	} {
		require.ErrorContains(t, identity.WriteTrust(&bytes.Buffer{}, []string{service}), want)
	}
}

// secret lays a key out as Kubernetes does in the volume of a Secret: links through ..data, into a folder per version.
func secret(t *testing.T, dir, version, name string, content []byte, mode os.FileMode) string {
	t.Helper()
	folder := filepath.Join(dir, ".."+version)
	require.NoError(t, os.MkdirAll(folder, 0o755))
	path := filepath.Join(folder, name)
	require.NoError(t, os.WriteFile(path, content, mode))
	require.NoError(t, os.Chmod(path, mode)) // whatever the umask is
	fresh := filepath.Join(dir, "..data_tmp")
	require.NoError(t, os.Symlink(".."+version, fresh))
	require.NoError(t, os.Rename(fresh, filepath.Join(dir, "..data")))
	link := filepath.Join(dir, name)
	if _, err := os.Lstat(link); err != nil {
		require.NoError(t, os.Symlink(filepath.Join("..data", name), link))
	}
	return link
}

func TestWhoMayReadAKey(t *testing.T) {
	dir := t.TempDir()
	create(t, dir, "auth")
	key, err := os.ReadFile(filepath.Join(dir, "auth.key"))
	require.NoError(t, err)
	for mode, allowed := range map[os.FileMode]bool{
		0o400: true, 0o600: true, 0o440: true, 0o640: true, 0o444: false, 0o604: false, 0o644: false, 0o660: false, 0o666: false,
	} {
		_, err := identity.Read(secret(t, t.TempDir(), "1", "identity.key", key, mode))
		if allowed {
			require.NoError(t, err, fmt.Sprintf("%#o", mode))
		} else {
			require.ErrorContains(t, err, "others must not read it")
		}
	}
	_, err = identity.Read(secret(t, t.TempDir(), "1", "identity.key", []byte{}, 0o440))
	require.ErrorContains(t, err, "not a PEM file")
}

func TestTheTrustFileIsFollowed(t *testing.T) {
	keys, dir := t.TempDir(), t.TempDir()
	_, auth := create(t, keys, "auth")
	_, sync := create(t, keys, "sync")
	one, two := "auth="+filepath.Join(keys, "auth.key"), "sync="+filepath.Join(keys, "sync.key")
	path := secret(t, dir, "1", "trust.json", []byte(trustOf(t, one)), 0o444)
	now := time.Unix(1_800_000_000, 0)
	var log bytes.Buffer
	trusted, err := identity.Open(path, func() time.Time { return now }, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	knows := func(issuer string, key ed25519.PublicKey) bool {
		_, err := trusted.Key(t.Context(), issuer, access.KeyID(key))
		return err == nil
	}
	require.True(t, knows("auth", auth))
	require.False(t, knows("sync", sync))

	secret(t, dir, "2", "trust.json", []byte(trustOf(t, two)), 0o444)
	require.False(t, knows("sync", sync), "it is not looked at for every call")
	now = now.Add(time.Second)
	require.True(t, knows("sync", sync), "a service that was added is believed")
	require.False(t, knows("auth", auth), "and one that was taken out is not")

	secret(t, dir, "3", "trust.json", []byte("{"), 0o444)
	for range 3 {
		now = now.Add(time.Second)
		require.True(t, knows("sync", sync), "what was there goes on")
	}
	require.Equal(t, 1, strings.Count(log.String(), "can't be used"), "said once")
	require.NoError(t, os.Remove(filepath.Join(dir, "..data")))
	now = now.Add(time.Second)
	require.True(t, knows("sync", sync))
	secret(t, dir, "4", "trust.json", []byte(trustOf(t, one, two)), 0o444)
	now = now.Add(time.Second)
	require.True(t, knows("auth", auth) && knows("sync", sync))

	_, err = identity.Open(filepath.Join(dir, "nothing"), time.Now, slog.Default())
	require.ErrorContains(t, err, "trust_file: stat")
}
