// Package control is the API of the simulated world itself: it shows what is in it and what it was
// asked, changes clients and people the way staff of a practice would, and makes things go wrong.
//
// No provider has such an API. Bodies and answers are JSON; errors are {"error": "…"}.
package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/concord-suite/concord/sim/gateway"
	"github.com/concord-suite/concord/sim/sinks"
	"github.com/concord-suite/concord/sim/webhooks"
	"github.com/concord-suite/concord/sim/world"
)

// API is the control API.
type API struct {
	store   *world.Store
	gateway *gateway.Gateway
	hooks   *webhooks.Sender
	texts   *sinks.Gateway
}

// New returns the control API of a world.
func New(store *world.Store, guard *gateway.Gateway, hooks *webhooks.Sender, texts *sinks.Gateway) *API {
	return &API{store: store, gateway: guard, hooks: hooks, texts: texts}
}

// problem is an error the caller caused.
type problem struct {
	status int
	text   string
}

func (p problem) Error() string { return p.text }

func bad(format string, args ...any) error {
	return problem{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func missing(format string, args ...any) error {
	return problem{http.StatusNotFound, fmt.Sprintf(format, args...)}
}

// Register adds the API to mux.
func (a *API) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /control/state", get(a.state))
	mux.HandleFunc("GET /control/clients", get(a.listClients))
	mux.HandleFunc("GET /control/clients/{uuid}", get(a.getClient))
	mux.HandleFunc("POST /control/clients/archive", post(a.archive(true)))
	mux.HandleFunc("POST /control/clients/unarchive", post(a.archive(false)))
	mux.HandleFunc("POST /control/clients/delete", post(a.delete))
	mux.HandleFunc("POST /control/clients/drop-ids", post(a.dropIDs))
	mux.HandleFunc("POST /control/clients/fields", post(a.setFields))
	mux.HandleFunc("POST /control/clients/rename", post(a.rename))
	mux.HandleFunc("POST /control/clients/update", post(a.update))
	mux.HandleFunc("POST /control/clients/merge", post(a.merge))
	mux.HandleFunc("POST /control/clients/add", post(a.add))
	mux.HandleFunc("GET /control/contacts/{uuid}", get(a.getContact))
	mux.HandleFunc("POST /control/contacts/add", post(a.addContact))
	mux.HandleFunc("POST /control/contacts/update", post(a.updateContact))
	mux.HandleFunc("POST /control/contacts/link", post(a.linkContact))
	mux.HandleFunc("POST /control/contacts/unlink", post(a.unlinkContact))

	mux.HandleFunc("GET /control/accounting/contacts", get(a.listParties))
	mux.HandleFunc("GET /control/accounting/contacts/{id}", get(a.getParty))
	mux.HandleFunc("POST /control/accounting/contacts/add", post(a.addParty))
	mux.HandleFunc("POST /control/accounting/contacts/edit", post(a.editParties))
	mux.HandleFunc("GET /control/accounting/groups", get(a.listPartyGroups))
	mux.HandleFunc("POST /control/accounting/groups", post(a.changePartyGroup))
	mux.HandleFunc("POST /control/organisations", post(a.addOrganisation))

	mux.HandleFunc("GET /control/webhooks", get(a.listHooks))
	mux.HandleFunc("POST /control/webhooks", post(a.putHook))
	mux.HandleFunc("POST /control/webhooks/check", post(a.checkHook))
	mux.HandleFunc("POST /control/webhooks/replay", post(a.replayHook))
	mux.HandleFunc("GET /control/webhooks/{id}/events", get(a.hookEvents))
	mux.HandleFunc("DELETE /control/webhooks", get(a.removeHooks))
	mux.HandleFunc("DELETE /control/webhooks/{id}", get(a.removeHooks))

	mux.HandleFunc("POST /control/practices", post(a.addPractice))
	mux.HandleFunc("POST /control/people", post(a.putPerson))
	mux.HandleFunc("POST /control/apps", post(a.putApp))
	mux.HandleFunc("POST /control/disconnect", post(a.disconnect))
	mux.HandleFunc("POST /control/settings", post(a.settings))
	mux.HandleFunc("POST /control/clock", post(a.clock))

	mux.HandleFunc("GET /control/faults", get(a.listFaults))
	mux.HandleFunc("POST /control/faults", post(a.addFault))
	mux.HandleFunc("DELETE /control/faults", get(a.removeFaults))
	mux.HandleFunc("DELETE /control/faults/{id}", get(a.removeFaults))
	mux.HandleFunc("GET /control/deliveries", get(a.listDeliveries))
	mux.HandleFunc("POST /control/deliveries", post(a.addDelivery))
	mux.HandleFunc("DELETE /control/deliveries", get(a.removeDeliveries))
	mux.HandleFunc("DELETE /control/deliveries/{id}", get(a.removeDeliveries))
	mux.HandleFunc("POST /control/deliveries/report", post(a.report))
	mux.HandleFunc("GET /control/calls", get(a.calls))
	mux.HandleFunc("DELETE /control/calls", get(a.resetCalls))
}

// maxBody is far above any sensible control request: 20,000 UUIDs are 800 kB.
const maxBody = 4 << 20

// get serves a request without a body.
func get(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		result, err := f(r)
		reply(w, result, err)
	}
}

// post serves a request with a JSON body of type T. It insists on the content type, which keeps web
// pages of others from posting here, and on known members, which finds misspelt ones.
func post[T any](f func(T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != "application/json" {
			reply(w, nil, problem{http.StatusUnsupportedMediaType, "send application/json"})
			return
		}
		var body T
		in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		in.DisallowUnknownFields()
		if err := in.Decode(&body); err != nil {
			reply(w, nil, bad("the body cannot be read: %v", err))
			return
		}
		result, err := f(body)
		reply(w, result, err)
	}
}

func reply(w http.ResponseWriter, result any, err error) {
	status := http.StatusOK
	if err != nil {
		status = http.StatusInternalServerError
		var p problem
		if errors.As(err, &p) {
			status = p.status
		}
		result = map[string]string{"error": err.Error()}
	}
	if result == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	text, err := json.Marshal(result)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(text) // an error here means the caller has gone
}

// tenantState is one tenant in GET /control/state. The contacts of an organisation count as archived, or
// as deleted when they asked to be erased; those of a practice are neither.
type tenantState struct {
	world.Tenant
	Clients  int `json:"clients"` // active ones
	Archived int `json:"archived"`
	Deleted  int `json:"deleted"`
	Contacts int `json:"contacts"`
	Shared   int `json:"shared_contacts"`
	Groups   int `json:"groups"`
	Staff    int `json:"staff"`
}

func (a *API) state(*http.Request) (any, error) {
	var tenants []*tenantState
	var people []*world.Person
	var apps []*world.App
	var connections []*world.Connection
	var messages, grants int
	var faulty []*world.Fault
	a.store.View(func(s *world.State) {
		tenants, people, apps, connections = tally(s), rows(s.People), rows(s.Apps), rows(s.Connections)
		messages, grants, faulty = s.Messages.Len(), s.Grants.Len(), rows(s.Faults)
	})
	slices.SortFunc(people, func(x, y *world.Person) int { return strings.Compare(x.Name, y.Name) })
	rules := a.store.Rules()
	rules.SigningKey = nil
	return map[string]any{"now": a.store.Now().Format(time.RFC3339Nano), "tenants": tenants, "people": people, "apps": apps,
		"connections": connections, "grants": grants, "messages": messages, "faults": faulty, "settings": rules}, nil
}

func rows[T any](t *world.Table[T]) []*T {
	list := make([]*T, 0, t.Len())
	for _, row := range t.All() {
		list = append(list, row)
	}
	return list
}

func tally(s *world.State) []*tenantState {
	byID := map[string]*tenantState{}
	list := make([]*tenantState, 0, s.Tenants.Len())
	for id, t := range s.Tenants.All() {
		byID[id] = &tenantState{Tenant: *t}
		list = append(list, byID[id])
	}
	links := map[string]int{}
	for _, c := range s.Clients.All() {
		t := byID[c.Tenant]
		switch {
		case c.Deleted:
			t.Deleted++
		case c.Archived:
			t.Archived++
		default:
			t.Clients++
		}
		if !c.Deleted {
			for _, l := range c.Contacts {
				links[l.Contact]++
			}
		}
	}
	for id, c := range s.Contacts.All() {
		if !c.Deleted {
			byID[c.Tenant].Contacts++
			if links[id] > 1 {
				byID[c.Tenant].Shared++
			}
		}
	}
	for _, g := range s.Groups.All() {
		byID[g.Tenant].Groups++
	}
	for _, p := range s.Parties.All() {
		switch t := byID[p.Tenant]; p.Status {
		case world.PartyActive:
			t.Contacts++
		case world.PartyArchived:
			t.Archived++
		default:
			t.Deleted++
		}
	}
	for _, g := range s.PartyGroups.All() {
		if !g.Deleted {
			byID[g.Tenant].Groups++
		}
	}
	for _, st := range s.Staff.All() {
		byID[st.Tenant].Staff++
	}
	slices.SortFunc(list, func(x, y *tenantState) int { return strings.Compare(x.Type+x.Name, y.Type+y.Name) })
	return list
}
