// Package sim is the upstream world of Concord, simulated: an identity service, a practice management
// API and the contacts of an accounting API that behave like Xero's as far as a client can tell, an SMS service, a mail server,
// and a control API to change the world and to make it fail.
//
// It is a product of its own: everything is real HTTP and SMTP on loopback, limits are counted,
// tokens rotate, and all of it is on disk, so that a restart forgets nothing. Start runs it inside
// another program; cmd/sim is the program. README.md lists every endpoint.
package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/concord-suite/concord/sim/accounting"
	"github.com/concord-suite/concord/sim/control"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/gateway"
	"github.com/concord-suite/concord/sim/identity"
	"github.com/concord-suite/concord/sim/practice"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/sinks"
	"github.com/concord-suite/concord/sim/webhooks"
	"github.com/concord-suite/concord/sim/world"
	"github.com/concord-suite/concord/sim/xpm"
)

// App is a client application registered with the simulated identity service.
type App = world.App

// Config says where a world lives and what it holds when it is new.
type Config struct {
	// Dir keeps the world's state; empty keeps it in memory. A folder that has a world is continued
	// as it is: Practice, Clients, Contacts and Seed matter to a new world only.
	Dir string
	// HTTPAddr and SMTPAddr are where it listens, host:port. The default is any free loopback port.
	HTTPAddr, SMTPAddr string
	// AllowRemote permits addresses that are not loopback. The control API has no sign-in.
	AllowRemote bool
	// Practice is a CSV of clients or a folder of recorded exchanges; empty generates one.
	Practice string
	// Clients is the number of active clients of a generated practice; default DefaultClients.
	Clients int
	// Contacts is the number of active contacts of the first generated organisation; default
	// DefaultContacts.
	Contacts int
	// Seed makes a generated practice and organisation another one.
	Seed uint64
	// ClockFactor is how much faster than real time limit windows pass: with 60 a minute's limit
	// starts afresh every second. Token lives and dates are not affected. Default 1.
	ClockFactor float64
	// WebhookURL is told of changed contacts in what the default app is connected to, signed with
	// WebhookKey, once it has passed the intent-to-receive check. Empty: the control API sets webhooks.
	WebhookURL, WebhookKey string
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Apps are registered at every start, besides the default ones.
	Apps []App

	read *practice.Data // what Practice holds, once it was read
}

// DefaultClients is the size of a generated practice unless Config says otherwise: a mid-sized firm.
const DefaultClients = 2000

// DefaultContacts is the size of a generated organisation unless Config says otherwise: several pages of the
// usual size, one of the largest.
const DefaultContacts = 400

// World is a running simulated world.
type World struct {
	store    *world.Store
	http     *http.Server
	listener net.Listener
	mail     *sinks.Mailbox
	mailAddr string
	sms      *sinks.Gateway
	hooks    *webhooks.Sender
	base     context.Context // of every request; ends when the world does
	end      context.CancelFunc
	served   chan error
	closing  sync.Once
	closed   error
}

// Start brings a world up. It is ready when Start returns, and ends when ctx does or with Close.
func Start(ctx context.Context, cfg Config) (*World, error) {
	cfg, wrong := cfg.complete()
	if len(wrong) > 0 {
		return nil, wrong
	}
	store, err := world.Open(cfg.Dir, cfg.Now)
	if err != nil {
		return nil, fmt.Errorf("open the world in %s: %w", cfg.Dir, err)
	}
	if err := populate(store, cfg); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	w := &World{store: store, served: make(chan error, 1)}
	w.base, w.end = context.WithCancel(context.WithoutCancel(ctx))
	if err := w.listen(cfg); err != nil {
		w.end()
		return nil, errors.Join(err, store.Close())
	}
	context.AfterFunc(ctx, func() { _ = w.Close() }) // Close keeps its error for whoever calls it
	return w, nil
}

func (w *World) listen(cfg Config) error {
	listener, err := net.Listen("tcp", cfg.HTTPAddr)
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w", err)
	}
	mail, err := net.Listen("tcp", cfg.SMTPAddr)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for SMTP: %w", err), listener.Close())
	}
	injector := faults.New(w.store)
	inbox := sinks.NewInbox(w.store)
	w.listener, w.mailAddr = listener, mail.Addr().String()
	handler, err := w.handler(cfg, injector, inbox)
	if err != nil {
		return errors.Join(err, listener.Close(), mail.Close())
	}
	w.mail = sinks.ServeMail(w.base, mail, inbox, injector)
	// 10 s for the request's head is what a caller on the same machine never needs.
	w.http = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return w.base }}
	go func() { w.served <- w.http.Serve(listener) }()
	return nil
}

// handler puts the parts of the world on their paths.
func (w *World) handler(cfg Config, injector *faults.Injector, inbox *sinks.Inbox) (http.Handler, error) {
	id, err := identity.New(w.store)
	if err != nil {
		return nil, err
	}
	guard := gateway.New(w.store, id, cfg.ClockFactor)
	w.sms = sinks.NewGateway(inbox)

	idMux := http.NewServeMux()
	id.Register(idMux, guard)
	mux := http.NewServeMux()
	for _, path := range []string{"/identity/", "/connect/", "/connections", "/connections/", "/Connections", "/Connections/", "/.well-known/"} {
		mux.Handle(path, injector.Wrap(idMux))
	}
	mux.Handle("/practicemanager/", guard.Wrap(xpm.Scopes, injector.Wrap(xpm.New(w.store).Handler())))
	mux.Handle("/api.xro/", guard.Wrap(accounting.Scopes, injector.Wrap(accounting.New(w.store).Handler())))
	mux.Handle("/2010-04-01/", injector.Wrap(w.sms.Handler()))
	mux.Handle(sinks.WebhookPath, injector.Wrap(w.sms.Handler()))
	inbox.Register(mux)
	w.hooks = webhooks.New(w.store, w.URL(), cfg.ClockFactor)
	control.New(w.store, guard, w.hooks, w.sms).Register(mux)
	mux.HandleFunc("GET /{$}", frontPage)
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNoContent) })
	return w.dated(mux), nil
}

// dated puts the world's time into the Date of every answer, as a service's own clock would: callers
// take it for the start of their next modifiedsince.
func (w *World) dated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Date", w.store.Now().Format(http.TimeFormat))
		next.ServeHTTP(rw, r)
	})
}

// URL is the root of everything the world serves over HTTP, without a trailing slash.
func (w *World) URL() string { return "http://" + w.listener.Addr().String() }

// SMTPAddr is host:port of the mail server.
func (w *World) SMTPAddr() string { return w.mailAddr }

// Remote returns a client of the world's control API, inbox and consent pages.
func (w *World) Remote() *remote.Client { return remote.New(w.URL()) }

// shutdownGrace is how long calls in progress may take to finish when the world ends.
const shutdownGrace = 2 * time.Second

// Close ends the world and writes what is left to write. It can be called more than once.
func (w *World) Close() error {
	w.closing.Do(func() {
		w.end()
		ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
		defer cancel()
		err := w.http.Shutdown(ctx)
		if err != nil {
			err = w.http.Close()
		}
		if served := <-w.served; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		w.sms.Close()
		w.hooks.Close()
		w.closed = errors.Join(err, w.mail.Close(), w.store.Close())
	})
	return w.closed
}

func frontPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Simulated world</title>
<h1>Simulated world</h1><ul><li><a href="/inbox">Inbox</a>: every SMS and e-mail sent</li>
<li><a href="/control/state">State</a></li><li><a href="/control/calls">API calls counted</a></li>
<li><a href="/control/clients">Clients</a></li></ul>`)) // an error here means the browser has gone
}
