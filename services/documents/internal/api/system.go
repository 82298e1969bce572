package api

import (
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/store"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
	"github.com/concord-suite/concord/services/documents/internal/transfer"
)

// maxSystemDocument bounds what the suite files about a client. A history of a million lines has about 200 MiB.
const maxSystemDocument = 512 << 20

type systemStream = grpc.ClientStreamingServer[documentsv1.FileSystemDocumentRequest, documentsv1.FileSystemDocumentResponse]

// FileSystemDocument implements documentsv1.DocumentServiceServer.
func (s *documents) FileSystemDocument(stream systemStream) error {
	ctx := stream.Context()
	head, err := stream.Recv()
	if err != nil {
		return err
	}
	file, err := systemFile(head)
	if err != nil {
		return err
	}
	staged, err := s.Blobs.Stage(ctx, blob.Unknown)
	if err != nil {
		return failure(err)
	}
	defer staged.Discard()
	for piece := head; ; {
		if _, err := staged.Write(piece.GetData()); err != nil {
			return failure(err)
		}
		if staged.Size() > maxSystemDocument {
			return rpcerr.Default(codes.InvalidArgument).Field("data", "max_size", "is more than 512 MiB in all")
		}
		if piece, err = stream.Recv(); errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	resp := &documentsv1.FileSystemDocumentResponse{}
	err = transfer.Settle(ctx, s.DB, staged, file.Firm, func(tx *sqldb.Tx, key blob.Key) error {
		file.Bytes = cabinet.Arrived{Key: key, Size: staged.Size(), MediaType: head.GetMediaType()}
		filed, err := s.Cabinet.FileSystem(tx, file)
		resp.Document, resp.InRecordsFolder = DocumentMessage(filed.Document), filed.InRecords
		resp.TrailSequence, resp.Revision = filed.Trail, filed.Document.Revision
		return err
	})
	if err != nil {
		return failure(err)
	}
	return stream.SendAndClose(resp)
}

// systemFile reads the first message of a stream.
func systemFile(head *documentsv1.FileSystemDocumentRequest) (f cabinet.SystemFile, err error) {
	if f.Firm, err = names.Firm(head.GetFirm()); err != nil {
		return f, errNotFound
	}
	bad := rpcerr.Default(codes.InvalidArgument)
	for field, value := range map[string]string{
		"client": head.GetClient(), "display_name": store.Honest(head.GetDisplayName()), "key": head.GetKey(), "media_type": head.GetMediaType(),
	} {
		if value == "" {
			bad = bad.Field(field, "required", "is required in the first message")
		}
	}
	if len(bad.Violations()) > 0 {
		return f, bad
	}
	if f.Client, err = within(f.Firm, "client", cabinet.ClientPattern, head.GetClient()); err != nil {
		return f, err
	}
	f.DisplayName, f.Key, f.Revision = store.Honest(head.GetDisplayName()), head.GetKey(), head.GetRevision()
	f.Offboarding, err = within(f.Firm, "offboarding", cabinet.OffboardingPattern, head.GetOffboarding())
	return f, err
}
