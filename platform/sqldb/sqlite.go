package sqldb

import (
	"container/list"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// parseURL splits a database URL into the engine and what the engine's driver needs.
func parseURL(raw string) (engine Dialect, rest string, err error) {
	switch scheme, path, _ := strings.Cut(raw, ":"); scheme {
	case "sqlite":
		path = strings.TrimPrefix(path, "//")
		if path == "" || strings.HasPrefix(path, ":") || strings.Contains(path, "?") {
			return "", "", errors.New("sqldb: a SQLite URL is sqlite: and the path of a file, without options")
		}
		return SQLite, path, nil
	case "postgres", "postgresql":
		return Postgres, raw, nil
	}
	return "", "", errors.New(`sqldb: a database URL starts with "sqlite:" or "postgres://"`)
}

// sqliteConnectors returns the connectors of the writing and of the reading pool.
//
// The settings are correctness, not tuning. Of 320 read-then-write transactions on 16 goroutines 303 fail with the
// default transactions, 41 with immediate ones that wait 100 ms, none with these.
func sqliteConnectors(path string) (writer, reader driver.Connector, err error) {
	if err := touch(path); err != nil {
		return nil, nil, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, nil, fmt.Errorf("sqldb: %w", err)
	}
	base := (&url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}).String() +
		"?_pragma=busy_timeout(5000)" + // another process may hold the file: a command, a backup
		"&_pragma=foreign_keys(1)" + // off by default in SQLite
		"&_pragma=journal_mode(WAL)" + // readers do not wait for the writer
		"&_pragma=synchronous(FULL)" + // a committed transaction survives a power cut
		"&_dqs=0" // "text" in double quotes is a mistake, not a string
	if writer, err = sqlite.NewConnector(base + "&_txlock=immediate"); err != nil {
		return nil, nil, fmt.Errorf("sqldb: the path %s can not be used for a database", path)
	}
	if reader, err = sqlite.NewConnector(base + "&_pragma=query_only(1)"); err != nil {
		return nil, nil, fmt.Errorf("sqldb: the path %s can not be used for a database", path)
	}
	return preparing{writer}, preparing{reader}, nil
}

// touch makes the file, for its owner's eyes only, and says in words why it can not. SQLite gives the files it puts
// beside it the same permissions.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	switch {
	case err == nil:
		return f.Close()
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("sqldb: the directory %s does not exist", filepath.Dir(path))
	}
	var cause *fs.PathError
	if errors.As(err, &cause) {
		err = cause.Err
	}
	return &Error{Op: "open", kind: ErrReadOnly, note: fmt.Sprintf("the file %s can not be written: %v", path, err)}
}

const noRoom = "no room left on the disk of the database"

// classifySQLite returns what a SQLite result code means, or nil when err is none.
func classifySQLite(op string, err error) *Error {
	var driverErr *sqlite.Error
	if !errors.As(err, &driverErr) {
		return nil
	}
	code := driverErr.Code()
	e := &Error{Op: op, Code: "SQLITE_" + strconv.Itoa(code), kind: errUnknown}
	switch code & 0xff { // the low byte is the primary code
	case sqlite3.SQLITE_CONSTRAINT:
		sqliteConstraint(e, code, driverErr.Error())
	case sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		e.kind = ErrInvalid
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		e.kind, e.retry = ErrBusy, true
	case sqlite3.SQLITE_FULL:
		e.kind, e.note = ErrDiskFull, noRoom
	case sqlite3.SQLITE_READONLY:
		e.kind = ErrReadOnly
	case sqlite3.SQLITE_CANTOPEN:
		e.kind, e.note = ErrReadOnly, "the database file or one beside it can not be opened"
	case sqlite3.SQLITE_NOTADB:
		e.note = "the file is not a database"
	case sqlite3.SQLITE_CORRUPT:
		e.note = "the database file is damaged"
	case sqlite3.SQLITE_IOERR:
		e.note = "the disk failed to read or write"
		if code == sqlite3.SQLITE_IOERR_SHMSIZE { // the one file of SQLite's for which it does not say FULL
			e.kind, e.note = ErrDiskFull, noRoom
		}
	case sqlite3.SQLITE_ERROR:
		e.note = sqlComplaint(driverErr.Error())
	}
	return e
}

func sqliteConstraint(e *Error, code int, text string) {
	text = strings.TrimSuffix(text, fmt.Sprintf(" (%d)", code))
	_, what, _ := strings.Cut(text, "constraint failed: ")
	if _, inner, ok := strings.Cut(what, "constraint failed: "); ok {
		what = inner
	}
	switch code {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		e.kind = ErrConflict
		if name, ok := strings.CutPrefix(what, "index "); ok { // an index over expressions is named
			e.Constraint = strings.Trim(name, "'")
			return
		}
		for _, c := range strings.Split(what, ", ") {
			table, column, _ := strings.Cut(c, ".")
			e.table, e.columns = table, append(e.columns, column)
		}
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		e.kind = ErrConflict
	case sqlite3.SQLITE_CONSTRAINT_CHECK, sqlite3.SQLITE_CONSTRAINT_NOTNULL:
		e.kind, e.Constraint = ErrInvalid, what
	default:
		e.kind = ErrInvalid
	}
}

// sqlComplaint keeps what SQLite says about the text of a statement. Other messages of the same code may quote values.
func sqlComplaint(text string) string {
	text = strings.TrimPrefix(text, "SQL logic error: ")
	for _, start := range []string{"no such ", "near ", "table ", "ambiguous column", "cannot start a transaction"} {
		if strings.HasPrefix(text, start) {
			return text
		}
	}
	return ""
}

// constraintOver finds the name of the unique index over columns, as PostgreSQL would report it: an index by its name,
// the primary key as <table>_pkey, a UNIQUE of the table definition as <table>_<columns>_key.
func (tx *Tx) constraintOver(table string, columns []string) string {
	rows, err := tx.tx.QueryContext(tx.ctx, `SELECT i.name, i.origin, coalesce(c.name, '') FROM pragma_index_list($1) i
		JOIN pragma_index_info(i.name) c ON true WHERE i."unique" = 1 ORDER BY i.seq, c.seqno`, table)
	if err != nil {
		return ""
	}
	defer rows.Close()
	type index struct {
		name, origin string
		columns      []string
	}
	var all []index
	for rows.Next() {
		var name, origin, column string
		if rows.Scan(&name, &origin, &column) != nil {
			return ""
		}
		if len(all) == 0 || all[len(all)-1].name != name {
			all = append(all, index{name: name, origin: origin})
		}
		all[len(all)-1].columns = append(all[len(all)-1].columns, column)
	}
	for _, ix := range all {
		if !slices.Equal(ix.columns, columns) {
			continue
		}
		switch ix.origin {
		case "pk":
			return table + "_pkey"
		case "u":
			return table + "_" + strings.Join(columns, "_") + "_key"
		}
		return ix.name
	}
	return table + "_pkey" // an integer primary key has no index of its own
}

// SQLite compiles a statement each time it is run as text, which takes as long as running it. A connection of ours keeps
// the statements it ran last, compiled. SQLite compiles them anew by itself when the schema changed.

const (
	// keptStatements is how many a connection keeps: a service has some dozens that it runs often. Each takes some 10 KiB.
	keptStatements = 64
	// keptLength leaves out what is generated, and would be another text the next time.
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

// worthKeeping tells whether a text is one statement that reads or changes rows, and is no bulk insert: of these there are as
// many texts as there are numbers of rows, and keeping them pushes out those that are run often. They alone have bare
// question marks for parameters, see insertRows.
func worthKeeping(text string) bool {
	if len(text) > keptLength || strings.ContainsAny(text, ";?") {
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
