package auth_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/audit"
	"github.com/concord-suite/concord/platform/config"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/serve"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/platform/vault"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/sinks"
	"github.com/concord-suite/concord/sim/world"
)

// passphrase is good enough for every account of the tests.
const passphrase = "ramp lunar tightly"

// suite is auth with everything around it that is real: the chain of interceptors, a database, SMS and mail providers,
// and the gateway's way of calling it.
type suite struct {
	t       testing.TB
	db      *sqldb.DB
	clock   *clock
	mint    *accesstest.Mint
	service *auth.Service
	conn    *grpc.ClientConn // as the gateway has it
	bare    *grpc.ClientConn // without an identity
	inbox   *inbox
	clients *contactList
	logs    *syncBuffer

	signIn   authv1.SignInServiceClient
	sessions authv1.SessionServiceClient
	firms    authv1.FirmServiceClient
	accounts authv1.AccountServiceClient
	addIns   authv1.AddInServiceClient
	ledger   authv1.LedgerServiceClient
	keys     authv1.KeyServiceClient

	keyring vault.File
}

// options change how a suite is set up.
type options struct {
	bus     jetstream.JetStream
	run     bool     // run relay, consumers, mail queue
	environ []string // settings beside those of the providers
	noSMS   bool
	noMail  bool
	quiet   bool // logs as a service does that nobody looks into
	smsURL  string
	// realHashes lets a password cost what it costs in a service.
	realHashes bool
	// alone keeps other tests from running beside this one, where answers are timed.
	alone bool
}

// each runs fn with a suite on every engine, beside other tests: most of their time is waiting.
func each(t *testing.T, o options, fn func(t *testing.T, s *suite)) {
	t.Helper()
	if !o.alone {
		t.Parallel()
	}
	sqldbtest.Each(t, auth.Migrations, func(t *testing.T, db *sqldb.DB) { fn(t, start(t, db, o)) })
}

// onSQLite runs fn on the engine that needs no server, for what no engine can make differ.
func onSQLite(t testing.TB, o options) *suite {
	t.Helper()
	return start(t, sqldbtest.Open(t, sqldbtest.URL(t, sqldb.SQLite), auth.Migrations), o)
}

func start(t testing.TB, db *sqldb.DB, o options) *suite {
	t.Helper()
	s := &suite{t: t, db: db, clock: newClock(), logs: &syncBuffer{}}
	s.mint = accesstest.NewMint(t, s.clock.Now)
	s.inbox = startInbox(t, s.clock)
	level := slog.LevelDebug
	if o.quiet {
		level = slog.LevelInfo
	}
	logger := slog.New(slog.NewTextHandler(s.logs, &slog.HandlerOptions{Level: level}))
	s.keyring = vault.File{Path: filepath.Join(t.TempDir(), "keyring.json")}
	ring, err := s.keyring.OpenOrCreate()
	require.NoError(t, err)
	var cfg auth.Config
	require.NoError(t, config.Load(config.Source{Service: "auth", Environ: s.environ(o)}, &cfg))
	s.clients = startContactList(t, s, logger)
	revocations := access.NewRevocations(s.clock.Now)
	deps := auth.Deps{
		DB: db, Bus: o.bus, Sync: s.clients.conn, Vault: ring, Revocations: revocations, Now: s.clock.Now, Logger: logger,
	}
	if !o.realHashes {
		deps = deps.HashCheaply()
	}
	s.service, err = auth.New(t.Context(), cfg, deps)
	require.NoError(t, err)

	recorder := audit.New(db, audit.Options{Service: auth.Name, Now: s.clock.Now, Logger: logger})
	lis := dial.Listen()
	server, err := serve.New(serve.Config{Listener: lis}, serve.Deps{
		Name: auth.Name, Verifier: access.NewVerifier(auth.Name, access.Sources{s.mint.Trust, s.service.Keys()}, s.clock.Now),
		Revocations: revocations, Audit: recorder, Logger: logger, Ready: s.service.Ready, Now: s.clock.Now,
	})
	require.NoError(t, err)
	s.service.Register(server)
	require.NoError(t, server.Start(t.Context()))
	t.Cleanup(server.Stop)
	if o.run {
		s.runService(recorder)
	}
	s.conn, err = dial.New("auth", dial.Options{Audience: auth.Name, Signer: s.mint.Signer("gateway"), Listener: lis, Timeout: time.Minute})
	require.NoError(t, err)
	s.bare, err = dial.New("auth", dial.Options{Audience: auth.Name, Listener: lis})
	require.NoError(t, err)
	t.Cleanup(func() { s.conn.Close(); s.bare.Close() })
	s.signIn, s.sessions = authv1.NewSignInServiceClient(s.conn), authv1.NewSessionServiceClient(s.conn)
	s.firms, s.accounts = authv1.NewFirmServiceClient(s.conn), authv1.NewAccountServiceClient(s.conn)
	s.addIns = authv1.NewAddInServiceClient(s.conn)
	s.ledger, s.keys = authv1.NewLedgerServiceClient(s.conn), authv1.NewKeyServiceClient(s.conn)
	return s
}

// runService runs the service's own work until the test ends.
func (s *suite) runService(recorder *audit.Recorder) {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := s.service.Run(ctx); err != nil {
			s.t.Errorf("auth stopped: %v", err)
		}
	})
	work.Go(func() { _ = recorder.Run(ctx) })
	s.t.Cleanup(func() { cancel(); work.Wait() })
}

func (s *suite) environ(o options) []string {
	env := append([]string{"CONCORD_AUTH_PUBLIC_URL=https://app.example.com"}, o.environ...)
	if !o.noSMS {
		smsURL := s.inbox.smsURL
		if o.smsURL != "" {
			smsURL = o.smsURL
		}
		env = append(env, "CONCORD_AUTH_SMS_URL="+smsURL, "CONCORD_AUTH_SMS_ACCOUNT_SID="+sinks.Account,
			"CONCORD_AUTH_SMS_TOKEN="+sinks.AuthToken, "CONCORD_AUTH_SMS_FROM=+61480000000")
	}
	if !o.noMail {
		host, port, _ := net.SplitHostPort(s.inbox.mailAddr)
		env = append(env, "CONCORD_AUTH_MAIL_HOST="+host, "CONCORD_AUTH_MAIL_PORT="+port, "CONCORD_AUTH_MAIL_SECURITY=plain")
	}
	return env
}

// clock is the time of a suite; it stands still unless a test moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

// The clock begins at the real time: certificates do not matter here, but the database's own clock stamps outbox rows.
func newClock() *clock { return &clock{now: time.Now().UTC().Truncate(time.Microsecond)} }

// Now is the clock as services take it.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// forward moves the clock.
func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// inbox is the simulated world's SMS service, mail server and inbox.
type inbox struct {
	t        testing.TB
	store    *world.Store
	smsURL   string
	mailAddr string
	pages    string
	after    string
}

func startInbox(t testing.TB, _ *clock) *inbox {
	t.Helper()
	store, err := world.Open("", time.Now)
	require.NoError(t, err)
	box := sinks.NewInbox(store)
	gateway := sinks.NewGateway(box)
	injector := faults.New(store)
	sms := httptest.NewServer(injector.Wrap(gateway.Handler()))
	mux := http.NewServeMux()
	box.Register(mux)
	pages := httptest.NewServer(mux)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	mailbox := sinks.ServeMail(ctx, lis, box, injector)
	t.Cleanup(func() {
		cancel()
		sms.CloseClientConnections()
		sms.Close()
		pages.Close()
		gateway.Close()
		_ = mailbox.Close()
		_ = store.Close()
	})
	return &inbox{t: t, store: store, smsURL: sms.URL, mailAddr: lis.Addr().String(), pages: pages.URL}
}

// next waits for the next message to somebody, after those seen by the test so far.
func (b *inbox) next(to string) world.Message { return b.nextAfter(to, b.after) }

func (b *inbox) nextAfter(to, after string) world.Message {
	b.t.Helper()
	q := url.Values{"to": {to}, "wait": {"20s"}, "after": {after}}
	resp, err := http.Get(b.pages + "/inbox/messages?" + q.Encode())
	require.NoError(b.t, err)
	defer resp.Body.Close()
	var answer struct{ Messages []world.Message }
	require.NoError(b.t, json.NewDecoder(resp.Body).Decode(&answer))
	require.NotEmpty(b.t, answer.Messages, "nothing was sent to %s", to)
	return answer.Messages[0]
}

// seen makes next look only at messages after this moment.
func (b *inbox) seen() {
	b.store.View(func(s *world.State) {
		for _, m := range s.Messages.All() {
			b.after = max(b.after, m.ID)
		}
	})
}

// count is how many messages there are to somebody.
func (b *inbox) count(to string) (n int) {
	b.store.View(func(s *world.State) {
		for _, m := range s.Messages.All() {
			if m.To == to {
				n++
			}
		}
	})
	return n
}

var (
	pinPattern  = regexp.MustCompile(`\b[0-9]{6}\b`)
	codePattern = regexp.MustCompile(`civ_[A-Za-z0-9_-]{43}`)
)

// pin reads the PIN of the next message to somebody that has one; notices come between.
func (b *inbox) pin(to string) string {
	b.t.Helper()
	for after := b.after; ; {
		message := b.nextAfter(to, after)
		if pin := pinPattern.FindString(message.Text); pin != "" {
			return pin
		}
		after = message.ID
	}
}

// syncBuffer collects logs.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write implements io.Writer.
func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns what was written.
func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func requestID() string { return uuid.NewString() }
