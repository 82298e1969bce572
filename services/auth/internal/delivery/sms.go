package delivery

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/concord-suite/concord/services/auth/internal/receipt"
)

// Text is one text message.
type Text struct {
	// ID is ours, a UUID. Every attempt to send the message carries the same.
	ID string
	// To is a number in E.164 form. From is a number or a registered sender name; empty for the provider's own.
	To, From string
	// Body is the text.
	Body string
	// Expires is when it is no longer of use.
	Expires time.Time
}

// Provider sends text messages and tells what became of them.
type Provider interface {
	// Name is the word by which settings, metrics and addresses of reports call it.
	Name() string
	// Send hands a message over. It returns the provider's own id of it, which may be empty. A nil error means that the
	// provider took it, not that it arrived.
	Send(ctx context.Context, t Text) (message string, err error)
	// Read checks that a report comes from the provider and reads it. The error is ErrSignature or ErrReport.
	Read(r Report) (Status, error)
}

// Why a report is not believed.
var (
	ErrProvider  = errors.New("delivery: there is no such provider")
	ErrSignature = errors.New("delivery: the provider did not sign this")
	ErrReport    = errors.New("delivery: not a report")
)

// Report is what a provider tells about a message, as it came over HTTP.
type Report struct {
	// URL is the address as the sender wrote it, Signature the header that holds the signature.
	URL, Signature string
	Body           []byte
	// Now is when it came.
	Now time.Time
}

// Status is what a report says.
type Status struct {
	// ID is our id of the message, Message the provider's; one of them may be empty.
	ID, Message string
	State       receipt.State
	// Code is the provider's word for what went wrong, without numbers of telephones; empty when nothing did.
	Code string
}

// Attempt is one try to hand a message to one provider.
type Attempt struct {
	Provider string
	// Code is empty when it was taken, else that of the Error.
	Code string
	// Next is the provider that is tried instead; empty when there is none, or none is needed.
	Next string
}

// restFor is how long a provider that failed is tried last. While one is down, people would else wait for it every time.
const restFor = 30 * time.Second

// SMS sends text messages by the first of several providers that takes them.
type SMS struct {
	providers []Provider
	timeout   time.Duration
	now       func() time.Time

	mu      sync.Mutex
	resting map[string]time.Time // until when, by name
}

// NewSMS makes a sender from its providers, the preferred one first. The time-out is for one message, over all of them.
func NewSMS(timeout time.Duration, now func() time.Time, providers ...Provider) *SMS {
	return &SMS{providers: providers, timeout: timeout, now: now, resting: map[string]time.Time{}}
}

// Send hands a message to the first provider that takes it and returns which and its id there. Each has an equal
// share of the time, and what those before it did not use: one that hangs leaves room for the next. Observe is told of every attempt.
func (s *SMS) Send(ctx context.Context, t Text, observe func(Attempt)) (provider, message string, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	order := s.order()
	share := s.timeout / time.Duration(max(len(order), 1))
	for i, p := range order {
		left := len(order) - 1 - i
		attempt, done := context.WithDeadline(ctx, deadline.Add(-share*time.Duration(left)))
		message, err = p.Send(attempt, t)
		done()
		tried := Attempt{Provider: p.Name(), Code: Code(err)}
		if err != nil && ctx.Err() == nil && i+1 < len(order) {
			tried.Next = order[i+1].Name()
		}
		s.rest(p.Name(), err)
		observe(tried)
		if tried.Next == "" {
			return p.Name(), message, err
		}
	}
	return "", "", &Error{Code: "unset"} // without providers
}

// order is the providers with those last that failed a moment ago.
func (s *SMS) order() []Provider {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	rank := func(p Provider) int {
		if s.resting[p.Name()].After(now) {
			return 1
		}
		return 0
	}
	return slices.SortedStableFunc(slices.Values(s.providers), func(a, b Provider) int { return rank(a) - rank(b) })
}

// rest notes whether a provider failed for reasons that are not the message's.
func (s *SMS) rest(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && Temporary(err) {
		s.resting[name] = s.now().Add(restFor)
		return
	}
	delete(s.resting, name)
}

// Read checks and reads a report that came for a provider.
func (s *SMS) Read(provider string, r Report) (Status, error) {
	for _, p := range s.providers {
		if p.Name() == provider {
			return p.Read(r)
		}
	}
	return Status{}, ErrProvider
}

// maxAnswer bounds what is read of a provider's answer: a message resource has about a kilobyte.
const maxAnswer = 64 << 10

// newClient makes the HTTP client for a provider.
func newClient(timeout time.Duration) *http.Client {
	return &http.Client{
		// A redirect would carry number and text to somebody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4,
			IdleConnTimeout: time.Minute, TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout,
		},
	}
}
