package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	// maxAttempts bounds how often DB.Tx runs fn. Sixteen writers on one row need about as many attempts as there are
	// writers; more than twice that means something else is wrong.
	maxAttempts = 50
	// retryFor bounds the time in which attempts are started. Callers of an RPC have given up by then.
	retryFor = 10 * time.Second
	// commitGrace is what COMMIT and ROLLBACK get when the caller's context ends while they run: enough for a slow
	// disk, and the answer is worth having.
	commitGrace = 500 * time.Millisecond
)

// TxOption changes one call of DB.Tx.
type TxOption func(*sql.TxOptions)

// ReadCommitted lets each statement see what others have committed by then, on PostgreSQL. It is for transactions that
// guard what they read by row or advisory locks, or whose single statement is the whole of it; they never need to be
// run again for another's sake. On SQLite it changes nothing.
func ReadCommitted(o *sql.TxOptions) { o.Isolation = sql.LevelReadCommitted }

// Tx runs fn in a write transaction and commits it when fn returns nil; any error rolls back and is returned as it is.
//
// fn is run again, up to 50 times within 10 seconds, when the database asks for it: a serialization failure, a
// deadlock, a locked SQLite file, a connection lost before COMMIT. When that is not enough the error matches ErrBusy.
// fn must therefore be re-runnable and must not call DB.Tx itself (on SQLite that waits for itself, 10 seconds long).
// The transaction ends with the end of ctx.
func (db *DB) Tx(ctx context.Context, fn func(tx *Tx) error, opts ...TxOption) error {
	o := sql.TxOptions{Isolation: sql.LevelSerializable}
	for _, opt := range opts {
		opt(&o)
	}
	if db.dialect == SQLite {
		o.Isolation = sql.LevelDefault // which is serializable; the driver knows no other by name
	}
	hooks := hooksOf(ctx)
	bounded, cancel := context.WithTimeout(ctx, retryFor)
	defer cancel()
	for attempt := 1; ; attempt++ {
		again, err := db.once(ctx, db.write, o, fn, hooks)
		if !again || attempt == maxAttempts {
			return err
		}
		if !pause(bounded, attempt) {
			return err
		}
	}
}

// Read runs fn in a transaction that sees one consistent state of the database and can not write. It is not held up by
// writers. It is not run again, so fn may stream what it reads; a connection that was found to be gone before fn began is
// replaced.
func (db *DB) Read(ctx context.Context, fn func(tx *Tx) error) error {
	o := sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	if db.dialect == SQLite {
		o.Isolation = sql.LevelDefault
	}
	began := false
	once := func(tx *Tx) error {
		began = true
		return fn(tx)
	}
	for attempt := 1; ; attempt++ {
		again, err := db.once(ctx, db.read, o, once, nil)
		if !again || began || !gone(err) || attempt == maxAttempts {
			return err
		}
	}
}

// pause waits before the next attempt, a random time up to 2 ms, 4 ms, 8 ms ... 100 ms, so that those who collided do
// not collide again. It reports false when ctx ended instead.
func pause(ctx context.Context, attempt int) bool {
	limit := min(time.Millisecond<<min(attempt, 10), 100*time.Millisecond)
	t := time.NewTimer(rand.N(limit))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// once acquires a connection and runs fn in one transaction on it.
func (db *DB) once(ctx context.Context, pool *sql.DB, o sql.TxOptions, fn func(*Tx) error, hooks *hook) (again bool, err error) {
	conn, err := db.acquire(ctx, pool)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	return db.attempt(ctx, conn, o, fn, hooks)
}

// attempt runs fn in one transaction. again says that nothing was changed and another attempt may succeed.
func (db *DB) attempt(ctx context.Context, conn *sql.Conn, o sql.TxOptions, fn func(*Tx) error, hooks *hook) (again bool, err error) {
	// The driver's transaction outlives ctx by commitGrace, so that the answer to COMMIT is waited for.
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(commitGrace, cancel) })()
	begun, err := conn.BeginTx(inner, &o)
	if err != nil {
		discardConn(conn)
		err = db.dialect.classify(ctx, "begin", err)
		return retryable(err), err
	}
	doubt := true // a panic in fn, an error of COMMIT: nobody else gets this connection
	defer func() {
		if doubt {
			_ = begun.Rollback() // the connection can not be discarded while a transaction has it
			discardConn(conn)
		}
	}()
	tx := &Tx{ctx: ctx, db: db, conn: conn, tx: begun, readOnly: o.ReadOnly}
	var claimed []*hook
	defer func() { release(claimed) }()
	if err = tx.run(fn); err == nil {
		claimed, err = tx.runHooks(hooks)
	}
	if err == nil {
		err = tx.failed
	}
	if err == nil {
		err = db.dialect.classify(ctx, "commit", ctx.Err())
	}
	if err != nil {
		doubt = begun.Rollback() != nil
		return retryable(tx.failed) || retryable(err), err
	}
	if err := db.commit(ctx, begun); err != nil {
		return retryable(err), err
	}
	doubt = false
	committed(claimed)
	claimed = nil
	for _, fn := range tx.after {
		fn()
	}
	return false, nil
}

// discardConn takes a connection out of circulation; it ends when it is closed.
func discardConn(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

// acquire takes a connection out of the pool, waiting acquireWait at most.
func (db *DB) acquire(ctx context.Context, pool *sql.DB) (*sql.Conn, error) {
	bounded, cancel := context.WithTimeout(ctx, acquireWait)
	defer cancel()
	conn, err := pool.Conn(bounded)
	if err == nil {
		return conn, nil
	}
	if ctx.Err() == nil && bounded.Err() != nil {
		return nil, &Error{Op: "connect", kind: ErrBusy, note: "no connection within 10 s"}
	}
	return nil, db.dialect.classify(ctx, "connect", err)
}

// commit commits and tells three outcomes apart: done, refused by the database, and not known.
func (db *DB) commit(ctx context.Context, begun *sql.Tx) error {
	err := begun.Commit()
	if err == nil {
		return nil
	}
	// Without the caller's context: whether it ended meanwhile says nothing about what COMMIT did.
	err = db.dialect.classify(context.WithoutCancel(ctx), "commit", err)
	var e *Error
	if errors.As(err, &e) && (e.lost || e.cause != nil || e.kind == errUnknown) {
		return &Error{Op: "commit", Code: e.Code, kind: ErrOutcomeUnknown, note: "the answer to COMMIT was lost", cause: e.cause}
	}
	return err
}

// gone tells whether the connection had ended.
func gone(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.lost
}

func retryable(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.retry
}
