// Package sinks is where the simulated world's messages end: an SMS service that speaks Twilio's
// API, an SMTP server, and one inbox in which everything that was sent can be read.
package sinks

import (
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"
)

// Channels of messages.
const (
	SMS  = "sms"
	Mail = "mail"
)

// keepMessages bounds the inbox: old messages go when it is full, so that a world left running does
// not grow for ever.
const keepMessages = 5000

// maxWait bounds how long a reader may wait for a message.
const maxWait = time.Minute

// Inbox holds the messages of a world.
type Inbox struct {
	store *world.Store
	mu    sync.Mutex
	last  int
}

// NewInbox returns the inbox of a world.
func NewInbox(store *world.Store) *Inbox {
	box := &Inbox{store: store}
	for _, m := range box.all() {
		if n, err := strconv.Atoi(m.ID); err == nil {
			box.last = max(box.last, n)
		}
	}
	return box
}

// Register adds the inbox pages to mux.
func (b *Inbox) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /inbox", b.page)
	mux.HandleFunc("GET /inbox/messages", b.list)
	mux.HandleFunc("GET /inbox/messages/{id}", b.get)
	mux.HandleFunc("DELETE /inbox/messages", b.clear)
}

// add stores a message, durable when it returns, and drops the oldest when the inbox is full.
func (b *Inbox) add(m *world.Message) error {
	b.mu.Lock()
	b.last++
	m.ID = fmt.Sprintf("%012d", b.last)
	oldest := fmt.Sprintf("%012d", b.last-keepMessages)
	b.mu.Unlock()
	return b.store.Update(func(tx *world.Tx) error {
		m.At = tx.Now
		tx.Messages.Put(tx, m.ID, m)
		tx.Messages.Delete(tx, oldest)
		return nil
	})
}

// rule returns the delivery rule that strikes a message now, or nil, and counts it.
func (b *Inbox) rule(channel, to string) (*world.DeliveryRule, error) {
	var hit *world.DeliveryRule
	err := b.store.Note(func(tx *world.Tx) error {
		for id, r := range tx.Deliveries.All() {
			if r.Channel != channel || !faults.Match(r.To, to) || r.Times > 0 && r.Hits >= r.Times {
				continue
			}
			counted := *r
			counted.Hits++
			hit = &counted
			tx.Deliveries.Put(tx, id, hit)
			return nil
		}
		return nil
	})
	return hit, err
}

// all returns the messages, the oldest first.
func (b *Inbox) all() []*world.Message {
	var list []*world.Message
	b.store.View(func(s *world.State) {
		for _, m := range s.Messages.All() {
			list = append(list, m)
		}
	})
	slices.SortFunc(list, func(x, y *world.Message) int { return strings.Compare(x.ID, y.ID) })
	return list
}

// filter is what a reader asks for.
type filter struct{ to, channel, after string }

func (b *Inbox) find(f filter) []*world.Message {
	return slices.DeleteFunc(b.all(), func(m *world.Message) bool {
		return f.to != "" && !sameRecipient(f.to, m.To) || f.channel != "" && f.channel != m.Channel || m.ID <= f.after
	})
}

// sameRecipient compares e-mail addresses without case and telephone numbers without spaces.
func sameRecipient(a, b string) bool {
	plain := strings.NewReplacer(" ", "", "-", "", "(", "", ")", "")
	return strings.EqualFold(plain.Replace(a), plain.Replace(b))
}

// list answers with the messages to=, channel= and after= (a message id) ask for. With wait= it
// waits up to that long for the first one.
func (b *Inbox) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := filter{to: strings.TrimSpace(q.Get("to")), channel: q.Get("channel"), after: q.Get("after")}
	if strings.HasPrefix(q.Get("to"), " ") { // "+61…" unescaped in a query reads as a space
		f.to = "+" + f.to
	}
	wait, err := time.ParseDuration(q.Get("wait"))
	if err != nil && q.Get("wait") != "" || wait < 0 || wait > maxWait {
		writeError(w, http.StatusBadRequest, "wait is a duration of at most 1m, such as 5s")
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		changed := b.store.Changed()
		if found := b.find(f); len(found) > 0 || wait == 0 {
			writeJSON(w, http.StatusOK, map[string]any{"messages": orEmpty(found)})
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-timer.C:
			wait = 0
		}
	}
}

func orEmpty(list []*world.Message) []*world.Message {
	if list == nil {
		return []*world.Message{}
	}
	return list
}

func (b *Inbox) get(w http.ResponseWriter, r *http.Request) {
	var found *world.Message
	b.store.View(func(s *world.State) { found = s.Messages.Get(r.PathValue("id")) })
	if found == nil {
		writeError(w, http.StatusNotFound, "no such message")
		return
	}
	writeJSON(w, http.StatusOK, found)
}

func (b *Inbox) clear(w http.ResponseWriter, _ *http.Request) {
	err := b.store.Update(func(tx *world.Tx) error {
		for id := range tx.Messages.All() {
			tx.Messages.Delete(tx, id)
		}
		return nil
	})
	if err != nil {
		writeError(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// shown is how many messages the page shows.
const shown = 100

var inboxPage = template.Must(template.New("inbox").Parse(`<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="refresh" content="2"><meta name="viewport" content="width=device-width"><title>Simulated inbox</title><style>
body{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem;color:#123}
article{border:1px solid #cde;border-radius:.5rem;padding:.6rem 1rem;margin:.6rem 0}pre{white-space:pre-wrap;font:inherit;margin:.3rem 0}
.note{color:#567;font-size:.9rem}</style></head><body><h1>Inbox</h1>
<p class="note">Every SMS and e-mail of the simulated world, the latest first.{{with .To}} Only to {{.}}.{{end}}</p>
{{range .Messages}}<article><p class="note">{{.Channel}} to {{.To}} at {{.At.Format "15:04:05"}}, {{.Status}}</p>
{{with .Subject}}<strong>{{.}}</strong>{{end}}<pre>{{.Text}}</pre></article>{{else}}<p>Nothing yet.</p>{{end}}</body></html>`))

func (b *Inbox) page(w http.ResponseWriter, r *http.Request) {
	to := r.URL.Query().Get("to")
	list := b.find(filter{to: to})
	slices.Reverse(list)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	// The template is checked by the tests; an error here means the browser has gone.
	_ = inboxPage.Execute(w, map[string]any{"To": to, "Messages": list[:min(len(list), shown)]})
}
