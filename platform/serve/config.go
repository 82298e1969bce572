// Package serve makes gRPC servers, and is the only place that does. Every server of the suite has the same chain of
// interceptors in the same order, for unary calls and streams:
//
//	recover → trace → log → deadline → principal → permission → audit → validate → error mapping → handler
//
// Health (grpc.health.v1) and reflection are always there. A server refuses to start when it is wired wrongly: an RPC
// without a complete rule in the contract, audited RPCs without an auditor, no TLS on an address that others reach.
//
// The chain fails closed: a caller without a token is Nobody, a token that is not valid is refused and never taken for
// Nobody, and what a rule does not admit is denied before the handler sees the request. For streams, the first message is
// checked before the handler gets it.
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"buf.build/go/protovalidate"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/mtls"
)

// Config is how a server listens. The zero values of durations and sizes mean the defaults named.
type Config struct {
	// Address is the TCP address to listen on, "host:port". Port 0 picks a free one. Not used when Listener is set.
	Address string
	// Listener is used instead of Address. An in-memory one (dial.Listen) needs no TLS.
	Listener net.Listener
	// TLS is the service's certificate and whom it believes. Required unless the listener is in-memory or Insecure is set.
	TLS *mtls.Source
	// Callers names the parts whose certificates are let in; with TLS there must be some. A part's word for itself, or for
	// the address of somebody not signed in, then counts over its own connection only.
	Callers []string
	// Insecure allows plain text, on a loopback address only.
	Insecure bool

	// MaxMessage bounds one message in bytes, both ways; default 4 MiB.
	MaxMessage int
	// Deadline is given to unary calls that come without one; default 30 s.
	Deadline time.Duration
	// MaxConnectionAge, give or take a tenth, makes clients connect anew from time to time, so that load spreads over new
	// replicas and certificates are looked at again; default none. Calls under way end in peace.
	MaxConnectionAge time.Duration
	// MaxStreamStay is how much longer than MaxConnectionAge streams may hold a connection; then they end with UNAVAILABLE,
	// and whoever watches opens them anew. Default as long again. Deadline later the connection is cut, whoever holds it.
	MaxStreamStay time.Duration
	// Window is the HTTP/2 flow-control window of a stream in bytes; default the library's, which adapts to the line.
	Window int32
	// Grace is how long running calls may take after the server was told to stop; default 20 s.
	Grace time.Duration
	// DrainDelay is how long a stopping server goes on accepting calls after it said NOT_SERVING, so that whoever
	// balances load can notice; default none.
	DrainDelay time.Duration
	// ReadyEvery is how often readiness is asked; default 2 s.
	ReadyEvery time.Duration
}

// Deps is what a server needs from its process.
type Deps struct {
	// Name is the service's name, the audience of its tokens.
	Name string
	// Verifier checks the tokens of callers.
	Verifier *access.Verifier
	// Revocations refuses sessions that ended. Optional.
	Revocations *access.Revocations
	// Audit records calls. Required when a rule asks for it.
	Audit Auditor
	// Logger gets one line per failed call (and per call at debug level). Default slog.Default().
	Logger *slog.Logger
	// Ready says whether the service can work; nil means always. It is given 2 s.
	Ready func(ctx context.Context) error
	// ReadyChanged receives when Ready may say something else, which is asked at once then. Whoever sends there tells the
	// log, too. Optional.
	ReadyChanged <-chan struct{}
	// Now is the clock; default time.Now.
	Now access.Clock
	// Tracer, Meter and Propagator are OpenTelemetry's; nil means the process-wide ones.
	Tracer     trace.TracerProvider
	Meter      metric.MeterProvider
	Propagator propagation.TextMapPropagator
	// Validator checks requests; default a new one. Servers in one process share one to share its compiled rules.
	Validator protovalidate.Validator
	// Files finds the descriptors of registered services; default the generated code of the process.
	Files protodesc.Resolver
}

// Auditor puts calls into the audit ledger. It is implemented by audit.Recorder.
type Auditor interface {
	// Begin is called when a permitted call starts, and returns the context its handler runs under and a function to
	// call once with the outcome.
	Begin(ctx context.Context, call *access.Call) (context.Context, func(err error))
	// Denied is called for a call that was refused for want of permission.
	Denied(ctx context.Context, call *access.Call, err error)
}

const (
	defaultMessage  = 4 << 20
	defaultDeadline = 30 * time.Second
	defaultGrace    = 20 * time.Second
	defaultReady    = 2 * time.Second
	// maxHeader bounds the headers of a call: a token is 8 KiB at most, the rest is small.
	maxHeader = 16 << 10
	// maxStreams bounds the calls under way on one connection; a client that wants more waits.
	maxStreams = 1024
)

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.Deadline, defaultDeadline)
	set(&c.Grace, defaultGrace)
	set(&c.ReadyEvery, defaultReady)
	if c.MaxMessage == 0 {
		c.MaxMessage = defaultMessage
	}
	set(&c.MaxStreamStay, c.MaxConnectionAge)
	return c
}

func (d Deps) withDefaults() (Deps, error) {
	if d.Name == "" || d.Verifier == nil {
		return d, errors.New("serve: a server needs a name and a verifier")
	}
	if d.Verifier.Audience() != d.Name {
		return d, fmt.Errorf("serve: the verifier of %q serves %q", d.Name, d.Verifier.Audience())
	}
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Files == nil {
		d.Files = protoregistry.GlobalFiles
	}
	if d.Revocations == nil {
		d.Revocations = access.NewRevocations(d.Now)
	}
	if d.Validator == nil {
		v, err := protovalidate.New()
		if err != nil {
			return d, fmt.Errorf("serve: validator: %w", err)
		}
		d.Validator = v
	}
	return d, nil
}

// transport decides how the server is reached: TLS, or plain text where nobody else can listen in.
func (c Config) transport() (*tls.Config, error) {
	if c.TLS != nil {
		if len(c.Callers) == 0 {
			return nil, errors.New("serve: nobody may call: name the callers")
		}
		return c.TLS.Server(c.Callers...), nil
	}
	if c.Listener != nil && c.Listener.Addr().Network() == "bufconn" {
		return nil, nil
	}
	if !c.Insecure {
		return nil, errors.New("serve: no TLS: give a certificate, or allow plain text on a loopback address")
	}
	address := c.Address
	if c.Listener != nil {
		address = c.Listener.Addr().String()
	}
	if !loopback(address) {
		return nil, fmt.Errorf("serve: plain text is for loopback addresses only, not %q", address)
	}
	return nil, nil
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
