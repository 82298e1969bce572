package documents_test

import (
	"context"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/events/eventstest"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	synceventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"
)

func (s *suite) publish(d *documentsv1.Document, published bool) error {
	_, err := s.documents.PublishDocument(s.staff(), &documentsv1.PublishDocumentRequest{Name: d.GetName(), Published: published, RequestId: id()})
	return err
}

// seen is what somebody sees: the names of documents, asked for in every way there is.
func (s *suite) seen(ctx context.Context, all ...*documentsv1.Document) (listed, got, fetched map[string]bool) {
	s.t.Helper()
	listed, got, fetched = map[string]bool{}, map[string]bool{}, map[string]bool{}
	list, err := s.documents.ListDocuments(ctx, &documentsv1.ListDocumentsRequest{Parent: firmA})
	require.NoError(s.t, err)
	for _, d := range list.GetDocuments() {
		listed[d.GetDisplayName()] = true
	}
	for _, d := range all {
		if _, err := s.documents.GetDocument(ctx, &documentsv1.GetDocumentRequest{Name: d.GetName()}); err == nil {
			got[d.GetDisplayName()] = true
		} else {
			s.refused(err, codes.NotFound, "NOT_FOUND")
		}
		if _, err := s.documents.InitiateDownload(ctx, &documentsv1.InitiateDownloadRequest{Name: d.GetName()}); err == nil {
			fetched[d.GetDisplayName()] = true
		}
	}
	return listed, got, fetched
}

// Who relates to whom decides what a contact sees, at once and everywhere.
func TestWhatContactsSee(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		s.t = t
		s.fresh()
		one, folderOne := s.list.client("One")
		two, folderTwo := s.list.client("Two")
		business := s.business("Business")
		shown := s.upload(s.staff(), folderOne, "one shown", []byte("1"))
		hidden := s.upload(s.staff(), folderOne, "one hidden", []byte("2"))
		other := s.upload(s.staff(), folderTwo, "two shown", []byte("3"))
		internal := s.upload(s.staff(), business, "internal", []byte("4"))
		all := []*documentsv1.Document{shown, hidden, other, internal}
		require.NoError(t, s.publish(shown, true))
		require.NoError(t, s.publish(other, true))
		s.refused(s.publish(internal, true), codes.FailedPrecondition, "FAILED_PRECONDITION")
		first := s.list.person("First", "first@example.com", one)
		both := s.list.person("Both", "both@example.com", one, two)
		nobody := s.list.person("Nobody", "nobody@example.com")

		sees := func(contact string, names ...string) {
			t.Helper()
			want := map[string]bool{}
			for _, n := range names {
				want[n] = true
			}
			listed, got, fetched := s.seen(s.contact(contact), all...)
			require.Equal(t, want, listed)
			require.Equal(t, want, got)
			require.Equal(t, want, fetched)
		}
		sees(first, "one shown")
		sees(both, "one shown", "two shown")
		sees(nobody)
		folders, err := s.folders.ListFolders(s.contact(first), &documentsv1.ListFoldersRequest{Parent: firmA})
		require.NoError(t, err)
		require.Len(t, folders.GetFolders(), 1)
		require.EqualValues(t, 1, folders.GetFolders()[0].GetDocumentCount(), "what is hidden is not counted either")
		_, err = s.folders.GetFolder(s.contact(first), &documentsv1.GetFolderRequest{Name: folderTwo})
		s.refused(err, codes.NotFound, "NOT_FOUND")

		// Uploads go into the client's own folder, and whoever sent one sees it.
		sent := s.upload(s.contact(first), folderOne, "from the client", []byte("5"))
		require.Equal(t, first, sent.GetFiledBy())
		all = append(all, sent)
		sees(first, "one shown", "from the client")
		for _, folder := range []string{folderTwo, business} {
			_, err := s.initiate(s.contact(first), folder, "x", []byte("x"))
			s.refused(err, codes.NotFound, "NOT_FOUND")
		}

		// Addresses given out before end with the relation.
		out, err := s.documents.InitiateDownload(s.contact(first), &documentsv1.InitiateDownloadRequest{Name: shown.GetName()})
		require.NoError(t, err)
		in, err := s.initiate(s.contact(first), folderOne, "late", []byte("6"))
		require.NoError(t, err)
		resp, _ := s.get(http.MethodGet, out.GetDownloadPath(), nil)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		s.list.relate(first)
		sees(first)
		resp, _ = s.get(http.MethodGet, out.GetDownloadPath(), nil)
		require.Equal(t, http.StatusNotFound, resp.StatusCode)
		status, _, _ := s.put(in.GetUploadPath(), []byte("6"))
		require.Equal(t, http.StatusNotFound, status)
		sees(both, "one shown", "two shown", "from the client")

		// What is hidden again is gone, and so is everything of a client that left.
		require.NoError(t, s.publish(shown, false))
		sees(both, "two shown", "from the client")
		s.list.say("clients/"+two, &synceventsv1.ClientArchived{Client: two, Offboarding: firmA + "/offboardings/" + id()})
		eventstest.Until(t, "the folder is orphaned", func() bool {
			return s.folder(folderTwo).GetKind() == documentsv1.FolderKind_FOLDER_KIND_ORPHANED_BUSINESS
		})
		sees(both, "from the client")
		s.refused(s.publish(other, true), codes.FailedPrecondition, "FAILED_PRECONDITION")
	})
}

// When it is not known freshly who relates to whom, contacts see nothing, and staff work on.
func TestContactsWaitWhenTheClientListIsNotHeard(t *testing.T) {
	s := onSQLite(t, options{run: true})
	s.fresh()
	client, folder := s.list.client("One")
	contact := s.list.person("First", "first@example.com", client)
	d := s.upload(s.staff(), folder, "a.txt", []byte("a"))
	require.NoError(t, s.publish(d, true))
	out, err := s.documents.InitiateDownload(s.contact(contact), &documentsv1.InitiateDownloadRequest{Name: d.GetName()})
	require.NoError(t, err)
	in, err := s.initiate(s.contact(contact), folder, "b.txt", []byte("b"))
	require.NoError(t, err)
	s.nats.Stop(t)
	s.clock.advance(10 * time.Second)
	_, err = s.documents.ListDocuments(s.contact(contact), &documentsv1.ListDocumentsRequest{Parent: firmA})
	s.refused(err, codes.Unavailable, "SCOPE_STALE")
	_, err = s.documents.GetDocument(s.contact(contact), &documentsv1.GetDocumentRequest{Name: d.GetName()})
	s.refused(err, codes.Unavailable, "SCOPE_STALE")
	_, err = s.jobs.ListSignatureRequests(s.contact(contact), &documentsv1.ListSignatureRequestsRequest{Parent: firmA})
	s.refused(err, codes.Unavailable, "SCOPE_STALE")
	_, err = s.jobs.CreateEmailJob(s.staff(), &documentsv1.CreateEmailJobRequest{Parent: firmA, Client: client, Subject: "x",
		Documents: []string{d.GetName()}, Recipients: []string{contact}})
	s.refused(err, codes.Unavailable, "SCOPE_STALE")
	resp, body := s.get(http.MethodGet, out.GetDownloadPath(), nil)
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	require.Contains(t, string(body), "SCOPE_STALE")
	status, _, p := s.put(in.GetUploadPath(), []byte("b"))
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "SCOPE_STALE", p.Reason)
	require.Equal(t, []byte("a"), s.download(s.staff(), d.GetName()))
	s.nats.Start(t)
	s.fresh()
	status, _, _ = s.put(in.GetUploadPath(), []byte("b"))
	require.Equal(t, http.StatusOK, status)
}

// What is a little too old is waited for: the client list is heard again in a moment.
func TestContactsDoNotNoticeThatTheClientListIsHeardALittleLate(t *testing.T) {
	s := onSQLite(t, options{run: true, environ: []string{"CONCORD_DOCUMENTS_SCOPE_LAG=1m"}})
	s.fresh()
	client, folder := s.list.client("One")
	contact := s.list.person("First", "first@example.com", client)
	d := s.upload(s.staff(), folder, "a.txt", []byte("a"))
	require.NoError(t, s.publish(d, true))
	for range 5 {
		s.fresh()
		s.clock.advance(65 * time.Second) // in one step, as the next word of the client list is on its way
		_, err := s.documents.GetDocument(s.contact(contact), &documentsv1.GetDocumentRequest{Name: d.GetName()})
		require.NoError(t, err)
	}
	s.nats.Stop(t)
	s.clock.advance(65 * time.Second)
	ended, cancel := context.WithTimeout(s.contact(contact), 5*time.Second)
	defer cancel()
	_, err := s.documents.GetDocument(ended, &documentsv1.GetDocumentRequest{Name: d.GetName()})
	require.Error(t, err, "nothing is shown while it is waited for")
}

// A storage that fails refuses, says so, and keeps nothing.
func TestAStorageThatFails(t *testing.T) {
	s := onSQLite(t, options{})
	folder := s.business("Failing")
	in, err := s.initiate(s.staff(), folder, "a.txt", []byte("a"))
	require.NoError(t, err)
	require.NoError(t, s.service.Ready(t.Context()))
	require.NoError(t, os.RemoveAll(s.blobs))
	require.Error(t, s.service.Ready(t.Context()))
	status, _, p := s.put(in.GetUploadPath(), []byte("a"))
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "STORAGE_UNAVAILABLE", p.Reason)
	require.NotContains(t, p.Detail, s.blobs)
	require.Zero(t, s.folder(folder).GetDocumentCount())
	require.NoError(t, os.Mkdir(s.blobs, 0o700))
	status, _, _ = s.put(in.GetUploadPath(), []byte("a"))
	require.Equal(t, http.StatusOK, status)
}
