package transfer

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/concord-suite/concord/platform/rpcerr"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
)

// problem is an answer of RFC 9457, in the form in which the whole REST interface speaks.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Reason string `json:"reason"`

	retryAfter string
}

// Error is the sentence for people.
func (p problem) Error() string { return p.Detail }

func (p problem) write(w http.ResponseWriter) {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	if p.retryAfter != "" {
		w.Header().Set("Retry-After", p.retryAfter)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

func because(status int, reason documentsv1.ErrorReason, detail string) problem {
	return problem{Status: status, Reason: rpcerr.Normalize(reason), Detail: detail}
}

// What a transfer can be refused for.
var (
	unknown = because(http.StatusNotFound, documentsv1.ErrorReason_ERROR_REASON_NOT_FOUND,
		"there is nothing at this address, or not any more")
	ended = problem{Status: http.StatusUnauthorized, Reason: rpcerr.Unauthenticated.String(), Detail: "the session has ended; sign in again"}
	stale = problem{Status: http.StatusServiceUnavailable, retryAfter: "3",
		Reason: rpcerr.Normalize(documentsv1.ErrorReason_ERROR_REASON_SCOPE_STALE),
		Detail: "what you may see is not known freshly enough; try again in some seconds"}
	over = because(http.StatusGone, documentsv1.ErrorReason_ERROR_REASON_UPLOAD_ENDED,
		"the upload has expired or was used; begin a new one")
	short = because(http.StatusUnprocessableEntity, documentsv1.ErrorReason_ERROR_REASON_CONTENT_MISMATCH,
		"fewer bytes came than were declared; nothing was kept")
	long = because(http.StatusUnprocessableEntity, documentsv1.ErrorReason_ERROR_REASON_CONTENT_MISMATCH,
		"more bytes came than were declared; nothing was kept")
	altered = because(http.StatusUnprocessableEntity, documentsv1.ErrorReason_ERROR_REASON_CONTENT_MISMATCH,
		"the bytes are not those whose SHA-256 was declared; nothing was kept")
	outside = problem{Status: http.StatusRequestedRangeNotSatisfiable, Reason: "RANGE_NOT_SATISFIABLE",
		Detail: "the document has no bytes in this range; Content-Range says how many it has"}
	full = because(http.StatusInsufficientStorage, documentsv1.ErrorReason_ERROR_REASON_STORAGE_UNAVAILABLE,
		"the storage is full; nothing was kept")
	failing = problem{Status: http.StatusServiceUnavailable, retryAfter: "10",
		Reason: rpcerr.Normalize(documentsv1.ErrorReason_ERROR_REASON_STORAGE_UNAVAILABLE),
		Detail: "the storage does not answer; try again"}
)

// problemOf says what an error means to the other side. Errors that are ours to look at are failing.
func problemOf(err error) problem {
	var p problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, filing.ErrNotFound):
		return unknown
	case errors.Is(err, cabinet.ErrUploadEnded), errors.Is(err, filing.ErrNotReceiving):
		return over
	case errors.Is(err, blob.ErrNoSpace):
		return full
	default:
		return failing
	}
}
