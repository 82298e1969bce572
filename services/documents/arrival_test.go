package documents_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/sqldb"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
)

// The same bytes at once, under different names: each is a document, the bytes are kept once.
func TestTheSameBytesAtOnce(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		s.t = t
		folder := s.business("Same")
		content := bytes.Repeat([]byte("same"), 100_000)
		const n = 12
		var wg sync.WaitGroup
		for i := range n {
			in, err := s.initiate(s.staff(), folder, fmt.Sprintf("%d.txt", i), content)
			require.NoError(t, err)
			wg.Go(func() {
				req, err := http.NewRequest(http.MethodPut, s.bytes+in.GetUploadPath(), bytes.NewReader(content))
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := http.DefaultClient.Do(req)
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Error(err, resp)
					return
				}
				resp.Body.Close()
			})
		}
		wg.Wait()
		require.EqualValues(t, n, s.folder(folder).GetDocumentCount())
		require.Equal(t, 1, s.stored())
	})
}

// The folder goes while bytes arrive slowly: they land where it went.
func TestASlowUploadIntoAFolderThatGoes(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		s.t = t
		s.grant(true)
		folder := s.business("Slow")
		content := bytes.Repeat([]byte("slow"), 200_000)
		in, err := s.initiate(s.staff(), folder, "slow.txt", content)
		require.NoError(t, err)
		body, send := io.Pipe()
		req, err := http.NewRequest(http.MethodPut, s.bytes+in.GetUploadPath(), body)
		require.NoError(t, err)
		type result struct {
			status int
			d      *documentsv1.Document
		}
		done := make(chan result, 1)
		go func() {
			status, d, _ := s.answer(http.DefaultClient.Do(req))
			done <- result{status, d}
		}()
		_, err = send.Write(content[:300_000])
		require.NoError(t, err)
		_, err = s.delete(folder, 0)
		require.NoError(t, err)
		_, err = send.Write(content[300_000:])
		require.NoError(t, err)
		require.NoError(t, send.Close())
		got := <-done
		require.Equal(t, http.StatusOK, got.status)
		require.True(t, got.d.GetArchived())
		require.EqualValues(t, 1, s.folder(folder).GetDocumentCount())
		require.Equal(t, content, s.download(s.staff(), got.d.GetName()))
	})
}

// The database loses the commit, or the answer to it: the sender hears of the document all the same, once.
func TestACommitThatIsLostOnTheWay(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		s.t = t
		folder := s.business("Lost")
		for i, hurt := range []func(int){s.lost.FailCommit, s.lost.CommitThenFail, s.lost.RefuseCommit} {
			content := fmt.Appendf(nil, "content %d", i)
			in, err := s.initiate(s.staff(), folder, "a.txt", content)
			require.NoError(t, err)
			hurt(1)
			status, d, p := s.put(in.GetUploadPath(), content)
			require.Equal(t, http.StatusOK, status, "%v", p)
			require.Equal(t, in.GetDocument(), d.GetName())
			require.EqualValues(t, i+1, s.folder(folder).GetDocumentCount())
		}
	})
}

// A process that dies after the bytes came to rest leaves them without a document; the sender sends them again.
func TestBytesWithoutADocumentAreSentAgain(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		s.t = t
		folder := s.business("Again")
		content := []byte("again")
		in, err := s.initiate(s.staff(), folder, "a.txt", content)
		require.NoError(t, err)
		s.lost.FailExec("INSERT INTO documents", 1)
		status, _, p := s.put(in.GetUploadPath(), content)
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Equal(t, "STORAGE_UNAVAILABLE", p.Reason)
		require.Equal(t, 1, s.stored(), "nobody refers to them yet")
		require.Zero(t, s.folder(folder).GetDocumentCount())
		status, _, _ = s.put(in.GetUploadPath(), content)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, 1, s.stored())
		require.EqualValues(t, 1, s.folder(folder).GetDocumentCount())
	})
}

// The address of bytes ends with the session that asked for it.
func TestTicketsEndWithTheSession(t *testing.T) {
	s := onSQLite(t, options{run: true})
	folder := s.business("Session")
	d := s.upload(s.staff(), folder, "a.txt", []byte("a"))
	out, err := s.documents.InitiateDownload(s.staff(), &documentsv1.InitiateDownloadRequest{Name: d.GetName()})
	require.NoError(t, err)
	in, err := s.initiate(s.staff(), folder, "b.txt", []byte("b"))
	require.NoError(t, err)
	resp, _ := s.get(http.MethodGet, out.GetDownloadPath(), nil)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	s.revoke(accesstest.SessionID(access.Staff))
	eventstest.Until(t, "the ticket has ended", func() bool {
		resp, _ := s.get(http.MethodGet, out.GetDownloadPath(), nil)
		return resp.StatusCode != http.StatusOK
	})
	eventstest.Until(t, "the upload has ended", func() bool {
		status, _, _ := s.put(in.GetUploadPath(), []byte("b"))
		return status == http.StatusUnauthorized || status == http.StatusGone
	})
	eventstest.Until(t, "it stays ended after three minutes", func() bool {
		var n int
		now := sqldb.Micros(s.clock.Now())
		err := s.db.QueryRow(t.Context(), `SELECT count(*) FROM downloads WHERE expires > $1`, now).Scan(&n)
		return err == nil && n == 0
	})
}
