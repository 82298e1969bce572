package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protodesc"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/audit"
	"github.com/concord-suite/concord/platform/boot/internal/gauges"
	"github.com/concord-suite/concord/platform/boot/internal/identity"
	"github.com/concord-suite/concord/platform/boot/internal/readiness"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/link"
	"github.com/concord-suite/concord/platform/mtls"
	"github.com/concord-suite/concord/platform/serve"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/telemetry"
	"github.com/concord-suite/concord/platform/vault"
)

// Setup says where a service listens, where its bus and its database are, and who it is.
type Setup struct {
	// Name is the service's name: the audience and issuer of its tokens, its name on the bus.
	Name string
	// Database is the service's own; an empty URL means none. Migrations, when given, are applied before the start, or
	// waited for when MigratedByOthers is set; those of package events must be among them when RPCs are audited.
	Database         sqldb.Config
	Migrations       fs.FS
	MigratedByOthers bool
	// ConnectBus connects to the bus under a name, with options that watch the connection. It must not wait for a bus that
	// is down. Nil means no bus.
	ConnectBus func(name string, options ...nats.Option) (*nats.Conn, error)
	// BusReplicas is how many servers of the bus hold each event; 0 means 1, events.Prepared that the service makes no
	// streams.
	BusReplicas int
	// BusTLS is the certificate by which the bus knows the service, when it does.
	BusTLS *mtls.Source
	// GRPC is how a Registrar is served; its Listener must be set.
	GRPC serve.Config
	// HTTP is where a Handler is served.
	HTTP net.Listener
	// MaxConnectionAge is how old connections for HTTP get, when others of the suite make them; 0 means any age. It does
	// not hold for gRPC, whose own is in GRPC.
	MaxConnectionAge time.Duration
	// TLS is the service's certificate, when it has one: its Check says why it cannot be used now.
	TLS *mtls.Source
	// Health is where /livez, /readyz, /version and /metrics are answered. Optional.
	Health net.Listener
	// Checks are parts of readiness besides those that every process has: database, schema, bus, the service itself.
	Checks []Check
	// Peers and HTTPPeers name the services this one calls; Peer and HTTPPeer say how to reach one. Name, identity and
	// telemetry of the options are filled in here.
	Peers, HTTPPeers []string
	Peer             func(name string) (target string, o dial.Options, err error)
	HTTPPeer         func(name string) (host string, connect func(ctx context.Context) (net.Conn, error), err error)
	// Signer is the service's identity, Keys whose tokens it believes. The keys of auth for people are added here when
	// auth is a peer.
	Signer *access.Signer
	Keys   access.KeySource
	// Vault seals the service's secrets. Optional.
	Vault *vault.Vault
	// Telemetry is the service's own.
	Telemetry *telemetry.Telemetry
	// Now is the clock.
	Now func() time.Time
	// DrainDelay and Grace bound the way down, see serve.Config; 0 means none and 20 s.
	DrainDelay, Grace time.Duration
	// Files finds the descriptors of the registered services; nil means the generated code of the process.
	Files protodesc.Resolver
}

// Check is a part of readiness. Ask returns within a second: in state "ok" or in a few plain words what the process does
// without, while it answers calls rightly all the same; else what is wrong and what to do. Whoever reaches the port for
// health sees both, so there are no secrets and no addresses in them.
type Check struct {
	Part string
	Ask  func(ctx context.Context) (state string, err error)
}

// listeners returns those that are set, by what is answered there.
func (s Setup) listeners() map[string]net.Listener {
	all := map[string]net.Listener{"grpc": s.GRPC.Listener, "http": s.HTTP, "health": s.Health}
	maps.DeleteFunc(all, func(_ string, lis net.Listener) bool { return lis == nil })
	return all
}

func (s Setup) closeListeners() {
	for _, lis := range s.listeners() {
		lis.Close()
	}
}

// addresses returns where the service listens, as attributes of a log line.
func (s Setup) addresses() []any {
	all := s.listeners()
	var attrs []any
	for _, what := range slices.Sorted(maps.Keys(all)) {
		attrs = append(attrs, what, all[what].Addr().String())
	}
	return attrs
}

// Runtime is what a service is built from. What its Setup did not ask for is nil.
type Runtime struct {
	Name        string
	DB          *sqldb.DB
	Bus         jetstream.JetStream
	BusReplicas int
	Vault       *vault.Vault
	Signer      *access.Signer
	// Audit records who did what in the service's database; Serve records calls with it and runs it.
	Audit *audit.Recorder
	// Revocations refuses sessions that ended; the service feeds it from SessionRevoked.
	Revocations *access.Revocations
	Telemetry   *telemetry.Telemetry
	Logger      *slog.Logger
	Now         func() time.Time

	setup  Setup
	watch  *readiness.Watch
	store  store
	opened time.Time // when it began to connect to the bus
	stop   func()    // ends watch and health
	keys   access.Sources
	conn   *nats.Conn
	link   *link.Monitor
	peers  map[string]*grpc.ClientConn
	http   map[string]httpPeer
}

type httpPeer struct {
	transport *http.Transport
	host      string
}

// Open opens database and bus, brings the schema up to date and prepares the connections to the peers, which connect
// with the first call. It waits, not ready, for a database server that is away and for a schema that others bring up to
// date. Close the runtime after use.
func Open(ctx context.Context, setup Setup) (*Runtime, error) {
	if setup.Now == nil || setup.Telemetry == nil {
		return nil, errors.New("boot: a setup needs a clock and telemetry")
	}
	rt := &Runtime{
		Name: setup.Name, BusReplicas: setup.BusReplicas, Vault: setup.Vault, Signer: setup.Signer, Telemetry: setup.Telemetry,
		Logger: setup.Telemetry.Logger, Now: setup.Now, Revocations: access.NewRevocations(setup.Now), setup: setup,
		peers: map[string]*grpc.ClientConn{}, http: map[string]httpPeer{}, stop: func() {},
	}
	if setup.Keys != nil {
		rt.keys = access.Sources{setup.Keys}
	}
	for _, open := range []func(context.Context) error{rt.openHealth, rt.openDatabase, rt.openBus, rt.openPeers} {
		if err := open(ctx); err != nil {
			return nil, errors.Join(err, rt.Close())
		}
	}
	if rt.DB != nil {
		rt.Audit = audit.New(rt.DB, audit.Options{Service: rt.Name, Now: rt.Now, Logger: rt.Logger})
		events.Observe(rt.DB, rt.Meter())
		if err := gauges.Database(rt.Telemetry.Meters.Meter(meterName), rt.DB); err != nil {
			return nil, errors.Join(err, rt.Close())
		}
	}
	return rt, nil
}

// openHealth begins to watch over readiness and to tell, before there is anything to be ready for: a process that waits is
// alive.
func (rt *Runtime) openHealth(ctx context.Context) (err error) {
	if rt.watch, err = readiness.New(rt.Logger, rt.Telemetry.Meters.Meter(meterName), rt.Now); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	wait := rt.watch.Start(ctx)
	for _, check := range rt.setup.Checks {
		rt.watch.Add(readiness.Part{Name: check.Part, Ask: check.Ask})
	}
	if rt.setup.TLS != nil {
		rt.watch.Add(readiness.Part{Name: "certificate", Ask: func(context.Context) (string, error) { return readiness.OK, rt.setup.TLS.Check() }})
	}
	stopHealth := startHealth(rt.setup.Health, rt.watch, rt.Telemetry)
	rt.stop = func() {
		cancel()
		wait()
		stopHealth()
	}
	return nil
}

// meterName is the scope of what a process measures about itself.
const meterName = "github.com/concord-suite/concord/platform/boot"

func (rt *Runtime) openBus(context.Context) (err error) {
	if rt.setup.ConnectBus == nil {
		return nil
	}
	rt.link = link.NewMonitor(link.Options{
		Part: rt.Name, Own: rt.setup.BusTLS, Now: rt.Now, Log: rt.Logger, Meter: rt.Meter(),
	})
	if rt.conn, err = rt.setup.ConnectBus(rt.Name, rt.link.Options()...); err != nil {
		return err
	}
	rt.opened = rt.Now()
	rt.watch.Add(readiness.Part{Name: "bus", Ask: rt.askBus})
	if rt.Bus, err = jetstream.New(rt.conn); err != nil {
		return err
	}
	return rt.link.Watch(rt.conn)
}

// askBus is the part "bus" of readiness. A bus that was reached and is away takes nothing from the answers: the outbox is
// the buffer. One that was never reached is most likely one that never will be.
func (rt *Runtime) askBus(context.Context) (string, error) {
	switch h := rt.link.Health(); {
	case !h.Ready && rt.Now().Sub(rt.opened) < busTime:
		return "", readiness.ErrStarting
	case !h.Ready:
		return "", errors.New(h.String())
	case h.State == link.Connected && h.Why == "":
		return readiness.OK, nil
	default:
		return h.String(), nil
	}
}

// busTime is how long a connection to the bus may take, and those who make its streams when they start, before there is
// anything to say about it.
const busTime = 1500 * time.Millisecond

// busMeter is the scope of the metrics about the bus and what waits for it.
const busMeter = "github.com/concord-suite/concord/platform/events"

// Meter measures the events of the service.
func (rt *Runtime) Meter() metric.Meter { return rt.Telemetry.Meters.Meter(busMeter) }

// BusHealth says how the bus is for this program; false when it has none. It never waits.
func (rt *Runtime) BusHealth() (h link.Health, has bool) {
	if rt.link == nil {
		return h, false
	}
	return rt.link.Health(), true
}

func (rt *Runtime) openPeers(context.Context) error {
	for _, name := range rt.setup.Peers {
		target, o, err := rt.setup.Peer(name)
		if err != nil {
			return err
		}
		o.Audience, o.Signer = name, rt.Signer
		o.Tracer, o.Meter, o.Propagator = rt.Telemetry.Tracers, rt.Telemetry.Meters, rt.Telemetry.Propagator
		if rt.peers[name], err = dial.New(target, o); err != nil {
			return err
		}
	}
	for _, name := range rt.setup.HTTPPeers {
		host, connect, err := rt.setup.HTTPPeer(name)
		if err != nil {
			return err
		}
		rt.http[name] = httpPeer{newTransport(connect), host}
	}
	if conn := rt.peers[access.AuthIssuer]; conn != nil && rt.Name != access.AuthIssuer {
		rt.TrustKeys(access.NewFetched(identity.Auth{Conn: conn, Service: rt.Name}, rt.Now, access.AuthIssuer))
	}
	return nil
}

// newTransport makes the HTTP client side to one internal listener; connect replaces the address and adds TLS.
func newTransport(connect func(ctx context.Context) (net.Conn, error)) *http.Transport {
	return &http.Transport{
		DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return connect(ctx) },
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       time.Minute,
		ResponseHeaderTimeout: 30 * time.Second,
		DisableCompression:    true, // documents are passed on as they are
		// 128 KiB: large files go through in fewer system calls; small next to what a request costs anyway.
		ReadBufferSize: 128 << 10, WriteBufferSize: 128 << 10,
	}
}

// TrustKeys believes tokens signed by the keys of one more source. It is for auth, which holds its own; call it before
// Serve.
func (rt *Runtime) TrustKeys(source access.KeySource) { rt.keys = append(rt.keys, source) }

// Dial returns the connection to a peer of the Setup. Calls on the connection to any other name fail and say so.
func (rt *Runtime) Dial(peer string) grpc.ClientConnInterface {
	if conn := rt.peers[peer]; conn != nil {
		return conn
	}
	return stranger{fmt.Errorf("boot: %s is no peer of %s", peer, rt.Name)}
}

// stranger is the connection to a service that is no peer.
type stranger struct{ err error }

// Invoke implements grpc.ClientConnInterface.
func (s stranger) Invoke(context.Context, string, any, any, ...grpc.CallOption) error { return s.err }

// NewStream implements grpc.ClientConnInterface.
func (s stranger) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, s.err
}

// DialHTTP returns what carries requests to the internal HTTP of a peer, and the host to put into their URL, whose scheme
// is http: TLS is the transport's business. It returns nil and "" for a service that is no HTTP peer.
func (rt *Runtime) DialHTTP(peer string) (transport http.RoundTripper, host string) {
	p, ok := rt.http[peer]
	if !ok {
		return nil, ""
	}
	return p.transport, p.host
}

// Close closes the connections to peers and bus, the database, and the listeners of the Setup if nothing served on them. It
// leaves what does not close within two seconds: a frozen server says no goodbye.
func (rt *Runtime) Close() error {
	rt.stop()
	rt.setup.closeListeners()
	return bounded(closeTime, rt.disconnect)
}

func (rt *Runtime) disconnect() error {
	var errs []error
	for _, conn := range rt.peers {
		errs = append(errs, conn.Close())
	}
	for _, p := range rt.http {
		p.transport.CloseIdleConnections()
	}
	if rt.link != nil {
		rt.link.Close()
	}
	if rt.conn != nil {
		rt.conn.Close()
	}
	if rt.DB != nil {
		errs = append(errs, rt.DB.Close())
	}
	return errors.Join(errs...)
}
