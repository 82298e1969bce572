package peertest

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync"

	"github.com/concord-suite/concord/platform/sqldb"
)

// Killer stands below a database handle and kills the process that uses it, as far as the database can tell: at one of
// its commits, which happens or does not, and from then on nothing gets through any more.
type Killer struct {
	mu      sync.Mutex
	commits int
	at      int
	after   bool
	dead    bool
}

var errKilled = errors.New("peertest: the process is dead")

// Option puts the killer below a handle.
func (k *Killer) Option() sqldb.Option {
	return sqldb.WithConnector(func(c driver.Connector) driver.Connector { return &killConnector{Connector: c, k: k} })
}

// Arm kills at the n-th commit from now on, after it happened or instead. n = 0 kills never. It counts from zero again.
func (k *Killer) Arm(n int, after bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.commits, k.at, k.after, k.dead = 0, n, after, false
}

// Dead tells whether it happened.
func (k *Killer) Dead() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dead
}

// Commits returns how many commits there were since Arm.
func (k *Killer) Commits() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.commits
}

func (k *Killer) alive() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dead {
		return errKilled
	}
	return nil
}

// commit tells whether a commit happens, and whether the process hears of it.
func (k *Killer) commit() (happens, heard bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dead {
		return false, false
	}
	k.commits++
	if k.commits == k.at {
		k.dead = true
		return k.after, false
	}
	return true, true
}

type killConnector struct {
	driver.Connector
	k *Killer
}

func (c *killConnector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &killConn{Conn: inner, k: c.k}, nil
}

type killConn struct {
	driver.Conn
	k *Killer
}

// Unwrap returns the driver's own connection.
func (c *killConn) Unwrap() driver.Conn { return c.Conn }

func (c *killConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if err := c.k.alive(); err != nil {
		return nil, err
	}
	inner, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	if err != nil || opts.ReadOnly {
		return inner, err
	}
	return &killTx{Tx: inner, k: c.k}, nil
}

func (c *killConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.k.alive(); err != nil {
		return nil, err
	}
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c *killConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.k.alive(); err != nil {
		return nil, err
	}
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c *killConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := c.k.alive(); err != nil {
		return nil, err
	}
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (c *killConn) ResetSession(ctx context.Context) error {
	if inner, ok := c.Conn.(driver.SessionResetter); ok {
		return inner.ResetSession(ctx)
	}
	return nil
}

func (c *killConn) IsValid() bool {
	if inner, ok := c.Conn.(driver.Validator); ok {
		return inner.IsValid()
	}
	return true
}

func (c *killConn) CheckNamedValue(v *driver.NamedValue) error {
	if inner, ok := c.Conn.(driver.NamedValueChecker); ok {
		return inner.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type killTx struct {
	driver.Tx
	k *Killer
}

func (t *killTx) Commit() error {
	happens, heard := t.k.commit()
	if !happens {
		_ = t.Tx.Rollback()
		return errKilled
	}
	if err := t.Tx.Commit(); err != nil || heard {
		return err
	}
	return errKilled
}
