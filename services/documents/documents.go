// Package documents is the service that keeps folders, documents, the document archive, email jobs and signature
// requests, and that secures what an off-boarded client leaves behind.
//
// It owns its database and the folder or bucket of bytes; nobody else reads either. See README.md for what it answers, emits and
// does when things around it fail.
package documents

import (
	"context"
	"errors"
	"fmt"
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
	autheventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/documents/internal/api"
	"github.com/concord-suite/concord/services/documents/internal/inbound"
	"github.com/concord-suite/concord/services/documents/internal/postal"
	"github.com/concord-suite/concord/services/documents/internal/store"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
	"github.com/concord-suite/concord/services/documents/internal/sweep"
	"github.com/concord-suite/concord/services/documents/internal/transfer"
)

// Name is the service's name on the bus, in tokens and in settings.
const Name = "documents"

// Migrations describe the service's database.
var Migrations fs.FS = sqldb.Join(events.Schema, idem.Schema, rotation.Schema, store.Migrations)

// Inventory lists what the service keeps under its keyring: it seals nothing, and its addresses for bytes are signed. One is
// good for as long as the setting ticket_life allows at most.
var Inventory = rotation.Inventory{Hashes: []rotation.Hash{{What: "addresses for bytes", Life: 24 * time.Hour}}}

// Deps is what the process gives the service.
type Deps struct {
	// DB is the service's own database, with Migrations applied.
	DB *sqldb.DB
	// Bus carries events; BusReplicas is how many of its servers hold each one, 0 for one.
	Bus         jetstream.JetStream
	BusReplicas int
	// Meter counts what is published and handled; default nowhere.
	Meter metric.Meter
	// Sync is the connection to the client list, which knows contacts' addresses.
	Sync grpc.ClientConnInterface
	// Vault makes the addresses of bytes hard to guess.
	Vault *vault.Vault
	// Revocations knows the sessions that ended; the service feeds it.
	Revocations *access.Revocations
	// Audit records who moved bytes. Its owner runs it.
	Audit *audit.Recorder
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Logger; default slog.Default().
	Logger *slog.Logger
}

// Service is documents. Make one with New, Register it with a server of package serve, serve its Handler, and Run it.
type Service struct {
	cfg      Config
	deps     Deps
	api      api.Deps
	bytes    *transfer.Handler
	consumer *events.Consumer
	courier  *postal.Courier
	sweeper  *sweep.Sweeper
	storage  *watch
}

// New makes the service. It looks whether the folder of bytes can be written, and asks no bucket; it neither listens nor starts
// anything.
func New(ctx context.Context, cfg Config, deps Deps) (*Service, error) {
	if deps.DB == nil || deps.Bus == nil || deps.Sync == nil || deps.Vault == nil || deps.Revocations == nil || deps.Audit == nil {
		return nil, errors.New("documents: a database, a bus, the client list, a vault, revocations and an audit recorder are needed")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Logger == nil {
		deps.Logger = slog.Default()
	}
	blobs, storage, err := openStorage(ctx, cfg, deps.Now, deps.Logger)
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, deps: deps, storage: storage}
	cab := cabinet.New(deps.Now, cfg.Recoverable)
	tickets := transfer.NewTickets(deps.Vault)
	s.consumer = events.NewConsumer(deps.DB, deps.Bus, Name, events.ConsumerOptions{
		Replicas: deps.BusReplicas, Now: deps.Now, Log: deps.Logger, Meter: deps.Meter})
	inbound.Handle(s.consumer, cab)
	s.api = api.Deps{DB: deps.DB, Memory: idem.New(deps.DB, deps.Now), Cabinet: cab, Blobs: blobs, Tickets: tickets, Scope: s.scope,
		Known: s.known, Now: deps.Now, TicketLife: cfg.TicketLife}
	s.bytes = transfer.New(transfer.Deps{DB: deps.DB, Blobs: blobs, Cabinet: cab, Tickets: tickets, Scope: s.scope,
		Revocations: deps.Revocations, Audit: deps.Audit, Now: deps.Now, Logger: deps.Logger,
		Idle: cfg.TransferIdle, Render: api.Uploaded})
	s.courier = &postal.Courier{DB: deps.DB, Contacts: syncv1.NewContactServiceClient(deps.Sync), Server: cfg.Mail.server(),
		Portal: cfg.PublicURL, Now: deps.Now, Logger: deps.Logger}
	if s.courier.Server == nil {
		deps.Logger.WarnContext(ctx, "no mail server is set: contacts are not told of documents sent to them")
	}
	s.sweeper = &sweep.Sweeper{DB: deps.DB, Blobs: blobs, Cabinet: cab, Now: deps.Now, Logger: deps.Logger,
		Every: cfg.SweepEvery, Grace: cfg.BlobGrace, Transfer: transfer.MaxTransfer}
	return s, nil
}

func (m Mail) server() *postal.Server {
	if m.Host == "" {
		return nil
	}
	return &postal.Server{Host: m.Host, Port: m.Port, Security: m.Security, Username: m.Username, Password: m.Password,
		From: m.From, Timeout: m.Timeout}
}

const (
	// knownWait bounds the wait for the client list's word on how far it has been heard. It comes once a second, and counts
	// from before it was sent.
	knownWait = 4 * time.Second
	// knownPoll is how often that is looked at: in memory, and one small query.
	knownPoll = 50 * time.Millisecond
)

// known waits until everything the client list committed before a moment is known here.
func (s *Service) known(ctx context.Context, firm string, before time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, knownWait)
	defer cancel()
	tick := time.NewTicker(knownPoll)
	defer tick.Stop()
	for {
		since := s.deps.Now().Sub(before)
		lag, err := s.consumer.Lag(ctx, inbound.Stream, firm)
		if err == nil && lag <= since {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("documents: the client list was not heard for %s: %w", knownWait, errors.Join(err, ctx.Err()))
		case <-tick.C:
		}
	}
}

// Register adds the service's RPCs to a server.
func (s *Service) Register(r grpc.ServiceRegistrar) { api.Register(r, s.api) }

// Handler moves the bytes of documents: PUT, GET and HEAD of /v1/bytes/{ticket}.
func (s *Service) Handler() http.Handler { return s.bytes }

// rememberRevoked is how far back a process that starts asks for ended sessions: internal tokens live two minutes, and
// an address of bytes longer, but then the session it came from ended before the address was made.
const rememberRevoked = 3 * time.Minute

// Run publishes what happened here, follows the client list, sends e-mails and sweeps, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	d := s.deps
	relay := events.NewRelay(d.DB, d.Bus, Name, events.RelayOptions{Replicas: d.BusReplicas, Now: d.Now, Log: d.Logger, Meter: d.Meter})
	keys := rotation.NewWorker(rotation.Book{Service: Name, DB: d.DB, Inventory: Inventory}, d.Vault, d.Logger)
	group, ctx := errgroup.WithContext(ctx)
	for _, run := range []func(context.Context) error{
		relay.Run, s.consumer.Run, s.courier.Run, s.sweeper.Run, s.api.Memory.Run, keys.Run,
	} {
		group.Go(func() error { return run(ctx) })
	}
	group.Go(func() error {
		return events.Broadcast(ctx, d.Bus, d.Logger, rememberRevoked, func(e *autheventsv1.SessionRevoked) { d.Revocations.Add(e.GetSession()) })
	})
	return group.Wait()
}

// Ready reports whether the database answers, and the folder of bytes, or whether the bucket once did.
func (s *Service) Ready(ctx context.Context) error {
	return errors.Join(s.deps.DB.Ping(ctx), s.storage.ready(ctx))
}

// State says what the service does without at the moment: a bucket that does not answer. It is "" when that is nothing.
func (s *Service) State() string { return s.storage.state() }
