package documents_test

import (
	"fmt"

	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
)

func (s *suite) grant(enabled bool) {
	s.t.Helper()
	_, err := s.folders.SetDocumentArchive(s.as(access.Operator), &documentsv1.SetDocumentArchiveRequest{Firm: firmA, Enabled: enabled})
	require.NoError(s.t, err)
}

func (s *suite) delete(folder string, confirmed int64) (*documentsv1.Folder, error) {
	resp, err := s.folders.DeleteFolder(s.admin(), &documentsv1.DeleteFolderRequest{Name: folder, ConfirmedDocumentCount: confirmed, RequestId: id()})
	return resp.GetFolder(), err
}

func TestABusinessFolderFromMakingToArchiveAndBack(t *testing.T) { each(t, options{}, archiveAndBack) }

func archiveAndBack(t *testing.T, s *suite) {
	s.t = t
	s.grant(true)
	folder := s.business("Deeds")
	require.Equal(t, "blue", s.folder(folder).GetColor())
	_, err := s.folders.CreateFolder(s.staff(), &documentsv1.CreateFolderRequest{Parent: firmA, Folder: &documentsv1.Folder{DisplayName: "deeds"}})
	s.refused(err, codes.AlreadyExists, "NAME_TAKEN")
	_, err = s.folders.CreateFolder(s.staff(), &documentsv1.CreateFolderRequest{Parent: firmA, Folder: &documentsv1.Folder{DisplayName: "  "}})
	require.Equal(t, "folder.display_name", s.refused(err, codes.InvalidArgument, "INVALID_REQUEST").Violations()[0].Field)
	d := s.upload(s.staff(), folder, "deed.txt", []byte("the deed"))
	require.Equal(t, firmA+"/staff/"+accesstest.Of(access.Staff, "").ID, d.GetFiledBy())
	require.EqualValues(t, 1, s.folder(folder).GetDocumentCount())
	etag := s.folder(folder).GetEtag()

	preview, err := s.folders.PreviewDeleteFolder(s.staff(), &documentsv1.PreviewDeleteFolderRequest{Name: folder})
	require.NoError(t, err)
	require.Equal(t, "1 document will be archived and the folder deleted", preview.GetWarning())
	require.True(t, preview.GetArchives())
	_, err = s.delete(folder, 0)
	s.refused(err, codes.FailedPrecondition, "COUNT_CHANGED")
	_, err = s.folders.DeleteFolder(s.by(accesstest.Of(access.Administrator, accesstest.FirmA)),
		&documentsv1.DeleteFolderRequest{Name: folder, ConfirmedDocumentCount: 1})
	s.refused(err, codes.PermissionDenied, "STEP_UP_REQUIRED")
	f, err := s.delete(folder, 1)
	require.NoError(t, err)
	require.Equal(t, documentsv1.FolderState_FOLDER_STATE_ARCHIVED, f.GetState())
	require.NotEqual(t, etag, f.GetEtag())
	require.NotNil(t, f.GetDeleteTime())

	// Archived documents are listed, opened and downloaded, and come back one by one or together.
	archived, err := s.documents.ListDocuments(s.staff(), &documentsv1.ListDocumentsRequest{Parent: firmA, Archived: true})
	require.NoError(t, err)
	require.Len(t, archived.GetDocuments(), 1)
	require.True(t, archived.GetDocuments()[0].GetArchived())
	inUse, err := s.documents.ListDocuments(s.staff(), &documentsv1.ListDocumentsRequest{Parent: firmA})
	require.NoError(t, err)
	require.Empty(t, inUse.GetDocuments())
	require.Equal(t, []byte("the deed"), s.download(s.staff(), d.GetName()))
	other := s.business("Brought back")
	restored, err := s.documents.RestoreDocument(s.staff(), &documentsv1.RestoreDocumentRequest{Name: d.GetName(), Folder: other, RequestId: id()})
	require.NoError(t, err)
	require.Equal(t, other, restored.GetDocument().GetFolder())
	require.False(t, restored.GetDocument().GetArchived())
	_, err = s.documents.RestoreDocument(s.staff(), &documentsv1.RestoreDocumentRequest{Name: d.GetName(), Folder: other})
	s.refused(err, codes.FailedPrecondition, "NOT_ARCHIVED")
	back, err := s.folders.RestoreFolder(s.admin(), &documentsv1.RestoreFolderRequest{Name: folder, RequestId: id()})
	require.NoError(t, err)
	require.Equal(t, documentsv1.FolderState_FOLDER_STATE_ACTIVE, back.GetFolder().GetState())
	require.Zero(t, back.GetFolder().GetDocumentCount())
	_, err = s.folders.RestoreFolder(s.admin(), &documentsv1.RestoreFolderRequest{Name: folder})
	s.refused(err, codes.FailedPrecondition, "NOT_ARCHIVED")
}

func TestWithoutTheArchiveDeletingSaysSo(t *testing.T) {
	s := onSQLite(t, options{})
	folder := s.business("Gone")
	s.upload(s.staff(), folder, "a.txt", []byte("a"))
	preview, err := s.folders.PreviewDeleteFolder(s.staff(), &documentsv1.PreviewDeleteFolderRequest{Name: folder})
	require.NoError(t, err)
	require.False(t, preview.GetArchives())
	require.Contains(t, preview.GetWarning(), "they can be restored for 30 days, then they are destroyed")
	f, err := s.delete(folder, 1)
	require.NoError(t, err)
	require.Equal(t, documentsv1.FolderState_FOLDER_STATE_DELETED, f.GetState())
	require.NotNil(t, f.GetPurgeTime())
	list, err := s.folders.ListFolders(s.staff(), &documentsv1.ListFoldersRequest{Parent: firmA, State: documentsv1.FolderState_FOLDER_STATE_DELETED})
	require.NoError(t, err)
	require.Len(t, list.GetFolders(), 1)
	in, err := s.documents.ListDocuments(s.staff(), &documentsv1.ListDocumentsRequest{Parent: firmA, Folder: folder})
	require.NoError(t, err)
	require.Len(t, in.GetDocuments(), 1, "who names the folder sees what would come back")
	_, err = s.initiate(s.staff(), folder, "b.txt", nil)
	s.refused(err, codes.FailedPrecondition, "FAILED_PRECONDITION")
}

func TestARequestThatComesTwiceHappensOnce(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		s.t = t
		folder := s.business("Twice")
		req := &documentsv1.InitiateUploadRequest{Parent: firmA, Folder: folder, DisplayName: "a.txt", Size: proto.Int64(1), RequestId: id()}
		first, err := s.documents.InitiateUpload(s.staff(), req)
		require.NoError(t, err)
		again, err := s.documents.InitiateUpload(s.staff(), req)
		require.NoError(t, err)
		require.Equal(t, first.GetUploadPath(), again.GetUploadPath(), "the ticket is not remembered, and is the same")
		require.Equal(t, first.GetDocument(), again.GetDocument())
		req.DisplayName = "b.txt"
		_, err = s.documents.InitiateUpload(s.staff(), req)
		s.refused(err, codes.InvalidArgument, "REQUEST_ID_REUSED")
		var stored string
		require.NoError(t, s.db.QueryRow(t.Context(), `SELECT count(*) FROM idem_requests`).Scan(&stored))
		require.NotContains(t, s.logs.String(), first.GetToken())
	})
}

func TestListsArePagedAndFiltered(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		s.t = t
		folder := s.business("Äpfel 100%")
		var want []string
		for i := range 7 {
			name := fmt.Sprintf("Ordner %d", i)
			s.business(name)
			d := fmt.Sprintf("document %d.txt", i)
			s.upload(s.staff(), folder, d, []byte(d))
			want = append(want, d)
		}
		s.upload(s.staff(), folder, "100%_sure.txt", []byte("x"))
		var got []string
		req := &documentsv1.ListDocumentsRequest{Parent: firmA, Folder: folder, PageSize: 3, Query: "DOCUMENT"}
		for {
			page, err := s.documents.ListDocuments(s.staff(), req)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page.GetDocuments()), 3)
			for _, d := range page.GetDocuments() {
				got = append(got, d.GetDisplayName())
			}
			if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
				break
			}
		}
		require.Equal(t, want, got)
		one, err := s.documents.ListDocuments(s.staff(), &documentsv1.ListDocumentsRequest{Parent: firmA, Query: "0%_S"})
		require.NoError(t, err)
		require.Len(t, one.GetDocuments(), 1, "signs of LIKE are letters")
		for _, query := range []string{"ÄPFEL", "a\u0308pfel"} {
			found, err := s.folders.ListFolders(s.staff(), &documentsv1.ListFoldersRequest{Parent: firmA, Query: query})
			require.NoError(t, err)
			require.Len(t, found.GetFolders(), 1, query)
		}
		first, err := s.folders.ListFolders(s.staff(), &documentsv1.ListFoldersRequest{Parent: firmA, PageSize: 2})
		require.NoError(t, err)
		for token, what := range map[string]string{
			"@@@": "no token", "e30": "an empty one", strings.Repeat("A", 900): "a long one",
		} {
			_, err = s.folders.ListFolders(s.staff(), &documentsv1.ListFoldersRequest{Parent: firmA, PageToken: token})
			require.Equal(t, "page_token", s.refused(err, codes.InvalidArgument, "INVALID_REQUEST").Violations()[0].Field, what)
		}
		_, err = s.folders.ListFolders(s.staff(), &documentsv1.ListFoldersRequest{Parent: firmA, Query: "other", PageToken: first.GetNextPageToken()})
		s.refused(err, codes.InvalidArgument, "INVALID_REQUEST")
		// A filter that names nothing finds nothing, as it does in every list; only a parent has to be there.
		none, err := s.documents.ListDocuments(s.staff(), &documentsv1.ListDocumentsRequest{Parent: firmA, Folder: firmA + "/folders/" + id()})
		require.NoError(t, err)
		require.Empty(t, none.GetDocuments())
		_, err = s.folders.ListFolders(s.staff(), &documentsv1.ListFoldersRequest{Parent: firmA, State: documentsv1.FolderState_FOLDER_STATE_REMOVED})
		s.refused(err, codes.InvalidArgument, "INVALID_REQUEST")
	})
}

// What belongs to another firm does not exist, whichever field it is named in.
func TestAnotherFirmsNamesDoNotExist(t *testing.T) {
	s := onSQLite(t, options{})
	theirs := accesstest.SteppedUp(accesstest.Of(access.Administrator, accesstest.FirmB), s.clock.Now())
	resp, err := s.folders.CreateFolder(s.by(theirs), &documentsv1.CreateFolderRequest{Parent: firmB, Folder: &documentsv1.Folder{DisplayName: "Theirs"}})
	require.NoError(t, err)
	folder := resp.GetFolder().GetName()
	disguised := strings.Replace(folder, firmB, firmA, 1)
	d := s.upload(s.staff(), s.business("Ours"), "a.txt", []byte("a"))
	for what, err := range map[string]error{
		"list their folder":        errOf(s.documents.ListDocuments(s.staff(), &documentsv1.ListDocumentsRequest{Parent: firmA, Folder: folder})),
		"upload to their folder":   errOf(s.initiate(s.staff(), folder, "a", nil)),
		"upload under our name":    errOf(s.initiate(s.staff(), disguised, "a", nil)),
		"get under our name":       errOf(s.folders.GetFolder(s.staff(), &documentsv1.GetFolderRequest{Name: disguised})),
		"delete under our name":    errOf(s.delete(disguised, 0)),
		"restore into theirs":      errOf(s.documents.RestoreDocument(s.staff(), &documentsv1.RestoreDocumentRequest{Name: d.GetName(), Folder: folder})),
		"our document, their firm": errOf(s.documents.GetDocument(s.by(theirs), &documentsv1.GetDocumentRequest{Name: strings.Replace(d.GetName(), firmA, firmB, 1)})),
	} {
		require.Error(t, err, what)
		s.refused(err, codes.NotFound, "NOT_FOUND")
	}
}

func errOf[T any](_ T, err error) error { return err }

// Every change and every view stands in the audit ledger, and so does the arrival of bytes.
func TestAuditEntries(t *testing.T) {
	s := onSQLite(t, options{})
	d := s.upload(s.staff(), s.business("Audited"), "a.txt", []byte("a"))
	s.download(s.staff(), d.GetName())
	entries := s.auditActions()
	for _, action := range []string{
		"/concord.documents.v1.FolderService/CreateFolder", "/concord.documents.v1.DocumentService/InitiateUpload", "bytes.put",
		"/concord.documents.v1.DocumentService/InitiateDownload",
	} {
		require.Contains(t, entries, action)
	}
	require.Equal(t, accesstest.Of(access.Staff, "").ID, entries["bytes.put"].GetActor())
	require.Equal(t, d.GetName(), entries["bytes.put"].GetResource())
}

// Names that would show as something else are refused where people give them, and mended where other services do.
func TestNamesThatDeceive(t *testing.T) {
	s := onSQLite(t, options{run: true})
	folder := s.business("Deeds")
	for _, r := range []rune{'\n', 0x1B, 0x200B, 0x200D, 0x200E, 0x202E, 0x2066, 0x2069, 0xFEFF} {
		name := "annex" + string(r) + "fdp.exe"
		_, err := s.folders.CreateFolder(s.staff(), &documentsv1.CreateFolderRequest{Parent: firmA, Folder: &documentsv1.Folder{DisplayName: name}})
		v := s.refused(err, codes.InvalidArgument, "INVALID_REQUEST").Violations()[0]
		require.Equal(t, []string{"folder.display_name", "visible"}, []string{v.Field, v.Rule})
		_, err = s.initiate(s.staff(), folder, name, []byte("x"))
		v = s.refused(err, codes.InvalidArgument, "INVALID_REQUEST").Violations()[0]
		require.Equal(t, "display_name", v.Field)
		if r > ' ' { // what controls a terminal the contract refuses by itself
			require.Equal(t, "visible", v.Rule)
			require.Contains(t, v.Description, fmt.Sprintf("U+%04X", r))
		}
	}
	client, of := s.list.client("Annex\u202efdp.exe")
	require.Equal(t, "Annexfdp.exe", s.folder(of).GetDisplayName())
	filed, err := s.file(s.saga(), client, "k", "Client history Annex\u202efdp.exe.csv", []byte("x"))
	require.NoError(t, err)
	require.Equal(t, "Client history Annexfdp.exe.csv", filed.GetDocument().GetDisplayName())
}
