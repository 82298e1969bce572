package kms_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/kms"
	"github.com/concord-suite/concord/platform/vault"
)

// key is one in the URL itself.
const key = "base64key://smGbjm71Nxd1Ig5FS0wj9SlbzAIrnolCz9bQQ6uAhl4="

func TestAKeyringWrappedByAKMS(t *testing.T) {
	keeper, err := kms.Open(t.Context(), key)
	require.NoError(t, err)
	file := vault.File{Path: filepath.Join(t.TempDir(), "keyring.json"), KMS: keeper}
	v, err := file.OpenOrCreate()
	require.NoError(t, err)
	row := vault.Row{Firm: "firm", Table: "grants", ID: "1", Column: "refresh"}
	sealed, _, err := v.Seal([]byte("s"), row)
	require.NoError(t, err)
	require.NoError(t, file.Rotate())
	again, err := file.Open()
	require.NoError(t, err)
	secret, err := again.Open(sealed, row)
	require.NoError(t, err)
	require.Equal(t, "s", string(secret))
	data, err := os.ReadFile(file.Path)
	require.NoError(t, err)
	require.NotContains(t, string(data), "AesGcmKey")

	file.KMS, err = kms.Open(t.Context(), "base64key://ZL5wXCHf0KVWQRUCxSCLPNOvmTH1q-1NPvXTmOLqiuk=")
	require.NoError(t, err)
	_, err = file.Open()
	require.ErrorIs(t, err, vault.ErrKMS, "another key")
	require.NotContains(t, err.Error(), "\n")
	require.Equal(t, 1, strings.Count(err.Error(), "secrets (code="), err)
}

func TestAddressesThatAreNone(t *testing.T) {
	for address, want := range map[string]string{
		"":                 "must begin with one of awskms://",
		"hush":             "must begin with one of awskms://",
		"ftp://hush":       "must begin with one of awskms://",
		"base64key://hush": "base64key",
		"base64key://%zz":  "must be a URL",
	} {
		_, err := kms.Open(t.Context(), address)
		require.ErrorContains(t, err, want, address)
		require.NotContains(t, err.Error(), "hush")
	}
}

// TestAServerThatIsDown: no client hangs or hides why.
func TestAServerThatIsDown(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := "http://" + closed.Addr().String()
	require.NoError(t, closed.Close())
	for name, value := range map[string]string{
		"VAULT_SERVER_URL": address, "VAULT_SERVER_TOKEN": "t", "AWS_ENDPOINT_URL_KMS": address, "AWS_ACCESS_KEY_ID": "k",
		"AWS_SECRET_ACCESS_KEY": "s", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "2",
	} {
		t.Setenv(name, value)
	}
	for _, at := range []string{"hashivault://concord", "awskms://alias/concord?region=ap-southeast-2"} {
		keeper, err := kms.Open(t.Context(), at)
		require.NoError(t, err)
		began := time.Now()
		err = vault.File{Path: filepath.Join(t.TempDir(), "keyring.json"), KMS: keeper}.Create()
		require.ErrorIs(t, err, vault.ErrKMS)
		require.ErrorContains(t, err, "connection refused", at)
		require.Less(t, time.Since(began), 15*time.Second)
	}
}
