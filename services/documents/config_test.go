package documents_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/config"
	"github.com/concord-suite/concord/services/documents"
)

func load(environ ...string) (documents.Config, error) {
	var cfg documents.Config
	return cfg, config.Load(config.Source{Service: documents.Name, Environ: environ}, &cfg)
}

func TestSettings(t *testing.T) {
	var cfg documents.Config
	require.NoError(t, config.Load(config.Source{Service: documents.Name, Environ: []string{"CONCORD_DOCUMENTS_BLOB_DIR=/somewhere"}}, &cfg))
	require.Equal(t, 15*time.Minute, cfg.TicketLife)
	require.Equal(t, 30*24*time.Hour, cfg.Recoverable)
	for environ, mistake := range map[string]string{
		"":                                       "blob_dir",
		"CONCORD_DOCUMENTS_PUBLIC_URL=ftp://x":   "public_url is http:// or https:// and a host",
		"CONCORD_DOCUMENTS_BLOB_GRACE=1h":        "blob_grace",
		"CONCORD_DOCUMENTS_RECOVERABLE=1h":       "recoverable",
		"CONCORD_DOCUMENTS_MAIL_SECURITY=secret": "mail.security",
		"CONCORD_DOCUMENTS_BLOBDIR=/misspelt":    "CONCORD_DOCUMENTS_BLOBDIR",
		"CONCORD_DOCUMENTS_MAIL_PORT=70000":      "mail.port",
	} {
		env := []string{environ}
		if environ != "" {
			env = append(env, "CONCORD_DOCUMENTS_BLOB_DIR=/somewhere")
		}
		_, err := load(env...)
		require.ErrorContains(t, err, mistake, environ)
	}
	_, err := load("CONCORD_DOCUMENTS_BLOB_DIR=/somewhere", "CONCORD_DOCUMENTS_MAIL_HOST=mail.example.com",
		"CONCORD_DOCUMENTS_MAIL_SECURITY=plain", "CONCORD_DOCUMENTS_MAIL_FROM=nobody")
	require.ErrorContains(t, err, "mail.security plain is for a server on the same machine")
	require.ErrorContains(t, err, "mail.from is an e-mail address")
}

// A folder of bytes that can not be used is said in words, before anything is served.
func TestTheFolderOfBytes(t *testing.T) {
	s := onSQLite(t, options{})
	deps := s.deps()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	cfg := documents.Config{BlobDir: file}
	_, err := documents.New(t.Context(), cfg, deps)
	require.ErrorContains(t, err, "is not a folder")
	cfg.BlobDir = filepath.Join(t.TempDir(), "missing")
	_, err = documents.New(t.Context(), cfg, deps)
	require.ErrorContains(t, err, "does not exist")
	_, err = documents.New(t.Context(), cfg, documents.Deps{})
	require.ErrorContains(t, err, "are needed")
}
