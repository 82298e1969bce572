// Package connect ends the browser's trip to a provider: it takes the answer that the provider sent the browser back
// with, and redirects to one static page that closes the window.
//
// It answers 302 whatever happened, never a page of its own: an address with a code in it must not become the referrer of
// anything (security standard for consumers of the Xero API, "302 for endpoints that receive tokens in the URL").
package connect

import (
	"net/http"
	"strings"

	"github.com/concord-suite/concord/gateway/internal/session"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
)

// done is where the browser ends; the fragment tells the page nothing but how it went.
const done = "/connect/done.html"

// Callback takes the provider's answer.
type Callback struct {
	connections connectorv1.ConnectionServiceClient
	cookies     session.Cookies
}

// New makes the handler. The client calls as the gateway: the attempt's state and the browser's binding are the
// authority, not a session.
func New(connections connectorv1.ConnectionServiceClient, cookies session.Cookies) *Callback {
	return &Callback{connections: connections, cookies: cookies}
}

// ServeHTTP hands the answer to connector and sends the browser on.
func (c *Callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	resp, err := c.connections.CompleteConnectAttempt(r.Context(), &connectorv1.CompleteConnectAttemptRequest{
		State: text(q.Get("state")), Code: text(q.Get("code")), Error: text(q.Get("error")),
		ErrorDescription: text(clip(q.Get("error_description"), 2000)), BrowserBinding: text(c.cookies.Attempt(r)),
		Issuer: text(q.Get("iss")),
	})
	result := "ok"
	if err != nil || resp.GetState() != connectorv1.AttemptState_ATTEMPT_STATE_AUTHORISED {
		// Why it failed is on the attempt, where the person who started it reads it.
		result = "failed"
	}
	w.Header().Set("Location", done+"#"+result)
	w.WriteHeader(http.StatusFound) // with an empty body
}

// text keeps what no message can carry from hiding the rest of the answer: a provider's words in another encoding, a
// character that was cut through.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
