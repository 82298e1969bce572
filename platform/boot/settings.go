package boot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/boot/internal/identity"
	"github.com/concord-suite/concord/platform/config"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/link"
	"github.com/concord-suite/concord/platform/mtls"
	"github.com/concord-suite/concord/platform/serve"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/telemetry"
	"github.com/concord-suite/concord/platform/vault"
)

// baseSettings are those of every program.
type baseSettings struct {
	Telemetry       telemetry.Config `config:",inline"`
	HealthAddr      string           `config:"health_addr" doc:"Where /livez, /readyz, /version and /metrics are answered over HTTP, host:port. Unset: nowhere; gRPC health is always there."`
	NATSURL         string           `config:"nats_url" required:"true" doc:"The NATS servers, nats://host:port or tls://host:port, several separated by commas."`
	NATSCredentials string           `config:"nats_credentials_file" doc:"The credentials file for NATS."`
	NATSCA          string           `config:"nats_ca_file" doc:"The authorities (PEM) that vouch for the NATS servers."`
	NATSOwnCert     bool             `config:"nats_own_certificate" default:"false" doc:"Be known to the NATS servers by the service's own certificate (tls.cert_file), and believe those of tls.ca_file unless nats_ca_file is set."`
	NATSReplicas    int              `config:"nats_replicas" default:"1" min:"1" max:"5" doc:"How many NATS servers hold each event. The migrate command raises it for streams that are there, and never lowers it."`
	IdentityKey     string           `config:"identity_key_file" required:"true" doc:"The private key (Ed25519, PKCS #8 in PEM) with which the service signs its own tokens, as identity create makes it. Nobody else may read it, but for its group."`
	Trust           string           `config:"trust_file" required:"true" doc:"The public keys of the services, JSON, as identity trust writes it. Read again when it changes."`
	TLS             tlsSettings      `config:"tls"`
	Insecure        bool             `config:"insecure" default:"false" doc:"Allow plain text between services, on loopback addresses only."`
	Peers           []string         `config:"peers" doc:"Where the services are that this one calls: auth=dns:///auth:9090, …"`
	DrainDelay      time.Duration    `config:"drain_delay" default:"0s" max:"1m" doc:"How long a stopping process still accepts calls after it said that it is not ready. A stop takes at most drain_delay + grace + 10s."`
	Grace           time.Duration    `config:"grace" default:"20s" min:"1s" max:"5m" doc:"How long running calls may take after the process was told to stop, and after drain_delay."`
}

type grpcSettings struct {
	Addr string `config:"grpc_addr" default:"127.0.0.1:9090" doc:"Where gRPC is answered, host:port."`
}

type httpSettings struct {
	Addr string `config:"http_addr" default:"127.0.0.1:8080" doc:"Where HTTP is answered, host:port."`
}

type databaseSettings struct {
	URL      config.Secret `config:"database_url" required:"true" secret:"true" doc:"The service's own database: sqlite:/path/file.db or postgres://user:password@host/name. Given by a file, it is read again for each new connection to PostgreSQL."`
	MaxConns int           `config:"database_max_conns" default:"0" min:"0" max:"500" doc:"The most connections, on PostgreSQL 6 or more; 0 lets the engine decide."`
	Migrate  bool          `config:"database_migrate" default:"true" doc:"Bring the schema up to date at the start. Off when the migrate command does it: then the process waits, not ready, until the schema is there."`
}

type keyringSettings struct {
	File string `config:"keyring_file" required:"true" doc:"The keyring that seals the service's secrets; only its owner may read it."`
	KMS  string `config:"keyring_kms" secret:"true" doc:"The key in a KMS that wraps the keyring file: awskms://, gcpkms://, azurekeyvault:// or hashivault://, as gocloud.dev/secrets writes them. Unset: the file is plain, protected by its permissions."`
}

// settings are those that a program has.
type settings struct {
	base     *baseSettings
	calls    *callSettings
	grpc     *grpcSettings
	http     *httpSettings
	database *databaseSettings
	keyring  *keyringSettings

	own   *mtls.Source // the service's certificate; nil until openTLS, and when it shows none
	tls   *mtls.Source // the same, nil with plain text between services
	busCA *mtls.Authorities
}

func (p program) settings() settings {
	s := settings{base: &baseSettings{}}
	if p.grpc || p.http == internalHTTP {
		s.calls = &callSettings{}
	}
	if p.grpc {
		s.grpc = &grpcSettings{}
	}
	if p.http != noHTTP {
		s.http = &httpSettings{}
	}
	if p.migrations != nil {
		s.database = &databaseSettings{}
	}
	if p.keyring {
		s.keyring = &keyringSettings{}
	}
	return s
}

// suite are the parts of the suite, whose settings may stand in one environment.
var suite = []string{"auth", "connector", "documents", "gateway", "sync"}

// parts are those of the suite, this program among them.
func (p program) parts() []string {
	if slices.Contains(suite, p.name) {
		return suite
	}
	return append([]string{p.name}, suite...)
}

// parts lists the settings for package config.
func (s settings) parts() []any {
	parts := []any{s.base}
	if s.calls != nil {
		parts = append(parts, s.calls)
	}
	if s.grpc != nil {
		parts = append(parts, s.grpc)
	}
	if s.http != nil {
		parts = append(parts, s.http)
	}
	if s.database != nil {
		parts = append(parts, s.database)
	}
	if s.keyring != nil {
		parts = append(parts, s.keyring)
	}
	return parts
}

// Validate implements what package config asks of settings with rules across fields.
func (b *baseSettings) Validate() error {
	var errs []error
	errs = append(errs, b.TLS.mistakes(b.Insecure)...)
	if b.NATSOwnCert && b.TLS.Cert == "" {
		errs = append(errs, errors.New("nats_own_certificate: needs tls.cert_file, key_file and ca_file"))
	}
	if b.HealthAddr != "" {
		errs = append(errs, listening("health_addr", b.HealthAddr))
	}
	errs = append(errs, busServers(b.NATSURL))
	if _, err := peerAddresses(b.Peers); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Validate implements what package config asks of settings with rules beyond single fields.
func (d *databaseSettings) Validate() error {
	scheme, _, _ := strings.Cut(d.URL.Text(), ":")
	switch scheme {
	case "sqlite":
		return nil
	case "postgres", "postgresql":
		if d.MaxConns > 0 && d.MaxConns < leastConns {
			return fmt.Errorf("database_max_conns: want %d or more on PostgreSQL, or 0", leastConns)
		}
		return nil
	default:
		return errors.New("database_url: must begin with sqlite: or postgres://")
	}
}

// open says how to open the database, with that many connections at most.
func (d *databaseSettings) open(conns int) sqldb.Config {
	return sqldb.Config{URL: d.URL.Text(), MaxConns: conns, Latest: d.URL.Latest}
}

// check makes sure that the settings name every peer.
func (s settings) check(p program) error {
	addresses, err := peerAddresses(s.base.Peers)
	if err != nil {
		return nil // Validate says it
	}
	var mistakes config.Mistakes
	for _, name := range append(append([]string(nil), p.peers...), suffixed(p.httpPeers)...) {
		if addresses[name] == "" {
			mistakes = append(mistakes, config.Mistake{
				Key: "peers", Variable: config.Prefix(p.name) + "PEERS", Rule: "lacks " + name + "=address",
			})
		}
	}
	if len(mistakes) > 0 {
		return mistakes
	}
	return nil
}

// otlpVariable is OpenTelemetry's own name for the collector, which people set for all their programs at once.
const otlpVariable = "OTEL_EXPORTER_OTLP_ENDPOINT"

// collector takes the collector from OpenTelemetry's variable when the service's own setting names none.
func (s settings) collector(environ []string) error {
	for _, pair := range environ {
		value, found := strings.CutPrefix(pair, otlpVariable+"=")
		if !found || value == "" || s.base.Telemetry.OTLPEndpoint != nil {
			continue
		}
		endpoint, err := url.Parse(value)
		if err != nil || endpoint.Host == "" || (endpoint.Scheme != "http" && endpoint.Scheme != "https") {
			return config.Mistakes{{Variable: otlpVariable, Rule: "must be an http or https URL"}}
		}
		s.base.Telemetry.OTLPEndpoint = endpoint
	}
	return nil
}

// resourceVariable is OpenTelemetry's own name for what is known about the place where a process runs.
const resourceVariable = "OTEL_RESOURCE_ATTRIBUTES"

// observed says how the process is observed besides what its telemetry settings say.
func (s settings) observed(environ []string) (opts []telemetry.Option) {
	if s.base.HealthAddr != "" {
		opts = append(opts, telemetry.WithScrape())
	}
	for _, pair := range environ {
		if value, found := strings.CutPrefix(pair, resourceVariable+"="); found {
			opts = append(opts, telemetry.WithResource(value))
		}
	}
	return opts
}

// httpSuffix ends the name under which the peers setting has a service's internal HTTP: "documents-http=host:port".
const httpSuffix = "-http"

func suffixed(names []string) []string {
	var all []string
	for _, name := range names {
		all = append(all, name+httpSuffix)
	}
	return all
}

// peerAddresses reads the peers setting.
func peerAddresses(list []string) (map[string]string, error) {
	addresses := map[string]string{}
	for _, item := range list {
		name, address, found := strings.Cut(item, "=")
		if !found || name == "" || address == "" || addresses[name] != "" {
			return nil, fmt.Errorf("peers: want name=address, each name once, not %q", item)
		}
		addresses[name] = address
	}
	return addresses, nil
}

// setup turns the settings into a Setup, and listens.
func (s settings) setup(ctx context.Context, p program, tel *telemetry.Telemetry) (Setup, error) {
	err := s.openTLS(p.name, tel.Logger)
	if err == nil && s.own != nil {
		err = s.own.Observe(tel.Meters.Meter("github.com/concord-suite/concord/platform/mtls"))
	}
	if err != nil {
		return Setup{}, err
	}
	setup := Setup{
		Name: p.name, Telemetry: tel, Now: time.Now, ConnectBus: s.connectBus, BusReplicas: s.base.NATSReplicas,
		Peers: p.peers, HTTPPeers: p.httpPeers, Peer: s.peer, HTTPPeer: s.httpPeer, Grace: s.base.Grace, DrainDelay: s.base.DrainDelay,
		TLS: s.own, BusTLS: s.bus("", "").Own,
	}
	if setup.Signer, setup.Keys, err = s.identity(p.name, tel.Logger); err != nil {
		return Setup{}, err
	}
	if s.database != nil {
		setup.Database = s.database.open(s.database.MaxConns)
		setup.Migrations, setup.MigratedByOthers = p.migrations, !s.database.Migrate
		if setup.MigratedByOthers {
			setup.BusReplicas = events.Prepared // migrate makes the streams, too
		}
	}
	if s.keyring != nil {
		file, err := s.keyringFile(ctx, p)
		if err != nil {
			return Setup{}, err
		}
		if setup.Vault, err = file.Open(); err != nil {
			return Setup{}, p.keyringError(err, true)
		}
	}
	if err := s.listen(ctx, p, &setup); err != nil {
		setup.closeListeners()
		return Setup{}, err
	}
	return setup, nil
}

// keyringFile is the keyring of the settings.
func (s settings) keyringFile(ctx context.Context, p program) (vault.File, error) {
	file := vault.File{Path: s.keyring.File}
	if s.keyring.KMS == "" {
		return file, nil
	}
	if p.openKMS == nil {
		return file, errors.New("keyring_kms: this program's keyring is never wrapped")
	}
	var err error
	if file.KMS, err = p.openKMS(ctx, s.keyring.KMS); err != nil {
		return file, fmt.Errorf("keyring_kms: %w", err)
	}
	return file, nil
}

// listen takes the addresses, before anything else is touched.
func (s settings) listen(ctx context.Context, p program, setup *Setup) (err error) {
	var lc net.ListenConfig
	var callers []string
	if s.calls != nil {
		callers = append(append(callers, p.callers...), s.calls.Callers...)
	}
	if s.grpc != nil {
		setup.GRPC = serve.Config{Insecure: s.base.Insecure, TLS: s.tls, Callers: callers, MaxConnectionAge: s.calls.Age}
		if setup.GRPC.Listener, err = lc.Listen(ctx, "tcp", s.grpc.Addr); err != nil {
			return err
		}
	}
	if s.http != nil {
		if setup.HTTP, err = lc.Listen(ctx, "tcp", s.http.Addr); err != nil {
			return err
		}
		if p.http == internalHTTP {
			if setup.HTTP, err = s.internal(setup.HTTP, callers); err != nil {
				return err
			}
			setup.MaxConnectionAge = s.calls.Age
		}
	}
	if s.base.HealthAddr != "" {
		setup.Health, err = lc.Listen(ctx, "tcp", s.base.HealthAddr)
	}
	return err
}

// identity reads the service's own key and the keys of the others.
func (s settings) identity(name string, log *slog.Logger) (*access.Signer, access.KeySource, error) {
	key, err := identity.Read(s.base.IdentityKey)
	if err != nil {
		return nil, nil, fmt.Errorf("identity_key_file: %w", err)
	}
	signer, err := access.NewSigner(name, key, time.Now)
	if err != nil {
		return nil, nil, err
	}
	trusted, err := identity.Open(s.base.Trust, time.Now, log)
	return signer, trusted, err
}

// bus says how to connect to NATS as a part of the suite.
func (s settings) bus(part, name string) link.Config {
	cfg := link.Config{URL: s.base.NATSURL, Part: part, Name: name, CredentialsFile: s.base.NATSCredentials, Authorities: s.busCA}
	if s.base.NATSOwnCert {
		cfg.Own = s.own
	}
	return cfg
}

// connectBus connects to NATS; it does not wait for the servers.
func (s settings) connectBus(part string, options ...nats.Option) (*nats.Conn, error) {
	return link.Connect(s.bus(part, part), options...)
}

// peer says how to reach a service by gRPC.
func (s settings) peer(name string) (target string, o dial.Options, err error) {
	addresses, err := peerAddresses(s.base.Peers)
	if err != nil {
		return "", dial.Options{}, err
	}
	o.Insecure, o.TLS = s.base.Insecure, s.tls
	return addresses[name], o, nil
}
