// Package gateway gives frontends the suite as REST.
//
// It translates HTTP and JSON to the gRPC contract and back, keeps browsers' session tokens in cookies, turns an opaque
// session into the internal token of the service that is called, streams run progress as server-sent events, and passes
// document bytes through without holding them. Errors are RFC 9457 problem documents.
//
// It keeps no data and knows no business: it decides nothing that a service would decide. Every request that reaches a
// service is checked there again, so a hole here gives nobody a permission.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/grpc"

	"github.com/concord-suite/concord/gateway/internal/bytes"
	"github.com/concord-suite/concord/gateway/internal/connect"
	"github.com/concord-suite/concord/gateway/internal/limits"
	"github.com/concord-suite/concord/gateway/internal/oauth"
	"github.com/concord-suite/concord/gateway/internal/pages"
	"github.com/concord-suite/concord/gateway/internal/request"
	"github.com/concord-suite/concord/gateway/internal/rest"
	"github.com/concord-suite/concord/gateway/internal/session"
	"github.com/concord-suite/concord/gateway/internal/stream"
	"github.com/concord-suite/concord/gateway/internal/webhook"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

// Config is what an installation sets.
type Config struct {
	// PublicURL is the address people reach the gateway at, scheme and host. With https, cookies are Secure and carry the
	// __Host- prefix, and browsers are told to come back over TLS only.
	PublicURL string `config:"public_url" default:"http://localhost:8080" doc:"the address people reach the gateway at, scheme and host"`
	// RequestsPerMinute is how many requests one address may make in a minute; bursts of the same size.
	RequestsPerMinute int `config:"requests_per_minute" default:"6000" min:"1" doc:"requests one address may make in a minute"`
	// SignInsPerMinute is how many sign-in attempts one address may make in a minute: an office behind one address signs
	// in together in the morning, a guesser needs far more.
	SignInsPerMinute int `config:"sign_ins_per_minute" default:"120" min:"1" doc:"sign-in calls one address may make in a minute"`
	// TrustedProxies is how many proxies in front add to X-Forwarded-For; 0 takes the peer's own address.
	TrustedProxies int `config:"trusted_proxies" default:"0" min:"0" doc:"proxies in front that add to X-Forwarded-For"`
}

// Deps is what the process around gives the gateway.
type Deps struct {
	// Auth, Connector, Sync and Documents are the connections to the services. Their calls carry the token that the
	// gateway attaches by dial.WithToken, or none.
	Auth, Connector, Sync, Documents grpc.ClientConnInterface
	// Bytes carries requests to the documents service's byte listener; its Host is BytesHost.
	Bytes http.RoundTripper
	// BytesHost is the host and port of the documents service's byte listener.
	BytesHost string
	// Bus brings revoked sessions; nil leaves only the caches' age to end them.
	Bus jetstream.JetStream
	// Now is the clock.
	Now func() time.Time
	// Logger takes what an operator should know.
	Logger *slog.Logger
}

// Service is the gateway.
type Service struct {
	handler  http.Handler
	sessions *session.Cache
	limits   *limits.Limits
	pages    pages.Pages
	oauth    *oauth.Server
	reached  atomic.Bool // auth has answered
	deps     Deps
}

// Validate implements what package config asks of settings with rules beyond single fields.
func (c *Config) Validate() error {
	_, err := session.NewCookies(c.PublicURL)
	return err
}

// New puts the gateway together. It neither listens nor dials.
func New(_ context.Context, cfg Config, deps Deps) (*Service, error) {
	cookies, err := session.NewCookies(cfg.PublicURL)
	if err != nil {
		return nil, err
	}
	sessions := session.NewCache(authv1.NewSessionServiceClient(session.AsGateway(deps.Auth)), deps.Now)
	conns := rest.Conns{
		Auth:      request.Conn(session.Forward(deps.Auth, sessions, "auth")),
		Connector: request.Conn(session.Forward(deps.Connector, sessions, "connector")),
		Sync:      request.Conn(session.Forward(deps.Sync, sessions, "sync")),
		Documents: request.Conn(session.Forward(deps.Documents, sessions, "documents")),
	}
	api, err := rest.New(conns, cookies, sessions)
	if err != nil {
		return nil, err
	}
	lim := limits.New(limits.Config{
		PerMinute: cfg.RequestsPerMinute, SignInsPerMinute: cfg.SignInsPerMinute, TrustedProxies: cfg.TrustedProxies,
	}, deps.Now)
	proxy := bytes.New(documentsv1.NewDocumentServiceClient(conns.Documents), deps.Bytes, deps.BytesHost, deps.Logger)
	events := stream.New(syncv1.NewRunServiceClient(conns.Sync), syncv1.NewClientServiceClient(conns.Sync),
		authv1.NewLedgerServiceClient(conns.Auth), deps.Now)
	// The callback is the gateway's own call: the person may be signed in in another browser profile, or not at all.
	callback := connect.New(connectorv1.NewConnectionServiceClient(session.AsGateway(deps.Connector)), cookies)
	notices := webhook.New(connectorv1.NewWebhookServiceClient(session.AsGateway(deps.Connector)), lim)
	texts := webhook.NewTexts(authv1.NewDeliveryServiceClient(session.AsGateway(deps.Auth)), cfg.PublicURL, lim)

	hosted, err := pages.New()
	if err != nil {
		return nil, err
	}

	s := &Service{sessions: sessions, limits: lim, pages: hosted, oauth: oauth.New(deps.Auth), deps: deps}
	s.handler = s.routes(api, proxy, events, callback, notices, texts, cookies)
	return s, nil
}

// Handler serves the whole REST surface.
func (s *Service) Handler() http.Handler { return s.handler }

// Run keeps the session cache true until ctx ends: it drops what the bus says was revoked, and what is old.
func (s *Service) Run(ctx context.Context) error {
	err := s.sessions.Follow(ctx, s.deps.Bus, s.deps.Logger)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Ready says whether the gateway has reached auth once, within a second. Afterwards it is: what auth, or another service,
// cannot answer now is answered so, request by request, and the rest goes on.
func (s *Service) Ready(ctx context.Context) error {
	if s.reached.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := authv1.NewKeyServiceClient(session.Anonymous(s.deps.Auth)).GetKeys(ctx, &authv1.GetKeysRequest{})
	s.reached.Store(err == nil)
	return err
}
