package boot

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/concord-suite/concord/platform/boot/internal/readiness"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/telemetry"
)

const (
	// awaitEvery is how often a start looks whether what it waits for is there.
	awaitEvery = time.Second
	// schemaAge is for how long a schema that fits is believed: only a restored backup takes it back.
	schemaAge = 10 * time.Second
)

// store is the database of a runtime, which may not be there yet, or not as the release needs it.
type store struct {
	mu     sync.Mutex
	db     *sqldb.DB
	why    error // why there is none
	schema string
	seen   time.Time // when the schema was looked at last and fitted
}

func (s *store) get() (*sqldb.DB, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db, s.why
}

func (s *store) set(db *sqldb.DB, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.db, s.why = db, why
}

// openDatabase opens the database and brings its schema up to date, or waits until somebody else has. What heals by itself
// is waited for, not ready: ending would only make others start the process again, and again.
func (rt *Runtime) openDatabase(ctx context.Context) error {
	if rt.setup.Database.URL == "" {
		return nil
	}
	rt.watch.Add(readiness.Part{Name: "database", Ask: rt.askDatabase})
	if rt.setup.Migrations != nil {
		rt.watch.Add(readiness.Part{Name: "schema", Needs: "database", Ask: rt.askSchema})
	}
	if err := rt.until(ctx, rt.connectDatabase); err != nil {
		return err
	}
	if rt.setup.Migrations == nil {
		return nil
	}
	return rt.until(ctx, rt.settleSchema)
}

// until tries until it works, or fails in a way that does not heal, or ctx ends.
func (rt *Runtime) until(ctx context.Context, try func(context.Context) error) error {
	pause := time.NewTicker(awaitEvery)
	defer pause.Stop()
	for {
		err := try(ctx)
		if err == nil || !heals(rt.setup.Database.URL, err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
	}
}

// errSchema is a schema that does not fit.
type errSchema struct{ sqldb.Standings }

// Error implements error.
func (e errSchema) Error() string { return "schema: " + e.String() }

// heals tells whether an error goes away without anybody touching this process: a server that is away, starts, or refuses; a
// schema that is behind. One that another release made does not, and a SQLite file is this process's own.
func heals(url string, err error) bool {
	var said *sqldb.Error
	var schema errSchema
	return (errors.As(err, &schema) && !schema.Changed()) || (errors.As(err, &said) && onServer(url) && ofServer(err))
}

func onServer(url string) bool { return strings.HasPrefix(url, "postgres") }

// ofServer leaves out the complaints about a statement, which no server takes back.
func ofServer(err error) bool {
	for _, kind := range []error{sqldb.ErrBusy, sqldb.ErrReadOnly, sqldb.ErrDiskFull, sqldb.ErrOutcomeUnknown} {
		if errors.Is(err, kind) {
			return true
		}
	}
	var refused *sqldb.Error
	return errors.As(err, &refused) && refused.Op == "open"
}

func (rt *Runtime) connectDatabase(ctx context.Context) error {
	db, err := sqldb.Open(ctx, rt.setup.Database)
	if err != nil {
		rt.store.set(nil, err)
		return err
	}
	rt.DB = db
	rt.store.set(db, nil)
	return nil
}

func (rt *Runtime) settleSchema(ctx context.Context) error {
	if !rt.setup.MigratedByOthers {
		return sqldb.Migrate(ctx, rt.DB, rt.setup.Migrations)
	}
	all, err := sqldb.Schema(ctx, rt.DB, rt.setup.Migrations)
	if err == nil && !all.Fits() {
		return errSchema{all}
	}
	return err
}

// askDatabase is the part "database" of readiness.
func (rt *Runtime) askDatabase(ctx context.Context) (string, error) {
	db, why := rt.store.get()
	switch {
	case db != nil:
		why = db.Ping(ctx)
	case why == nil:
		return "", readiness.ErrStarting
	}
	if why != nil {
		return "", databaseError{why}
	}
	if s := db.Stats(); s.InUse >= s.Max && s.Max > 0 {
		return fmt.Sprintf("ok, all %d connections are in use", s.Max), nil
	}
	return readiness.OK, nil
}

// databaseError says what is wrong with a database in plain words, for logs and commands.
type databaseError struct{ error }

// Error implements error.
func (e databaseError) Error() string {
	var said *sqldb.Error
	if errors.As(e.error, &said) {
		return said.Details()
	}
	return e.error.Error()
}

// Plain is the same without addresses, for whoever reaches the port for health.
func (e databaseError) Plain() string {
	var said *sqldb.Error
	if errors.As(e.error, &said) {
		return said.Words()
	}
	return e.error.Error()
}

// askSchema is the part "schema" of readiness.
func (rt *Runtime) askSchema(ctx context.Context) (string, error) {
	s := &rt.store
	s.mu.Lock()
	db, schema, seen := s.db, s.schema, s.seen
	s.mu.Unlock()
	if schema != "" && rt.Now().Sub(seen) < schemaAge {
		return schema, nil
	}
	if db == nil {
		return "", readiness.ErrStarting
	}
	all, err := sqldb.Schema(ctx, db, rt.setup.Migrations)
	switch {
	case err != nil:
		return "", databaseError{err}
	case !all.Fits() && !rt.setup.MigratedByOthers && schema == "":
		return "", readiness.ErrStarting // this process is about to bring it up to date
	case !all.Fits():
		return "", errors.New(rt.unfit(all))
	}
	s.mu.Lock()
	s.schema, s.seen = readiness.OK+", "+all.String(), rt.Now()
	schema = s.schema
	s.mu.Unlock()
	return schema, nil
}

// unfit says what is wrong with a schema and what to do.
func (rt *Runtime) unfit(all sqldb.Standings) string {
	if all.Changed() {
		return all.String()
	}
	return all.String() + ": run `concord-" + rt.Name + " migrate`"
}

// startHealth answers /livez, /readyz, /version and /metrics, for whoever cannot ask by gRPC with a certificate (kubelet
// cannot), until the returned function is called. Without a listener it does nothing.
//
// /livez depends on nothing: a restart brings no database back, and would take from service what waits for one.
func startHealth(lis net.Listener, watch *readiness.Watch, tel *telemetry.Telemetry) (stop func()) {
	if lis == nil {
		return func() {}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		ready, lines := watch.Report()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if !ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintln(w, strings.Join(lines, "\n"))
	})
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, telemetry.ReadBuild()) })
	if tel.Metrics != nil {
		mux.Handle("GET /metrics", tel.Metrics)
	}
	server := newHTTPServer(mux)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(lis) // ends with Close
	}()
	return func() {
		server.Close()
		<-done
	}
}
