// Package boot is the life of a process: settings, logs, database, bus, peers, servers, and the way down again. Every
// program of the suite goes through it, so that a service adds no code for flags, signals, health or wiring.
//
//	func main() {
//		boot.Main("connector", func(ctx context.Context, rt *boot.Runtime, cfg connector.Config) (boot.Service, error) {
//			return connector.New(ctx, cfg, connector.Deps{DB: rt.DB, Bus: rt.Bus, Auth: rt.Dial("auth"), Now: rt.Now})
//		}, boot.Database(connector.Migrations), boot.Peers("auth"), boot.Keyring())
//	}
//
// There are two ways in. Main is a whole process with settings from environment and file. Open and Runtime.Serve are the
// same life without the process, for a program that holds several services: it says in a Setup where each one listens,
// where its bus and its database are. These three are all that differs between one machine and many.
//
// What goes wrong before the start is said in plain words, one line per mistake: exit code 2 for settings, with nothing
// created; 1 for everything else (address taken, directory not writable, disk full).
//
// What heals by itself (a database that is away, a schema that a command brings up to date) is waited for: the process is
// alive, not ready, and says in one line what it waits for.
//
// On SIGTERM or SIGINT a process says at once that it is not ready, goes on accepting calls for drain_delay, lets running
// calls end within grace, publishes the events they left in the outbox, stops the service's own work, closes bus and
// database, and sends its last traces: within StopTime after that, whatever hangs. A second signal ends it at once.
package boot

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"go.opentelemetry.io/otel"
	"google.golang.org/grpc"

	"github.com/concord-suite/concord/platform/config"
	"github.com/concord-suite/concord/platform/rotation"
	"github.com/concord-suite/concord/platform/telemetry"
	"github.com/concord-suite/concord/platform/vault"
)

// Service is what runs. A service that answers gRPC is also a Registrar, one that answers HTTP also a Handler.
type Service interface {
	// Run does the service's own work (relay, consumers, timers) until ctx ends. It may return nil early when there is
	// none; an error ends the process.
	Run(ctx context.Context) error
	// Ready says within two seconds whether the service can work now.
	Ready(ctx context.Context) error
}

// Stated is a Service that can do without something and stay ready.
type Stated interface {
	// State says what it does without in a few plain words ("bytes unreachable for 12s, serving without them"), "" when that
	// is nothing. It is asked after Ready said yes, and shown to whoever reaches the port for health: no addresses.
	State() string
}

// Registrar is a Service that answers gRPC.
type Registrar interface {
	Register(r grpc.ServiceRegistrar)
}

// Handler is a Service that answers HTTP.
type Handler interface {
	Handler() http.Handler
}

// Option says what a program needs besides the bus and telemetry, which every program has.
type Option func(*program)

// Database gives the program a database with these migrations, brought up to date before the start.
func Database(migrations fs.FS) Option {
	return func(p *program) { p.migrations = migrations }
}

// Keyring gives the program a vault, and the commands that rotate its keys. open opens a key in a KMS by URL; nil when the
// program's keyring is never wrapped.
func Keyring(inventory rotation.Inventory, open func(ctx context.Context, url string) (vault.Keeper, error)) Option {
	return func(p *program) { p.keyring, p.inventory, p.openKMS = true, inventory, open }
}

// GRPC makes the program listen for gRPC.
func GRPC() Option { return func(p *program) { p.grpc = true } }

// PublicHTTP makes the program listen for HTTP from people, where somebody in front may end TLS.
func PublicHTTP() Option { return func(p *program) { p.http = publicHTTP } }

// InternalHTTP makes the program listen for HTTP from other services, with the suite's own TLS.
func InternalHTTP() Option { return func(p *program) { p.http = internalHTTP } }

// Callers names the services that may call the program, by the names in their certificates. Over TLS nobody else can,
// except whom the setting "callers" adds; each service's own tokens then count over its own connections only.
func Callers(names ...string) Option { return func(p *program) { p.callers = names } }

// Peers names the services that the program calls.
func Peers(names ...string) Option { return func(p *program) { p.peers = names } }

// HTTPPeers names the services whose internal HTTP the program calls.
func HTTPPeers(names ...string) Option { return func(p *program) { p.httpPeers = names } }

type httpKind int

const (
	noHTTP httpKind = iota
	publicHTTP
	internalHTTP
)

// program is what Main was told.
type program struct {
	name             string
	migrations       fs.FS
	keyring, grpc    bool
	http             httpKind
	peers, httpPeers []string
	callers          []string
	inventory        rotation.Inventory
	openKMS          func(ctx context.Context, url string) (vault.Keeper, error)
	tools            []Tool
}

// Main is the whole of a program: it does what the arguments say and ends the process. build makes the service from its
// settings.
func Main[C any](name string, build func(ctx context.Context, rt *Runtime, cfg C) (Service, error), options ...Option) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := Run(ctx, Process{Args: os.Args[1:], Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr}, name, build, options...)
	stop()
	os.Exit(code)
}

// Process is what the system gives a program.
type Process struct {
	Args, Environ  []string
	Stdout, Stderr io.Writer
}

// Exit codes of Run.
const (
	exitOK       = 0
	exitFailed   = 1
	exitSettings = 2
)

// Run is Main without the process: it ends with ctx and returns the exit code.
func Run[C any](
	ctx context.Context, proc Process, name string, build func(ctx context.Context, rt *Runtime, cfg C) (Service, error), options ...Option,
) int {
	p := program{name: name}
	for _, option := range options {
		option(&p)
	}
	tool, c, err := p.parse(proc.Args)
	if err != nil {
		fmt.Fprintf(proc.Stderr, "concord-%s: %v; see concord-%s help\n", name, err, name)
		return exitSettings
	}
	if tool != nil && detached(tool) {
		return p.end(proc, runDetached(ctx, proc, tool))
	}
	var cfg C
	settings := p.settings()
	parts := append(settings.parts(), &cfg)
	if done, code := c.before(proc, p, parts); done {
		return code
	}
	loaded := config.Load(config.Source{Service: name, Environ: proc.Environ, File: c.file}, parts...)
	mistakes, unreadable := gather(loaded, settings.check(p), settings.collector(proc.Environ), config.CheckParts(proc.Environ, p.parts()...))
	switch {
	case unreadable != nil: // what the file would have set is not known to be missing
		fmt.Fprintf(proc.Stderr, "concord-%s: %s\n", name, explainFile(unreadable))
		return exitSettings
	case len(mistakes) > 0:
		return c.refuse(proc, p, mistakes, parts)
	}
	if tool != nil {
		err = p.runTool(ctx, proc, settings, tool, &cfg)
	} else {
		err = c.run(ctx, proc, p, settings, parts, func(ctx context.Context, rt *Runtime) (Service, error) { return build(ctx, rt, cfg) })
	}
	return p.end(proc, err)
}

// end says what went wrong and answers the exit code.
func (p program) end(proc Process, err error) int {
	switch {
	case errors.Is(err, errUnwell):
		return exitFailed
	case err != nil:
		fmt.Fprintf(proc.Stderr, "concord-%s: %s\n", p.name, explain(err))
		return exitFailed
	}
	return exitOK
}

// parse reads the arguments, of a tool or of a command that every program has.
func (p program) parse(args []string) (ToolRun, command, error) {
	run, file, err := p.tool(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil, command{words: "help"}, nil
	case err != nil || run != nil:
		return run, command{file: file}, err
	}
	c, err := parse(args)
	return nil, c, err
}

// refuse says what is wrong with the settings. Whoever asked for them to be printed sees them first, with what is wrong
// marked.
func (c command) refuse(proc Process, p program, mistakes config.Mistakes, parts []any) int {
	if c.words == "config print" {
		if err := mistakes.Print(proc.Stdout, parts...); err != nil {
			fmt.Fprintf(proc.Stderr, "concord-%s: %v\n", p.name, err)
			return exitFailed
		}
	}
	for _, mistake := range mistakes {
		fmt.Fprintf(proc.Stderr, "concord-%s: %s\n", p.name, mistake)
	}
	return exitSettings
}

// gather puts the mistakes of several checks together, so that all are said at once. An error that is no mistake in the
// settings (a file that cannot be read) is returned as it is.
func gather(errs ...error) (all config.Mistakes, other error) {
	for _, err := range errs {
		var mistakes config.Mistakes
		if errors.As(err, &mistakes) {
			all = append(all, mistakes...)
		} else if other == nil {
			other = err
		}
	}
	return all, other
}

// serve runs the program until ctx ends.
func (p program) serve(ctx context.Context, proc Process, s settings, build func(context.Context, *Runtime) (Service, error)) (err error) {
	tel, err := telemetry.Start(ctx, s.base.Telemetry, p.name, telemetry.ReadBuild(), proc.Stderr, s.observed(proc.Environ)...)
	if err != nil {
		return err
	}
	defer func() { flush(ctx, tel) }()
	// The library tells failed exports to one handler per process; this is the process's.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { tel.Logger.Warn("telemetry", "error", err) }))
	// Listen first: of two processes started by mistake the second ends here, before it touches anything.
	setup, err := s.setup(ctx, p, tel)
	if err != nil {
		return err
	}
	rt, err := Open(ctx, setup)
	if err != nil {
		return unlessStopped(ctx, err)
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	var svc Service
	if err := rt.until(ctx, func(ctx context.Context) (err error) { svc, err = build(ctx, rt); return err }); err != nil {
		return unlessStopped(ctx, err)
	}
	return rt.Serve(ctx, svc)
}

// unlessStopped leaves out the error of a process that was told to stop while it waited.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}
