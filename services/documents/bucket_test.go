package documents_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/documents"
	"github.com/concord-suite/concord/services/documents/internal/blob/bucket/buckettest"
)

// What people do with documents is the same when the bytes are in a bucket of a real S3 server.
func TestOnABucket(t *testing.T) {
	server := buckettest.Start(t)
	for name, fn := range map[string]func(*testing.T, *suite){
		"bytes go in and out":      inAndOut,
		"ranges and headers":       rangesAndHeaders,
		"to the archive and back":  archiveAndBack,
		"the whole departure":      wholeDeparture,
		"an upload in parts":       inParts,
		"nothing is beside S3":     onlyInTheBucket,
		"moved from a folder":      movedFromAFolder,
		"unused bytes are removed": unusedBytesGo,
	} {
		t.Run(name, func(t *testing.T) {
			o := options{bucket: server, environ: []string{"CONCORD_DOCUMENTS_SWEEP_EVERY=1s"}}
			o.run = name == "the whole departure" || name == "unused bytes are removed"
			fn(t, onSQLite(t, o))
		})
	}
	require.NotEmpty(t, server.Files())
}

func inParts(t *testing.T, s *suite) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 33<<20/16)
	d := s.upload(s.staff(), s.business("Large"), "large.bin", content)
	require.True(t, bytes.Equal(content, s.download(s.staff(), d.GetName())))
}

func onlyInTheBucket(t *testing.T, s *suite) {
	s.upload(s.staff(), s.business("Beside"), "a.txt", []byte("nowhere else"))
	require.Zero(t, s.stored(), "the folder of what is on its way is empty again")
}

// settings are those of a suite, as the programs have them.
func (s *suite) settings(o options) documents.Config {
	s.t.Helper()
	cfg, err := load(o.storage(s.blobs)...)
	require.NoError(s.t, err)
	return cfg
}

// An installation that kept its bytes in a folder goes on with a bucket, and back.
func movedFromAFolder(t *testing.T, s *suite) {
	before := onSQLite(t, options{})
	content := []byte("filed when bytes were in a folder")
	d := before.upload(before.staff(), before.business("Moves"), "old.txt", content)
	before.upload(before.staff(), before.business("Moves, too"), "new.txt", []byte("damaged later"))
	cfg := s.settings(s.options)
	none := func(key string) { t.Errorf("%s is damaged", key) }
	in := documents.Move{Folder: before.blobs}
	moved, err := documents.CopyBlobs(t.Context(), cfg, in, none)
	require.NoError(t, err)
	require.Equal(t, documents.Moved{Found: 2, Copied: 2, Bytes: int64(len(content) + 13)}, moved)
	moved, err = documents.CopyBlobs(t.Context(), cfg, in, none)
	require.NoError(t, err)
	require.Equal(t, documents.Moved{Found: 2, There: 2}, moved, "what is there is not copied again")

	// The same database, with a service whose bytes are in the bucket.
	deps := before.deps()
	deps.Logger = slog.New(slog.DiscardHandler)
	service, err := documents.New(t.Context(), cfg, deps)
	require.NoError(t, err)
	out, err := before.documents.InitiateDownload(before.staff(), &documentsv1.InitiateDownloadRequest{Name: d.GetName()})
	require.NoError(t, err)
	require.Equal(t, content, bytesAt(t, service.Handler(), out.GetDownloadPath()))

	// And back into a folder, of which one file is damaged, and found.
	back := t.TempDir()
	moved, err = documents.CopyBlobs(t.Context(), cfg, documents.Move{Folder: back, Out: true}, none)
	require.NoError(t, err)
	require.Positive(t, moved.Copied)
	file := find(t, back, sumOf(content))
	require.NoError(t, os.WriteFile(file, bytes.ToUpper(content), 0o600))
	moved, err = documents.CopyBlobs(t.Context(), cfg, documents.Move{Folder: back, Out: true, Verify: true}, none)
	require.NoError(t, err)
	require.EqualValues(t, 1, moved.Copied, "put again")
	require.NoError(t, os.WriteFile(file, bytes.ToUpper(content), 0o600))
	var damaged []string
	cfg.S3.Prefix = "another/"
	moved, err = documents.CopyBlobs(t.Context(), cfg, documents.Move{Folder: back}, func(key string) { damaged = append(damaged, key) })
	require.NoError(t, err)
	require.EqualValues(t, 1, moved.Damaged)
	require.Contains(t, damaged[0], sumOf(content))
	require.Contains(t, moved.String(), "1 damaged")

	_, err = documents.CopyBlobs(t.Context(), cfg, documents.Move{Folder: filepath.Join(back, "missing")}, none)
	require.ErrorContains(t, err, "does not exist")
}

// bytesAt asks a handler for what is at a path.
func bytesAt(t *testing.T, h http.Handler, path string) []byte {
	t.Helper()
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	require.Equal(t, http.StatusOK, answer.Code)
	return answer.Body.Bytes()
}

// find finds the file of a blob.
func find(t *testing.T, root, sum string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, "*", sum[:2], sum+"-*"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}

// What no document refers to is swept out of the bucket after its grace.
func unusedBytesGo(t *testing.T, s *suite) {
	folder := s.business("Unused")
	d := s.upload(s.staff(), folder, "a.txt", []byte("a document that is destroyed"))
	_, err := s.delete(folder, 1)
	require.NoError(t, err)
	s.clock.advance(31 * 24 * time.Hour)
	require.Eventually(t, func() bool {
		s.clock.advance(15 * 24 * time.Hour)
		for _, name := range s.options.bucket.Files() {
			if path.Base(name) == d.GetSha256()+"-1" {
				return false
			}
		}
		return true
	}, time.Minute, 100*time.Millisecond)
}

// A bucket that was never reached is a mistake: the process is not ready, and says why. One that goes away later is everybody's
// trouble, and only the bytes' : what needs none goes on.
func TestABucketThatIsAway(t *testing.T) {
	server := buckettest.Start(t)
	server.Kill()
	s := onSQLite(t, options{bucket: server, environ: []string{"CONCORD_DOCUMENTS_S3_SILENCE=2s", "CONCORD_DOCUMENTS_TICKET_LIFE=24h"}})
	require.Eventually(t, func() bool {
		err := s.service.Ready(t.Context())
		return err != nil && bytes.Contains([]byte(err.Error()), []byte("the bucket can not be reached"))
	}, time.Minute, 10*time.Millisecond)
	require.Empty(t, s.service.State())
	server.Run()
	s.eventuallyReady(func() bool { return s.service.State() == "" })

	folder := s.business("Away")
	d := s.upload(s.staff(), folder, "a.txt", []byte("before"))
	in, err := s.initiate(s.staff(), folder, "b.txt", []byte("sent again"))
	require.NoError(t, err)
	server.Freeze()
	s.eventuallyReady(func() bool { return s.service.State() != "" })
	require.Contains(t, s.service.State(), "serving without them")
	require.Contains(t, s.logs.String(), "uploads and downloads fail")
	status, _, p := s.put(in.GetUploadPath(), []byte("sent again"))
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "STORAGE_UNAVAILABLE", p.Reason)
	require.EqualValues(t, 1, s.folder(folder).GetDocumentCount(), "what needs no bytes is answered")

	server.Thaw()
	s.eventuallyReady(func() bool { return s.service.State() == "" })
	status, _, _ = s.put(in.GetUploadPath(), []byte("sent again"))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, []byte("before"), s.download(s.staff(), d.GetName()))
}

// eventuallyReady asks until the process is ready, in this state, while the clock goes on.
func (s *suite) eventuallyReady(state func() bool) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		s.clock.advance(11 * time.Second)
		return s.service.Ready(context.Background()) == nil && state()
	}, time.Minute, 20*time.Millisecond)
}

// A bucket may take longer over the bytes than their sender may be silent: the sender has said everything.
func TestABucketThatTakesItsTime(t *testing.T) {
	server := buckettest.Start(t)
	s := onSQLite(t, options{bucket: server, environ: []string{"CONCORD_DOCUMENTS_TRANSFER_IDLE=1s"}})
	folder := s.business("Slow")
	server.Set(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method == http.MethodPut {
			<-time.After(3 * time.Second)
		}
		return false
	})
	for _, size := range []int{26, 512 << 10} { // as much as is read at once, too: its end is found by asking again
		content := bytes.Repeat([]byte("x"), size)
		d := s.upload(s.staff(), folder, "a.txt", content)
		require.Equal(t, content, s.download(s.staff(), d.GetName()))
	}
}
