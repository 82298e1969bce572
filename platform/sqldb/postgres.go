package sqldb

import (
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgresConnector returns the connector for a postgres:// URL. What the URL sets itself stands.
func postgresConnector(url string) (driver.Connector, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		// The parser's own message quotes the URL, password and all.
		return nil, errors.New("sqldb: the database URL is not a valid postgres:// URL")
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
	return stdlib.GetConnector(*cfg), nil
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
		e.note = "the server refuses the user or its password"
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
