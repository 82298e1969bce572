// Package peertest is a scripted counterpart for sync's tests: it answers the RPCs of connector, documents and auth that
// sync calls, from a small world in memory that the test changes and breaks as it likes. How sync and the real services
// work together is tested end to end, not here.
package peertest

import (
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/concord-suite/concord/platform/dial"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/sync/internal/peer"
)

// World is what the peers know. Its methods may be called at any time.
type World struct {
	mu    sync.Mutex
	clock time.Time

	// Tenant is where listings come from.
	Tenant string
	// Strange makes connector know no connection but the one that was set.
	Strange bool
	// PageSize is how many records a page has.
	PageSize int
	// PartSize splits pages into messages of so many records; 0 does not.
	PartSize int
	// Unread makes listings leave groups, relationships and custom fields out, and say so.
	Unread bool
	// Budget is what is said of calls; see EstimateCalls.
	Budget   Budget
	clients  map[string]*Client
	sorted   []string // their ids
	contacts map[string]*Contact
	people   []string // their ids, sorted
	deleted  map[string]bool

	folders map[string]*Folder
	fences  map[string]string   // client by off-boarding, at documents
	aborted map[string]bool     // off-boardings that documents has given up for good
	lifted  map[string]bool     // sagas whose fence auth has lifted for good
	logins  map[string]bool     // contact names that have one
	guarded map[string][]string // contact names by saga, at auth

	calls  map[string]int
	faults []*fault
	// page lets a test spoil a page before it is sent.
	spoil func(*connectorv1.StreamRecordsResponse)
	conn  *connectorv1.Connection
	hooks map[string]func() // by moment and method
}

// Client is a client record upstream.
type Client struct {
	ID       string
	Fields   *connectorv1.ClientFields
	Archived bool
	// Hidden leaves it out of listings although it is in use: outside of the chosen contact types. OutOfScope lists it, and
	// says so.
	Hidden, OutOfScope bool
	// LegacyID is the integer id it had. MergedInto is the record that took its place; it is archived then.
	LegacyID, MergedInto string
	// Details hold groups, relationships and custom fields, for who asks for them.
	Details *connectorv1.ClientFields
	unread  bool
	changed time.Time
	made    *connectorv1.Record
}

// Contact is a contact record upstream, with the positions it has by client record.
type Contact struct {
	ID      string
	Fields  *connectorv1.ContactFields
	changed time.Time
	made    *connectorv1.Record
}

// Folder is a client's folder at documents.
type Folder struct {
	Documents int64
	Blockers  []*documentsv1.Blocker
	// Files are the system's own, by key.
	Files map[string]File
	// State is CLIENT, ORPHANED or REMOVED.
	State    string
	TrailSeq int64
	// Trail is what documents has on record of the client.
	Trail []*documentsv1.TrailEvent
	// Withdrawn says why open requests were withdrawn, if they were.
	Withdrawn string
}

// File is a document that the suite filed.
type File struct {
	Text        string
	Revision    int64
	Offboarding string
}

// fault breaks calls of a method.
type fault struct {
	method string
	skip   int // calls to let pass first
	times  int
	after  bool // the call takes effect, and its answer is lost
	err    error
}

// New starts the peers in memory and returns the world and sync's side of the connections.
func New(t testing.TB) (*World, *peer.Peers) {
	t.Helper()
	w := &World{
		clock: time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC), Tenant: "tenant-1", PageSize: 10, Budget: defaultBudget,
		clients: map[string]*Client{}, contacts: map[string]*Contact{}, deleted: map[string]bool{},
		folders: map[string]*Folder{}, fences: map[string]string{}, logins: map[string]bool{}, guarded: map[string][]string{},
		calls: map[string]int{}, hooks: map[string]func(){}, aborted: map[string]bool{}, lifted: map[string]bool{},
	}
	c := w.Serve(t)
	return w, peer.New(c, c, c)
}

// Serve starts the peers on one in-memory listener and returns a connection to it.
func (w *World) Serve(t testing.TB) *grpc.ClientConn {
	t.Helper()
	lis := dial.Listen()
	s := grpc.NewServer()
	connectorv1.RegisterRecordServiceServer(s, &records{w: w})
	connectorv1.RegisterConnectionServiceServer(s, &connections{w: w})
	documentsv1.RegisterOffboardingServiceServer(s, &offboardings{w: w})
	documentsv1.RegisterDocumentServiceServer(s, &documents{w: w})
	authv1.RegisterAccountServiceServer(s, &accounts{w: w})
	go func() { _ = s.Serve(lis) }()
	conn, err := dial.New("peers", dial.Options{Audience: "peers", Listener: lis, Window: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		s.Stop()
	})
	return conn
}

// Fail makes the next calls of a method fail with err before they do anything.
func (w *World) Fail(method string, times int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, &fault{method: method, times: times, err: err})
}

// FailLater is Fail after some calls, or pages, have passed.
func (w *World) FailLater(method string, skip, times int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, &fault{method: method, skip: skip, times: times, err: err})
}

// Drop makes the next calls of a method take effect and loses their answers.
func (w *World) Drop(method string, times int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, &fault{method: method, times: times, after: true, err: err})
}

// Heal ends all faults.
func (w *World) Heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults, w.spoil = nil, nil
}

// Spoil changes every page before it is sent.
func (w *World) Spoil(fn func(*connectorv1.StreamRecordsResponse)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spoil = fn
}

// Before calls fn whenever a call of a method arrives, before it takes effect: the test lets others overtake it.
func (w *World) Before(method string, fn func()) { w.hook("before "+method, fn) }

// After calls fn whenever a call of a method took effect, before its answer is sent.
func (w *World) After(method string, fn func()) { w.hook("after "+method, fn) }

func (w *World) hook(when string, fn func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hooks[when] = fn
}

// reach runs the test's own part of a call, without the lock.
func (w *World) reach(when string) {
	w.mu.Lock()
	fn := w.hooks[when]
	w.mu.Unlock()
	if fn != nil {
		fn()
	}
}

// Calls returns how often a method was called, pages counted for StreamRecords.
func (w *World) Calls(method string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[method]
}

// Forget sets all counters of calls to zero.
func (w *World) Forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.calls)
}

// enter counts a call and returns the error it is to fail with, and whether it takes effect before that.
func (w *World) enter(method string) (after bool, err error) {
	w.calls[method]++
	w.clock = w.clock.Add(time.Second)
	for _, f := range w.faults {
		if f.method != method || f.times == 0 {
			continue
		}
		if f.skip > 0 {
			f.skip--
			continue
		}
		f.times--
		return f.after, f.err
	}
	return false, nil
}

// call runs fn under the lock, with the faults of a method and the test's own part before and after it.
func call[T any](w *World, method string, fn func() (*T, error)) (*T, error) {
	w.reach("before " + method)
	out, took, err := inside(w, method, fn)
	if took {
		w.reach("after " + method)
	}
	return out, err
}

// inside is call under the lock; took says whether the call took effect.
func inside[T any](w *World, method string, fn func() (*T, error)) (out *T, took bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	after, fault := w.enter(method)
	if fault != nil && !after {
		return nil, false, fault
	}
	out, err = fn()
	took = err == nil
	if fault != nil {
		return nil, took, fault
	}
	return out, took, err
}

// PutClient makes or replaces a client record.
func (w *World) PutClient(id string, f *connectorv1.ClientFields) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(time.Second)
	w.clients[id] = &Client{ID: id, Fields: f, changed: w.clock}
	w.sorted = nil
}

// Change changes a client record in place.
func (w *World) Change(id string, fn func(*Client)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(time.Second)
	fn(w.clients[id])
	w.clients[id].changed, w.clients[id].made = w.clock, nil
}

// Archive archives client records.
func (w *World) Archive(all ...string) {
	for _, id := range all {
		w.Change(id, func(c *Client) { c.Archived = true })
	}
}

// Unarchive takes client records into use again.
func (w *World) Unarchive(all ...string) {
	for _, id := range all {
		w.Change(id, func(c *Client) { c.Archived = false })
	}
}

// Delete deletes client records: the provider does not know them any more.
func (w *World) Delete(all ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range all {
		delete(w.clients, id)
	}
	w.sorted = nil
}

// PutContact makes or replaces a contact record that belongs to clients.
func (w *World) PutContact(id, name string, clients ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(time.Second)
	f := &connectorv1.ContactFields{Name: name, Email: strings.ToLower(id) + "@example.com"}
	for _, c := range clients {
		f.Links = append(f.Links, &connectorv1.ContactLink{ClientRecordId: c, Position: "Director"})
	}
	w.contacts[id] = &Contact{ID: id, Fields: f, changed: w.clock}
	w.people = nil
}

// ChangeContact changes a contact record in place.
func (w *World) ChangeContact(id string, fn func(*connectorv1.ContactFields)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(time.Second)
	fn(w.contacts[id].Fields)
	w.contacts[id].changed, w.contacts[id].made = w.clock, nil
}

// DeleteContact deletes a contact record.
func (w *World) DeleteContact(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.contacts, id)
	w.people = nil
}

// Folder changes a client's folder at documents, which is made when needed.
func (w *World) Folder(clientName string, fn func(*Folder)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fn(w.folder(clientName))
}

func (w *World) folder(clientName string) *Folder {
	f := w.folders[clientName]
	if f == nil {
		f = &Folder{State: "CLIENT", Files: map[string]File{}}
		w.folders[clientName] = f
	}
	return f
}

// SetLogin gives a contact a login, or takes it.
func (w *World) SetLogin(contactName string, has bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logins[contactName] = has
}

// Fenced returns how many clients are fenced at documents, and how many sagas hold a fence at auth.
func (w *World) Fenced() (documents, auth int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.fences), len(w.guarded)
}

// SetConnection is what connector answers about the one connection.
func (w *World) SetConnection(c *connectorv1.Connection) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn = c
}

// Now is the provider's clock.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}
