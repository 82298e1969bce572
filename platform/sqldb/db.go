// Package sqldb gives a service one way to its own database, be it a SQLite file or a PostgreSQL server.
//
// # What it is
//
// Statements are written once, with $1 parameters, and run on both engines. A service differs per engine in two places
// only: its migrations (one folder per engine, see Migrate) and the few clauses that Dialect spells out.
//
//	db, err := sqldb.Open(ctx, sqldb.Config{URL: "sqlite:/var/lib/concord/sync.db"})
//	err = db.Tx(ctx, func(tx *sqldb.Tx) error {
//		_, err := tx.Exec(`UPDATE clients SET state = $2 WHERE id = $1`, id, "ARCHIVED")
//		return err
//	})
//
// # What a transaction promises, the same on both engines
//
//   - DB.Tx is serializable: it behaves as if it ran alone. SQLite has one writer at a time, PostgreSQL runs at
//     SERIALIZABLE and refuses what would not have been possible one after the other. DB.Tx then runs fn again, up to
//     a bound, so fn must be re-runnable: it may only read and write through tx, and what it puts into variables
//     outside must be set anew on each run. ReadCommitted opts out for statements that guard themselves by row locks.
//   - DB.Read sees one consistent state of the database and can not write.
//   - A statement that failed has failed its transaction: later statements return the same error and nothing is
//     committed, even when fn swallows it. Expected collisions are written as ON CONFLICT.
//   - The end of the context ends a statement: on PostgreSQL at once, on SQLite in nearly every case at once. (The
//     driver loses a cancellation that falls into the microseconds in which a statement begins; the statement then runs
//     to its end before it says so.)
//   - A result must be read to its end or closed before the next statement of the same transaction.
//   - When the answer to COMMIT is lost, the error matches ErrOutcomeUnknown. Nobody but the caller can know how to
//     find out (a request id, a version), so it is not retried here.
//
// # Values
//
// Times are UTC microseconds since 1970 in BIGINT or INTEGER columns (Micros, FromMicros); a time.Time argument is
// refused. Text is valid UTF-8 without NUL, since PostgreSQL can store no other; unsigned integers above the signed
// range, and NaN, are refused for the same reason. Text that is sorted or compared by order is declared COLLATE "C" in
// the PostgreSQL migration: SQLite compares bytes, and PostgreSQL would otherwise ask the locale of the machine.
// LIKE ignores ASCII case in SQLite and not in PostgreSQL; compare lower(x) with a lower-case pattern on both.
//
// # Errors
//
// What a driver says stops here. Errors match one of the Err values with errors.Is; their text names the kind, the
// constraint and the driver's code, never the driver's words, because those quote values. The one exception is the
// complaint about a statement itself (an unknown column, a syntax error), which quotes only our own SQL.
//
// # What it does not do
//
// No query builder, no mapping of rows to structs, no savepoints, no waiting for other services: RPC and HTTP have no
// place inside a transaction. It does not create directories or databases, and it does not undo migrations.
package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"runtime"
	"sync"
	"time"
)

// Config says where the database is and how many connections to hold.
type Config struct {
	// URL is "sqlite:/path/to/file.db" or "postgres://user:password@host:port/database?sslmode=...". The directory of
	// a SQLite file must exist; the file is made when missing, readable by its owner only.
	URL string
	// MaxConns bounds the connections: on PostgreSQL all of them, on SQLite the readers (a SQLite file has one writer
	// whatever this says). 0 means 10 on PostgreSQL and max(4, number of CPUs) on SQLite.
	MaxConns int
	// Latest is asked for the URL before each new connection to a PostgreSQL server, so that its password, its user and the
	// server itself may be replaced while the process runs. Once a connection came about with another URL, those of before
	// are closed as soon as they are free. While Latest fails, or answers with what is no URL of PostgreSQL, the last good
	// one counts. Its error is shown to whoever runs the program. Optional; URL is what counts at first.
	Latest func() (string, error)
}

// Option changes how Open builds a DB.
type Option func(*settings)

type settings struct {
	wrap func(driver.Connector) driver.Connector
}

// WithConnector puts wrap around the driver's connector, below database/sql. It is how sqldbtest injects faults and
// how statements could be traced; it is called once per pool.
func WithConnector(wrap func(driver.Connector) driver.Connector) Option {
	return func(s *settings) { s.wrap = wrap }
}

// acquireWait bounds how long a transaction waits for a free connection. It is longer than any transaction should
// take, so reaching it means the database hangs or a transaction was opened inside another one.
const acquireWait = 10 * time.Second

// DB is a database of one service. It is safe for concurrent use. The zero value is not usable; see Open.
type DB struct {
	dialect Dialect
	write   *sql.DB
	read    *sql.DB // the same pool as write on PostgreSQL
	probe   *sql.DB // one connection for Ping, see there

	mu       sync.Mutex
	watchers map[string]map[chan struct{}]struct{}
	locks    map[string]struct{} // held by TryLock on SQLite
}

// Open connects to the database that cfg names and proves that it answers. It changes no schema; see Migrate.
//
// A wrong URL, a missing directory, a file that is not a database, or a server that does not answer within 5 seconds
// is told in words, without the password.
func Open(ctx context.Context, cfg Config, opts ...Option) (*DB, error) {
	var set settings
	for _, o := range opts {
		o(&set)
	}
	if set.wrap == nil {
		set.wrap = func(c driver.Connector) driver.Connector { return c }
	}
	db := &DB{watchers: map[string]map[chan struct{}]struct{}{}, locks: map[string]struct{}{}}
	switch engine, rest, err := parseURL(cfg.URL); {
	case err != nil:
		return nil, err
	case engine == SQLite:
		err = db.openSQLite(rest, cfg.MaxConns, set.wrap)
		if err != nil {
			return nil, err
		}
	default:
		err = db.openPostgres(rest, cfg, set.wrap)
		if err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := db.prove(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// connectTimeout bounds the first contact in Open and each new connection to a PostgreSQL server: a server in the same
// network answers in milliseconds, one that starts up needs a second or two.
const connectTimeout = 5 * time.Second

func (db *DB) openSQLite(path string, maxConns int, wrap func(driver.Connector) driver.Connector) error {
	writer, reader, err := sqliteConnectors(path)
	if err != nil {
		return err
	}
	if maxConns <= 0 {
		maxConns = max(4, runtime.NumCPU())
	}
	db.dialect = SQLite
	// One writing connection: waiting for it is fair and costs no polling, where SQLite's own lock is neither.
	db.write = sql.OpenDB(wrap(writer))
	db.write.SetMaxOpenConns(1)
	db.read = sql.OpenDB(wrap(reader))
	db.read.SetMaxOpenConns(maxConns)
	db.read.SetMaxIdleConns(maxConns)
	db.probe = probing(wrap(reader))
	return nil
}

// probing makes the pool of Ping.
func probing(connector driver.Connector) *sql.DB {
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(1)
	pool.SetConnMaxLifetime(5 * time.Minute)
	return pool
}

func (db *DB) openPostgres(url string, cfg Config, wrap func(driver.Connector) driver.Connector) error {
	connector, err := postgresConnector(url, cfg.Latest)
	if err != nil {
		return err
	}
	maxConns := cfg.MaxConns
	if maxConns <= 0 {
		maxConns = 10
	}
	db.dialect = Postgres
	db.write = sql.OpenDB(wrap(connector))
	db.write.SetMaxOpenConns(maxConns)
	db.write.SetMaxIdleConns(maxConns)
	db.write.SetConnMaxIdleTime(5 * time.Minute)
	// Renewed every half hour, so that a failover or a new address behind the same name is picked up.
	db.write.SetConnMaxLifetime(30 * time.Minute)
	db.read = db.write
	db.probe = probing(wrap(connector))
	return nil
}

// prove opens one connection of each pool and asks it something. The writer goes first: it makes a new SQLite file.
func (db *DB) prove(ctx context.Context) error {
	for _, pool := range []*sql.DB{db.write, db.read} {
		var one int
		if err := pool.QueryRowContext(ctx, `SELECT 1`).Scan(&one); err != nil {
			return db.dialect.classify(ctx, "open", err)
		}
	}
	return nil
}

// Dialect returns the engine behind db.
func (db *DB) Dialect() Dialect { return db.dialect }

// pingWait bounds Ping when its context does not: a readiness probe must answer within 2 seconds, and the rest is for
// whatever else it asks.
const pingWait = 1500 * time.Millisecond

// Ping reports whether the database answers now, within 1.5 seconds also when the server is frozen.
//
// It asks on a connection of its own. With every other connection taken, a database that answers is not down: were that
// told as one, a wave of slow calls would take all replicas out of service at once, and the calls that still end would
// have nowhere to go. Stats shows a pool that is used up.
func (db *DB) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingWait)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- db.ask(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return db.dialect.classify(ctx, "ping", ctx.Err())
	}
}

// ask asks on the connection of Ping, and once more on another when that one is gone: a server may end a connection and be
// well.
func (db *DB) ask(ctx context.Context) error {
	for last := false; ; last = true {
		var one int
		err := db.dialect.classify(ctx, "ping", db.probe.QueryRowContext(ctx, `SELECT 1`).Scan(&one))
		if last || !gone(err) || ctx.Err() != nil {
			return err
		}
	}
}

// Stats is how the connections are used: on SQLite those of the readers.
type Stats struct {
	InUse, Idle, Max int
	// Waits counts the times that somebody waited for a free connection, since the start.
	Waits int64
}

// Stats returns how the connections are used now.
func (db *DB) Stats() Stats {
	s := db.read.Stats()
	return Stats{InUse: s.InUse, Idle: s.Idle, Max: s.MaxOpenConnections, Waits: s.WaitCount}
}

// Close closes the connections that are idle now and the busy ones as they finish. Calling it again is harmless.
func (db *DB) Close() error {
	errRead := errors.Join(db.probe.Close(), db.read.Close())
	if err := db.write.Close(); err != nil {
		return db.dialect.classify(context.Background(), "close", err)
	}
	return db.dialect.classify(context.Background(), "close", errRead)
}
