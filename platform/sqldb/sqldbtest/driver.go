package sqldbtest

import (
	"context"
	"database/sql/driver"
)

// connector, conn and tx stand between database/sql and a driver and ask Faults before they pass a call on.
type connector struct {
	driver.Connector
	faults *Faults
}

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := c.faults.hang(ctx); err != nil {
		return nil, err
	}
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: inner, faults: c.faults}, nil
}

type conn struct {
	driver.Conn
	faults *Faults
}

// Unwrap returns the driver's own connection.
func (c *conn) Unwrap() driver.Conn { return c.Conn }

func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if err := c.faults.hang(ctx); err != nil {
		return nil, err
	}
	inner, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &tx{Tx: inner, faults: c.faults, ctx: ctx, readOnly: opts.ReadOnly}, nil
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.faults.before(ctx, query); err != nil {
		return nil, err
	}
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.faults.before(ctx, query); err != nil {
		return nil, err
	}
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := c.faults.before(ctx, query); err != nil {
		return nil, err
	}
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (c *conn) Ping(ctx context.Context) error {
	if err := c.faults.hang(ctx); err != nil {
		return err
	}
	return c.Conn.(driver.Pinger).Ping(ctx)
}

func (c *conn) ResetSession(ctx context.Context) error {
	if inner, ok := c.Conn.(driver.SessionResetter); ok {
		return inner.ResetSession(ctx)
	}
	return nil
}

func (c *conn) IsValid() bool {
	if inner, ok := c.Conn.(driver.Validator); ok {
		return inner.IsValid()
	}
	return true
}

func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	if inner, ok := c.Conn.(driver.NamedValueChecker); ok {
		return inner.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

// tx keeps the context it was begun with: that is the one a driver heeds in Commit.
type tx struct {
	driver.Tx
	faults   *Faults
	ctx      context.Context
	readOnly bool
}

func (t *tx) Commit() error {
	f := t.faults
	if !t.readOnly {
		f.committing(t.ctx, false)
	}
	if err := f.hang(t.ctx); err != nil {
		return err
	}
	switch {
	case t.readOnly: // there is nothing to lose
	case f.take(&f.refuse):
		_ = t.Tx.Rollback()
		return errRefused
	case f.take(&f.lose):
		_ = t.Tx.Rollback()
		return errLost
	case f.take(&f.commitLose):
		if err := t.Tx.Commit(); err != nil {
			return err
		}
		f.committing(t.ctx, true)
		return errLost
	}
	err := t.Tx.Commit()
	if err == nil && !t.readOnly {
		f.committing(t.ctx, true)
	}
	return err
}
