package peertest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/offboard"
	"github.com/concord-suite/concord/services/sync/internal/peer"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/runner"
	"github.com/concord-suite/concord/services/sync/internal/saga"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/lease"
)

// Schema is the whole database of the service.
var Schema fs.FS = sqldb.Join(events.Schema, idem.Schema, store.Migrations)

// Firm and Connection are the ones a Bench works with.
const (
	Firm       = "01920000-0000-7000-8000-00000000000a"
	Connection = "0195f000-0000-7000-8000-0000000000c1"
)

// Bench is a database with workers on one side and a world on the other. Tests drive the workers step by step.
type Bench struct {
	T      testing.TB
	DB     *sqldb.DB
	World  *World
	Peers  *peer.Peers
	Clock  *Clock
	Runner *runner.Worker
	Saga   *saga.Worker
}

// Clock is a clock that the test turns. It moves a millisecond at each look, so that what happens later is later.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Millisecond)
	return c.now
}

// Turn moves the clock on.
func (c *Clock) Turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Retry is how a Bench's runs live with errors: shorter than by default, so that tests see them give up.
var Retry = run.Retry{Attempts: 8, MaxWait: 2 * time.Minute}

// Lease is the lease of a Bench's workers.
const Lease = 10 * time.Second

// Each runs fn on both engines, beside other tests.
func Each(t *testing.T, fn func(t *testing.T, b *Bench)) {
	t.Helper()
	t.Parallel()
	sqldbtest.Each(t, Schema, func(t *testing.T, db *sqldb.DB) { fn(t, NewBench(t, db)) })
}

// NewBench makes a bench on a database, with one active connection.
func NewBench(t testing.TB, db *sqldb.DB) *Bench {
	t.Helper()
	w, peers := New(t)
	b := &Bench{T: t, DB: db, World: w, Peers: peers, Clock: &Clock{now: time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)}}
	b.Hire(db)
	b.Connect(func(*run.Connection) {})
	return b
}

// Hire takes new workers, as a process that starts does, on a database handle of theirs.
func (b *Bench) Hire(db *sqldb.DB) {
	owner := store.NewID()
	b.Runner = runner.New(runner.Deps{
		DB: db, Peers: b.Peers, Now: b.Clock.Now, Log: b.log(), Owner: owner, Lease: Lease, Batch: 7, Retry: Retry,
	})
	b.Saga = saga.New(saga.Deps{
		DB: db, Peers: b.Peers, Now: b.Clock.Now, Log: b.log(), Owner: owner, Lease: Lease,
	})
}

// Tx runs fn in a transaction that must succeed.
func (b *Bench) Tx(fn func(tx *sqldb.Tx) error) {
	b.T.Helper()
	require.NoError(b.T, b.DB.Tx(context.Background(), fn))
}

// Connect puts the connection, changed by fn.
func (b *Bench) Connect(fn func(*run.Connection)) {
	b.T.Helper()
	c := run.Connection{
		ID: Connection, Firm: Firm, Provider: "XPM", Tenant: "tenant-1", State: run.ConnectionActive,
		EstablishedAt: b.Clock.Now(), Guard: plan.Guard{Permille: 100, Floor: 5},
	}
	if fn(&c); c.RemovalsSuspended {
		c.SuspendedAt = b.Clock.Now()
	}
	b.Tx(func(tx *sqldb.Tx) error { return store.PutConnection(tx, c, sqldb.Micros(b.Clock.Now())) })
}

// Start starts a run and returns its id.
func (b *Bench) Start(kind run.Kind) string {
	b.T.Helper()
	var id string
	b.Tx(func(tx *sqldb.Tx) error {
		c, err := store.Connection(tx, Firm, Connection)
		if err != nil {
			return err
		}
		var made bool
		id, made, err = store.StartRun(tx, c, kind, "test", "", b.Clock.Now())
		require.True(b.T, made, "a run is under way")
		return err
	})
	return id
}

// Work lets the runner work until there is nothing to do at this moment.
func (b *Bench) Work() {
	b.T.Helper()
	for {
		err := b.Runner.Step(context.Background(), func() {})
		if errors.Is(err, lease.ErrIdle) {
			break
		}
		require.NoError(b.T, err)
	}
	for _, rest := range []func(context.Context, func()) error{b.Runner.Removals, b.Runner.Checks} {
		for {
			err := rest(context.Background(), func() {})
			if errors.Is(err, lease.ErrIdle) {
				break
			}
			require.NoError(b.T, err)
		}
	}
}

// Sync starts a run, works it to its end, whatever it has to wait for, and returns it.
func (b *Bench) Sync(kind run.Kind) run.Run {
	b.T.Helper()
	id := b.Start(kind)
	for range 100 {
		b.Work()
		if r := b.Run(id); r.State.Ended() {
			return r
		}
		b.Clock.Turn(time.Minute)
	}
	b.T.Fatalf("the run does not end: %+v", b.Run(id))
	return run.Run{}
}

// Offboard lets the saga worker work until nothing is due, whatever has to be waited for.
func (b *Bench) Offboard() {
	b.T.Helper()
	for range 1000 {
		err := b.Saga.Step(context.Background(), func() {})
		if !errors.Is(err, lease.ErrIdle) {
			require.NoError(b.T, err)
			continue
		}
		var waiting int64
		b.Read(func(tx *sqldb.Tx) error {
			return tx.QueryRow(`SELECT count(*) FROM offboardings WHERE state IN ('PREPARING', 'SECURING', 'REVERSING')`).Scan(&waiting)
		})
		if waiting == 0 {
			return
		}
		b.Clock.Turn(time.Second)
	}
	b.T.Fatal("off-boardings do not end")
}

// Read runs fn in a reading transaction that must succeed.
func (b *Bench) Read(fn func(tx *sqldb.Tx) error) {
	b.T.Helper()
	require.NoError(b.T, b.DB.Read(context.Background(), fn))
}

// Run returns a run.
func (b *Bench) Run(id string) (r run.Run) {
	b.T.Helper()
	b.Read(func(tx *sqldb.Tx) (err error) {
		r, err = store.Run(tx, Firm, id)
		return err
	})
	return r
}

// Client returns the client linked to a record.
func (b *Bench) Client(record string) (c client.Client) {
	b.T.Helper()
	b.Read(func(tx *sqldb.Tx) error {
		var id string
		if err := tx.QueryRow(`SELECT client FROM links WHERE record_id = $1`, record).Scan(&id); err != nil {
			return err
		}
		var err error
		c, err = store.Client(tx, Firm, id)
		return err
	})
	return c
}

// ContactOf returns the contact linked to a record, with its relations, whatever its state.
func (b *Bench) ContactOf(record string) (c client.Contact) {
	b.T.Helper()
	b.Tx(func(tx *sqldb.Tx) error {
		var id string
		if err := tx.QueryRow(`SELECT contact FROM contact_links WHERE record_id = $1`, record).Scan(&id); err != nil {
			return err
		}
		full, err := store.Contact(tx, Firm, id)
		if err == nil {
			c = full
			return nil
		}
		all, err := store.LockContacts(tx, []string{id})
		c = all[id]
		return err
	})
	return c
}

// ClientIn returns the id of the client behind a record, within a transaction.
func (b *Bench) ClientIn(tx *sqldb.Tx, record string) (id string) {
	b.T.Helper()
	require.NoError(b.T, tx.QueryRow(`SELECT client FROM links WHERE record_id = $1`, record).Scan(&id))
	return id
}

// ContactIn returns the id of the contact behind a record, within a transaction.
func (b *Bench) ContactIn(tx *sqldb.Tx, record string) (id string) {
	b.T.Helper()
	require.NoError(b.T, tx.QueryRow(`SELECT contact FROM contact_links WHERE record_id = $1`, record).Scan(&id))
	return id
}

// Offboarding returns the last off-boarding of a client, with its receipt.
func (b *Bench) Offboarding(clientID string) (o offboard.Offboarding) {
	b.T.Helper()
	b.Read(func(tx *sqldb.Tx) error {
		var id string
		err := tx.QueryRow(`SELECT id FROM offboardings WHERE client = $1 ORDER BY created_at DESC, id DESC LIMIT 1`, clientID).Scan(&id)
		if err != nil {
			return err
		}
		o, err = store.Offboarding(tx, Firm, id)
		return err
	})
	return o
}

// Count counts rows.
func (b *Bench) Count(from string, args ...any) (n int64) {
	b.T.Helper()
	b.Read(func(tx *sqldb.Tx) error { return tx.QueryRow(`SELECT count(*) FROM `+from, args...).Scan(&n) })
	return n
}

// Changes returns the changes of a run's plan of a kind.
func (b *Bench) Changes(r run.Run, kind plan.Kind) (all []plan.Change) {
	b.T.Helper()
	b.Read(func(tx *sqldb.Tx) (err error) {
		all, err = store.Changes(tx, r.Plan, string(kind), "", "", 10000)
		return err
	})
	return all
}

// log writes the workers' lines to the test's own log.
func (b *Bench) log() *slog.Logger { return slog.New(slog.NewTextHandler(logWriter{b.T}, nil)) }

type logWriter struct{ t testing.TB }

func (w logWriter) Write(line []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(line))
	return len(line), nil
}
