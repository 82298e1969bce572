// Package connector is the service that connects a firm to the systems it keeps its clients in: it has people consent,
// keeps the grants, and reads records within the providers' call limits.
//
// It owns grants with sealed tokens, connections, attempts to connect and the account of calls; nobody else reads its
// database, and tokens never leave it. See README.md for what it answers, emits and does when things around it fail.
package connector

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/audit"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/rotation"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	autheventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"

	"github.com/concord-suite/concord/services/connector/internal/api"
	"github.com/concord-suite/concord/services/connector/internal/api/flow"
	"github.com/concord-suite/concord/services/connector/internal/inbound"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/budget"
	"github.com/concord-suite/concord/services/connector/internal/provider/custody"
	"github.com/concord-suite/concord/services/connector/internal/provider/upstream"
	"github.com/concord-suite/concord/services/connector/internal/store"
	"github.com/concord-suite/concord/services/connector/internal/store/guards"
)

// Name is the service's name on the bus, in tokens and in settings.
const Name = "connector"

// Migrations describe the service's database.
var Migrations fs.FS = sqldb.Join(events.Schema, idem.Schema, rotation.Schema, store.Migrations, guards.Schema)

// Inventory lists what the service keeps under its keyring.
var Inventory = guards.Inventory

// Deps is what the process gives the service.
type Deps struct {
	// DB is the service's own database, with Migrations applied.
	DB *sqldb.DB
	// Bus carries events; BusReplicas is how many of its servers hold each one, 0 for one.
	Bus         jetstream.JetStream
	BusReplicas int
	// Meter counts what is published and handled; default nowhere.
	Meter metric.Meter
	// Auth is the connection to auth.
	Auth grpc.ClientConnInterface
	// Vault seals tokens.
	Vault *vault.Vault
	// Revocations learns of every session that ends. Optional.
	Revocations *access.Revocations
	// Client makes the calls to providers; default one with bounds and without redirects.
	Client *http.Client
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Logger; default slog.Default().
	Logger *slog.Logger
}

// Service is the connector. Make one with New, Register it with a server of package serve, and Run it.
type Service struct {
	cfg         Config
	deps        Deps
	providers   provider.Registry
	memory      *idem.Memory
	budget      *budget.Budget
	custody     *custody.Custodian
	upstream    *upstream.Upstream
	flow        *flow.Flow
	connections *api.Connections
	records     *api.Records
	webhooks    *api.Webhooks
	inbox       *inbound.Webhooks
}

// New makes the service. It neither listens nor starts anything.
func New(ctx context.Context, cfg Config, deps Deps) (*Service, error) {
	if deps.DB == nil || deps.Vault == nil || deps.Auth == nil {
		return nil, errors.New("connector: a database, a vault and the connection to auth are needed")
	}
	deps = deps.complete()
	s := assemble(cfg, deps)
	if len(s.providers) == 0 {
		deps.Logger.WarnContext(ctx, "no provider is configured: nothing can be connected")
	}
	s.flow = flow.New(cfg.flow(), flow.Deps{DB: deps.DB, Vault: deps.Vault, Providers: s.providers, Custody: s.custody,
		Upstream: s.upstream, Auth: authv1.NewFirmServiceClient(deps.Auth), Now: deps.Now, Logger: deps.Logger,
		Audit: audit.New(deps.DB, audit.Options{Service: Name, Now: deps.Now, Logger: deps.Logger})})
	s.connections = &api.Connections{DB: deps.DB, Memory: s.memory, Flow: s.flow, Upstream: s.upstream, Providers: s.providers, Now: deps.Now}
	s.records = &api.Records{DB: deps.DB, Memory: s.memory, Upstream: s.upstream, Providers: s.providers}
	s.webhooks = &api.Webhooks{DB: deps.DB, Keys: cfg.webhookKeys(), Now: deps.Now, Logger: deps.Logger}
	s.inbox = &inbound.Webhooks{DB: deps.DB, Now: deps.Now, Logger: deps.Logger}
	return s, nil
}

// assemble makes what calls to providers go through.
func assemble(cfg Config, deps Deps) *Service {
	s := &Service{cfg: cfg, deps: deps, memory: idem.New(deps.DB, deps.Now), budget: budget.New(deps.DB, cfg.budget(), deps.Now)}
	var identities map[string]provider.Identity
	s.providers, identities = cfg.providers(deps.Client, deps.Now)
	s.custody = custody.New(deps.DB, deps.Vault, identities, cfg.custody(), deps.Now, deps.Logger)
	s.upstream = upstream.New(deps.DB, deps.Client, s.budget, s.custody, cfg.upstream(), deps.Now, deps.Logger)
	return s
}

// Register adds the service's RPCs to a server.
func (s *Service) Register(r grpc.ServiceRegistrar) {
	connectorv1.RegisterConnectionServiceServer(r, s.connections)
	connectorv1.RegisterRecordServiceServer(r, s.records)
	connectorv1.RegisterWebhookServiceServer(r, s.webhooks)
}

// Ready says within two seconds whether the service can work now: whether its database answers. A provider that does
// not is the health of its connections, not of the service.
func (s *Service) Ready(ctx context.Context) error { return s.deps.DB.Ping(ctx) }

const (
	// workEvery is how often the workers look for what was left. What is new wakes them.
	workEvery = time.Second
	// upkeepEvery is how often grants and degraded connections are looked at.
	upkeepEvery = 5 * time.Second
	// purgeEvery is how often what no longer counts is deleted.
	purgeEvery = 10 * time.Minute
)

// Run publishes events, takes up what was left, keeps grants alive and tidies up until ctx ends. It returns nil then.
func (s *Service) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.memory.Run(ctx) })
	keys := rotation.NewWorker(rotation.Book{Service: Name, DB: s.deps.DB, Inventory: Inventory}, s.deps.Vault, s.deps.Logger)
	group.Go(func() error { return keys.Run(ctx) })
	chores, stop := s.deps.DB.Watch(flow.ChoresTopic)
	defer stop()
	group.Go(func() error {
		return s.every(ctx, workEvery, chores, func(ctx context.Context) error {
			_, err := s.flow.Chores(ctx)
			return err
		})
	})
	notices, ignore := s.deps.DB.Watch(store.WebhookTopic)
	defer ignore()
	group.Go(func() error { return s.every(ctx, workEvery, notices, s.inbox.Deliver) })
	group.Go(func() error { return s.every(ctx, purgeEvery, nil, s.inbox.Purge) })
	group.Go(func() error { return s.every(ctx, workEvery, nil, s.flow.Resume) })
	group.Go(func() error { return s.every(ctx, upkeepEvery, nil, s.custody.Upkeep) })
	group.Go(func() error {
		return s.every(ctx, min(upkeepEvery, s.cfg.Call.Degraded), nil, func(ctx context.Context) error {
			return s.upstream.Upkeep(ctx, s.providers, s.cfg.Call.Degraded)
		})
	})
	group.Go(func() error { return s.every(ctx, purgeEvery, nil, s.budget.Purge) })
	if s.deps.Bus != nil {
		s.runEvents(ctx, group)
	}
	return group.Wait()
}

// every runs a piece of work again and again, and at once when something wakes it. What fails is tried again the next
// time.
func (s *Service) every(ctx context.Context, d time.Duration, wake <-chan struct{}, work func(context.Context) error) error {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		if err := work(ctx); err != nil && ctx.Err() == nil {
			s.deps.Logger.WarnContext(ctx, "a round of work failed; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-wake:
		}
	}
}

func (s *Service) runEvents(ctx context.Context, group *errgroup.Group) {
	d := s.deps
	relay := events.NewRelay(d.DB, d.Bus, Name, events.RelayOptions{Replicas: d.BusReplicas, Now: d.Now, Log: d.Logger, Meter: d.Meter})
	group.Go(func() error { return relay.Run(ctx) })
	if d.Revocations != nil {
		group.Go(func() error {
			return events.Broadcast(ctx, d.Bus, d.Logger, access.MaxTokenLife, func(e *autheventsv1.SessionRevoked) {
				d.Revocations.Add(e.GetSession())
			})
		})
	}
}
