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
	"path/filepath"
	"slices"
	"sync"
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
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/serve"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/platform/vault"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/documents"
	"github.com/concord-suite/concord/services/documents/internal/blob/bucket/buckettest"
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
	options options

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
	bucket  *buckettest.Server // where bytes are; nil is a folder
}

// storage are the settings of where bytes are.
func (o options) storage(folder string) []string {
	if o.bucket == nil {
		return []string{"CONCORD_DOCUMENTS_BLOB_DIR=" + folder}
	}
	return []string{"CONCORD_DOCUMENTS_S3_BUCKET=" + buckettest.Bucket, "CONCORD_DOCUMENTS_S3_ENDPOINT=" + o.bucket.URL,
		"CONCORD_DOCUMENTS_S3_REGION=test", "CONCORD_DOCUMENTS_S3_PATH_STYLE=true", "CONCORD_DOCUMENTS_S3_ACCESS_KEY_ID=test",
		"CONCORD_DOCUMENTS_S3_SECRET_ACCESS_KEY=test-secret", "CONCORD_DOCUMENTS_S3_SPOOL_DIR=" + folder}
}

// each runs fn with a suite on every engine, beside other tests: most of their time is waiting.
func each(t *testing.T, o options, fn func(t *testing.T, s *suite)) {
	t.Helper()
	t.Parallel()
	sqldbtest.EachURL(t, func(t *testing.T, url string) { fn(t, start(t, url, o)) })
}

// onSQLite runs fn on the engine that needs no server, for what no engine can make differ.
func onSQLite(t testing.TB, o options) *suite {
	t.Helper()
	return start(t, sqldbtest.URL(t, sqldb.SQLite), o)
}

func start(t testing.TB, databaseURL string, o options) *suite {
	t.Helper()
	s := &suite{t: t, options: o, clock: &clock{}, blobs: t.TempDir(), logs: &syncBuffer{}, lost: sqldbtest.NewFaults()}
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
	require.NoError(t, config.Load(config.Source{Service: documents.Name, Environ: slices.Concat([]string{
		"CONCORD_DOCUMENTS_PUBLIC_URL=https://app.example.com",
		"CONCORD_DOCUMENTS_MAIL_HOST=" + host, "CONCORD_DOCUMENTS_MAIL_PORT=" + port, "CONCORD_DOCUMENTS_MAIL_SECURITY=plain",
	}, o.storage(s.blobs), o.environ)}, &cfg))
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
		Size: proto.Int64(int64(len(content))), Sha256: sumOf(content), RequestId: id()})
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
	var d *documentsv1.Document
	if resp.StatusCode == http.StatusOK {
		filed := &documentsv1.GetDocumentResponse{}
		require.NoError(s.t, protojson.Unmarshal(body, filed), "%s", body)
		require.Contains(s.t, string(body), `"signatureOpen":`, "every field is there")
		d = filed.GetDocument()
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
