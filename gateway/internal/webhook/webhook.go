// Package webhook takes what providers tell by themselves, byte for byte, to the service it is for: notices of changes to the
// connector, reports about text messages to auth.
//
// The sender has no session: the signature over the bytes is the authority, and the service checks it. The answer is a
// status and nothing else, since that is all that the sender looks at.
package webhook

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
)

// Path is where Xero sends its notices.
const Path = "/webhooks/xero"

const (
	// maxBody bounds a notice, as the contract does: about 3,000 events.
	maxBody = 1 << 20
	// maxSignature bounds the signature, which has 44 characters.
	maxSignature = 256
	// Wait bounds how long a notice may take to arrive, answer how long the connector may take for it. The sender gives up
	// after five seconds in all.
	Wait, answer = 3 * time.Second, 4 * time.Second
	// atOnce is how many notices the connector is given at a time. They do not count among the requests of an address: a
	// provider that is busy, from a few addresses, is not to be turned away for it. What is too much at once comes again.
	atOnce = 32
)

// Fence keeps out addresses whose notices are refused again and again.
type Fence interface {
	// Barred reports whether the request's address is kept out, Refused notes one more refusal.
	Barred(*http.Request) bool
	Refused(*http.Request)
}

// Handler takes notices.
type Handler struct {
	webhooks connectorv1.WebhookServiceClient
	fence    Fence
	slots    chan struct{}
}

// New makes the handler. The client calls as the gateway.
func New(webhooks connectorv1.WebhookServiceClient, fence Fence) *Handler {
	return &Handler{webhooks: webhooks, fence: fence, slots: make(chan struct{}, atOnce)}
}

// Before answers requests for Path and hands all others on.
func (h *Handler) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != Path {
			next.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// ServeHTTP answers 200 for a notice that is kept and 401 for one that is not signed by who it says; 503 asks to send it
// again, 429 to send none for a while.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !admit(h.fence, w, r) {
		return
	}
	status := h.take(w, r)
	if status >= 400 && status < 500 {
		h.fence.Refused(r)
	}
	w.WriteHeader(status)
}

// admit answers who is kept out and who does not post, and tells whether to go on.
func admit(fence Fence, w http.ResponseWriter, r *http.Request) bool {
	switch {
	case fence.Barred(r):
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusTooManyRequests)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
	default:
		return true
	}
	return false
}

// read reads a body of at most so many bytes, or returns the status to answer.
func read(w http.ResponseWriter, r *http.Request, limit int64) (body []byte, refused int) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, http.StatusRequestEntityTooLarge
	}
	if err != nil {
		return nil, http.StatusBadRequest
	}
	return body, 0
}

// take hands a notice to the connector and returns the status to answer.
func (h *Handler) take(w http.ResponseWriter, r *http.Request) int {
	signature := r.Header.Get("X-Xero-Signature")
	if signature == "" || len(signature) > maxSignature {
		return http.StatusUnauthorized
	}
	body, refused := read(w, r, maxBody)
	if refused != 0 {
		return refused
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		return http.StatusServiceUnavailable
	}
	ctx, cancel := context.WithTimeout(r.Context(), answer)
	defer cancel()
	_, err := h.webhooks.ReceiveWebhook(ctx, &connectorv1.ReceiveWebhookRequest{
		Provider: connectorv1.Provider_PROVIDER_XERO, Body: body, Signature: signature})
	return statusOf(err)
}

// statusOf returns the status for what the connector said.
func statusOf(err error) int {
	known := rpcerr.From(err)
	switch {
	case err == nil:
		return http.StatusOK
	case known == nil:
		return http.StatusServiceUnavailable
	case known.Reason() == rpcerr.Normalize(connectorv1.ErrorReason_ERROR_REASON_SIGNATURE_INVALID):
		return http.StatusUnauthorized
	case known.Reason() == rpcerr.Normalize(connectorv1.ErrorReason_ERROR_REASON_PROVIDER_NOT_CONFIGURED):
		return http.StatusNotFound
	case known.Code() == codes.InvalidArgument: // a body without a byte, a signature that is no text
		return http.StatusUnauthorized
	}
	return http.StatusServiceUnavailable
}
