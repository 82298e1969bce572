// Package auth is the service that signs people in, says who they are, and keeps the audit ledger.
//
// It owns firms, accounts, contact logins, second factors, sessions, Add-In and agent credentials, each firm's sign-in
// policy and the ledger; nobody else reads its database. See README.md for what it answers, emits and does when things
// around it fail.
package auth

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/rotation"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	autheventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/auth/internal/api"
	"github.com/concord-suite/concord/services/auth/internal/api/factors"
	"github.com/concord-suite/concord/services/auth/internal/api/idtoken"
	"github.com/concord-suite/concord/services/auth/internal/api/issuer"
	"github.com/concord-suite/concord/services/auth/internal/api/lock"
	"github.com/concord-suite/concord/services/auth/internal/api/messages"
	"github.com/concord-suite/concord/services/auth/internal/api/oauth"
	"github.com/concord-suite/concord/services/auth/internal/api/outbound"
	"github.com/concord-suite/concord/services/auth/internal/api/passwords"
	"github.com/concord-suite/concord/services/auth/internal/api/policy"
	"github.com/concord-suite/concord/services/auth/internal/api/proofs"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
	"github.com/concord-suite/concord/services/auth/internal/api/staffing"
	"github.com/concord-suite/concord/services/auth/internal/inbound"
	"github.com/concord-suite/concord/services/auth/internal/password"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
	enrolled "github.com/concord-suite/concord/services/auth/internal/store/factors"
	"github.com/concord-suite/concord/services/auth/internal/store/guards"
	kept "github.com/concord-suite/concord/services/auth/internal/store/messages"
	keptpasskeys "github.com/concord-suite/concord/services/auth/internal/store/passkeys"
	"github.com/concord-suite/concord/services/auth/internal/store/people"
	"github.com/concord-suite/concord/services/auth/internal/texts"
)

// Name is the service's name on the bus, in tokens and in settings.
const Name = "auth"

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
	// Sync is the connection to the client list, which is asked whether a contact exists before it gets a login.
	Sync grpc.ClientConnInterface
	// Vault seals signing keys and e-mails on their way, and hashes PINs.
	Vault *vault.Vault
	// Revocations learns of every session that ends, from this and other replicas. Optional.
	Revocations *access.Revocations
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Logger; default slog.Default().
	Logger *slog.Logger
	// Meters measure; default nowhere.
	Meters metric.MeterProvider

	// passwords are the costs of a hash; default password.Current. Tests that sign in thousands of times set lower ones.
	passwords password.Params
}

// Service is auth. Make one with New, Register it with a server of package serve, and Run it.
type Service struct {
	deps   Deps
	api    *api.Server
	idKeys *idtoken.Keys
	memory *idem.Memory
	sender *outbound.Sender // nil without a mail server
	// consumer is nil without a bus.
	consumer *events.Consumer
}

// New makes the service. It reads and, at the very first start, makes the signing keys; it neither listens nor starts
// anything.
func New(ctx context.Context, cfg Config, deps Deps) (*Service, error) {
	if deps.DB == nil || deps.Vault == nil || deps.Sync == nil {
		return nil, errors.New("auth: a database, a vault and the client list are needed")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Logger == nil {
		deps.Logger = slog.Default()
	}
	if deps.Meters == nil {
		deps.Meters = noop.NewMeterProvider()
	}
	s := &Service{deps: deps, memory: idem.New(deps.DB, deps.Now)}
	seasoning, err := pepper(ctx, deps)
	if err != nil {
		return nil, err
	}
	hasher := password.NewHasher(cfg.slots()).Peppered(seasoning)
	if deps.passwords != (password.Params{}) {
		hasher = hasher.With(deps.passwords)
	}
	book, err := texts.Load(cfg.PublicURL.String(), cfg.Templates)
	if err != nil {
		return nil, err
	}
	meter := deps.Meters.Meter("github.com/concord-suite/concord/services/auth")
	desk := cfg.desk(deps.DB, book, deps.Now, deps.Logger, meter)
	in := &signin.Service{
		DB: deps.DB, Hasher: hasher, Vault: deps.Vault, Now: deps.Now, Logger: deps.Logger, Messages: desk, Mailbox: people.Mailboxes{},
	}
	post := &outbound.Post{Texts: book, Vault: deps.Vault, Now: deps.Now}
	in.Proofs = proofs.Book{Vault: deps.Vault}
	if desk.Mail != nil {
		in.Post = post
	}
	keys := issuer.New(deps.DB, deps.Vault, deps.Now, cfg.KeyRotation, deps.Logger)
	if err := keys.Refresh(ctx); err != nil {
		return nil, err
	}
	addIns, err := cfg.addIns()
	if err != nil {
		return nil, err
	}
	site := strings.TrimSuffix(cfg.PublicURL.String(), "/")
	s.idKeys = idtoken.New(deps.DB, deps.Vault, deps.Now, cfg.KeyRotation, deps.Logger)
	if err := s.idKeys.Refresh(ctx); err != nil {
		return nil, err
	}
	s.api = &api.Server{
		DB: deps.DB, Memory: s.memory, Vault: deps.Vault, SignIn: in, Hasher: hasher, Issuer: keys, Now: deps.Now,
		Logger: deps.Logger, Site: site, Countries: cfg.SMS.Countries,
		Contacts: syncv1.NewContactServiceClient(deps.Sync), Post: post,
		Messages:  &messages.Server{Desk: desk, Memory: s.memory},
		Policy:    &policy.Keeper{Post: post, Now: deps.Now},
		Lock:      &lock.Keeper{DB: deps.DB, SignIn: in, Now: deps.Now},
		Passwords: &passwords.Book{DB: deps.DB, Hasher: hasher, SignIn: in, Post: post, Now: deps.Now, Logger: deps.Logger},
		AddIns:    &oauth.Server{DB: deps.DB, Clients: addIns, Keys: s.idKeys, Post: in.Post, Issuer: site, Now: deps.Now},
	}
	s.api.Factors = &factors.Server{
		DB: deps.DB, Memory: s.memory, Proofs: in.Proofs, SignIn: in, Post: in.Post, Issuer: "Concord " + cfg.PublicURL.Hostname(),
		Countries: cfg.SMS.Countries, Now: deps.Now, Logger: deps.Logger,
	}
	if err := s.keepPasskeys(ctx, cfg.PublicURL); err != nil {
		return nil, err
	}
	if desk.Mail != nil {
		s.sender = &outbound.Sender{DB: deps.DB, Vault: deps.Vault, Mail: desk.Mail, Now: deps.Now, Logger: deps.Logger,
			Depth: outbound.NewDepth(meter)}
	}
	cfg.sayWhatIsMissing(ctx, deps.Logger)
	s.api.Staffing = &staffing.Keeper{Post: post, Passwords: s.api.Passwords, Proofs: in.Proofs, Now: deps.Now}
	if deps.Bus != nil {
		s.listen()
	}
	return s, s.reinstateOperators(ctx)
}

// reinstateOperators switches the PINs of operators on again, and lets their mailboxes count again. Nobody stands above an operator who could do it; whoever
// starts the process runs the machine, and twenty guesses a start are no danger.
func (s *Service) reinstateOperators(ctx context.Context) error {
	return s.deps.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		if err := people.RestoreOperators(tx); err != nil {
			return err
		}
		n, err := store.ReinstateOperators(tx)
		if err == nil && n > 0 {
			s.deps.Logger.WarnContext(ctx, "PINs of operators were switched off after too many wrong ones, and are on again", "accounts", n)
		}
		return err
	})
}

// Register adds the service's RPCs to a server.
func (s *Service) Register(r grpc.ServiceRegistrar) { s.api.Register(r) }

// Keys is the source of the keys by which auth vouches for people, for auth's own server.
func (s *Service) Keys() access.KeySource { return s.api.Issuer }

// SetupCode makes a code by which somebody becomes the operator, as long as no operator has signed in yet; it opens the claim
// of an operator who never came for another. The codes of several replicas, and of several starts, count alike for three days;
// using one voids all.
// It is for the console of whoever starts the installation: printed, never logged. The empty string means that the
// installation has its operator.
func (s *Service) SetupCode(ctx context.Context) (string, error) {
	code, hash := session.NewToken(session.ForSetup)
	offered := false
	err := s.deps.DB.Tx(ctx, func(tx *sqldb.Tx) (err error) {
		offered, err = store.OfferSetup(tx, hash, s.deps.Now())
		return err
	})
	if err != nil || !offered {
		return "", err
	}
	return code, nil
}

// sweepEvery is how often what is over is deleted.
const sweepEvery = 10 * time.Minute

// Run publishes events, takes others' events, sends e-mails, rotates keys and tidies up until ctx ends. It returns nil
// then.
func (s *Service) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.api.Issuer.Run(ctx) })
	group.Go(func() error { return s.idKeys.Run(ctx) })
	group.Go(func() error { return s.memory.Run(ctx) })
	group.Go(func() error { return s.sweep(ctx) })
	group.Go(func() error { return s.api.Passwords.Run(ctx) })
	keys := rotation.NewWorker(rotation.Book{Service: Name, DB: s.deps.DB, Inventory: Inventory}, s.deps.Vault, s.deps.Logger)
	group.Go(func() error { return keys.Run(ctx) })
	if s.sender != nil {
		group.Go(func() error { return s.sender.Run(ctx) })
	}
	if s.deps.Bus != nil {
		s.runEvents(ctx, group)
	}
	return group.Wait()
}

// listen makes the consumer of what others tell, on which it hangs how well auth knows the contacts.
func (s *Service) listen() {
	d := s.deps
	s.consumer = events.NewConsumer(d.DB, d.Bus, Name, events.ConsumerOptions{Replicas: d.BusReplicas, Now: d.Now, Log: d.Logger, Meter: d.Meters.Meter(eventsMeter)})
	inbound.Register(s.consumer, d.Now)
	inbound.RegisterConnections(s.consumer, s.api.Policy)
	s.api.ContactsKnown = func(ctx context.Context, firm string) (bool, error) {
		lag, err := s.consumer.Lag(ctx, inbound.ClientList, firm)
		return err == nil && lag <= contactLag, err
	}
}

// contactLag is how old the knowledge of who is still a contact may be. Internal tokens live two minutes, so that much
// beside it does no harm; and a bus that is started anew is not felt.
const contactLag = 30 * time.Second

func (s *Service) runEvents(ctx context.Context, group *errgroup.Group) {
	d := s.deps
	relay := events.NewRelay(d.DB, d.Bus, Name, events.RelayOptions{Replicas: d.BusReplicas, Now: d.Now, Log: d.Logger, Meter: d.Meters.Meter(eventsMeter)})
	group.Go(func() error { return relay.Run(ctx) })
	group.Go(func() error { return s.consumer.Run(ctx) })
	if d.Revocations != nil {
		group.Go(func() error {
			return events.Broadcast(ctx, d.Bus, d.Logger, access.MaxTokenLife, func(e *autheventsv1.SessionRevoked) {
				d.Revocations.Add(e.GetSession())
			})
		})
	}
}

// sweeps delete what is over, part by part.
var sweeps = []func(*sqldb.Tx, time.Time) error{people.Sweep, enrolled.Sweep, keptpasskeys.Sweep, kept.Sweep, store.Sweep}

func (s *Service) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		err := s.deps.DB.Tx(ctx, func(tx *sqldb.Tx) error {
			for _, tidy := range sweeps {
				if err := tidy(tx, s.deps.Now()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil && ctx.Err() == nil {
			s.deps.Logger.WarnContext(ctx, "tidying up failed; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// eventsMeter is the scope of what counts events.
const eventsMeter = "github.com/concord-suite/concord/platform/events"

// readyWait bounds Ready below the two seconds in which it must answer.
const readyWait = 1500 * time.Millisecond

// Ready says whether the service can answer now: its database does and it has a signing key. The bus is not asked: events
// wait in the outbox, and people sign in meanwhile.
func (s *Service) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	if _, err := s.api.Issuer.Signer(); err != nil {
		return err
	}
	return s.deps.DB.Ping(ctx)
}
