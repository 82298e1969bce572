package sqldb

import (
	"container/list"
	"context"
	"database/sql/driver"
	"strings"
)

// SQLite compiles a statement each time it is run as text, which takes as long as running it. A connection of ours keeps
// the statements it ran last, compiled. SQLite compiles them anew by itself when the schema changed.

const (
	// keptStatements is how many a connection keeps: a service has some dozens that it runs often. Each takes some 10 KiB.
	keptStatements = 64
	// keptLength leaves out the long statements of bulk inserts, whose texts differ with the number of rows.
	keptLength = 4 << 10
)

// preparing is a connector whose connections keep compiled statements.
type preparing struct{ driver.Connector }

// Connect implements driver.Connector.
func (p preparing) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &preparedConn{Conn: inner, kept: map[string]*list.Element{}}, nil
}

// preparedConn is used by one goroutine at a time, as every connection is.
type preparedConn struct {
	driver.Conn
	kept  map[string]*list.Element // of *prepared, by text
	order list.List                // the one used last comes first
}

// prepared is a compiled statement. It is busy while somebody reads its rows.
type prepared struct {
	text string
	stmt driver.Stmt
	busy bool
}

// Unwrap returns the driver's own connection.
func (c *preparedConn) Unwrap() driver.Conn { return c.Conn }

// worthKeeping tells whether a text is one statement that reads or changes rows.
func worthKeeping(text string) bool {
	if len(text) > keptLength || strings.IndexByte(text, ';') >= 0 {
		return false
	}
	word, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	switch strings.ToUpper(word) {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "WITH":
		return true
	}
	return false
}

// take returns the compiled statement of a text, or nil when it has to be run as text.
func (c *preparedConn) take(ctx context.Context, text string) (*prepared, error) {
	if e, ok := c.kept[text]; ok {
		c.order.MoveToFront(e)
		if p := e.Value.(*prepared); !p.busy {
			return p, nil
		}
		return nil, nil
	}
	if !worthKeeping(text) {
		return nil, nil
	}
	stmt, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	p := &prepared{text: text, stmt: stmt}
	c.kept[text] = c.order.PushFront(p)
	if oldest := c.order.Back(); c.order.Len() > keptStatements && !oldest.Value.(*prepared).busy {
		c.drop(oldest)
	}
	return p, nil
}

func (c *preparedConn) drop(e *list.Element) {
	p := c.order.Remove(e).(*prepared)
	delete(c.kept, p.text)
	_ = p.stmt.Close()
}

// ExecContext implements driver.ExecerContext.
func (c *preparedConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	p, err := c.take(ctx, text)
	switch {
	case err != nil:
		return nil, err
	case p == nil:
		return c.Conn.(driver.ExecerContext).ExecContext(ctx, text, args)
	}
	return p.stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

// QueryContext implements driver.QueryerContext.
func (c *preparedConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	p, err := c.take(ctx, text)
	switch {
	case err != nil:
		return nil, err
	case p == nil:
		return c.Conn.(driver.QueryerContext).QueryContext(ctx, text, args)
	}
	rows, err := p.stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	p.busy = true
	return &preparedRows{Rows: rows, of: p}, nil
}

// preparedRows gives the statement back when they are closed.
type preparedRows struct {
	driver.Rows
	of *prepared
}

// Close implements driver.Rows.
func (r *preparedRows) Close() error {
	err := r.Rows.Close()
	r.of.busy = false
	return err
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *preparedConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, text)
}

// BeginTx implements driver.ConnBeginTx.
func (c *preparedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
}

// Ping implements driver.Pinger.
func (c *preparedConn) Ping(ctx context.Context) error { return c.Conn.(driver.Pinger).Ping(ctx) }

// ResetSession implements driver.SessionResetter.
func (c *preparedConn) ResetSession(ctx context.Context) error {
	return c.Conn.(driver.SessionResetter).ResetSession(ctx)
}

// IsValid implements driver.Validator.
func (c *preparedConn) IsValid() bool { return c.Conn.(driver.Validator).IsValid() }

// Close implements driver.Conn.
func (c *preparedConn) Close() error {
	for c.order.Len() > 0 {
		c.drop(c.order.Back())
	}
	return c.Conn.Close()
}
