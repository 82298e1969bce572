// Package webhooks tells addresses of changed contacts the way the simulated provider does: signed
// messages of numbered events, after the address has proven that it checks signatures.
//
// The world notes the events (world.Tx.PutParty); a Sender brings them. A message that is not answered
// with 200 within 5 seconds is repeated, ever more seldom, and after a day the hook is disabled.
package webhooks

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/concord-suite/concord/sim/world"
)

const (
	// patience is how long an address may take to answer.
	patience = 5 * time.Second
	// firstRetry, slowestRetry and giveUp are the pauses between attempts, which double, and how long in
	// all a message is repeated. The provider says "24 hours" and "falling frequency".
	firstRetry   = time.Second
	slowestRetry = time.Hour
	giveUp       = 24 * time.Hour
	// kept is how many events that were told can still be sent again.
	kept = 2000
)

// SignatureHeader carries the signature of a message.
const SignatureHeader = "x-xero-signature"

// Sign returns the signature of a message: base64 of its HMAC-SHA256 under the hook's key.
func Sign(key string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// message is the body of a post.
type message struct {
	Events  []event `json:"events"`
	Last    int     `json:"lastEventSequence"`
	First   int     `json:"firstEventSequence"`
	Entropy string  `json:"entropy"`
}

type event struct {
	ResourceURL string `json:"resourceUrl"`
	ResourceID  string `json:"resourceId"`
	Date        string `json:"eventDateUtc"`
	Type        string `json:"eventType"`
	Category    string `json:"eventCategory"`
	TenantID    string `json:"tenantId"`
	TenantType  string `json:"tenantType"`
}

// Sender posts events.
type Sender struct {
	store  *world.Store
	api    string // root of the simulated provider's addresses, for resourceUrl
	factor float64
	http   *http.Client
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	pausing map[string]*pause // by hook
}

// pause is how far a hook is in its repetitions.
type pause struct {
	next, waited time.Duration
	over         bool // the pause is over: try again
}

// New returns a Sender that works until Close. api is the address of the simulated provider; factor is
// how much faster than real time the pauses pass.
func New(store *world.Store, api string, factor float64) *Sender {
	s := &Sender{store: store, api: api, factor: factor, pausing: map[string]*pause{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.http = &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	s.work.Go(s.run)
	return s
}

// Close ends deliveries. What was not told is told by the next Sender of the world.
func (s *Sender) Close() {
	s.cancel()
	s.work.Wait()
	s.http.CloseIdleConnections()
}

func (s *Sender) run() {
	for s.ctx.Err() == nil {
		changed := s.store.Changed()
		if s.round() {
			continue
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
		}
	}
}

// round gives each hook its turn and says whether any got on.
func (s *Sender) round() (progress bool) {
	var hooks []*world.Hook
	s.store.View(func(st *world.State) {
		for _, h := range st.Hooks.All() {
			hooks = append(hooks, h)
		}
	})
	for _, h := range hooks {
		if s.ctx.Err() != nil || s.paused(h.ID) {
			continue
		}
		switch {
		case h.State == world.HookPending && h.Eager:
			c, err := s.Check(s.ctx, h.ID)
			progress = s.settle(h, err == nil && c.OK, strings.TrimSpace(c.Reason)) || progress
		case h.State == world.HookActive:
			if list := s.untold(h); len(list) > 0 {
				p := s.post(s.ctx, h, list, true)
				if p.OK() {
					s.told(list)
				}
				progress = s.settle(h, p.OK(), p.words()) || progress
			}
		}
	}
	return progress
}

// untold returns the next events of a hook, one message's worth.
func (s *Sender) untold(h *world.Hook) []*world.HookEvent {
	var list []*world.HookEvent
	s.store.View(func(st *world.State) {
		for _, e := range st.HookEvents.All() {
			if e.Hook == h.ID && !e.Told {
				list = append(list, e)
			}
		}
	})
	slices.SortFunc(list, func(a, b *world.HookEvent) int { return a.Sequence - b.Sequence })
	return list[:min(len(list), max(h.Batch, 1))]
}

// told marks events as told and forgets those told long ago.
func (s *Sender) told(list []*world.HookEvent) {
	// An error means the world is closing: they are told again by the next one, as the provider may.
	_ = s.store.Update(func(tx *world.Tx) error {
		for _, e := range list {
			n := *e
			n.Told = true
			tx.HookEvents.Put(tx, n.Key(), &n)
			tx.HookEvents.Delete(tx, world.HookEventKey(e.Hook, e.Sequence-kept))
		}
		return nil
	})
}

func (s *Sender) paused(hook string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pausing[hook]
	return p != nil && !p.over
}

// settle notes how an attempt went. After a failure it begins a pause, or disables a hook that failed for
// a day. It reports whether the hook may go on at once.
func (s *Sender) settle(h *world.Hook, ok bool, reason string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ok {
		delete(s.pausing, h.ID)
		return true
	}
	p := s.pausing[h.ID]
	if p == nil {
		p = &pause{next: firstRetry}
		s.pausing[h.ID] = p
	}
	if p.waited >= giveUp && h.State == world.HookActive {
		delete(s.pausing, h.ID)
		s.change(h.ID, func(n *world.Hook) { n.State, n.Reason = world.HookDisabled, reason })
		return false
	}
	p.over = false
	wait := p.next
	p.waited += wait
	p.next = min(2*p.next, slowestRetry)
	s.work.Go(func() { s.rest(h.ID, p, wait) })
	s.change(h.ID, func(n *world.Hook) { n.Reason = reason })
	return false
}

// rest waits, then lets the hook try again.
func (s *Sender) rest(hook string, p *pause, wait time.Duration) {
	timer := time.NewTimer(time.Duration(float64(wait) / s.factor))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
		return
	}
	s.mu.Lock()
	p.over = true
	s.mu.Unlock()
	s.change(hook, func(*world.Hook) {}) // which wakes the loop
}

// change writes a hook. An error means the world is closing, and then nobody needs it.
func (s *Sender) change(id string, f func(*world.Hook)) {
	_ = s.store.Update(func(tx *world.Tx) error {
		if h := tx.Hooks.Get(id); h != nil {
			n := *h
			f(&n)
			tx.Hooks.Put(tx, id, &n)
		}
		return nil
	})
}

// Post is one message and how it was answered.
type Post struct {
	Signed bool   `json:"signed"` // with the hook's key
	First  int    `json:"first"`
	Last   int    `json:"last"`
	Status int    `json:"status,omitempty"`
	Error  string `json:"error,omitempty"` // why there was no answer, or what is wrong with it
}

// OK reports whether the answer is what the provider expects of this message.
func (p Post) OK() bool {
	want := http.StatusOK
	if !p.Signed {
		want = http.StatusUnauthorized
	}
	return p.Status == want && p.Error == ""
}

func (p Post) words() string {
	if p.OK() {
		return ""
	}
	if p.Error != "" {
		return p.Error
	}
	signed := "well"
	if !p.Signed {
		signed = "wrongly"
	}
	return fmt.Sprintf("a %s signed message was answered %d", signed, p.Status)
}

// post sends events to a hook, in the order given.
func (s *Sender) post(ctx context.Context, h *world.Hook, list []*world.HookEvent, signed bool) Post {
	m := message{Events: []event{}, Entropy: strings.ToUpper(strings.ReplaceAll(world.NewID(), "-", "")[:20])}
	for i, e := range list {
		if i == 0 || e.Sequence < m.First {
			m.First = e.Sequence
		}
		m.Last = max(m.Last, e.Sequence)
		m.Events = append(m.Events, event{ResourceURL: s.api + "/api.xro/2.0/Contacts/" + e.Resource, ResourceID: e.Resource,
			Date: e.At.UTC().Format("2006-01-02T15:04:05.000"), Type: e.Kind, Category: "CONTACT", TenantID: e.Tenant, TenantType: world.TypeOrganisation})
	}
	p := Post{Signed: signed, First: m.First, Last: m.Last}
	body, err := json.Marshal(m)
	if err != nil {
		p.Error = err.Error()
		return p
	}
	key := h.Key
	if !signed {
		key += " but another"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		p.Error = err.Error()
		return p
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(SignatureHeader, Sign(key, body))
	p.Status, p.Error = s.send(req)
	return p
}

// send posts a message and checks the answer: no body and no cookies are allowed in it.
func (s *Sender) send(req *http.Request) (status int, wrong string) {
	res, err := s.http.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	switch {
	case err != nil:
		return res.StatusCode, err.Error()
	case res.StatusCode == http.StatusOK && n > 0:
		return res.StatusCode, "the answer has a body"
	case len(res.Cookies()) > 0:
		return res.StatusCode, "the answer sets cookies"
	}
	return res.StatusCode, ""
}
