package documents_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/audit"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/serve"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	autheventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
	synceventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/documents"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/sinks"
	"github.com/concord-suite/concord/sim/world"
)

// clientList is sync as documents sees it: it emits events through an outbox of its own and answers who a contact is.
type clientList struct {
	syncv1.UnimplementedContactServiceServer
	s   *suite
	db  *sqldb.DB
	lis *dial.Listener

	mu       sync.Mutex
	contacts map[string]*syncv1.Contact
	broken   map[string]bool  // contacts that can not be read now
	said     map[string]int64 // sequences by entity
}

func startClientList(s *suite, run bool) *clientList {
	s.t.Helper()
	l := &clientList{s: s, contacts: map[string]*syncv1.Contact{}, broken: map[string]bool{}, said: map[string]int64{}, lis: dial.Listen(),
		db: sqldbtest.Open(s.t, sqldbtest.URL(s.t, sqldb.SQLite), events.Schema)}
	server, err := serve.New(serve.Config{Listener: l.lis}, serve.Deps{Name: "sync", Verifier: s.mint.Verifier("sync"),
		Audit: audit.New(l.db, audit.Options{Service: "sync"}), Logger: slog.New(slog.DiscardHandler), Now: s.clock.Now})
	require.NoError(s.t, err)
	syncv1.RegisterContactServiceServer(server, l)
	require.NoError(s.t, server.Start(s.t.Context()))
	s.t.Cleanup(server.Stop)
	if run {
		s.run(events.NewRelay(l.db, s.bus, "sync", events.RelayOptions{Now: s.clock.Now}).Run)
	}
	return l
}

func (l *clientList) dial(t testing.TB) *grpc.ClientConn {
	t.Helper()
	conn, err := dial.New("sync", dial.Options{Audience: "sync", Signer: l.s.mint.Signer(documents.Name), Listener: l.lis})
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// GetContact answers what the test put into the list.
func (l *clientList) GetContact(_ context.Context, req *syncv1.GetContactRequest) (*syncv1.GetContactResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken[req.GetName()] {
		return nil, rpcerr.Default(codes.Unavailable)
	}
	c, ok := l.contacts[req.GetName()]
	if !ok {
		return nil, rpcerr.Default(codes.NotFound)
	}
	return &syncv1.GetContactResponse{Contact: c}, nil
}

// say emits an event, as the next about its entity, n times.
func (l *clientList) say(entity string, message proto.Message) {
	l.s.t.Helper()
	l.mu.Lock()
	l.said[entity]++
	sequence := l.said[entity]
	l.mu.Unlock()
	l.sayAs(entity, sequence, message)
}

func (l *clientList) sayAs(entity string, sequence int64, message proto.Message) {
	l.s.t.Helper()
	require.NoError(l.s.t, l.db.Tx(context.Background(), func(tx *sqldb.Tx) error {
		_, err := events.Add(tx, events.Event{Firm: accesstest.FirmA, Entity: entity, Sequence: sequence, Message: message})
		return err
	}))
}

// client lists a client and waits for its folder.
func (l *clientList) client(display string) (client, folder string) {
	l.s.t.Helper()
	client = firmA + "/clients/" + id()
	l.say("clients/"+client, &synceventsv1.ClientCreated{Client: client, DisplayName: display})
	eventstest.Until(l.s.t, "the client has a folder", func() bool {
		folder = l.s.folderOf(client)
		return folder != ""
	})
	return client, folder
}

// folderOf answers the name of a client's folder in use, or "".
func (s *suite) folderOf(client string) string {
	s.t.Helper()
	resp, err := s.folders.ListFolders(s.staff(), &documentsv1.ListFoldersRequest{Parent: firmA, Client: client})
	require.NoError(s.t, err)
	if len(resp.GetFolders()) == 0 {
		return ""
	}
	return resp.GetFolders()[0].GetName()
}

// relate says what a contact relates to, and waits until it is known.
func (l *clientList) relate(contact string, clients ...string) {
	l.s.t.Helper()
	l.say(contact, &synceventsv1.ContactRelationsChanged{Contact: contact, Clients: clients})
	l.mu.Lock()
	sequence := l.said[contact]
	l.mu.Unlock()
	eventstest.Until(l.s.t, "the contact's relations are known", func() bool {
		var n int64
		err := l.s.db.QueryRow(context.Background(), `SELECT coalesce(max(sequence), 0) FROM contacts WHERE id = $1`, contact[len(firmA+"/contacts/"):]).Scan(&n)
		return err == nil && n >= sequence
	})
}

// person lists a contact with an e-mail address.
func (l *clientList) person(display, email string, clients ...string) string {
	l.s.t.Helper()
	name := firmA + "/contacts/" + id()
	l.mu.Lock()
	l.contacts[name] = &syncv1.Contact{Name: name, DisplayName: display, Email: email}
	l.mu.Unlock()
	l.relate(name, clients...)
	return name
}

// revoke ends the session of the test's staff, as auth tells it.
func (s *suite) revoke(session string) {
	s.t.Helper()
	db := sqldbtest.Open(s.t, sqldbtest.URL(s.t, sqldb.SQLite), events.Schema)
	s.run(events.NewRelay(db, s.bus, "auth", events.RelayOptions{Now: s.clock.Now}).Run)
	require.NoError(s.t, db.Tx(context.Background(), func(tx *sqldb.Tx) error {
		_, err := events.Add(tx, events.Event{Firm: accesstest.FirmA, Entity: "sessions/" + session,
			Message: &autheventsv1.SessionRevoked{Session: session}})
		return err
	}))
}

// fresh waits until what contacts may see is known freshly.
func (s *suite) fresh() {
	s.t.Helper()
	nobody := firmA + "/contacts/" + id()
	eventstest.Until(s.t, "the scope of contacts is fresh", func() bool {
		_, err := s.folders.ListFolders(s.contact(nobody), &documentsv1.ListFoldersRequest{Parent: firmA})
		return err == nil
	})
}

// clock is the system's, with a lead.
type clock struct{ lead atomic.Int64 }

// Now is the time.
func (c *clock) Now() time.Time          { return time.Now().Add(time.Duration(c.lead.Load())) }
func (c *clock) advance(d time.Duration) { c.lead.Add(int64(d)) }

// inbox is a mail server with a page to read what came.
type inbox struct {
	t               testing.TB
	mailAddr, pages string
	store           *world.Store
}

func startInbox(t testing.TB) *inbox {
	t.Helper()
	store, err := world.Open("", time.Now)
	require.NoError(t, err)
	box := sinks.NewInbox(store)
	mux := http.NewServeMux()
	box.Register(mux)
	pages := httptest.NewServer(mux)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	mailbox := sinks.ServeMail(ctx, lis, box, faults.New(store))
	t.Cleanup(func() {
		cancel()
		pages.Close()
		_ = mailbox.Close()
		_ = store.Close()
	})
	return &inbox{t: t, mailAddr: lis.Addr().String(), pages: pages.URL, store: store}
}

// messages lists what came for an address, waiting up to wait for the first.
func (b *inbox) messages(to, wait string) []world.Message {
	b.t.Helper()
	resp, err := http.Get(b.pages + "/inbox/messages?" + url.Values{"to": {to}, "wait": {wait}}.Encode())
	require.NoError(b.t, err)
	defer resp.Body.Close()
	var answer struct{ Messages []world.Message }
	require.NoError(b.t, json.NewDecoder(resp.Body).Decode(&answer))
	return answer.Messages
}

// syncBuffer collects log lines.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String is what was written.
func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
