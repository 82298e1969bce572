package syncsvc_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/audit"
	"github.com/concord-suite/concord/platform/config"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/serve"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	syncsvc "github.com/concord-suite/concord/services/sync"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
)

const (
	firm       = "firms/" + accesstest.FirmA
	connection = firm + "/connections/" + peertest.Connection
)

// suite is sync with everything around it that is real: the chain of interceptors, a database, a bus, and its own workers;
// and the scripted world in the place of its peers.
type suite struct {
	t     testing.TB
	db    *sqldb.DB
	bus   jetstream.JetStream
	world *peertest.World
	mint  *accesstest.Mint
	conn  *grpc.ClientConn
	// neighbours are the databases of other services, by name.
	neighbours map[string]*sqldb.DB

	clients  syncv1.ClientServiceClient
	contacts syncv1.ContactServiceClient
	runs     syncv1.RunServiceClient
	plans    syncv1.PlanServiceClient
	legacy   syncv1.LegacyServiceClient
}

// each runs fn with a running suite on every engine, beside other tests.
func each(t *testing.T, fn func(t *testing.T, s *suite)) {
	t.Helper()
	t.Parallel()
	sqldbtest.Each(t, syncsvc.Migrations, func(t *testing.T, db *sqldb.DB) { fn(t, start(t, db)) })
}

func start(t testing.TB, db *sqldb.DB) *suite {
	t.Helper()
	world, _ := peertest.New(t)
	peers := world.Serve(t)
	s := &suite{t: t, db: db, world: world, mint: accesstest.NewMint(t, nil), bus: eventstest.Start(t).Connect(t),
		neighbours: map[string]*sqldb.DB{}}
	var logs bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&guarded{w: &logs}, nil))
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(logs.String())
		}
	})
	var cfg syncsvc.Config
	require.NoError(t, config.Load(config.Source{Service: "sync", Environ: []string{
		"CONCORD_SYNC_LEASE=2s", "CONCORD_SYNC_POLL=20ms", "CONCORD_SYNC_SCHEDULE_EVERY=50ms",
	}}, &cfg))
	service, err := syncsvc.New(t.Context(), cfg, syncsvc.Deps{
		DB: db, Bus: s.bus, Connector: peers, Documents: peers, Auth: peers, Revocations: access.NewRevocations(time.Now), Logger: logger,
	})
	require.NoError(t, err)
	recorder := audit.New(db, audit.Options{Service: syncsvc.Name, Now: time.Now, Logger: logger})
	lis := dial.Listen()
	server, err := serve.New(serve.Config{Listener: lis}, serve.Deps{
		Name: syncsvc.Name, Verifier: s.mint.Verifier(syncsvc.Name), Audit: recorder, Logger: logger, Ready: service.Ready, Now: time.Now,
	})
	require.NoError(t, err)
	service.Register(server)
	require.NoError(t, server.Start(t.Context()))
	t.Cleanup(server.Stop)
	s.work(service, recorder)
	s.conn, err = dial.New("sync", dial.Options{Audience: syncsvc.Name, Listener: lis, Timeout: time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.conn.Close() })
	s.clients, s.contacts = syncv1.NewClientServiceClient(s.conn), syncv1.NewContactServiceClient(s.conn)
	s.runs, s.plans = syncv1.NewRunServiceClient(s.conn), syncv1.NewPlanServiceClient(s.conn)
	s.legacy = syncv1.NewLegacyServiceClient(s.conn)
	return s
}

// work runs the service's own work until the test ends.
func (s *suite) work(service *syncsvc.Service, recorder *audit.Recorder) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := service.Run(ctx); err != nil {
			s.t.Errorf("sync stopped: %v", err)
		}
	})
	wg.Go(func() { _ = recorder.Run(ctx) })
	s.t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

type guarded struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (g *guarded) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.w.Write(b)
}

// as returns a context in which a principal of the firm calls, stepped up.
func (s *suite) as(k access.Kind) context.Context {
	return s.asPrincipal(accesstest.SteppedUp(accesstest.Of(k, accesstest.FirmA), time.Now()))
}

func (s *suite) asPrincipal(p access.Principal) context.Context {
	return dial.WithToken(s.t.Context(), s.mint.Token(p, syncsvc.Name))
}

func (s *suite) admin() context.Context { return s.as(access.Administrator) }

// tell puts an event on the bus, as the service would whose event it is: by an outbox and a relay of its own.
func (s *suite) tell(entity string, sequence int64, m proto.Message) {
	s.t.Helper()
	emitter := strings.Split(string(m.ProtoReflect().Descriptor().FullName()), ".")[2] // concord.events.<emitter>.v1
	db := s.db
	if emitter != syncsvc.Name {
		db = s.neighbour(emitter)
	}
	require.NoError(s.t, db.Tx(context.Background(), func(tx *sqldb.Tx) error {
		_, err := events.Add(tx, events.Event{Firm: accesstest.FirmA, Entity: entity, Sequence: sequence, Message: m})
		return err
	}))
}

// neighbour is the database of another service that tells of what happened there.
func (s *suite) neighbour(name string) *sqldb.DB {
	if db := s.neighbours[name]; db != nil {
		return db
	}
	db := sqldbtest.Open(s.t, sqldbtest.URL(s.t, sqldb.SQLite), events.Schema)
	s.neighbours[name] = db
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- events.NewRelay(db, s.bus, name, events.RelayOptions{}).Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("the relay of %s stopped: %v", name, err)
		}
	})
	return db
}

// theConnection is the connection as connector tells of it.
func theConnection(change func(*connectorv1.Connection)) *connectorv1.Connection {
	c := &connectorv1.Connection{
		Name: connection, Provider: connectorv1.Provider_PROVIDER_XPM, TenantId: "tenant-1", TenantName: "Practice",
		State: connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE, CreateTime: timestamppb.Now(),
		Options: &connectorv1.ConnectionOptions{
			NewRecordPolicy: connectorv1.NewRecordPolicy_NEW_RECORD_POLICY_CREATE,
			RemovalPolicy:   connectorv1.RemovalPolicy_REMOVAL_POLICY_APPLY, RemovalGuardPermille: 100, RemovalGuardFloor: 5,
		},
	}
	if change != nil {
		change(c)
	}
	return c
}

// connect tells of the connection and waits for the run that it starts.
func (s *suite) connect(change func(*connectorv1.Connection)) *syncv1.Run {
	s.t.Helper()
	s.tell("connections/"+peertest.Connection, 1, &connectoreventsv1.ConnectionEstablished{
		Connection: theConnection(change), ConfirmedBy: firm + "/staff/01920000-0000-7000-8000-000000000103",
	})
	var run *syncv1.Run
	eventstest.Until(s.t, "the connection has had its run", func() bool {
		resp, err := s.runs.ListRuns(s.admin(), &syncv1.ListRunsRequest{Parent: firm})
		require.NoError(s.t, err)
		if len(resp.GetRuns()) == 0 {
			return false
		}
		run = resp.GetRuns()[0]
		return run.GetEndTime() != nil
	})
	require.Equal(s.t, syncv1.RunState_RUN_STATE_SUCCEEDED, run.GetState(), run.GetMessage())
	return run
}

// sync starts a run and watches it to its end.
func (s *suite) sync(kind syncv1.RunKind) *syncv1.Run {
	s.t.Helper()
	resp, err := s.runs.StartRun(s.admin(), &syncv1.StartRunRequest{Parent: firm, Connection: connection, Kind: kind})
	require.NoError(s.t, err)
	return s.watch(resp.GetRun().GetName())
}

func (s *suite) full() *syncv1.Run { s.t.Helper(); return s.sync(syncv1.RunKind_RUN_KIND_FULL) }

func (s *suite) watch(name string) *syncv1.Run {
	s.t.Helper()
	stream, err := s.runs.WatchRun(s.admin(), &syncv1.WatchRunRequest{Name: name})
	require.NoError(s.t, err)
	var last *syncv1.Run
	for {
		m, err := stream.Recv()
		if err != nil {
			break
		}
		last = m.GetRun()
	}
	require.NotNil(s.t, last)
	require.NotNil(s.t, last.GetEndTime(), "the stream goes on until the run ended")
	return last
}

// client finds a client by what its name holds.
func (s *suite) client(query string, state syncv1.ClientState) *syncv1.Client {
	s.t.Helper()
	resp, err := s.clients.ListClients(s.admin(), &syncv1.ListClientsRequest{Parent: firm, Query: query, State: state})
	require.NoError(s.t, err)
	require.Len(s.t, resp.GetClients(), 1, "clients like %q", query)
	return resp.GetClients()[0]
}

// settled waits until an off-boarding is in a state.
func (s *suite) settled(name string, state syncv1.OffboardingState) *syncv1.Offboarding {
	s.t.Helper()
	var o *syncv1.Offboarding
	eventstest.Until(s.t, "the off-boarding is "+state.String(), func() bool {
		resp, err := s.clients.GetOffboarding(s.admin(), &syncv1.GetOffboardingRequest{Name: name})
		require.NoError(s.t, err)
		o = resp.GetOffboarding()
		return o.GetState() == state
	})
	return o
}
