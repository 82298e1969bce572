package access

import (
	"sync"
	"time"
)

// revocationLife is how long a revoked session is remembered: tokens live two minutes and clocks differ by seconds, so
// after three there is none left to refuse.
const revocationLife = 3 * time.Minute

// Revocations is the set of sessions that ended while tokens of theirs may still be about. Each service feeds it from
// SessionRevoked. It is safe for concurrent use; the zero value is not usable, make one with NewRevocations.
type Revocations struct {
	now Clock

	mu       sync.Mutex
	until    map[string]time.Time
	swept    time.Time
	watchers map[string]map[*func()]struct{}
}

// NewRevocations makes an empty set.
func NewRevocations(now Clock) *Revocations {
	return &Revocations{now: now, until: map[string]time.Time{}, watchers: map[string]map[*func()]struct{}{}}
}

// Add refuses a session from now on and ends the streams it has open.
func (r *Revocations) Add(session string) {
	if session == "" {
		return
	}
	r.mu.Lock()
	now := r.now()
	r.until[session] = now.Add(revocationLife)
	if now.Sub(r.swept) > revocationLife {
		for s, until := range r.until {
			if now.After(until) {
				delete(r.until, s)
			}
		}
		r.swept = now
	}
	var end []func()
	for f := range r.watchers[session] {
		end = append(end, *f)
	}
	delete(r.watchers, session)
	r.mu.Unlock()
	for _, f := range end {
		f()
	}
}

// Contains tells whether a session was revoked in the last three minutes. The empty session never is.
func (r *Revocations) Contains(session string) bool {
	if session == "" {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	until, ok := r.until[session]
	return ok && !r.now().After(until)
}

// Watch calls end once when the session is revoked, which may be at once, in
// another goroutine. It returns a function that stops watching;
// call it when the stream is over.
func (r *Revocations) Watch(session string, end func()) (stop func()) {
	if session == "" {
		return func() {}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if until, ok := r.until[session]; ok && !r.now().After(until) {
		go end()
		return func() {}
	}
	if r.watchers[session] == nil {
		r.watchers[session] = map[*func()]struct{}{}
	}
	r.watchers[session][&end] = struct{}{}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers[session], &end)
		if len(r.watchers[session]) == 0 {
			delete(r.watchers, session)
		}
	}
}
