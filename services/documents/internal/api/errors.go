package api

import (
	"errors"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/departure"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/signing"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
)

var (
	errNotFound   = rpcerr.New(codes.NotFound, documentsv1.ErrorReason_ERROR_REASON_NOT_FOUND, "not found")
	errScopeStale = rpcerr.New(codes.Unavailable, documentsv1.ErrorReason_ERROR_REASON_SCOPE_STALE,
		"what you may see is not known freshly enough; try again in some seconds").With("retry_after", "3")
)

// answers say what the domain's errors become on the wire.
var answers = []struct {
	is     error
	answer *rpcerr.Error
}{
	{filing.ErrNotFound, errNotFound},
	{filing.ErrClientFolder, precondition(documentsv1.ErrorReason_ERROR_REASON_CLIENT_FOLDER,
		"a client's folder goes with its client and can't be deleted by itself")},
	{filing.ErrCountChanged, precondition(documentsv1.ErrorReason_ERROR_REASON_COUNT_CHANGED,
		"the folder holds another number of documents than was confirmed; look again")},
	{filing.ErrNotArchived, precondition(documentsv1.ErrorReason_ERROR_REASON_NOT_ARCHIVED, "it is not archived")},
	{filing.ErrSignatureOpen, precondition(documentsv1.ErrorReason_ERROR_REASON_SIGNATURE_OPEN,
		"a document waits for a signature; withdraw the request first")},
	{filing.ErrNameTaken, rpcerr.New(codes.AlreadyExists, documentsv1.ErrorReason_ERROR_REASON_NAME_TAKEN,
		"a folder of this name stands there already")},
	{filing.ErrNotPublishable, precondition(rpcerr.Precondition,
		"only documents in the folder of a client in the client list can be published")},
	{filing.ErrNotReceiving, precondition(rpcerr.Precondition, "the folder is not in use and takes no documents")},
	{departure.ErrFenced, precondition(documentsv1.ErrorReason_ERROR_REASON_CLIENT_FENCED,
		"the client is leaving; nothing new can be begun with it")},
	{departure.ErrGone, precondition(documentsv1.ErrorReason_ERROR_REASON_CLIENT_FENCED, "the client has left the client list")},
	{departure.ErrCommitted, precondition(documentsv1.ErrorReason_ERROR_REASON_ALREADY_COMMITTED,
		"the off-boarding was committed; it can be reversed, not aborted")},
	{departure.ErrAborted, precondition(documentsv1.ErrorReason_ERROR_REASON_ALREADY_ABORTED,
		"the off-boarding was aborted; begin another one")},
	{departure.ErrOtherClient, rpcerr.Default(codes.InvalidArgument).
		Field("offboarding", "client", "is the off-boarding of another client")},
	{signing.ErrClosed, precondition(documentsv1.ErrorReason_ERROR_REASON_REQUEST_CLOSED,
		"the request was signed, declined or withdrawn already")},
	{signing.ErrOtherContent, precondition(documentsv1.ErrorReason_ERROR_REASON_CONTENT_MISMATCH,
		"the document to be signed is not the one that was shown")},
	{blob.ErrNoSpace, rpcerr.New(codes.Unavailable, documentsv1.ErrorReason_ERROR_REASON_STORAGE_UNAVAILABLE,
		"the storage is full; nothing was kept")},
	{blob.ErrUnavailable, rpcerr.New(codes.Unavailable, documentsv1.ErrorReason_ERROR_REASON_STORAGE_UNAVAILABLE,
		"the storage does not answer; nothing was kept, try again")},
}

func precondition(reason interface{ String() string }, message string) *rpcerr.Error {
	return rpcerr.New(codes.FailedPrecondition, reason, message)
}

// failure turns an error of the domain into the answer for it. Others pass: the chain decides what gets out of them.
func failure(err error) error {
	if err == nil {
		return nil
	}
	var field *cabinet.FieldError
	if errors.As(err, &field) {
		return rpcerr.Default(codes.InvalidArgument).Field(field.Field, field.Rule, field.Problem)
	}
	for _, a := range answers {
		if errors.Is(err, a.is) {
			return a.answer.Because(err)
		}
	}
	return err
}
