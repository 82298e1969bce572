// Package syncsvc is the service that keeps the client list of a firm in step with the systems its clients live in, and
// that takes clients who left out of it without losing anything. It is called sync; the package has a name of its own
// because the standard library owns that one.
//
// It owns clients, contacts, relations, links, runs, plans, client history and off-boardings; nobody else reads its
// database. See README.md for what it answers, emits and does when things around it fail.
package syncsvc

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/sqldb"
	autheventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
	"github.com/concord-suite/concord/services/sync/internal/api"
	"github.com/concord-suite/concord/services/sync/internal/inbound"
	"github.com/concord-suite/concord/services/sync/internal/peer"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/runner"
	"github.com/concord-suite/concord/services/sync/internal/runner/detail"
	"github.com/concord-suite/concord/services/sync/internal/saga"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// Name is the service's name on the bus, in tokens and in settings.
const Name = peer.Self

// Migrations describe the service's database.
var Migrations fs.FS = sqldb.Join(events.Schema, idem.Schema, store.Migrations)

// Deps is what the process gives the service.
type Deps struct {
	// DB is the service's own database, with Migrations applied.
	DB *sqldb.DB
	// Bus carries events; BusReplicas is how many of its servers hold each one, 0 for one.
	Bus         jetstream.JetStream
	BusReplicas int
	// Meter counts what is published and handled; default nowhere.
	Meter metric.Meter
	// Connector, Documents and Auth are the connections to the peers.
	Connector, Documents, Auth grpc.ClientConnInterface
	// Revocations knows the sessions that ended; the service feeds it. Optional.
	Revocations *access.Revocations
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Logger; default slog.Default().
	Logger *slog.Logger
}

// Service is sync. Make one with New, Register it with a server of package serve, and Run it.
type Service struct {
	cfg    Config
	deps   Deps
	api    api.Deps
	runner *runner.Worker
	detail *detail.Worker
	saga   *saga.Worker
}

// New makes the service. It neither listens nor starts anything.
func New(_ context.Context, cfg Config, deps Deps) (*Service, error) {
	if deps.DB == nil || deps.Connector == nil || deps.Documents == nil || deps.Auth == nil {
		return nil, errors.New("sync: a database and connections to connector, documents and auth are needed")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Logger == nil {
		deps.Logger = slog.Default()
	}
	peers := peer.New(deps.Connector, deps.Documents, deps.Auth)
	// A new name at each start: leases of a former life are not ours.
	owner := store.NewID()
	retry := run.Retry{Attempts: int64(cfg.Attempts), MaxWait: cfg.MaxBackoff}
	return &Service{
		cfg: cfg, deps: deps,
		api: api.Deps{DB: deps.DB, Memory: idem.New(deps.DB, deps.Now), Peers: peers, Now: deps.Now},
		runner: runner.New(runner.Deps{
			DB: deps.DB, Peers: peers, Now: deps.Now, Log: deps.Logger, Owner: owner, Lease: cfg.Lease, Batch: cfg.Batch,
			Retry: retry, NewsEvery: cfg.NewsEvery,
		}),
		detail: detail.New(detail.Deps{
			DB: deps.DB, Peers: peers, Now: deps.Now, Log: deps.Logger, Owner: owner, Share: cfg.DetailsShare, Age: time.Duration(cfg.DetailsDays) * 24 * time.Hour, Retry: retry,
		}),
		saga: saga.New(saga.Deps{
			DB: deps.DB, Peers: peers, Now: deps.Now, Log: deps.Logger, Owner: owner, Lease: cfg.Lease,
		}),
	}, nil
}

// Register adds the service's RPCs to a server.
func (s *Service) Register(r grpc.ServiceRegistrar) { api.Register(r, s.api) }

// Run publishes events, takes others' events, and works on runs, decided plans and off-boardings until ctx ends. It
// returns nil then.
func (s *Service) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.api.Memory.Run(ctx) })
	if s.deps.Bus != nil {
		s.runEvents(ctx, group)
	}
	for _, c := range s.crews() {
		c.start(ctx, group)
	}
	return group.Wait()
}

func (s *Service) runEvents(ctx context.Context, group *errgroup.Group) {
	d := s.deps
	relay := events.NewRelay(d.DB, d.Bus, Name, events.RelayOptions{Replicas: d.BusReplicas, Now: d.Now, Log: d.Logger, Meter: d.Meter})
	group.Go(func() error { return relay.Run(ctx) })
	consumer := events.NewConsumer(d.DB, d.Bus, Name, events.ConsumerOptions{Replicas: d.BusReplicas, Now: d.Now, Log: d.Logger, Meter: d.Meter})
	inbound.Handlers{Now: d.Now}.Register(consumer)
	group.Go(func() error { return consumer.Run(ctx) })
	if d.Revocations != nil {
		group.Go(func() error {
			return events.Broadcast(ctx, d.Bus, d.Logger, access.MaxTokenLife, func(e *autheventsv1.SessionRevoked) {
				d.Revocations.Add(e.GetSession())
			})
		})
	}
}

// readyWait bounds Ready below the two seconds in which it must answer.
const readyWait = 1500 * time.Millisecond

// Ready says whether the service can answer now: its database does. Peers and the bus are not asked: runs, off-boardings
// and events wait for them, and the client list is there meanwhile.
func (s *Service) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	return s.deps.DB.Ping(ctx)
}
