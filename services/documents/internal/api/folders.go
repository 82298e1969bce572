package api

import (
	"context"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
)

// folders implements FolderService.
type folders struct {
	documentsv1.UnimplementedFolderServiceServer
	Deps
}

// ListFolders implements documentsv1.FolderServiceServer.
func (s *folders) ListFolders(ctx context.Context, req *documentsv1.ListFoldersRequest) (*documentsv1.ListFoldersResponse, error) {
	firm, err := names.Firm(req.GetParent())
	if err != nil {
		return nil, errNotFound
	}
	q := store.FolderQuery{Firm: firm, Kind: kindOf(req.GetKind()), State: filing.Active, Text: req.GetQuery()}
	switch req.GetState() {
	case documentsv1.FolderState_FOLDER_STATE_ARCHIVED:
		q.State = filing.Archived
	case documentsv1.FolderState_FOLDER_STATE_DELETED:
		q.State = filing.Deleted
	case documentsv1.FolderState_FOLDER_STATE_REMOVED:
		return nil, rpcerr.Default(codes.InvalidArgument).Field("state", "listable", "removed folders are not listed")
	}
	if q.Client, err = within(firm, "client", cabinet.ClientPattern, req.GetClient()); err != nil {
		return nil, err
	}
	if q.Contact, err = s.viewer(ctx, firm); err != nil {
		return nil, err
	}
	at, size, err := begin(req)
	if err != nil {
		return nil, err
	}
	q.Page = store.Page{AfterKey: at.Key, AfterID: at.ID, Limit: size + 1}
	var keys []string
	rows, err := read(ctx, s.DB, func(tx *sqldb.Tx) (rows []filing.Folder, err error) {
		rows, keys, err = store.Folders(tx, q)
		return rows, err
	})
	if err != nil {
		return nil, err
	}
	resp := &documentsv1.ListFoldersResponse{}
	rows, again := more(rows, size)
	for _, f := range rows {
		resp.Folders = append(resp.Folders, folderMessage(f))
	}
	if again {
		at.Key, at.ID = keys[size-1], rows[size-1].ID
		resp.NextPageToken = at.token()
	}
	return resp, nil
}

// GetFolder implements documentsv1.FolderServiceServer.
func (s *folders) GetFolder(ctx context.Context, req *documentsv1.GetFolderRequest) (*documentsv1.GetFolderResponse, error) {
	firm, id, err := parse("name", cabinet.FolderPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	contact, err := s.viewer(ctx, firm)
	if err != nil {
		return nil, err
	}
	f, err := read(ctx, s.DB, func(tx *sqldb.Tx) (filing.Folder, error) { return visible(tx, firm, contact, id) })
	if err != nil {
		return nil, err
	}
	return &documentsv1.GetFolderResponse{Folder: folderMessage(f)}, nil
}

// visible reads a folder as the caller sees it.
func visible(tx *sqldb.Tx, firm, contact, id string) (filing.Folder, error) {
	if contact != "" {
		return store.FolderSeenBy(tx, firm, contact, id)
	}
	f, err := store.FolderOf(tx, firm, id)
	if err == nil && f.State == filing.Purged {
		return f, filing.ErrNotFound
	}
	return f, err
}

// CreateFolder implements documentsv1.FolderServiceServer.
func (s *folders) CreateFolder(ctx context.Context, req *documentsv1.CreateFolderRequest) (*documentsv1.CreateFolderResponse, error) {
	firm, err := names.Firm(req.GetParent())
	if err != nil {
		return nil, errNotFound
	}
	display, err := displayName("folder.display_name", req.GetFolder().GetDisplayName())
	if err != nil {
		return nil, err
	}
	resp, err := idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*documentsv1.CreateFolderResponse, error) {
		f, err := s.Cabinet.CreateFolder(tx, firm, display)
		return &documentsv1.CreateFolderResponse{Folder: folderMessage(f)}, err
	})
	return resp, failure(err)
}

// PreviewDeleteFolder implements documentsv1.FolderServiceServer.
func (s *folders) PreviewDeleteFolder(ctx context.Context, req *documentsv1.PreviewDeleteFolderRequest) (*documentsv1.PreviewDeleteFolderResponse, error) {
	firm, id, err := parse("name", cabinet.FolderPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	d, err := read(ctx, s.DB, func(tx *sqldb.Tx) (cabinet.Deletion, error) { return s.Cabinet.PreviewDeletion(tx, firm, id) })
	if err != nil {
		return nil, err
	}
	return &documentsv1.PreviewDeleteFolderResponse{DocumentCount: d.Folder.Documents, Archives: d.Archive, Warning: d.Warning}, nil
}

// DeleteFolder implements documentsv1.FolderServiceServer.
func (s *folders) DeleteFolder(ctx context.Context, req *documentsv1.DeleteFolderRequest) (*documentsv1.DeleteFolderResponse, error) {
	firm, id, err := parse("name", cabinet.FolderPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	resp, err := idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*documentsv1.DeleteFolderResponse, error) {
		f, err := s.Cabinet.DeleteFolder(tx, firm, id, req.GetConfirmedDocumentCount(), Actor(ctx))
		return &documentsv1.DeleteFolderResponse{Folder: folderMessage(f)}, err
	})
	return resp, failure(err)
}

// RestoreFolder implements documentsv1.FolderServiceServer.
func (s *folders) RestoreFolder(ctx context.Context, req *documentsv1.RestoreFolderRequest) (*documentsv1.RestoreFolderResponse, error) {
	firm, id, err := parse("name", cabinet.FolderPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	resp, err := idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*documentsv1.RestoreFolderResponse, error) {
		f, err := s.Cabinet.RestoreFolder(tx, firm, id)
		return &documentsv1.RestoreFolderResponse{Folder: folderMessage(f)}, err
	})
	return resp, failure(err)
}

// SetDocumentArchive implements documentsv1.FolderServiceServer.
func (s *folders) SetDocumentArchive(ctx context.Context, req *documentsv1.SetDocumentArchiveRequest) (*documentsv1.SetDocumentArchiveResponse, error) {
	firm, err := names.Firm(req.GetFirm())
	if err != nil {
		return nil, errNotFound
	}
	return write(ctx, s.DB, func(tx *sqldb.Tx) (*documentsv1.SetDocumentArchiveResponse, error) {
		return &documentsv1.SetDocumentArchiveResponse{Enabled: req.GetEnabled()}, store.SetArchive(tx, firm, req.GetEnabled())
	})
}
