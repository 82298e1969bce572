package sim_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/webhooks"
	"github.com/concord-suite/concord/sim/world"
)

const hookKey = "simulated-webhook-key"

// told is one message a listener was sent, well signed.
type told struct {
	Events []struct {
		ResourceURL, ResourceID, EventDateUtc, EventType, EventCategory, TenantID, TenantType string
	}
	FirstEventSequence, LastEventSequence int
	Entropy                               string
}

// listener receives webhooks as an honest program would, unless answer says otherwise.
type listener struct {
	*httptest.Server
	messages chan told

	mu     sync.Mutex
	answer func(w http.ResponseWriter, signed bool) (done bool)
}

func listen(t *testing.T) *listener {
	t.Helper()
	l := &listener{messages: make(chan told, 1000)}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		signed := r.Header.Get(webhooks.SignatureHeader) == webhooks.Sign(hookKey, body)
		l.mu.Lock()
		answer := l.answer
		l.mu.Unlock()
		if answer != nil && answer(w, signed) {
			return
		}
		if !signed {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var m told
		if err := json.Unmarshal(body, &m); err != nil || m.Entropy == "" {
			t.Errorf("message %s: %v", body, err)
		}
		if len(m.Events) > 0 {
			l.messages <- m
		}
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *listener) set(answer func(w http.ResponseWriter, signed bool) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = answer
}

func TestAnAddressProvesThatItChecksSignatures(t *testing.T) {
	w := start(t, sim.Config{})
	l := listen(t)
	h, err := w.Remote().Hook(t.Context(), remote.NewHook{App: sim.ClientID, URL: l.URL, Key: hookKey})
	if err != nil || h.State != world.HookPending {
		t.Fatal(h, err)
	}
	ok := func(status int, body string) func(http.ResponseWriter, bool) bool {
		return func(rw http.ResponseWriter, signed bool) bool {
			rw.WriteHeader(status)
			fmt.Fprint(rw, body)
			return true
		}
	}
	for want, answer := range map[string]func(http.ResponseWriter, bool) bool{
		"a wrongly signed message was answered 200": ok(http.StatusOK, ""),
		"a well signed message was answered 401":    ok(http.StatusUnauthorized, ""),
		"the answer has a body":                     ok(http.StatusOK, "thanks"),
		"the answer sets cookies": func(rw http.ResponseWriter, _ bool) bool {
			http.SetCookie(rw, &http.Cookie{Name: "a", Value: "b"})
			return false
		},
	} {
		l.set(answer)
		r, err := w.Remote().CheckHook(t.Context(), h.ID)
		if err != nil || r.OK || r.Reason != want || len(r.Posts) != 5 {
			t.Errorf("%+v %v, want %s", r, err, want)
		}
	}
	l.set(nil)
	if r, err := w.Remote().CheckHook(t.Context(), h.ID); err != nil || !r.OK {
		t.Errorf("%+v %v", r, err)
	}
	if list, err := w.Remote().Hooks(t.Context()); err != nil || len(list) != 1 || list[0].State != world.HookActive {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := w.Remote().CheckHook(t.Context(), "nobody"); err == nil {
		t.Error("an unknown webhook was checked")
	}
	for want, n := range map[string]remote.NewHook{"no app": {URL: l.URL, App: "x"}, "url is": {App: sim.ClientID, URL: "ftp://x"}} {
		if _, err := w.Remote().Hook(t.Context(), n); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", n, err)
		}
	}
}

// hooked is a world whose default app is told of changes.
func hooked(t *testing.T, cfg sim.Config, l *listener, batch int) (books, world.Hook) {
	t.Helper()
	w := start(t, cfg)
	h, err := w.Remote().Hook(t.Context(), remote.NewHook{App: sim.ClientID, URL: l.URL, Key: hookKey, Batch: batch, Unchecked: true})
	if err != nil {
		t.Fatal(err)
	}
	return open(t, w, accountingScopes, sim.OrganisationName), h
}

func TestChangesAreTold(t *testing.T) {
	l := listen(t)
	b, _ := hooked(t, sim.Config{Contacts: 30}, l, 10)
	made := b.save(http.MethodPut, "Contacts", `{"Name":"Told"}`)[0].ContactID
	m := receive(t, l.messages)
	if e := m.Events[0]; len(m.Events) != 1 || m.FirstEventSequence != 1 || m.LastEventSequence != 1 || e.ResourceID != made || e.EventType != "CREATE" ||
		e.EventCategory != "CONTACT" || e.TenantID != b.tenant || e.TenantType != "ORGANISATION" || e.ResourceURL != b.w.URL()+"/api.xro/2.0/Contacts/"+made ||
		e.EventDateUtc != "2026-03-02T09:30:00.000" {
		t.Errorf("%+v", m)
	}
	b.save(http.MethodPost, "Contacts/"+made, `{"ContactStatus":"ARCHIVED"}`)
	if m := receive(t, l.messages); m.Events[0].EventType != "UPDATE" || m.FirstEventSequence != 2 {
		t.Errorf("%+v", m)
	}
	if _, err := b.w.Remote().Books("").Archive(t.Context(), remote.PartySelector{N: 25, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	next := 3
	for _, size := range []int{10, 10, 5} {
		m := receive(t, l.messages)
		if len(m.Events) != size || m.FirstEventSequence != next || m.LastEventSequence != next+size-1 {
			t.Errorf("%d events, %d to %d; want %d from %d", len(m.Events), m.FirstEventSequence, m.LastEventSequence, size, next)
		}
		next += size
	}
	// Nobody is told of what the app is not connected to, of invoices and of groups.
	other, err := b.w.Remote().State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range other.Tenants {
		if tenant.Name == sim.SecondOrganisation {
			if _, err := b.w.Remote().Books(tenant.ID).Archive(t.Context(), remote.PartySelector{N: 1}); err != nil {
				t.Fatal(err)
			}
		}
	}
	yes := true
	r := b.w.Remote().Books("")
	if _, err := r.Edit(t.Context(), remote.PartySelector{N: 1}, remote.PartyEdit{Customer: &yes}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Add(t.Context(), remote.NewParty{Fields: map[string]string{"Name": "Last"}}); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, l.messages); m.FirstEventSequence != next || m.Events[0].EventType != "CREATE" {
		t.Errorf("after what nobody is told of: %+v", m)
	}
}

func TestWhatIsNotTakenIsToldAgain(t *testing.T) {
	l := listen(t)
	dir := t.TempDir()
	b, h := hooked(t, sim.Config{Contacts: 30, Dir: dir, ClockFactor: 10000}, l, 10)
	failures := make(chan bool, 100)
	l.set(func(w http.ResponseWriter, _ bool) bool {
		failures <- true
		w.WriteHeader(http.StatusInternalServerError)
		return true
	})
	first := b.save(http.MethodPut, "Contacts", `{"Name":"First"}`)[0].ContactID
	for range 3 {
		receive(t, failures)
	}
	l.set(nil)
	if m := receive(t, l.messages); m.Events[0].ResourceID != first || m.FirstEventSequence != 1 {
		t.Errorf("%+v", m)
	}
	if _, err := b.w.Remote().Hook(t.Context(), remote.NewHook{ID: h.ID, App: sim.ClientID, URL: "http://127.0.0.1:1", Key: hookKey, Unchecked: true}); err != nil {
		t.Fatal(err)
	}
	second := b.save(http.MethodPut, "Contacts", `{"Name":"Second"}`)[0].ContactID
	if err := b.w.Close(); err != nil {
		t.Fatal(err)
	}
	w := start(t, sim.Config{Dir: dir, ClockFactor: 10000})
	if _, err := w.Remote().Hook(t.Context(), remote.NewHook{ID: h.ID, App: sim.ClientID, URL: l.URL, Key: hookKey, Unchecked: true}); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, l.messages); m.Events[0].ResourceID != second || m.FirstEventSequence != 2 {
		t.Errorf("after a restart: %+v", m)
	}
}

func TestEventsAreToldAgainOnRequest(t *testing.T) {
	l := listen(t)
	b, h := hooked(t, sim.Config{Contacts: 30}, l, 100)
	if _, err := b.w.Remote().Books("").Archive(t.Context(), remote.PartySelector{N: 6}); err != nil {
		t.Fatal(err)
	}
	whole := receive(t, l.messages)
	posts, err := b.w.Remote().ReplayHook(t.Context(), h.ID, webhooks.Replay{First: 2, Last: 5, Order: "reverse", Batch: 2, Times: 2})
	if err != nil || len(posts) != 4 || !posts[0].OK() || posts[0].First != 4 || posts[0].Last != 5 || posts[2].First != 2 {
		t.Errorf("%+v %v", posts, err)
	}
	for i, first := range []int{4, 4, 2, 2} {
		m := receive(t, l.messages)
		if m.FirstEventSequence != first || m.Events[1].ResourceID != whole.Events[first-1].ResourceID {
			t.Errorf("message %d: %+v", i, m)
		}
	}
	forged, err := b.w.Remote().ReplayHook(t.Context(), h.ID, webhooks.Replay{Forged: true})
	if err != nil || len(forged) != 1 || forged[0].Status != http.StatusUnauthorized || !forged[0].OK() {
		t.Errorf("forged: %+v %v", forged, err)
	}
	events, err := b.w.Remote().HookEvents(t.Context(), h.ID)
	if err != nil || len(events) != 6 || slices.ContainsFunc(events, func(e world.HookEvent) bool { return !e.Told }) {
		t.Errorf("%+v %v", events, err)
	}
	for _, wrong := range []webhooks.Replay{{First: 7}, {Order: "sideways"}} {
		if _, err := b.w.Remote().ReplayHook(t.Context(), h.ID, wrong); err == nil {
			t.Errorf("%+v was carried out", wrong)
		}
	}
	if err := b.w.Remote().Do(t.Context(), http.MethodDelete, "/control/webhooks/"+h.ID, nil, nil); err != nil {
		t.Fatal(err)
	}
	if list, err := b.w.Remote().Hooks(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
}

func TestTheConfiguredWebhookProvesItselfByItself(t *testing.T) {
	l := listen(t)
	refused := make(chan bool, 100)
	l.set(func(w http.ResponseWriter, _ bool) bool { // as while the program behind it starts
		refused <- true
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	w := start(t, sim.Config{Contacts: 30, ClockFactor: 1000, WebhookURL: l.URL, WebhookKey: hookKey})
	receive(t, refused)
	l.set(nil)
	b := open(t, w, accountingScopes, sim.OrganisationName)
	for deadline := time.Now().Add(20 * time.Second); ; {
		list, err := w.Remote().Hooks(t.Context())
		if err != nil || time.Now().After(deadline) {
			t.Fatal("the webhook does not become active", list, err)
		}
		if list[0].State == world.HookActive {
			break
		}
	}
	b.save(http.MethodPut, "Contacts", `{"Name":"Told"}`)
	receive(t, l.messages)
	if _, err := sim.Start(t.Context(), sim.Config{WebhookURL: "http://concord.example/", WebhookKey: "k"}); err == nil || !strings.Contains(err.Error(), "webhook-url: ") {
		t.Errorf("a webhook elsewhere: %v", err)
	}
}
