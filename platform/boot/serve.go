package boot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/boot/internal/gauges"
	"github.com/concord-suite/concord/platform/boot/internal/readiness"
	"github.com/concord-suite/concord/platform/serve"
	"github.com/concord-suite/concord/platform/telemetry"
)

// defaultGrace is how long running calls may take when the Setup says nothing.
const defaultGrace = 20 * time.Second

// Serve runs the service until ctx ends, or until the service or one of its servers fails, and takes it down in order: it
// says at once that it is not ready, accepts calls for as long as the drain delay, lets running calls end within the grace,
// writes and publishes what they left behind, and ends the service's own work. See StopTime.
func (rt *Runtime) Serve(ctx context.Context, svc Service) error {
	front, err := rt.fronts(svc)
	if err != nil {
		return err
	}
	work := rt.startWork(ctx, svc)
	rt.watch.Add(readiness.Part{Name: rt.Name, Needs: "schema", Private: true, Ask: func(ctx context.Context) (string, error) {
		err := svc.Ready(ctx)
		if stated, ok := svc.(Stated); ok && err == nil {
			return stated.State(), nil
		}
		return readiness.OK, err
	}})
	rt.watch.Open()

	group, groupCtx := errgroup.WithContext(ctx)
	for _, run := range front {
		group.Go(func() error { return run(groupCtx) })
	}
	group.Go(func() error {
		err := work.failed(groupCtx)
		rt.watch.Stop()
		return err
	})
	rt.Logger.InfoContext(ctx, "started", append(rt.setup.addresses(), "build", telemetry.ReadBuild().String())...)
	err = errors.Join(group.Wait(), rt.settle(ctx, work))
	rt.Logger.InfoContext(ctx, "stopped")
	return err
}

// fronts returns the servers of a service, each to be run until its context ends.
func (rt *Runtime) fronts(svc Service) ([]func(context.Context) error, error) {
	var all []func(context.Context) error
	if registrar, ok := svc.(Registrar); ok && rt.setup.GRPC.Listener != nil {
		server, err := rt.grpcServer(svc, registrar)
		if err != nil {
			return nil, err
		}
		all = append(all, server.Run)
	}
	if handler, ok := svc.(Handler); ok && rt.setup.HTTP != nil {
		all = append(all, func(ctx context.Context) error { return rt.serveHTTP(ctx, rt.setup.HTTP, handler.Handler()) })
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("boot: %s answers nothing: it is no Registrar with a gRPC listener and no Handler with an HTTP listener", rt.Name)
	}
	return all, nil
}

func (rt *Runtime) grpcServer(svc Service, registrar Registrar) (*serve.Server, error) {
	cfg := rt.setup.GRPC
	cfg.DrainDelay, cfg.Grace = rt.setup.DrainDelay, rt.setup.Grace
	deps := serve.Deps{
		Name: rt.Name, Verifier: access.NewVerifier(rt.Name, rt.keys, rt.Now), Revocations: rt.Revocations,
		Logger: rt.Logger, Ready: func(context.Context) error { return rt.watch.Ready() }, ReadyChanged: rt.watch.Changed(), Now: rt.Now, Files: rt.setup.Files,
		Tracer: rt.Telemetry.Tracers, Meter: rt.Telemetry.Meters, Propagator: rt.Telemetry.Propagator,
	}
	if rt.Audit != nil {
		deps.Audit = rt.Audit
	}
	server, err := serve.New(cfg, deps)
	if err != nil {
		return nil, err
	}
	registrar.Register(server)
	return server, server.Check()
}

// serveHTTP serves until ctx ends, then lets running requests end. Requests that last (downloads, progress) are ended
// after half of the grace.
func (rt *Runtime) serveHTTP(ctx context.Context, lis net.Listener, handler http.Handler) error {
	grace := rt.setup.Grace
	if grace == 0 {
		grace = defaultGrace
	}
	requests, endRequests := context.WithCancel(context.WithoutCancel(ctx))
	defer endRequests()
	measured, err := gauges.Requests(rt.Telemetry.Meters.Meter(meterName), handler, rt.Now)
	if err != nil {
		return err
	}
	server := newHTTPServer(measured)
	server.ErrorLog = slog.NewLogLogger(rt.Logger.Handler(), slog.LevelDebug) // strangers; who is refused is said elsewhere
	leave := age(server, rt.setup.MaxConnectionAge, rt.Now)
	server.BaseContext = func(net.Listener) context.Context { return requests }
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(lis) }()
	select {
	case err := <-failed:
		return fmt.Errorf("%s: http: %w", rt.Name, err)
	case <-ctx.Done():
	}
	leave()
	drained, cancel := context.WithTimeout(context.WithoutCancel(ctx), rt.setup.DrainDelay+grace)
	defer cancel()
	delay := time.AfterFunc(rt.setup.DrainDelay+grace/2, endRequests)
	defer delay.Stop()
	if rt.setup.DrainDelay > 0 { // still accepting, so that whoever balances load can notice
		wait := time.NewTimer(rt.setup.DrainDelay)
		defer wait.Stop()
		<-wait.C
	}
	if err := server.Shutdown(drained); err != nil {
		return errors.Join(server.Close(), nil)
	}
	return nil
}

// newHTTPServer makes a server that strangers cannot hold up. There is no bound on a whole request: uploads and progress
// last as long as they last.
func newHTTPServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
}

type dueKey struct{}

// age has a server end connections with the first answer after they have come to their age, give or take a tenth so that
// not all come at once; zero means that they have none. From the call of leave on it ends every connection with its next
// answer: whoever keeps one then finds another server, and sends nothing into a connection that is being closed. Nothing
// is cut either way.
func age(server *http.Server, limit time.Duration, now access.Clock) (leave func()) {
	var leaving atomic.Bool
	if limit > 0 {
		server.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, dueKey{}, now().Add(limit*9/10+rand.N(limit/5+1)))
		}
	}
	inner := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if due, ok := r.Context().Value(dueKey{}).(time.Time); leaving.Load() || (ok && now().After(due)) {
			w.Header().Set("Connection", "close")
		}
		inner.ServeHTTP(w, r)
	})
	return func() { leaving.Store(true) }
}
