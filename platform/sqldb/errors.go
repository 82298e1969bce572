package sqldb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// What an error of this package can match with errors.Is.
var (
	// ErrNotFound: a QueryRow found no row.
	ErrNotFound = errors.New("sqldb: not found")
	// ErrConflict: the change collides with other data, that is a unique or a foreign key.
	ErrConflict = errors.New("sqldb: conflict")
	// ErrInvalid: the value does not fit the column (type, length, range, CHECK, NOT NULL) or can not be stored.
	ErrInvalid = errors.New("sqldb: invalid value")
	// ErrBusy: not now; the same call may work later. The database is unreachable, out of connections or locked, or
	// retries were used up. Nothing was changed.
	ErrBusy = errors.New("sqldb: busy")
	// ErrOutcomeUnknown: the answer to COMMIT was lost; the change may have happened or not.
	ErrOutcomeUnknown = errors.New("sqldb: outcome unknown")
	// ErrDiskFull: there is no room left; nothing was changed.
	ErrDiskFull = errors.New("sqldb: disk full")
	// ErrReadOnly: the database can not be written: file permissions, a read-only disk, a standby server.
	ErrReadOnly = errors.New("sqldb: read-only")
)

// errUnknown is the kind of what is none of the above. It is not exported: callers can do nothing about it.
var errUnknown = errors.New("sqldb: failed")

// Error is what the database said, without what it said it about.
type Error struct {
	// Op is what was being done: "exec", "query", "scan", "begin", "commit", ...
	Op string
	// Constraint is the name of the violated unique index or key, or of the CHECK; for NOT NULL "table.column". The
	// same on both engines; empty for a foreign key, since SQLite does not tell which.
	Constraint string
	// Code is the SQLSTATE or the SQLite result code, for logs.
	Code string

	kind error // one of the Err values or errUnknown
	note string
	// detail is note with the server's address, or empty.
	detail string
	cause  error // a context error, or nil
	retry  bool  // the transaction may be run again at once
	lost   bool  // the connection is gone

	table   string   // SQLite names the columns of a violated unique key, not the key
	columns []string // see Tx.constraintOver
}

// Error returns the kind, the constraint and the code. It quotes no value.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.kind.Error())
	b.WriteString(" (")
	b.WriteString(e.Op)
	if e.Code != "" {
		b.WriteString(", code ")
		b.WriteString(e.Code)
	}
	if e.Constraint != "" {
		b.WriteString(", constraint ")
		b.WriteString(e.Constraint)
	}
	b.WriteString(")")
	if e.note != "" {
		b.WriteString(": ")
		b.WriteString(e.note)
	}
	return b.String()
}

// Words says what is wrong in plain words, for whoever runs the program. It names no address; Details may.
func (e *Error) Words() string {
	switch {
	case errors.Is(e.cause, context.DeadlineExceeded):
		return "it does not answer"
	case e.note != "":
		return e.note
	case e.kind == ErrBusy:
		return "it is busy, code " + e.Code
	}
	return e.Error()
}

// Details is Words for a log and for whoever runs a command: it may name the server by host and port, never user, password
// or database.
func (e *Error) Details() string {
	if e.detail != "" {
		return e.detail
	}
	return e.Words()
}

// Is reports whether e is of the kind that target, one of the Err values, stands for.
func (e *Error) Is(target error) bool { return e.kind == target }

// Unwrap returns the context's error when the call ended because of its context, else nil. The driver's error is not
// reachable.
func (e *Error) Unwrap() error { return e.cause }

// Constraint returns the name of the constraint that err is about, or "".
func Constraint(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Constraint
	}
	return ""
}

// invalidArg is an argument that one of the engines could not store.
type invalidArg struct{ why string }

func (a *invalidArg) Error() string { return a.why }

// classify turns what a driver said into an *Error; nil stays nil and an *Error stays what it is.
func (d Dialect) classify(ctx context.Context, op string, err error) error {
	var known *Error
	var arg *invalidArg
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.As(err, &arg):
		return &Error{Op: op, kind: ErrInvalid, note: arg.why}
	case errors.Is(err, sql.ErrNoRows):
		return &Error{Op: op, kind: ErrNotFound}
	case errors.Is(err, sql.ErrTxDone), errors.Is(err, sql.ErrConnDone):
		if ctx.Err() == nil {
			return &Error{Op: op, kind: errUnknown, note: "the transaction is over"}
		}
	}
	if cause := contextError(ctx, err); cause != nil {
		e := &Error{Op: op, kind: ErrBusy, note: cause.Error(), cause: cause, lost: d == Postgres}
		if errors.Is(cause, context.DeadlineExceeded) {
			e.detail = unreached(err)
		}
		return e
	}
	if e := classifyPostgres(op, err); e != nil {
		e.note = outdatedNote(e.note, err)
		return e
	}
	if e := classifySQLite(op, err); e != nil {
		return e
	}
	if note, detail := distrust(err); note != "" {
		return &Error{Op: op, kind: ErrBusy, note: outdatedNote(note, err), detail: outdatedNote(detail, err)}
	}
	if strings.Contains(err.Error(), "server refused TLS connection") { // the driver has no name for it
		return &Error{Op: op, kind: ErrBusy, note: "the server offers no TLS, which the database's URL asks for (sslmode)"}
	}
	if connectionLost(err) {
		e := &Error{Op: op, kind: ErrBusy, note: outdatedNote("no connection to the database", err), retry: true, lost: true}
		if at := unreached(err); at != "" {
			e.detail = outdatedNote(at, err)
		}
		return e
	}
	if text := err.Error(); strings.HasPrefix(text, "sql: ") {
		return &Error{Op: op, kind: errUnknown, note: scanNote(text)}
	}
	return &Error{Op: op, kind: errUnknown, note: fmt.Sprintf("unclassified %T", err)}
}

// contextError returns the context's error when err is, or came from, the end of ctx.
func contextError(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	for _, c := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, c) {
			return c
		}
	}
	return nil
}

func connectionLost(err error) bool {
	var network net.Error
	var connecting *pgconn.ConnectError
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.As(err, &network) || errors.As(err, &connecting) ||
		pgconn.SafeToRetry(err) // nothing was sent: the connection had ended before
}

// distrust says why the server's certificate was refused, in detail also which names it has; "" when it was not.
func distrust(err error) (note, detail string) {
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var other *tls.CertificateVerificationError
	switch {
	case errors.As(err, &name):
		note = "the certificate of the server is for another name than the database's URL has"
		return note, fmt.Sprintf("the certificate of the server is for %s, not for %s: correct the host in the database's URL, or the certificate",
			named(name.Certificate), name.Host)
	case errors.As(err, &authority):
		note = "the certificate of the server is by an authority that is not known (sslrootcert in the database's URL)"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		note = "the certificate of the server has expired, or does not count yet"
	case errors.As(err, &invalid), errors.As(err, &other):
		note = "the certificate of the server is not trusted (sslrootcert, sslmode)"
	}
	return note, note
}

// named lists whom a certificate is for.
func named(c *x509.Certificate) string {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	const most = 5 // more help nobody
	switch {
	case len(names) == 0:
		return "no host"
	case len(names) > most:
		names = append(names[:most], "…")
	}
	return strings.Join(names, ", ")
}

// scanNote keeps of database/sql's complaint what it says about the column; the rest quotes the value.
func scanNote(text string) string {
	if head, _, ok := strings.Cut(text, ": converting"); ok {
		return head
	}
	if strings.HasPrefix(text, "sql: Scan error on column") {
		head, _, _ := strings.Cut(strings.TrimPrefix(text, "sql: "), ":")
		return head
	}
	return text
}
