// Package node runs the whole suite in one process.
//
// It builds every service by the constructor that the service's own program uses, and gives each what differs on one
// machine: an in-memory listener, the embedded broker, a SQLite file. Calls between services go through the same
// interceptors with the same tokens as between machines; the keys that sign them live as long as the process.
package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/concord-suite/concord/allinone/internal/bus"
	"github.com/concord-suite/concord/allinone/internal/datadir"
	"github.com/concord-suite/concord/allinone/internal/front"
	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/telemetry"
	"github.com/concord-suite/concord/platform/vault"
)

// Config is how a node is started.
type Config struct {
	// DataDir keeps everything.
	DataDir string
	// HTTPAddr is where REST is answered, GRPCAddr where gRPC is; an empty GRPCAddr answers none.
	HTTPAddr, GRPCAddr string
	// Environ holds the settings of the services, "KEY=value" as os.Environ.
	Environ []string
	// File is a YAML file with one section per service; may be empty.
	File string
	// KMS names the key in a KMS that wraps the keyring; empty when the file is plain.
	KMS string
	// Log takes the logs.
	Log io.Writer
	// Telemetry says where logs of what level and traces go.
	Telemetry telemetry.Config
	// Now is the clock.
	Now func() time.Time
}

// Node is a running suite.
type Node struct {
	// URL is where REST is answered; GRPC is the address of gRPC, empty when there is none.
	URL, GRPC string
	// SetupCode claims the installation; empty once it was claimed.
	SetupCode string

	cfg       Config
	dir       *datadir.Dir
	bus       *bus.Bus
	vault     *vault.Vault
	trust     *access.Trust
	settings  settings
	http      net.Listener
	grpc      net.Listener
	listeners map[string]*dial.Listener
	bytes     *dial.Listener
	runtimes  []*boot.Runtime
	services  map[string]boot.Service
	tels      []*telemetry.Telemetry
}

// New reads the settings, takes addresses and directory, and builds every service. Nothing runs yet; call Run, or Close.
// Wrong settings are a config.Mistakes, found before anything is created.
func New(ctx context.Context, cfg Config) (*Node, error) {
	n := &Node{
		cfg: cfg, trust: access.NewTrust(), services: map[string]boot.Service{}, bytes: dial.Listen(),
		listeners: map[string]*dial.Listener{},
	}
	for _, open := range []func(context.Context) error{n.listen, n.configure, n.open, n.build} {
		if err := open(ctx); err != nil {
			return nil, errors.Join(err, n.Close())
		}
	}
	return n, nil
}

// listen takes the addresses first: of two nodes started by mistake, the second ends here.
func (n *Node) listen(ctx context.Context) (err error) {
	var lc net.ListenConfig
	if n.http, err = lc.Listen(ctx, "tcp", n.cfg.HTTPAddr); err != nil {
		return fmt.Errorf("--http-addr: %w", err)
	}
	n.URL = address(n.http.Addr())
	if n.cfg.GRPCAddr == "" {
		return nil
	}
	if n.grpc, err = lc.Listen(ctx, "tcp", n.cfg.GRPCAddr); err != nil {
		return fmt.Errorf("--grpc-addr: %w", err)
	}
	n.GRPC = n.grpc.Addr().String()
	if err := front.CheckAddress(n.GRPC); err != nil {
		return fmt.Errorf("--grpc-addr: %w", err)
	}
	return nil
}

// onOneMachine is where a suite is reached that was told nothing else.
const onOneMachine = "http://localhost:8080"

// address is what people type to reach a listener. On one machine that is a name: browsers make passkeys for names alone,
// and providers send people back to localhost over plain HTTP, but not to a network address.
func address(listens net.Addr) string {
	tcp, ok := listens.(*net.TCPAddr)
	if !ok {
		return "http://" + listens.String()
	}
	if tcp.IP.Equal(net.IPv4(127, 0, 0, 1)) || tcp.IP.Equal(net.IPv6loopback) || tcp.IP.IsUnspecified() {
		return "http://" + net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
	}
	return "http://" + tcp.String()
}

// configure reads the settings. The address that was taken is the one people use, unless a setting says otherwise.
func (n *Node) configure(context.Context) (err error) {
	environ := withPlaces(n.cfg.Environ, n.URL, filepath.Join(n.cfg.DataDir, "blobs"))
	n.settings, err = loadSettings(environ, n.cfg.File)
	return err
}

// withPlaces adds the settings that follow from where the suite is, unless they are set.
func withPlaces(environ []string, url, blobs string) []string {
	for name, value := range map[string]string{
		"CONCORD_GATEWAY_PUBLIC_URL":          url,
		"CONCORD_AUTH_PUBLIC_URL":             url,
		"CONCORD_DOCUMENTS_PUBLIC_URL":        url,
		"CONCORD_DOCUMENTS_BLOB_DIR":          blobs,
		"CONCORD_CONNECTOR_XERO_REDIRECT_URL": url + "/oauth/callback",
	} {
		environ = withDefault(environ, name, value)
	}
	return environ
}

func (n *Node) open(ctx context.Context) (err error) {
	if n.dir, err = datadir.Open(n.cfg.DataDir); err != nil {
		return err
	}
	ring, err := Keyring(ctx, n.dir.Path("keys"), n.cfg.KMS)
	if err != nil {
		return err
	}
	if n.vault, err = n.openKeyring(ring); err != nil {
		return err
	}
	n.bus, err = bus.Start(n.dir.Path("nats"))
	return err
}

// openKeyring reads the keyring, or makes the first one. A directory with databases had one: a new one would open nothing of
// what they hold, and stand in the way of the old.
func (n *Node) openKeyring(ring vault.File) (*vault.Vault, error) {
	used, err := n.dir.Used()
	switch {
	case err != nil:
		return nil, err
	case !used:
		return ring.OpenOrCreate()
	}
	v, err := ring.Open()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the keyring %s is gone, and what the databases beside it hold opens with no other: restore it from a backup (docs/runbooks/keys.md)", ring.Path)
	}
	return v, err
}

// build makes every service, the ones that others call first.
func (n *Node) build(ctx context.Context) error {
	for _, p := range parts {
		n.listeners[p.name] = dial.Listen()
	}
	for _, p := range parts {
		rt, err := n.runtime(ctx, p)
		if err != nil {
			return err
		}
		n.runtimes = append(n.runtimes, rt)
		svc, err := p.build(ctx, n, rt)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		n.services[p.name] = svc
	}
	return nil
}

// runtime gives a service what its own program would get from settings.
func (n *Node) runtime(ctx context.Context, p part) (*boot.Runtime, error) {
	tel, err := telemetry.Start(ctx, n.cfg.Telemetry, p.name, telemetry.ReadBuild(), n.cfg.Log)
	if err != nil {
		return nil, err
	}
	n.tels = append(n.tels, tel)
	signer, err := n.trust.Issue(p.name, n.cfg.Now)
	if err != nil {
		return nil, err
	}
	setup := boot.Setup{
		Name: p.name, Telemetry: tel, Now: n.cfg.Now, ConnectBus: n.bus.Connect, Vault: n.vault,
		Signer: signer, Keys: n.trust, Peers: p.peers, HTTPPeers: p.httpPeers, Peer: n.peer, HTTPPeer: n.httpPeer,
		Grace: stopGrace,
	}
	setup.GRPC.Listener = n.listeners[p.name]
	if p.migrations != nil {
		setup.Database.URL, setup.Migrations = n.dir.Database(p.name), p.migrations
	}
	switch p.http {
	case bytesHTTP:
		setup.HTTP = n.bytes
	case publicHTTP:
		setup.HTTP = n.http
	}
	return boot.Open(ctx, setup)
}

// stopGrace is how long running calls may take when the process ends: a person waits at the terminal.
const stopGrace = 5 * time.Second

func (n *Node) peer(name string) (string, dial.Options, error) {
	return name, dial.Options{Listener: n.listeners[name]}, nil
}

func (n *Node) httpPeer(string) (string, func(context.Context) (net.Conn, error), error) {
	return "bytes", n.bytes.DialContext, nil
}

// Run serves until ctx ends or a part fails, and takes everything down.
func (n *Node) Run(ctx context.Context) error {
	// The gateway stops first, then the services it called; the bus last of all.
	group, ctx := errgroup.WithContext(ctx)
	for _, rt := range n.runtimes {
		group.Go(func() error { return rt.Serve(ctx, n.services[rt.Name]) })
	}
	if n.grpc != nil {
		group.Go(func() error { return front.Serve(ctx, n.grpc, n.listeners) })
	}
	return errors.Join(group.Wait(), n.Close())
}

// Ready says whether every service can work.
func (n *Node) Ready(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for name, svc := range n.services {
		group.Go(func() error {
			if err := svc.Ready(ctx); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// Close gives everything free that New took. It may be called again.
func (n *Node) Close() error {
	var errs []error
	for _, rt := range n.runtimes {
		errs = append(errs, rt.Close())
	}
	n.runtimes = nil
	if n.bus != nil {
		n.bus.Stop()
		n.bus = nil
	}
	for _, lis := range []net.Listener{n.http, n.grpc} {
		if lis != nil {
			_ = lis.Close() // closed already by the server that used it, when one did
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	for _, tel := range n.tels {
		errs = append(errs, tel.Shutdown(ctx))
	}
	n.tels = nil
	if n.dir != nil {
		errs = append(errs, n.dir.Close())
		n.dir = nil
	}
	return errors.Join(errs...)
}
