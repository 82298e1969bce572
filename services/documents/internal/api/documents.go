package api

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
	"github.com/concord-suite/concord/services/documents/internal/transfer"
)

// documents implements DocumentService.
type documents struct {
	documentsv1.UnimplementedDocumentServiceServer
	Deps
}

// ListDocuments implements documentsv1.DocumentServiceServer.
func (s *documents) ListDocuments(ctx context.Context, req *documentsv1.ListDocumentsRequest) (*documentsv1.ListDocumentsResponse, error) {
	firm, err := names.Firm(req.GetParent())
	if err != nil {
		return nil, errNotFound
	}
	q := store.DocumentQuery{Firm: firm, Archived: req.GetArchived(), Text: req.GetQuery()}
	if q.Folder, err = within(firm, "folder", cabinet.FolderPattern, req.GetFolder()); err != nil {
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
	rows, err := read(ctx, s.DB, func(tx *sqldb.Tx) (rows []filing.Document, err error) {
		rows, keys, err = store.Documents(tx, q)
		return rows, err
	})
	if err != nil {
		return nil, err
	}
	resp := &documentsv1.ListDocumentsResponse{}
	rows, again := more(rows, size)
	for _, d := range rows {
		resp.Documents = append(resp.Documents, DocumentMessage(d))
	}
	if again {
		at.Key, at.ID = keys[size-1], rows[size-1].ID
		resp.NextPageToken = at.token()
	}
	return resp, nil
}

// GetDocument implements documentsv1.DocumentServiceServer.
func (s *documents) GetDocument(ctx context.Context, req *documentsv1.GetDocumentRequest) (*documentsv1.GetDocumentResponse, error) {
	firm, id, err := parse("name", cabinet.DocumentPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	contact, err := s.viewer(ctx, firm)
	if err != nil {
		return nil, err
	}
	d, err := read(ctx, s.DB, func(tx *sqldb.Tx) (filing.Document, error) { return transfer.Readable(tx, firm, contact, id) })
	if err != nil {
		return nil, err
	}
	return &documentsv1.GetDocumentResponse{Document: DocumentMessage(d)}, nil
}

// InitiateUpload implements documentsv1.DocumentServiceServer.
func (s *documents) InitiateUpload(ctx context.Context, req *documentsv1.InitiateUploadRequest) (*documentsv1.InitiateUploadResponse, error) {
	firm, err := names.Firm(req.GetParent())
	if err != nil {
		return nil, errNotFound
	}
	folder, err := within(firm, "folder", cabinet.FolderPattern, req.GetFolder())
	if err != nil {
		return nil, err
	}
	contact, err := s.viewer(ctx, firm)
	if err != nil {
		return nil, err
	}
	display, err := displayName("display_name", req.GetDisplayName())
	if err != nil {
		return nil, err
	}
	u := filing.Upload{Firm: firm, Folder: folder, DisplayName: display, MediaType: req.GetMediaType(),
		Size: req.GetSize(), SHA256: req.GetSha256(), Caller: caller(ctx)}
	resp, err := idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*documentsv1.InitiateUploadResponse, error) {
		f, err := visible(tx, firm, contact, folder)
		if err != nil {
			return nil, err
		}
		if f.State != filing.Active {
			return nil, filing.ErrNotReceiving
		}
		if u.ID, u.Created, err = s.row(); err != nil {
			return nil, err
		}
		u.Expires = u.Created.Add(s.TicketLife)
		return &documentsv1.InitiateUploadResponse{
			ExpireTime: stamp(u.Expires), Document: name(cabinet.DocumentPattern, firm, u.ID),
		}, store.AddUpload(tx, u)
	})
	if err != nil {
		return nil, failure(err)
	}
	// An answer that is remembered is remembered without its ticket, which is made anew here: it is the same one.
	_, id, err := parse("document", cabinet.DocumentPattern, resp.GetDocument())
	if err != nil {
		return nil, err
	}
	if resp.Token, err = s.Tickets.Upload(id); err != nil {
		return nil, err
	}
	resp.UploadPath = transfer.Path + resp.GetToken()
	return resp, nil
}

// InitiateDownload implements documentsv1.DocumentServiceServer.
func (s *documents) InitiateDownload(ctx context.Context, req *documentsv1.InitiateDownloadRequest) (*documentsv1.InitiateDownloadResponse, error) {
	firm, id, err := parse("name", cabinet.DocumentPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	contact, err := s.viewer(ctx, firm)
	if err != nil {
		return nil, err
	}
	row, now, err := s.row()
	if err != nil {
		return nil, err
	}
	ticket, err := s.Tickets.Download(row)
	if err != nil {
		return nil, err
	}
	permit := filing.Download{ID: row, Firm: firm, Document: id, Caller: caller(ctx), Expires: now.Add(s.TicketLife)}
	return write(ctx, s.DB, func(tx *sqldb.Tx) (*documentsv1.InitiateDownloadResponse, error) {
		d, err := transfer.Readable(tx, firm, contact, id)
		if err != nil {
			return nil, err
		}
		return &documentsv1.InitiateDownloadResponse{
			DownloadPath: transfer.Path + ticket, Token: ticket, ExpireTime: stamp(permit.Expires), Document: DocumentMessage(d),
		}, store.AddDownload(tx, permit)
	})
}

// row is an id for a new row, and the time.
func (s *documents) row() (string, time.Time, error) {
	id, err := uuid.NewV7()
	return id.String(), s.Now(), err
}

// PublishDocument implements documentsv1.DocumentServiceServer.
func (s *documents) PublishDocument(ctx context.Context, req *documentsv1.PublishDocumentRequest) (*documentsv1.PublishDocumentResponse, error) {
	firm, id, err := parse("name", cabinet.DocumentPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	resp, err := idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*documentsv1.PublishDocumentResponse, error) {
		d, err := s.Cabinet.PublishDocument(tx, firm, id, req.GetPublished())
		return &documentsv1.PublishDocumentResponse{Document: DocumentMessage(d)}, err
	})
	return resp, failure(err)
}

// RestoreDocument implements documentsv1.DocumentServiceServer.
func (s *documents) RestoreDocument(ctx context.Context, req *documentsv1.RestoreDocumentRequest) (*documentsv1.RestoreDocumentResponse, error) {
	firm, id, err := parse("name", cabinet.DocumentPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	folder, err := within(firm, "folder", cabinet.FolderPattern, req.GetFolder())
	if err != nil {
		return nil, err
	}
	resp, err := idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*documentsv1.RestoreDocumentResponse, error) {
		d, err := s.Cabinet.RestoreDocument(tx, firm, id, folder, Actor(ctx))
		return &documentsv1.RestoreDocumentResponse{Document: DocumentMessage(d)}, err
	})
	return resp, failure(err)
}
