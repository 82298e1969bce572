package connector_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/audit"
	"github.com/concord-suite/concord/platform/config"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/serve"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/platform/vault"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/connector"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/world"
)

const (
	firmA    = accesstest.FirmA
	firmB    = accesstest.FirmB
	callback = "http://localhost:8080/oauth/callback"
	// factor is how much faster the provider's minute passes: it lasts a second.
	factor = 60
)

// clock is the real time and what a test adds to it; the simulated world and the connector share it.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

// Now is the clock as services take it.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// options change how a suite is set up.
type options struct {
	clients int
	// contacts is how many the first organisation has.
	contacts int
	environ  []string
	still    bool // the service's own work does not run
	faults   *sqldbtest.Faults
	bus      jetstream.JetStream
	real     bool // the provider's minute is a minute
	tracer   trace.TracerProvider
}

// suite is the connector with everything around it that is real: a simulated world, the chain of interceptors, a database.
type suite struct {
	t      testing.TB
	url    string
	db     *sqldb.DB
	clock  *clock
	world  *sim.World
	remote *remote.Client
	mint   *accesstest.Mint

	minting sync.Mutex
	auth    *authDesk
	wire    *wire
	logs    *syncBuffer
	ring    *vault.Vault
	opt     options
	authAt  *dial.Listener

	service     *connector.Service
	conn        *grpc.ClientConn
	connections connectorv1.ConnectionServiceClient
	records     connectorv1.RecordServiceClient
}

// each runs fn with a suite on every engine, beside other tests: most of their time is waiting.
func each(t *testing.T, o options, fn func(t *testing.T, s *suite)) {
	t.Helper()
	t.Parallel()
	sqldbtest.EachURL(t, func(t *testing.T, url string) { fn(t, start(t, url, o)) })
}

// onSQLite makes a suite on the engine that needs no server, for what no engine can make differ.
func onSQLite(t testing.TB, o options) *suite {
	t.Helper()
	return start(t, sqldbtest.URL(t, sqldb.SQLite), o)
}

func start(t testing.TB, url string, o options) *suite {
	t.Helper()
	s := &suite{t: t, url: url, clock: &clock{}, logs: &syncBuffer{}, opt: o, auth: &authDesk{required: map[string]bool{}}}
	s.mint = accesstest.NewMint(t, s.clock.Now)
	s.wire = &wire{next: http.DefaultTransport.(*http.Transport).Clone()}
	speed := float64(factor)
	if o.real {
		speed = 1
	}
	var err error
	s.world, err = sim.Start(t.Context(), sim.Config{Clients: max(o.clients, 20), Contacts: max(o.contacts, 20), ClockFactor: speed, Now: s.clock.Now})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.world.Close() })
	s.remote = s.world.Remote()
	s.ring, err = vault.OpenOrCreate(filepath.Join(t.TempDir(), "keyring.json"))
	require.NoError(t, err)
	s.authAt = s.startAuth()
	s.startReplica()
	return s
}

// startAuth serves the auth desk through auth's own rules.
func (s *suite) startAuth() *dial.Listener {
	db := sqldbtest.Open(s.t, sqldbtest.URL(s.t, sqldb.SQLite), events.Schema)
	return s.serve("auth", db, func(r grpc.ServiceRegistrar) { authv1.RegisterFirmServiceServer(r, s.auth) })
}

func (s *suite) serve(name string, db *sqldb.DB, register func(grpc.ServiceRegistrar)) *dial.Listener {
	lis := dial.Listen()
	logger := slog.New(slog.NewTextHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	server, err := serve.New(serve.Config{Listener: lis, Grace: time.Second}, serve.Deps{Name: name, Verifier: s.mint.Verifier(name),
		Audit: audit.New(db, audit.Options{Service: name, Now: s.clock.Now, Logger: logger}), Logger: logger, Now: s.clock.Now,
		Tracer: s.opt.tracer})
	require.NoError(s.t, err)
	register(server)
	require.NoError(s.t, server.Start(s.t.Context()))
	s.t.Cleanup(server.Stop)
	return lis
}

// startReplica starts a connector over the suite's database and makes it the one that is called. The ones before go on.
func (s *suite) startReplica() {
	var through []sqldb.Option
	if s.opt.faults != nil {
		through = append(through, s.opt.faults.Option())
	}
	s.db = sqldbtest.Open(s.t, s.url, connector.Migrations, through...)
	peer, err := dial.New("auth", dial.Options{Audience: "auth", Signer: s.mint.Signer("connector"), Listener: s.authAt, Timeout: 10 * time.Second})
	require.NoError(s.t, err)
	s.t.Cleanup(func() { peer.Close() })
	s.service = s.newService(s.db, peer)
	lis := s.serve(connector.Name, s.db, s.service.Register)
	s.conn, err = dial.New("connector", dial.Options{Audience: connector.Name, Listener: lis, Timeout: time.Minute})
	require.NoError(s.t, err)
	s.t.Cleanup(func() { s.conn.Close() })
	s.connections, s.records = connectorv1.NewConnectionServiceClient(s.conn), connectorv1.NewRecordServiceClient(s.conn)
	if !s.opt.still {
		s.work()
	}
}

func (s *suite) newService(db *sqldb.DB, auth grpc.ClientConnInterface) *connector.Service {
	var cfg connector.Config
	require.NoError(s.t, config.Load(config.Source{Service: connector.Name, Environ: s.environ()}, &cfg))
	service, err := connector.New(s.t.Context(), cfg, connector.Deps{DB: db, Bus: s.opt.bus, Auth: auth, Vault: s.ring,
		Client: &http.Client{Transport: s.wire}, Now: s.clock.Now,
		Logger: slog.New(slog.NewTextHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	require.NoError(s.t, err)
	return service
}

func (s *suite) environ() []string {
	window := time.Minute
	if !s.opt.real {
		window /= factor
	}
	env := []string{
		"XERO_CLIENT_ID=" + sim.ClientID, "XERO_CLIENT_SECRET=" + sim.ClientSecret, "XERO_REDIRECT_URL=" + callback,
		"XERO_AUTHORIZE_URL=" + s.world.URL() + "/identity/connect/authorize", "XERO_IDENTITY_URL=" + s.world.URL(),
		"XERO_API_URL=" + s.world.URL(), "XERO_ACCOUNTING_API_URL=" + s.world.URL() + "/api.xro/2.0/", "XPM_API_URL=" + s.world.URL() + "/practicemanager/3.1/",
		"XPM_LEGACY_API_URL=" + s.world.URL() + "/practicemanager/3.0/",
		"BUDGET_MINUTE_WINDOW=" + window.String(), "CALL_AGAIN=5ms", "CALL_DEGRADED=50ms", "CONNECT_AGAIN=20ms",
		"CONNECT_CLAIM=2s", "REFRESH_RETRY=20ms", "REFRESH_LEASE=2s",
	}
	for i := range env {
		env[i] = "CONCORD_CONNECTOR_" + env[i]
	}
	return append(env, s.opt.environ...)
}

// work runs the service's own work until the test ends.
func (s *suite) work() {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := s.service.Run(ctx); err != nil {
			s.t.Errorf("the connector stopped: %v", err)
		}
	})
	s.t.Cleanup(func() { cancel(); work.Wait() })
}

// as returns a context under which calls are made as somebody.
func (s *suite) as(p access.Principal) context.Context {
	s.minting.Lock() // the mint is for one at a time
	defer s.minting.Unlock()
	return dial.WithToken(s.t.Context(), s.mint.Token(p, connector.Name))
}

// admin is an administrator who has just confirmed who they are.
func (s *suite) admin(firm string) context.Context {
	return s.as(accesstest.SteppedUp(accesstest.Of(access.Administrator, firm), s.clock.Now()))
}

func (s *suite) asService(name, firm string) context.Context {
	return s.as(access.ServicePrincipal(name, firm))
}

// start starts an attempt to connect XPM.
func (s *suite) start(firm string) *connectorv1.StartConnectAttemptResponse {
	s.t.Helper()
	return s.startAt(firm, connectorv1.Provider_PROVIDER_XPM)
}

func (s *suite) startAt(firm string, p connectorv1.Provider) *connectorv1.StartConnectAttemptResponse {
	s.t.Helper()
	resp, err := s.connections.StartConnectAttempt(s.admin(firm), &connectorv1.StartConnectAttemptRequest{
		Parent: "firms/" + firm, Provider: p, RequestId: uuid.NewString()})
	require.NoError(s.t, err)
	return resp
}

// consent goes through the provider's pages and returns what comes back to the callback.
func (s *suite) consent(opened *connectorv1.StartConnectAttemptResponse, choice remote.Choice) *connectorv1.CompleteConnectAttemptRequest {
	s.t.Helper()
	next, err := remote.Consent(s.t.Context(), opened.GetAuthorizeUrl(), choice)
	require.NoError(s.t, err)
	q := next.Query()
	return &connectorv1.CompleteConnectAttemptRequest{State: q.Get("state"), Code: q.Get("code"), Error: q.Get("error"),
		ErrorDescription: q.Get("error_description"), BrowserBinding: opened.GetBrowserBinding()}
}

func (s *suite) complete(req *connectorv1.CompleteConnectAttemptRequest) (connectorv1.AttemptState, error) {
	resp, err := s.connections.CompleteConnectAttempt(s.asService("gateway", ""), req)
	return resp.GetState(), err
}

func (s *suite) attempt(name string) *connectorv1.ConnectAttempt {
	s.t.Helper()
	resp, err := s.connections.GetConnectAttempt(s.admin(firmOf(name)), &connectorv1.GetConnectAttemptRequest{Name: name})
	require.NoError(s.t, err)
	return resp.GetAttempt()
}

func firmOf(name string) string { return strings.Split(name, "/")[1] }

// authorise takes a new attempt to where a tenant is to be chosen.
func (s *suite) authorise(firm, person, tenant string) *connectorv1.ConnectAttempt {
	s.t.Helper()
	opened := s.start(firm)
	state, err := s.complete(s.consent(opened, remote.Choice{Person: person, Tenant: tenant}))
	require.NoError(s.t, err)
	require.Equal(s.t, connectorv1.AttemptState_ATTEMPT_STATE_AUTHORISED, state)
	return s.attempt(opened.GetAttempt().GetName())
}

func (s *suite) confirm(a *connectorv1.ConnectAttempt, tenant string, acknowledge bool) (*connectorv1.ConfirmConnectAttemptResponse, error) {
	return s.connections.ConfirmConnectAttempt(s.admin(firmOf(a.GetName())), &connectorv1.ConfirmConnectAttemptRequest{
		Name: a.GetName(), TenantId: tenant, Options: a.GetSuggestedOptions(), AcknowledgeDifferentTenant: acknowledge,
		RequestId: uuid.NewString()})
}

// connect connects a practice for a firm.
func (s *suite) connect(firm, person, practice string) *connectorv1.Connection {
	s.t.Helper()
	a := s.authorise(firm, person, practice)
	resp, err := s.confirm(a, a.GetPreselectedTenantId(), true)
	require.NoError(s.t, err)
	return resp.GetConnection()
}

func (s *suite) get(name string) *connectorv1.Connection {
	s.t.Helper()
	resp, err := s.connections.GetConnection(s.admin(firmOf(name)), &connectorv1.GetConnectionRequest{Name: name})
	require.NoError(s.t, err)
	return resp.GetConnection()
}

// fault makes the world fail; the fault ends with the test.
func (s *suite) fault(f world.Fault) string {
	s.t.Helper()
	id, err := s.remote.Fault(s.t.Context(), f)
	require.NoError(s.t, err)
	return id
}

// until waits for something that the service's own work brings about.
func (s *suite) until(what string, ok func() bool) {
	s.t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-limit.C:
			s.t.Fatalf("waited in vain until %s\n%s", what, s.troubles())
		case <-tick.C:
		}
	}
}

// troubles returns the lines of the log that are no routine.
func (s *suite) troubles() string {
	var kept []string
	for line := range strings.Lines(s.logs.String()) {
		if !strings.Contains(line, "level=DEBUG") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// told returns the events of a kind in the outbox, oldest first.
func told[T proto.Message](s *suite) []T {
	s.t.Helper()
	var zero T
	var found []T
	err := s.db.Read(s.t.Context(), func(tx *sqldb.Tx) error {
		rows, err := tx.Query(`SELECT payload FROM events_outbox WHERE type = $1 ORDER BY position`, string(zero.ProtoReflect().Descriptor().FullName()))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var payload []byte
			if err := rows.Scan(&payload); err != nil {
				return err
			}
			m := zero.ProtoReflect().New().Interface().(T)
			if err := proto.Unmarshal(payload, m); err != nil {
				return err
			}
			found = append(found, m)
		}
		return rows.Err()
	})
	require.NoError(s.t, err)
	return found
}

// cell reads one value from the database.
func (s *suite) cell(query string, args ...any) (value string) {
	s.t.Helper()
	require.NoError(s.t, s.db.Read(s.t.Context(), func(tx *sqldb.Tx) error { return tx.QueryRow(query, args...).Scan(&value) }))
	return value
}

func (s *suite) tenant(name string) string {
	s.t.Helper()
	state, err := s.remote.State(s.t.Context())
	require.NoError(s.t, err)
	for _, t := range state.Tenants {
		if t.Name == name {
			return t.ID
		}
	}
	s.t.Fatalf("no tenant %q", name)
	return ""
}

// upstream returns the connections that exist at the provider.
func (s *suite) upstream() []*world.Connection {
	s.t.Helper()
	state, err := s.remote.State(s.t.Context())
	require.NoError(s.t, err)
	return state.Connections
}

func query(address string) url.Values {
	u, err := url.Parse(address)
	if err != nil {
		return nil
	}
	return u.Query()
}
