package documents_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/sqldb"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
)

// auditActions reads the audit entries of the outbox by action.
func (s *suite) auditActions() map[string]*auditeventsv1.AuditEntry {
	s.t.Helper()
	entries := map[string]*auditeventsv1.AuditEntry{}
	require.NoError(s.t, s.db.Read(s.t.Context(), func(tx *sqldb.Tx) error {
		_, err := sqldb.Collect(tx, func(r *sqldb.Rows) (any, error) {
			var payload []byte
			if err := r.Scan(&payload); err != nil {
				return nil, err
			}
			var e auditeventsv1.AuditRecorded
			err := proto.Unmarshal(payload, &e)
			for _, one := range e.GetEntries() {
				entries[one.GetAction()] = one
			}
			return nil, err
		}, `SELECT payload FROM events_outbox WHERE subject = 'audit.v1.audit_recorded'`)
		return err
	}))
	return entries
}

// stored counts the files in the store.
func (s *suite) stored() (n int) {
	s.t.Helper()
	require.NoError(s.t, filepath.WalkDir(s.blobs, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	}))
	return n
}

func TestBytesGoInAndOut(t *testing.T) { each(t, options{}, inAndOut) }

func inAndOut(t *testing.T, s *suite) {
	s.t = t
	folder := s.business("Bytes")
	for _, size := range []int{0, 1, 511, 512, 256 << 10, 256<<10 + 1, 5 << 20} {
		content := make([]byte, size)
		_, _ = rand.Read(content)
		d := s.upload(s.staff(), folder, fmt.Sprintf("%d.bin", size), content)
		require.EqualValues(t, size, d.GetSize())
		require.Equal(t, sumOf(content), d.GetSha256())
		require.True(t, bytes.Equal(content, s.download(s.staff(), d.GetName())), "size %d", size)
	}
	// Without a declared hash or type.
	in, err := s.documents.InitiateUpload(s.staff(), &documentsv1.InitiateUploadRequest{Parent: firmA, Folder: folder, DisplayName: "page.html", Size: proto.Int64(15)})
	require.NoError(t, err)
	status, d, _ := s.put(in.GetUploadPath(), []byte("<!DOCTYPE HTML>"))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "text/html; charset=utf-8", d.GetMediaType())
}

// Bytes are held to their size, so an upload that says none is refused before anything is sent; an empty file has one: 0.
func TestAnUploadSaysItsSize(t *testing.T) {
	s := onSQLite(t, options{})
	req := &documentsv1.InitiateUploadRequest{Parent: firmA, Folder: s.business("Sizes"), DisplayName: "a.txt"}
	_, err := s.documents.InitiateUpload(s.staff(), req)
	e := s.refused(err, codes.InvalidArgument, "INVALID_REQUEST")
	require.Equal(t, "size", e.Violations()[0].Field)
	req.Size = proto.Int64(0)
	in, err := s.documents.InitiateUpload(s.staff(), req)
	require.NoError(t, err)
	status, d, p := s.put(in.GetUploadPath(), nil)
	require.Equal(t, http.StatusOK, status, "%v", p)
	require.Zero(t, d.GetSize())
}

func TestBytesThatAreNotWhatWasDeclared(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		s.t = t
		folder := s.business("Wrong")
		content := []byte("ten bytes!")
		refused := func(send func(path string) (int, *documentsv1.Document, problem), wantStatus int, wantReason string) {
			t.Helper()
			in, err := s.initiate(s.staff(), folder, "a.txt", content)
			require.NoError(t, err)
			status, _, p := send(in.GetUploadPath())
			require.Equal(t, wantStatus, status)
			require.Equal(t, wantReason, p.Reason)
			require.Zero(t, s.stored(), "nothing is kept")
			require.Zero(t, s.folder(folder).GetDocumentCount())
			status, _, p = s.put(in.GetUploadPath(), content)
			require.Equal(t, http.StatusOK, status, "the upload can be sent again: %v", p)
			s.clean(folder)
		}
		body := func(b []byte) func(string) (int, *documentsv1.Document, problem) {
			return func(path string) (int, *documentsv1.Document, problem) { return s.put(path, b) }
		}
		chunked := func(b []byte) func(string) (int, *documentsv1.Document, problem) {
			return func(path string) (int, *documentsv1.Document, problem) {
				req, err := http.NewRequest(http.MethodPut, s.bytes+path, io.MultiReader(bytes.NewReader(b))) // of unknown length
				require.NoError(t, err)
				return s.answer(http.DefaultClient.Do(req))
			}
		}
		for _, send := range []func([]byte) func(string) (int, *documentsv1.Document, problem){body, chunked} {
			refused(send(content[:9]), http.StatusUnprocessableEntity, "CONTENT_MISMATCH")
			refused(send(append(content, '!')), http.StatusUnprocessableEntity, "CONTENT_MISMATCH")
			refused(send(nil), http.StatusUnprocessableEntity, "CONTENT_MISMATCH")
			refused(send([]byte("TEN BYTES!")), http.StatusUnprocessableEntity, "CONTENT_MISMATCH")
		}
	})
}

// clean deletes the folder's documents and files, so that the next case begins with nothing.
func (s *suite) clean(folder string) {
	s.t.Helper()
	require.NoError(s.t, s.db.Tx(s.t.Context(), func(tx *sqldb.Tx) error {
		for _, statement := range []string{`DELETE FROM documents`, `DELETE FROM blobs`, `UPDATE folders SET documents = 0`} {
			if _, err := tx.Exec(statement); err != nil {
				return err
			}
		}
		return nil
	}))
	entries, err := os.ReadDir(s.blobs)
	require.NoError(s.t, err)
	for _, e := range entries {
		require.NoError(s.t, os.RemoveAll(filepath.Join(s.blobs, e.Name())))
	}
	require.Zero(s.t, s.folder(folder).GetDocumentCount())
}

// A sender that goes away in the middle, or says nothing for too long, leaves nothing.
func TestBytesThatStop(t *testing.T) {
	s := onSQLite(t, options{})
	folder := s.business("Cut")
	content := bytes.Repeat([]byte("x"), 1<<20)
	in, err := s.initiate(s.staff(), folder, "a.txt", content)
	require.NoError(t, err)
	u, err := url.Parse(s.bytes)
	require.NoError(t, err)
	conn, err := net.Dial("tcp", u.Host)
	require.NoError(t, err)
	_, err = fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", in.GetUploadPath(), len(content))
	require.NoError(t, err)
	_, err = conn.Write(content[:1000])
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	status, d, _ := s.put(in.GetUploadPath(), content)
	require.Equal(t, http.StatusOK, status)
	require.EqualValues(t, len(content), d.GetSize())
	require.Equal(t, 1, s.stored())
}

// A sender that holds the connection and says nothing is cut.
func TestASenderThatSaysNothing(t *testing.T) {
	s := onSQLite(t, options{environ: []string{"CONCORD_DOCUMENTS_TRANSFER_IDLE=1s"}})
	in, err := s.initiate(s.staff(), s.business("Idle"), "a.txt", make([]byte, 1000))
	require.NoError(t, err)
	u, err := url.Parse(s.bytes)
	require.NoError(t, err)
	conn, err := net.Dial("tcp", u.Host)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(eventstest.Wait)))
	_, err = fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nten bytes!", in.GetUploadPath())
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err, "the server ends the connection")
	require.Contains(t, string(answer), "422 Unprocessable Entity")
	require.Zero(t, s.stored())
}

func TestTickets(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		s.t = t
		folder := s.business("Tickets")
		content := []byte("content")
		in, err := s.initiate(s.staff(), folder, "a.txt", content)
		require.NoError(t, err)
		unknown := func(method, path string, want int) {
			t.Helper()
			resp, body := s.get(method, path, nil)
			require.Equal(t, want, resp.StatusCode, "%s", body)
		}
		unknown(http.MethodGet, in.GetUploadPath(), http.StatusNotFound) // of the other direction
		unknown(http.MethodGet, "/v1/bytes/", http.StatusNotFound)
		unknown(http.MethodGet, "/v1/bytes/"+strings.Repeat("A", 72), http.StatusNotFound)
		unknown(http.MethodGet, "/v1/other", http.StatusNotFound)
		unknown(http.MethodPost, in.GetUploadPath(), http.StatusMethodNotAllowed)
		changed := []byte(in.GetUploadPath())
		changed[len(changed)-30] ^= 1
		status, _, p := s.put(string(changed), content)
		require.Equal(t, http.StatusNotFound, status)
		require.Equal(t, "NOT_FOUND", p.Reason)

		status, first, _ := s.put(in.GetUploadPath(), content)
		require.Equal(t, http.StatusOK, status)
		status, again, _ := s.put(in.GetUploadPath(), content)
		require.Equal(t, http.StatusOK, status, "an answer that was lost is given again")
		require.True(t, proto.Equal(first, again))
		status, _, p = s.put(in.GetUploadPath(), []byte("CONTENT"))
		require.Equal(t, http.StatusUnprocessableEntity, status)
		require.Equal(t, "CONTENT_MISMATCH", p.Reason)

		late, err := s.initiate(s.staff(), folder, "late.txt", content)
		require.NoError(t, err)
		out, err := s.documents.InitiateDownload(s.staff(), &documentsv1.InitiateDownloadRequest{Name: first.GetName()})
		require.NoError(t, err)
		unknown(http.MethodGet, out.GetDownloadPath(), http.StatusOK)
		s.clock.advance(16 * time.Minute)
		unknown(http.MethodGet, out.GetDownloadPath(), http.StatusNotFound)
		status, _, p = s.put(late.GetUploadPath(), content)
		require.Equal(t, http.StatusGone, status)
		require.Equal(t, "UPLOAD_ENDED", p.Reason)
	})
}

func TestRangesAndHeaders(t *testing.T) { rangesAndHeaders(t, onSQLite(t, options{})) }

func rangesAndHeaders(t *testing.T, s *suite) {
	content := []byte("0123456789")
	name := "Jahres\u00fcbersicht \"2026\"; rm -rf.pdf"
	d := s.upload(s.staff(), s.business("Ranges"), name, content)
	out, err := s.documents.InitiateDownload(s.staff(), &documentsv1.InitiateDownloadRequest{Name: d.GetName()})
	require.NoError(t, err)
	path := out.GetDownloadPath()
	resp, body := s.get(http.MethodGet, path, nil)
	require.Equal(t, content, body)
	require.Equal(t, `"`+d.GetSha256()+`"`, resp.Header.Get("ETag"))
	require.Equal(t, "bytes", resp.Header.Get("Accept-Ranges"))
	require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
	require.Contains(t, resp.Header.Get("Content-Security-Policy"), "sandbox")
	require.Equal(t, "private, no-store", resp.Header.Get("Cache-Control"))
	disposition := resp.Header.Get("Content-Disposition")
	require.True(t, strings.HasPrefix(disposition, "attachment;"), disposition)
	require.Contains(t, disposition, "filename*=utf-8''Jahres%C3%BCbersicht%20%222026%22%3B%20rm%20-rf.pdf")
	for _, c := range []struct {
		ask, ifRange string
		status       int
		want         string
	}{
		{"bytes=2-4", "", http.StatusPartialContent, "234"},
		{"bytes=7-", "", http.StatusPartialContent, "789"},
		{"bytes=-2", "", http.StatusPartialContent, "89"},
		{"bytes=0-99", "", http.StatusPartialContent, "0123456789"},
		{"bytes=10-", "", http.StatusRequestedRangeNotSatisfiable, ""},
		{"bytes=2-4", `"` + d.GetSha256() + `"`, http.StatusPartialContent, "234"},
		{"bytes=2-4", `"something else"`, http.StatusOK, "0123456789"},
	} {
		h := http.Header{"Range": {c.ask}}
		if c.ifRange != "" {
			h.Set("If-Range", c.ifRange)
		}
		resp, body := s.get(http.MethodGet, path, h)
		require.Equal(t, c.status, resp.StatusCode, c.ask)
		if c.want != "" {
			require.Equal(t, c.want, string(body), c.ask)
		}
	}
	resp, body = s.get(http.MethodGet, path, http.Header{"Range": {"bytes=10-"}})
	require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"), "a problem, as every other refusal: %s", body)
	require.Contains(t, string(body), `"reason":"RANGE_NOT_SATISFIABLE"`)
	require.Equal(t, "bytes */10", resp.Header.Get("Content-Range"))
	resp, body = s.get(http.MethodGet, path, http.Header{"Range": {"bytes=0-1,8-9"}})
	require.Equal(t, http.StatusPartialContent, resp.StatusCode)
	require.Contains(t, string(body), "Content-Range: bytes 8-9/10")
	resp, _ = s.get(http.MethodGet, path, http.Header{"If-None-Match": {`"` + d.GetSha256() + `"`}})
	require.Equal(t, http.StatusNotModified, resp.StatusCode)
	resp, body = s.get(http.MethodHead, path, nil)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Empty(t, body)
	require.EqualValues(t, 10, resp.ContentLength)
}
