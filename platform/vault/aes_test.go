package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// What is sealed opens by AES-GCM of the standard library under the 32 bytes of the keyring's file, and is of no use without
// that file.
func TestS03_SecretsAreSealedWithAES256GCMAndTheKeyIsInAFileOfItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.json")
	v, err := OpenOrCreate(path)
	require.NoError(t, err)
	at := Row{Firm: "f", Table: "grants", ID: "1", Column: "refresh"}
	sealed, _, err := v.Seal([]byte("a refresh token"), at)
	require.NoError(t, err)

	var file struct {
		Seal struct {
			Key []struct {
				KeyData struct {
					TypeURL string `json:"typeUrl"`
					Value   string `json:"value"`
				} `json:"keyData"`
			} `json:"key"`
		} `json:"seal"`
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &file))
	require.Len(t, file.Seal.Key, 1)
	require.True(t, strings.HasSuffix(file.Seal.Key[0].KeyData.TypeURL, ".AesGcmKey"), file.Seal.Key[0].KeyData.TypeURL)
	message, err := base64.StdEncoding.DecodeString(file.Seal.Key[0].KeyData.Value)
	require.NoError(t, err)
	key := keyBytes(t, message)
	require.Len(t, key, 256/8)

	// A fresh key for each secret, sealed under the keyring's, then the secret under that one.
	size := binary.BigEndian.Uint32(sealed)
	const prefix = 5 // says which of the keyring's keys it is
	fresh := keyBytes(t, gcm(t, key, sealed[4+prefix:4+size], nil))
	require.Len(t, fresh, 256/8)
	require.Equal(t, "a refresh token", string(gcm(t, fresh, sealed[4+size:], at.binding())))

	other, err := OpenOrCreate(filepath.Join(t.TempDir(), "keyring.json"))
	require.NoError(t, err)
	_, err = other.Open(sealed, at)
	require.Error(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// gcm opens by the standard library what begins with its nonce.
func gcm(t *testing.T, key, sealed, bound []byte) []byte {
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	g, err := cipher.NewGCM(block)
	require.NoError(t, err)
	plain, err := g.Open(nil, sealed[:g.NonceSize()], sealed[g.NonceSize():], bound)
	require.NoError(t, err)
	return plain
}

// keyBytes reads the key out of an AesGcmKey message, whose third field it is.
func keyBytes(t *testing.T, message []byte) (key []byte) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		require.Positive(t, n)
		if message = message[n:]; number == 3 && kind == protowire.BytesType {
			key, n = protowire.ConsumeBytes(message)
			require.Positive(t, n)
		}
		n = protowire.ConsumeFieldValue(number, kind, message)
		require.Positive(t, n)
		message = message[n:]
	}
	return key
}
