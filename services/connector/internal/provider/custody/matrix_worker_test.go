package custody_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/sim"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/custody"
	"github.com/concord-suite/concord/services/connector/internal/provider/xero"
)

// workerEnv makes the test binary a replica of the connector's custody instead of running tests: it holds a setup.
const workerEnv = "CONCORD_CUSTODY_WORKER"

func TestMain(m *testing.M) {
	text := os.Getenv(workerEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	if err := work([]byte(text), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

// setup is what a worker process is started with.
type setup struct {
	Database, Identity, Keyring string
	Lease, Call, Retry          time.Duration
}

// order is one piece of work: get a token of every grant, eight at once.
type order struct {
	// Ahead is how far the clock is ahead.
	Ahead time.Duration
	// Grants are asked for in this order, each by two of the eight, which makes six of all the processes'.
	Grants []string
	// Insist asks again until there is a token.
	Insist bool
	// Kill is the step at which the process ends itself by SIGKILL, the time After that it gets there.
	Kill  step
	After int
	// Store breaks the process's way to the database, after it has asked for After grants.
	Store string
}

// report is the answer to an order.
type report struct {
	Tokens, Errors int
	// Dead are the grants that are said to need a person, which is what must not happen.
	Dead []string
	// Last is one of the errors.
	Last string
}

// step is a place in the protocol at which a process can die.
type step string

const (
	beforeIntent step = "before the intent"
	afterIntent  step = "after the intent"
	underWay     step = "while the token call is under way"
	beforeCommit step = "after the answer, before the commit"
	afterCommit  step = "after the commit"
)

// progress is how far one request for a token is; it travels in the context, down to the driver and to HTTP.
type progress struct{ answered atomic.Bool }

type progressKey struct{}

// worker is one process.
type worker struct {
	setup
	custodian *custody.Custodian
	faults    *sqldbtest.Faults
	ahead     atomic.Int64
	kill      atomic.Pointer[order]
	passed    atomic.Int64 // how often the step of the order was reached
	asked     atomic.Int64
}

func work(text []byte, in io.Reader, out io.Writer) error {
	w := &worker{faults: sqldbtest.NewFaults()}
	if err := json.Unmarshal(text, &w.setup); err != nil {
		return err
	}
	db, err := sqldb.Open(context.Background(), sqldb.Config{URL: w.Database}, w.faults.Option())
	if err != nil {
		return err
	}
	defer db.Close()
	ring, err := vault.OpenOrCreate(w.Keyring)
	if err != nil {
		return err
	}
	at, err := url.Parse(w.Identity)
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = workersPerProcess
	identity := xero.New(xero.Config{ClientID: sim.ClientID, ClientSecret: sim.ClientSecret, AuthorizeURL: at, IdentityURL: at, APIURL: at,
		Timeout: w.Call}, &http.Client{Transport: wired{w, transport}}, w.now)
	cfg := custody.Config{Lease: w.Lease, Call: w.Call, Grace: config.Grace, Idle: config.Idle, Retry: w.Retry}
	w.custodian = custody.New(db, ring, map[string]provider.Identity{app: identity}, cfg, w.now, slog.New(slog.DiscardHandler))
	w.faults.OnCommit(w.commits)
	return w.serve(in, out)
}

func (w *worker) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// serve carries out orders until there are no more.
func (w *worker) serve(in io.Reader, out io.Writer) error {
	orders, reports := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := reports.Encode(w.carryOut(o)); err != nil {
			return err
		}
	}
}

const (
	// processes and workersPerProcess are the replicas of the connector and what each does at once.
	processes, workersPerProcess = 3, 8
	// askers is how many of a process's workers want one grant: two collide as eight do, in a quarter of the time.
	askers = 2
	// askFor bounds one request for a token, as an RPC does.
	askFor = 10 * time.Second
)

func (w *worker) carryOut(o order) report {
	w.ahead.Store(int64(o.Ahead))
	w.passed.Store(0)
	w.asked.Store(0)
	w.kill.Store(&o)
	defer w.kill.Store(nil)
	if o.Insist {
		_ = w.custodian.Upkeep(context.Background()) // as the service does every few seconds; what fails is asked for below
	}
	var mu sync.Mutex
	var all report
	var group sync.WaitGroup
	for i := range workersPerProcess {
		group.Go(func() {
			lanes := workersPerProcess / askers
			for at := i % lanes; at < len(o.Grants); at += lanes {
				w.strike(o)
				err := w.ask(o.Grants[at], o.Insist)
				mu.Lock()
				switch {
				case err == nil:
					all.Tokens++
				case errors.Is(err, custody.ErrDead):
					all.Dead = append(all.Dead, o.Grants[at])
				default:
					all.Errors, all.Last = all.Errors+1, err.Error()
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return all
}

// ask wants one token; insisting, until there is one.
func (w *worker) ask(grant string, insist bool) error {
	limit := time.Now().Add(2 * askFor)
	for {
		ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), progressKey{}, &progress{}), askFor)
		_, err := w.custodian.Token(ctx, grant)
		cancel()
		if err == nil || !insist || errors.Is(err, custody.ErrDead) || time.Now().After(limit) {
			return err
		}
		pause := time.NewTimer(w.Retry)
		<-pause.C
	}
}

// The ways to break the database; each is over by itself.
const (
	storeFails     = "commits fail"
	storeLies      = "commits happen, their answer is lost"
	storeRefuses   = "commits are refused"
	storeNoUpdates = "statements fail"
	storeFreezes   = "frozen for longer than a lease"
)

// strike breaks the way to the database when it is time.
func (w *worker) strike(o order) {
	if o.Store == "" || w.asked.Add(1) != int64(o.After) {
		return
	}
	const several = 6 // of the eight that may be at it
	switch o.Store {
	case storeFails:
		w.faults.FailCommit(several)
	case storeLies:
		w.faults.CommitThenFail(several)
	case storeRefuses:
		w.faults.RefuseCommit(several)
	case storeNoUpdates:
		w.faults.FailExec("UPDATE grants", several)
	case storeFreezes:
		w.faults.Freeze()
		time.AfterFunc(w.Lease*3/2, w.faults.Thaw)
	}
}

// reach ends the process if it is to end at a step.
func (w *worker) reach(s step) {
	o := w.kill.Load()
	if o == nil || o.Kill != s || w.passed.Add(1) != int64(max(o.After, 1)) {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // nothing happens after this, in this goroutine either
}

func (w *worker) commits(ctx context.Context, done bool) {
	p, ok := ctx.Value(progressKey{}).(*progress)
	switch {
	case !ok:
	case p.answered.Load() && done:
		w.reach(afterCommit)
		p.answered.Store(false) // should the same request begin anew
	case p.answered.Load():
		w.reach(beforeCommit)
	case done:
		w.reach(afterIntent)
	default:
		w.reach(beforeIntent)
	}
}

// wired is the way to the identity service.
type wired struct {
	*worker
	next http.RoundTripper
}

func (w wired) RoundTrip(r *http.Request) (*http.Response, error) {
	p, _ := r.Context().Value(progressKey{}).(*progress)
	trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { w.reach(underWay) }}
	resp, err := w.next.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if p != nil && err == nil && resp.StatusCode == http.StatusOK {
		p.answered.Store(true)
	}
	return resp, err
}
