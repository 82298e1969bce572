package documents_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/audit"
	"github.com/concord-suite/concord/platform/config"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/serve"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/platform/vault"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	autheventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
	synceventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/documents"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/sinks"
	"github.com/concord-suite/concord/sim/world"
)

// suite is documents with everything around it that is real: the chain of interceptors, a database, a bus, a mail server,
// and the client list's way of speaking.
type suite struct {
	t       testing.TB
	db      *sqldb.DB
	bus     jetstream.JetStream
	nats    *eventstest.Server
	clock   *clock
	mint    *accesstest.Mint
	service *documents.Service
	list    *clientList
	inbox   *inbox
	blobs   string // folder
	bytes   string // URL
	logs    *syncBuffer
	lost    *sqldbtest.Faults
	deps    func() documents.Deps // what the service was made with

	folders      documentsv1.FolderServiceClient
	documents    documentsv1.DocumentServiceClient
	jobs         documentsv1.EmailJobServiceClient
	offboardings documentsv1.OffboardingServiceClient
	conn         *grpc.ClientConn
}

// options change how a suite is set up.
type options struct {
	run     bool // relay, consumer, courier, sweep
	environ []string
}

// each runs fn with a suite on every engine.
func each(t *testing.T, o options, fn func(t *testing.T, s *suite)) {
	t.Helper()
	sqldbtest.EachURL(t, func(t *testing.T, url string) { fn(t, start(t, url, o)) })
}

// onSQLite runs fn on the engine that needs no server, for what no engine can make differ.
func onSQLite(t testing.TB, o options) *suite {
	t.Helper()
	return start(t, sqldbtest.URL(t, sqldb.SQLite), o)
}

func start(t testing.TB, databaseURL string, o options) *suite {
	t.Helper()
	s := &suite{t: t, clock: &clock{}, blobs: t.TempDir(), logs: &syncBuffer{}, lost: sqldbtest.NewFaults()}
	s.db = sqldbtest.Open(t, databaseURL, documents.Migrations, s.lost.Option())
	s.mint = accesstest.NewMint(t, s.clock.Now)
	s.inbox = startInbox(t)
	s.nats = eventstest.Start(t)
	s.bus = s.nats.Connect(t)
	s.list = startClientList(s, o.run)
	logger := slog.New(slog.NewTextHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ring, err := vault.OpenOrCreate(filepath.Join(t.TempDir(), "keyring.json"))
	require.NoError(t, err)
	host, port, _ := net.SplitHostPort(s.inbox.mailAddr)
	var cfg documents.Config
	require.NoError(t, config.Load(config.Source{Service: documents.Name, Environ: append([]string{
		"CONCORD_DOCUMENTS_BLOB_DIR=" + s.blobs, "CONCORD_DOCUMENTS_PUBLIC_URL=https://app.example.com",
		"CONCORD_DOCUMENTS_MAIL_HOST=" + host, "CONCORD_DOCUMENTS_MAIL_PORT=" + port, "CONCORD_DOCUMENTS_MAIL_SECURITY=plain",
	}, o.environ...)}, &cfg))
	revocations := access.NewRevocations(s.clock.Now)
	recorder := audit.New(s.db, audit.Options{Service: documents.Name, Now: s.clock.Now, Logger: logger})
	deps := documents.Deps{DB: s.db, Bus: s.bus, Sync: s.list.dial(t), Vault: ring, Revocations: revocations, Audit: recorder,
		Now: s.clock.Now, Logger: logger}
	s.deps = func() documents.Deps { return deps }
	s.service, err = documents.New(t.Context(), cfg, deps)
	require.NoError(t, err)
	lis := dial.Listen()
	server, err := serve.New(serve.Config{Listener: lis}, serve.Deps{
		Name: documents.Name, Verifier: s.mint.Verifier(documents.Name), Revocations: revocations, Audit: recorder, Logger: logger,
		Ready: s.service.Ready, Now: s.clock.Now,
	})
	require.NoError(t, err)
	s.service.Register(server)
	require.NoError(t, server.Start(t.Context()))
	t.Cleanup(server.Stop)
	front := httptest.NewServer(s.service.Handler())
	t.Cleanup(front.Close)
	s.bytes = front.URL
	if o.run {
		s.run(s.service.Run, recorder.Run)
	}
	s.connect(lis)
	return s
}

func (s *suite) connect(lis *dial.Listener) {
	s.t.Helper()
	conn, err := dial.New("documents", dial.Options{Audience: documents.Name, Listener: lis, Timeout: time.Minute})
	require.NoError(s.t, err)
	s.t.Cleanup(func() { conn.Close() })
	s.conn = conn
	s.folders, s.documents = documentsv1.NewFolderServiceClient(conn), documentsv1.NewDocumentServiceClient(conn)
	s.jobs, s.offboardings = documentsv1.NewEmailJobServiceClient(conn), documentsv1.NewOffboardingServiceClient(conn)
}

// run runs parts of services until the test ends.
func (s *suite) run(parts ...func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	for _, part := range parts {
		work.Go(func() {
			if err := part(ctx); err != nil {
				s.t.Errorf("a service stopped: %v", err)
			}
		})
	}
	s.t.Cleanup(func() { cancel(); work.Wait() })
}

const (
	firmA = "firms/" + accesstest.FirmA
	firmB = "firms/" + accesstest.FirmB
)

func id() string { return uuid.Must(uuid.NewV7()).String() }

// as is a context in which a person of firm A calls.
func (s *suite) as(kind access.Kind) context.Context {
	return s.by(accesstest.SteppedUp(accesstest.Of(kind, accesstest.FirmA), s.clock.Now()))
}

func (s *suite) by(p access.Principal) context.Context {
	s.t.Helper()
	return dial.WithToken(context.Background(), s.mint.Token(p, documents.Name))
}

func (s *suite) staff() context.Context { return s.as(access.Staff) }
func (s *suite) admin() context.Context { return s.as(access.Administrator) }

// saga is a context in which sync calls in firm A, for an administrator.
func (s *suite) saga() context.Context {
	admin := accesstest.Of(access.Administrator, accesstest.FirmA)
	return s.by(admin.As("sync"))
}

// contact is a context in which the contact with this resource name calls.
func (s *suite) contact(name string) context.Context {
	p := accesstest.Of(access.Contact, accesstest.FirmA)
	p.ID = name[len(firmA+"/contacts/"):]
	return s.by(p)
}

// refused requires a reason.
func (s *suite) refused(err error, code codes.Code, reason string) *rpcerr.Error {
	s.t.Helper()
	require.Error(s.t, err)
	e := rpcerr.From(err)
	require.Equal(s.t, code, e.Code(), "%v", err)
	require.Equal(s.t, reason, e.Reason(), "%v", err)
	return e
}

// business makes a business folder and returns its name.
func (s *suite) business(display string) string {
	s.t.Helper()
	resp, err := s.folders.CreateFolder(s.staff(), &documentsv1.CreateFolderRequest{
		Parent: firmA, Folder: &documentsv1.Folder{DisplayName: display}, RequestId: id()})
	require.NoError(s.t, err)
	return resp.GetFolder().GetName()
}

func (s *suite) folder(name string) *documentsv1.Folder {
	s.t.Helper()
	resp, err := s.folders.GetFolder(s.staff(), &documentsv1.GetFolderRequest{Name: name})
	require.NoError(s.t, err)
	return resp.GetFolder()
}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// initiate reserves an upload of content.
func (s *suite) initiate(ctx context.Context, folder, display string, content []byte) (*documentsv1.InitiateUploadResponse, error) {
	return s.documents.InitiateUpload(ctx, &documentsv1.InitiateUploadRequest{Parent: firmA, Folder: folder, DisplayName: display,
		Size: int64(len(content)), Sha256: sumOf(content), RequestId: id()})
}

// upload files content in a folder.
func (s *suite) upload(ctx context.Context, folder, display string, content []byte) *documentsv1.Document {
	s.t.Helper()
	in, err := s.initiate(ctx, folder, display, content)
	require.NoError(s.t, err)
	status, d, problem := s.put(in.GetUploadPath(), content)
	require.Equal(s.t, http.StatusOK, status, "%v", problem)
	require.Equal(s.t, in.GetDocument(), d.GetName())
	return d
}

// problem is a problem document.
type problem struct {
	Status         int
	Reason, Detail string
}

// put sends bytes and reads the answer.
func (s *suite) put(path string, content []byte) (int, *documentsv1.Document, problem) {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodPut, s.bytes+path, bytes.NewReader(content))
	require.NoError(s.t, err)
	return s.answer(http.DefaultClient.Do(req))
}

func (s *suite) answer(resp *http.Response, err error) (int, *documentsv1.Document, problem) {
	s.t.Helper()
	require.NoError(s.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	var p problem
	d := &documentsv1.Document{}
	if resp.StatusCode == http.StatusOK {
		require.NoError(s.t, protojson.Unmarshal(body, d), "%s", body)
	} else {
		require.Equal(s.t, "application/problem+json", resp.Header.Get("Content-Type"))
		require.NoError(s.t, json.Unmarshal(body, &p), "%s", body)
		require.Equal(s.t, resp.StatusCode, p.Status)
	}
	return resp.StatusCode, d, p
}

// get fetches bytes.
func (s *suite) get(method, path string, header http.Header) (*http.Response, []byte) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.bytes+path, nil)
	require.NoError(s.t, err)
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	return resp, body
}

// download fetches a document.
func (s *suite) download(ctx context.Context, document string) []byte {
	s.t.Helper()
	out, err := s.documents.InitiateDownload(ctx, &documentsv1.InitiateDownloadRequest{Name: document})
	require.NoError(s.t, err)
	resp, body := s.get(http.MethodGet, out.GetDownloadPath(), nil)
	require.Equal(s.t, http.StatusOK, resp.StatusCode, "%s", body)
	return body
}

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
