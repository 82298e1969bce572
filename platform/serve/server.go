package serve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc/filters"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/concord-suite/concord/platform/access"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

// Server is a gRPC server. It implements grpc.ServiceRegistrar: register services, then Run, or Start and Stop.
type Server struct {
	cfg    Config
	deps   Deps
	grpc   *grpc.Server
	health *health.Server
	chain  *chain
	asking atomic.Bool // a readiness check is under way

	mu       sync.Mutex
	listener net.Listener
	served   chan error
	stopped  bool
}

// New makes a server. It checks everything that does not depend on the services registered later.
func New(cfg Config, deps Deps) (*Server, error) {
	cfg = cfg.withDefaults()
	deps, err := deps.withDefaults()
	if err != nil {
		return nil, err
	}
	transport, err := cfg.transport()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, deps: deps, health: health.NewServer(), chain: newChain(cfg, deps)}
	opts := append(cfg.options(), s.chain.options()...)
	opts = append(opts, grpc.StatsHandler(otelgrpc.NewServerHandler(deps.telemetry()...)), grpc.StatsHandler(births{deps.Now}))
	if transport != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(transport)))
	}
	s.grpc = grpc.NewServer(opts...)
	healthv1.RegisterHealthServer(s.grpc, s.health)
	reflection.RegisterV1(s.grpc)
	s.health.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
	return s, nil
}

func (c Config) options() []grpc.ServerOption {
	opts := []grpc.ServerOption{
		grpc.ForceServerCodecV2(newTolerant()),
		grpc.MaxRecvMsgSize(c.MaxMessage),
		grpc.MaxSendMsgSize(c.MaxMessage),
		grpc.MaxHeaderListSize(maxHeader),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(10 * time.Second), // the handshake; a stranger who says nothing is let go
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time:             30 * time.Second, // a frozen peer is noticed within 40 s
			Timeout:          10 * time.Second,
			MaxConnectionAge: c.MaxConnectionAge, MaxConnectionAgeGrace: c.lastCalls(),
		}),
		// Clients of package dial ping every 15 s; more often than every 10 is abuse.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	}
	if c.Window > 0 {
		opts = append(opts, grpc.InitialWindowSize(c.Window), grpc.InitialConnWindowSize(c.Window))
	}
	return opts
}

func (d Deps) telemetry() []otelgrpc.Option {
	opts := []otelgrpc.Option{otelgrpc.WithFilter(filters.Not(filters.HealthCheck()))}
	if d.Tracer != nil {
		opts = append(opts, otelgrpc.WithTracerProvider(d.Tracer))
	}
	if d.Meter != nil {
		opts = append(opts, otelgrpc.WithMeterProvider(d.Meter))
	}
	if d.Propagator != nil {
		opts = append(opts, otelgrpc.WithPropagators(d.Propagator))
	}
	return opts
}

// RegisterService implements grpc.ServiceRegistrar.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	s.grpc.RegisterService(onlyReadable(desc), impl)
}

// Check reads the rules of all registered services and says everything that is wrong with them. Start does it too.
func (s *Server) Check() error {
	var services []protoreflect.ServiceDescriptor
	var mistakes []error
	for _, name := range slices.Sorted(maps.Keys(s.grpc.GetServiceInfo())) {
		if access.Exempt(name) {
			continue
		}
		d, err := s.deps.Files.FindDescriptorByName(protoreflect.FullName(name))
		sd, ok := d.(protoreflect.ServiceDescriptor)
		if err != nil || !ok {
			mistakes = append(mistakes, fmt.Errorf("serve: no descriptor of service %s", name))
			continue
		}
		services = append(services, sd)
	}
	rules, err := access.Rules(services...)
	if err = errors.Join(append(mistakes, err)...); err != nil {
		return err
	}
	for _, r := range rules.All() {
		if r.Audit != optionsv1.AuditKind_AUDIT_KIND_NONE && s.deps.Audit == nil {
			return fmt.Errorf("serve: %s is to be audited and there is no auditor", r.Method)
		}
	}
	s.chain.rules = rules
	return nil
}

// Start checks the rules, listens and serves in the background. Health says NOT_SERVING until Ready does not fail.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.served != nil || s.stopped {
		return errors.New("serve: a server starts once")
	}
	if err := s.Check(); err != nil {
		return err
	}
	lis := s.cfg.Listener
	if lis == nil {
		var err error
		if lis, err = new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.Address); err != nil {
			return fmt.Errorf("serve: %s: %w", s.deps.Name, err)
		}
	}
	s.listener, s.served = lis, make(chan error, 1)
	go func() { s.served <- s.grpc.Serve(lis) }()
	s.ready(ctx)
	return nil
}

// Addr is the address the server listens on once started, else nil.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Run starts the server and serves until ctx ends, then stops gracefully. The error is why it could not start or had to
// end; nil after a stop that was asked for.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Start(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(s.cfg.ReadyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.Stop()
			return nil
		case err := <-s.served:
			s.health.Shutdown()
			s.grpc.Stop()
			if err != nil {
				return fmt.Errorf("serve: %s: %w", s.deps.Name, err)
			}
			return nil
		case <-tick.C:
			s.ready(ctx)
		case <-s.deps.ReadyChanged:
			s.ready(ctx)
		}
	}
}

// readyTimeout bounds one readiness check: a database that hangs must show as not ready, not as no answer.
const readyTimeout = 2 * time.Second

// ready asks the service and tells health.
func (s *Server) ready(ctx context.Context) {
	state := healthv1.HealthCheckResponse_SERVING
	if s.deps.Ready != nil {
		if err := s.askReady(ctx); err != nil {
			state = healthv1.HealthCheckResponse_NOT_SERVING
			if s.deps.ReadyChanged == nil {
				s.deps.Logger.WarnContext(ctx, "not ready", "service", s.deps.Name, "error", err)
			}
		}
	}
	s.health.SetServingStatus("", state)
	for name := range s.grpc.GetServiceInfo() {
		s.health.SetServingStatus(name, state)
	}
}

func (s *Server) askReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if !s.asking.CompareAndSwap(false, true) {
		return errors.New("the last readiness check has not answered yet")
	}
	answer := make(chan error, 1)
	go func() {
		defer s.asking.Store(false)
		answer <- s.deps.Ready(ctx)
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stop says NOT_SERVING, waits DrainDelay, lets running calls finish and returns, after Grace at the latest. Streams that
// still run after half of it are ended with UNAVAILABLE, so that whoever watches goes to another replica.
func (s *Server) Stop() {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return
	}
	s.stopped = true
	s.mu.Unlock()

	s.health.Shutdown()
	await(nil, s.cfg.DrainDelay)
	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(done)
	}()
	if await(done, s.cfg.Grace/2) {
		return
	}
	s.chain.drain()
	if await(done, s.cfg.Grace/2) {
		return
	}
	s.grpc.Stop()
	<-done
}

// await waits for done, at most d, and tells whether it came.
func await(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}
