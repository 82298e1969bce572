package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// parsePostgres reads a postgres:// URL, and the files that it names. What the URL sets itself stands.
func parsePostgres(url string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, unusable(url, err)
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	for name, value := range map[string]string{
		"application_name": "concord",
		"timezone":         "UTC",
		// A process that froze inside a transaction holds its locks until the server ends it. No transaction of ours
		// is quiet for a minute.
		"idle_in_transaction_session_timeout": "60s",
	} {
		if _, set := cfg.RuntimeParams[name]; !set {
			cfg.RuntimeParams[name] = value
		}
	}
	return cfg, nil
}

// namedFiles are the parameters of a URL that name files, each with what the driver says of one with the wrong content. It has
// no name for these.
var namedFiles = []struct{ parameter, said, wrong string }{
	{"sslrootcert", "unable to add CA to cert pool", "which holds no certificate in PEM"},
	{"sslkey", "failed to decode sslkey", "which holds no key in PEM"},
	{"sslcert", "unable to load cert", "which holds no certificate in PEM, or not that of sslkey"},
}

// unusable says why a URL is of no use. The parser's own message quotes it, password and all; of the URL only the path of a
// file is repeated.
func unusable(text string, err error) error {
	_, query, _ := strings.Cut(text, "?")
	given, _ := url.ParseQuery(query) // what can be read of it
	var file *fs.PathError
	unread := errors.As(err, &file)
	for _, f := range namedFiles {
		path := given.Get(f.parameter)
		switch {
		case path == "": // or it is named by a variable of PostgreSQL's own
		case unread && path == file.Path:
			return fmt.Errorf("database_url names %s (%s), which cannot be read: %w", path, f.parameter, file.Err)
		case !unread && strings.Contains(err.Error(), f.said):
			return fmt.Errorf("database_url names %s (%s), %s", path, f.parameter, f.wrong)
		}
	}
	if unread {
		return fmt.Errorf("database_url needs the file %s, which cannot be read: %w", file.Path, file.Err)
	}
	return errors.New("database_url is not a valid postgres:// URL")
}

// postgresConnector returns the connector for a postgres:// URL, which latest, if there is one, may replace at any time.
func postgresConnector(url string, latest func() (string, error)) (driver.Connector, error) {
	cfg, err := parsePostgres(url)
	if err != nil {
		return nil, err
	}
	if latest == nil {
		latest = func() (string, error) { return url, nil }
	}
	a := &address{latest: latest, url: url, cfg: cfg}
	return &following{address: a, Connector: stdlib.GetConnector(*cfg, stdlib.OptionBeforeConnect(a.before), stdlib.OptionResetSession(a.reset))}, nil
}

// address is where a PostgreSQL database is and how one gets in, which may change.
type address struct {
	latest func() (string, error)

	mu  sync.Mutex
	url string
	cfg *pgx.ConnConfig // of url
	// turn counts the URLs; proven is that of the last by which a connection came about.
	turn, proven int
	unfit        string // why what latest says now does not count
}

// turnKey marks a connection with the turn of its URL.
const turnKey = "concord.turn"

// before gives a connection that is about to be made the URL of now. The files that a URL names are read each time.
func (a *address) before(_ context.Context, cfg *pgx.ConnConfig) error {
	url, err := a.latest()
	var now *pgx.ConnConfig
	if engine, _, wrong := parseURL(url); err == nil && (wrong != nil || engine != Postgres) {
		err = errors.New("it is not a valid postgres:// URL")
	} else if err == nil {
		now, err = parsePostgres(url)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unfit = ""
	switch {
	case err != nil:
		a.unfit = err.Error()
	case url != a.url:
		a.url, a.turn, a.cfg = url, a.turn+1, now
	default:
		a.cfg = now
	}
	*cfg = *a.cfg
	turn := a.turn
	cfg.AfterConnect = func(_ context.Context, conn *pgconn.PgConn) error {
		conn.CustomData()[turnKey] = turn
		a.mu.Lock()
		defer a.mu.Unlock()
		a.proven = max(a.proven, turn)
		return nil
	}
	return nil
}

// reset takes a connection out of use that was made by a URL of before: its server may be another one by now.
func (a *address) reset(_ context.Context, conn *pgx.Conn) error {
	turn, _ := conn.PgConn().CustomData()[turnKey].(int)
	a.mu.Lock()
	defer a.mu.Unlock()
	if turn < a.proven {
		return driver.ErrBadConn
	}
	return nil
}

// following is a connector that says, beside why no connection came about, why it did not try the newest URL.
type following struct {
	driver.Connector
	address *address
}

// Connect implements driver.Connector.
func (f *following) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := f.Connector.Connect(ctx)
	if err == nil {
		return conn, nil
	}
	f.address.mu.Lock()
	defer f.address.mu.Unlock()
	if f.address.unfit != "" {
		return nil, &outdated{err, f.address.unfit}
	}
	return nil, err
}

// outdated is the error of a connection by a URL that is not the newest.
type outdated struct {
	error
	why string
}

// Unwrap returns the error itself.
func (o *outdated) Unwrap() error { return o.error }

// outdatedNote adds to a note what an error says about the newest URL.
func outdatedNote(note string, err error) string {
	var o *outdated
	if !errors.As(err, &o) {
		return note
	}
	return strings.TrimPrefix(note+"; the URL that is given now does not count: "+o.why, "; ")
}

// unreached says at which address no server was reached, why, and what to do; "" when err is of no attempt to connect.
func unreached(err error) string {
	var attempt *pgconn.ConnectError
	if !errors.As(err, &attempt) {
		return ""
	}
	servers := []string{}
	add := func(host string, port uint16) {
		if _, server := pgconn.NetworkAddress(host, port); !slices.Contains(servers, server) { // each is tried with TLS and without
			servers = append(servers, server)
		}
	}
	add(attempt.Config.Host, attempt.Config.Port)
	for _, f := range attempt.Config.Fallbacks {
		add(f.Host, f.Port)
	}
	why, do := refusals(err)
	return fmt.Sprintf("no connection to the database at %s%s: %s", strings.Join(servers, ", "), why, do)
}

// refusals says why servers were not reached, and what to do about it.
func refusals(err error) (why, do string) {
	var name *net.DNSError
	var network net.Error
	var reasons []string
	note := func(is bool, reason, advice string) {
		if is {
			reasons, do = append(reasons, reason), advice
		}
	}
	resolves := !errors.As(err, &name)
	note(!resolves && name.IsNotFound, "no such host", "correct the host in the database's URL")
	note(!resolves && !name.IsNotFound, "its name cannot be looked up", "see that the name service answers")
	note(errors.Is(err, syscall.ECONNREFUSED), "refused", "see that the server runs, and listens there")
	note(errors.Is(err, syscall.ENOENT), "no such socket", "see that the server runs, and has its socket there")
	note(errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH), "no route", "correct the host in the database's URL, or the network")
	note(resolves && (errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout()),
		"timed out", "see that the server runs, and that no firewall or network policy keeps it away")
	if len(reasons) != 1 {
		do = "see that the server runs, and that the database's URL has its address"
	}
	if len(reasons) > 0 {
		why = " (" + strings.Join(reasons, ", ") + ")"
	}
	return why, do
}

// classifyPostgres returns what a SQLSTATE means, or nil when err carries none. The codes are those of the PostgreSQL
// manual, appendix A.
func classifyPostgres(op string, err error) *Error {
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg):
	case errors.Is(err, pgx.ErrTxCommitRollback):
		return &Error{Op: op, kind: ErrBusy, note: "the server rolled the transaction back"}
	case strings.HasPrefix(err.Error(), "failed to encode args["):
		return &Error{Op: op, kind: ErrInvalid, note: "an argument does not fit the type of its parameter"}
	default:
		return nil
	}
	e := &Error{Op: op, Code: pg.Code, kind: errUnknown}
	switch pg.Code {
	case "23505", "23P01": // unique, exclusion
		e.kind, e.Constraint = ErrConflict, pg.ConstraintName
	case "23503", "23001": // foreign key
		e.kind = ErrConflict
	case "23514": // check
		e.kind, e.Constraint = ErrInvalid, pg.ConstraintName
	case "23502": // not null
		e.kind, e.Constraint = ErrInvalid, pg.TableName+"."+pg.ColumnName
	case "40001", "40P01": // serialization failure, deadlock
		e.kind, e.retry = ErrBusy, true
	case "25006": // read-only transaction
		e.kind = ErrReadOnly
	case "53100":
		e.kind, e.note = ErrDiskFull, "no room left on the disk of the database server"
	case "53200", "53300", "53400", "55P03", "57014": // memory, connections, limits, lock timeout, canceled
		e.kind = ErrBusy
	case "57P01", "57P02", "57P03", "57P05", "25P03": // shutdown, crash, starting up, idle for too long
		e.kind, e.retry, e.lost = ErrBusy, true, true
	case "3D000":
		e.note = "there is no such database on the server"
	case "28000", "28P01":
		e.kind, e.note = ErrBusy, "the server refuses the user or its password: correct them in the database's URL"
	default:
		classifyPostgresClass(e, pg)
	}
	return e
}

func classifyPostgresClass(e *Error, pg *pgconn.PgError) {
	switch pg.Code[:min(2, len(pg.Code))] {
	case "08": // connection exception
		e.kind, e.retry, e.lost = ErrBusy, true, true
	case "22": // data exception
		e.kind = ErrInvalid
	case "42": // the statement itself; the message quotes names and SQL, both ours
		e.note = pg.Message
	}
}
