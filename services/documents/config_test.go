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

func TestSettingsOfABucket(t *testing.T) {
	cfg, err := load("CONCORD_DOCUMENTS_S3_BUCKET=documents")
	require.NoError(t, err)
	require.Equal(t, "us-east-1", cfg.S3.Region)
	require.EqualValues(t, 1<<30, cfg.S3.Spool)
	secret := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(secret, []byte("from a file\n"), 0o600))
	cfg, err = load("CONCORD_DOCUMENTS_S3_BUCKET=documents", "CONCORD_DOCUMENTS_S3_ENDPOINT=https://s3.example.com",
		"CONCORD_DOCUMENTS_S3_ACCESS_KEY_ID_FILE="+secret, "CONCORD_DOCUMENTS_S3_SECRET_ACCESS_KEY_FILE="+secret)
	require.NoError(t, err)
	require.Equal(t, "from a file", cfg.S3.AccessKeyID)
	for environ, mistake := range map[string]string{
		"CONCORD_DOCUMENTS_BLOB_DIR=/somewhere":                    "blob_dir and s3.bucket exclude each other",
		"CONCORD_DOCUMENTS_S3_BUCKET=Documents":                    "s3.bucket is the name of a bucket",
		"CONCORD_DOCUMENTS_S3_PREFIX=/documents":                   "s3.prefix is letters",
		"CONCORD_DOCUMENTS_S3_PREFIX=documents":                    "ends with a slash",
		"CONCORD_DOCUMENTS_S3_PREFIX=../":                          "s3.prefix is letters",
		"CONCORD_DOCUMENTS_S3_ENDPOINT=http://s3.example.com":      "s3.endpoint is https:// and a host",
		"CONCORD_DOCUMENTS_S3_ENDPOINT=https://s3.example.com/a":   "s3.endpoint is https:// and a host",
		"CONCORD_DOCUMENTS_S3_ENDPOINT=https://a:b@s3.example.com": "s3.endpoint is https:// and a host",
		"CONCORD_DOCUMENTS_S3_ACCESS_KEY_ID=alone":                 "belong together",
		"CONCORD_DOCUMENTS_S3_KMS_KEY=alias/concord":               "s3.kms_key is for s3.encryption aws:kms",
		"CONCORD_DOCUMENTS_S3_ENCRYPTION=none":                     "s3.encryption",
		"CONCORD_DOCUMENTS_S3_SPOOL=1MiB":                          "s3.spool",
		"CONCORD_DOCUMENTS_S3_SILENCE=1h":                          "s3.silence",
		"CONCORD_DOCUMENTS_S3_BUCKETS=misspelt":                    "CONCORD_DOCUMENTS_S3_BUCKETS",
	} {
		_, err := load("CONCORD_DOCUMENTS_S3_BUCKET=documents", environ)
		require.ErrorContains(t, err, mistake, environ)
	}
	_, err = load("CONCORD_DOCUMENTS_BLOB_DIR=/somewhere", "CONCORD_DOCUMENTS_S3_ACCESS_KEY_ID=a")
	require.ErrorContains(t, err, "s3.bucket is required with the other settings of s3")
}
