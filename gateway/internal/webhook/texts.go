package webhook

import (
	"context"
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// TextsPath is where providers of text messages report, with the provider's name behind it.
const TextsPath = "/webhooks/sms/"

// signatures names the header of each provider that carries its signature.
var signatures = map[string]string{"twilio": "X-Twilio-Signature", "webhook": "Concord-Signature"}

const (
	// maxReport bounds a report, as the contract does. Twilio's have less than a kilobyte.
	maxReport = 64 << 10
	// maxTextSignature and maxAddress are the contract's bounds.
	maxTextSignature, maxAddress = 512, 2048
)

// Texts takes what providers report about text messages, byte for byte, to auth, which checks the signature.
type Texts struct {
	reports authv1.DeliveryServiceClient
	site    string
	fence   Fence
	slots   chan struct{}
}

// NewTexts makes the handler for an installation whose public address is site. The client calls as the gateway.
func NewTexts(reports authv1.DeliveryServiceClient, site string, fence Fence) *Texts {
	return &Texts{reports: reports, site: strings.TrimSuffix(site, "/"), fence: fence, slots: make(chan struct{}, atOnce)}
}

// Is tells whether an address is one of those that providers call.
func Is(path string) bool { return path == Path || strings.HasPrefix(path, TextsPath) }

// Before answers requests below TextsPath and hands all others on.
func (t *Texts) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, TextsPath) {
			next.ServeHTTP(w, r)
			return
		}
		t.ServeHTTP(w, r)
	})
}

// ServeHTTP answers 204 for a report that is taken and 403 for one that is not signed by who it says; 404 for a provider
// that is not set; 503 asks to send it again, 429 to send none for a while.
func (t *Texts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !admit(t.fence, w, r) {
		return
	}
	status := t.take(w, r)
	if status >= 400 && status < 500 {
		t.fence.Refused(r)
	}
	w.WriteHeader(status)
}

func (t *Texts) take(w http.ResponseWriter, r *http.Request) int {
	provider := strings.TrimPrefix(r.URL.Path, TextsPath)
	header, known := signatures[provider]
	if !known {
		return http.StatusNotFound
	}
	signature, address := r.Header.Get(header), t.site+r.URL.RequestURI()
	if signature == "" || len(signature) > maxTextSignature || len(address) > maxAddress {
		return http.StatusForbidden
	}
	body, refused := read(w, r, maxReport)
	if refused != 0 {
		return refused
	}
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	default:
		return http.StatusServiceUnavailable
	}
	ctx, cancel := context.WithTimeout(r.Context(), answer)
	defer cancel()
	_, err := t.reports.ReceiveDeliveryReport(ctx, &authv1.ReceiveDeliveryReportRequest{
		Provider: provider, Url: address, Signature: signature, Body: body,
	})
	return statusOfReport(err)
}

// statusOfReport returns the status for what auth said.
func statusOfReport(err error) int {
	known := rpcerr.From(err)
	switch {
	case err == nil:
		return http.StatusNoContent
	case known == nil:
		return http.StatusServiceUnavailable
	case known.Reason() == rpcerr.Normalize(authv1.ErrorReason_ERROR_REASON_SIGNATURE_INVALID):
		return http.StatusForbidden
	case known.Reason() == rpcerr.Normalize(authv1.ErrorReason_ERROR_REASON_NOT_FOUND):
		return http.StatusNotFound
	case known.Code() == codes.InvalidArgument:
		return http.StatusBadRequest
	}
	return http.StatusServiceUnavailable
}
