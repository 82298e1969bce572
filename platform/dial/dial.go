// Package dial makes gRPC clients of the suite's services. Every client has a deadline for each call, keeps its
// connections alive, spreads over the replicas DNS names, tries again what may be tried again, and carries an identity.
//
// # Identity
//
// A service calls another as itself, on behalf of whoever its context's principal is: a person's call makes the person
// the initiator, a call that came from a service with an initiator keeps that initiator, and the firm goes along. Set
// another firm with access.InFirm. The gateway passes on a token that auth minted for a person (WithToken), and vouches
// for the address of somebody not signed in (AsNobody).
//
// # Trying again
//
// A unary call that ended UNAVAILABLE is tried again, up to three times within its deadline, when doing it twice is the
// same as doing it once: the contract says that it changes nothing, or the request has a request_id. Each connection
// has a budget, so that a service that is down is not buried.
//
// # Errors
//
// Errors of calls are *rpcerr.Error: errors.Is compares reasons, and the violations are there.
package dial

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver/dns"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/mtls"
)

// Options is how a client behaves. The zero values of durations and sizes mean the defaults named.
type Options struct {
	// Audience is the name of the service that is called; tokens are meant for it alone.
	Audience string
	// Signer is this service's identity. Without one, calls are made as Nobody unless WithToken gives a token.
	Signer *access.Signer
	// Listener is where an in-memory server listens; the target is then only a name.
	Listener *Listener
	// TLS is whom this service believes, and its own certificate. The server must have the certificate of the audience.
	TLS *mtls.Source
	// Insecure allows plain text, to a loopback address only.
	Insecure bool
	// Timeout is given to unary calls that have no deadline; default 10 s.
	Timeout time.Duration
	// MaxMessage bounds one message in bytes, both ways; default 4 MiB.
	MaxMessage int
	// Window is the HTTP/2 flow-control window of a stream in bytes; default the library's.
	Window int32
	// Tracer, Meter and Propagator are OpenTelemetry's; nil means the process-wide ones.
	Tracer     trace.TracerProvider
	Meter      metric.MeterProvider
	Propagator propagation.TextMapPropagator
}

const (
	defaultTimeout = 10 * time.Second
	defaultMessage = 4 << 20
)

// serviceConfig spreads calls over all addresses of a name. Retries are not in it: see retry.go for why.
const serviceConfig = `{"loadBalancingConfig": [{"round_robin": {}}]}`

// resolveOften lowers gRPC's 30 s between two look-ups of a name, once per process and before the first client: a
// replica that has moved is found within a second. The library has no setting per client.
var resolveOften = sync.OnceFunc(func() { dns.SetMinResolutionInterval(time.Second) })

// New makes a client connection. It does not connect yet: the first call does.
func New(target string, o Options) (*grpc.ClientConn, error) {
	resolveOften()
	if o.Audience == "" {
		return nil, errors.New("dial: a client needs an audience")
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxMessage == 0 {
		o.MaxMessage = defaultMessage
	}
	transport, err := o.transport(target)
	if err != nil {
		return nil, err
	}
	if o.Listener != nil && !strings.Contains(target, "://") {
		target = "passthrough:///" + target
	}
	conn, err := grpc.NewClient(target, append(o.options(), grpc.WithTransportCredentials(transport))...)
	if err != nil {
		return nil, fmt.Errorf("dial: %s: %w", o.Audience, err)
	}
	return conn, nil
}

func (o Options) options() []grpc.DialOption {
	r := newRetrier()
	opts := []grpc.DialOption{
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDisableServiceConfig(), // a TXT record in DNS does not decide how we behave
		// This leaves what the library always makes again: calls that the server says it has not begun (GOAWAY).
		grpc.WithDisableRetry(),
		grpc.WithPerRPCCredentials(identity{signer: o.Signer, audience: o.Audience}),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler(o.telemetry()...)),
		grpc.WithChainUnaryInterceptor(deadline(o.Timeout), errorsUnary, resendable(o.MaxMessage), r.unary),
		grpc.WithChainStreamInterceptor(errorsStream),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(o.MaxMessage), grpc.MaxCallSendMsgSize(o.MaxMessage)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			// A peer that has frozen is left within 20 s. Servers take more than one ping in ten seconds for abuse.
			Time: 15 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true,
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			// A restarted service is reached again within moments; five seconds bound the load of trying.
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
			MinConnectTimeout: 3 * time.Second,
		}),
	}
	if o.Listener != nil {
		opts = append(opts, grpc.WithContextDialer(o.Listener.dial))
	}
	if o.Window > 0 {
		opts = append(opts, grpc.WithInitialWindowSize(o.Window), grpc.WithInitialConnWindowSize(o.Window))
	}
	return opts
}

func (o Options) telemetry() []otelgrpc.Option {
	var opts []otelgrpc.Option
	if o.Tracer != nil {
		opts = append(opts, otelgrpc.WithTracerProvider(o.Tracer))
	}
	if o.Meter != nil {
		opts = append(opts, otelgrpc.WithMeterProvider(o.Meter))
	}
	if o.Propagator != nil {
		opts = append(opts, otelgrpc.WithPropagators(o.Propagator))
	}
	return opts
}

// transport decides how the server is reached. Tokens go over it, so plain text stays inside the machine.
func (o Options) transport(target string) (credentials.TransportCredentials, error) {
	switch {
	case o.Listener != nil:
		return insecure.NewCredentials(), nil
	case o.TLS != nil:
		return credentials.NewTLS(o.TLS.Client(o.Audience)), nil
	case !o.Insecure:
		return nil, fmt.Errorf("dial: no TLS to %s: give a certificate, or allow plain text to a loopback address", o.Audience)
	case !loopback(target):
		return nil, fmt.Errorf("dial: plain text is for loopback addresses only, not %q", target)
	}
	return insecure.NewCredentials(), nil
}

func loopback(target string) bool {
	if i := strings.LastIndex(target, "/"); i >= 0 {
		target = target[i+1:]
	}
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && ip.IsLoopback())
}
