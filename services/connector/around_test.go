package connector_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/concord-suite/concord/platform/access"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// authDesk stands where auth is: the two RPCs the connector calls, behind auth's own rules. That auth does what they
// promise is for auth's tests, and for the tests of the whole suite.
type authDesk struct {
	authv1.UnimplementedFirmServiceServer

	mu        sync.Mutex
	required  map[string]bool // connections
	initiator string
	hold      chan struct{} // when set, calls wait for it
	held      int           // calls that came to wait
	called    func()        // when set, called before the answer
	fail      error
}

func (a *authDesk) RequireTwoFactor(ctx context.Context, req *authv1.RequireTwoFactorRequest) (*authv1.RequireTwoFactorResponse, error) {
	a.mu.Lock()
	hold, fail := a.hold, a.fail
	if hold != nil {
		a.held++
	}
	a.mu.Unlock()
	if fail != nil {
		return nil, fail
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	first := len(a.required) == 0
	a.required[req.GetConnection()] = true
	if a.called != nil {
		a.called()
	}
	if by := access.From(ctx).Initiator; by != nil {
		a.initiator = by.ID
	}
	return &authv1.RequireTwoFactorResponse{SwitchedOn: first}, nil
}

func (a *authDesk) ReleaseTwoFactor(_ context.Context, req *authv1.ReleaseTwoFactorRequest) (*authv1.ReleaseTwoFactorResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail != nil {
		return nil, a.fail
	}
	delete(a.required, req.GetConnection())
	return &authv1.ReleaseTwoFactorResponse{}, nil
}

func (a *authDesk) requires(connection string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.required[connection]
}

func (a *authDesk) holds() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.held
}

func (a *authDesk) set(change func(a *authDesk)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a)
}

// wire is the line to the provider: it counts the calls to the token endpoint and remembers every token that passed, so
// that a test can look for them where they must not be.
type wire struct {
	next http.RoundTripper

	mu        sync.Mutex
	tokenCall int
	secrets   []string
	// after is called when an answer is here and before anybody has seen it.
	after func(path string)
	// around is called in the place of sending a request; send sends it.
	around func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error)
}

// set puts something around the requests from now on.
func (w *wire) set(around func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.around = around
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	after, around := w.after, w.around
	w.mu.Unlock()
	send := func() (*http.Response, error) { return w.next.RoundTrip(r) }
	if around == nil {
		around = func(_ *http.Request, send func() (*http.Response, error)) (*http.Response, error) { return send() }
	}
	resp, err := around(r, send)
	if after != nil && err == nil {
		after(r.URL.Path)
	}
	if !strings.HasSuffix(r.URL.Path, "/connect/token") {
		return resp, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tokenCall++
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var tokens struct{ Access_Token, Refresh_Token, ID_Token string }
	_ = json.Unmarshal(body, &tokens)
	for _, secret := range []string{tokens.Access_Token, tokens.Refresh_Token, tokens.ID_Token} {
		if secret != "" {
			w.secrets = append(w.secrets, secret)
		}
	}
	return resp, nil
}

func (w *wire) tokenCalls() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tokenCall
}

// syncBuffer is a log that is written by many.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
