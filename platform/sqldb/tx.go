package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// Tx is a transaction under way. It is used by one goroutine and only inside the function it was given to.
type Tx struct {
	ctx      context.Context
	db       *DB
	conn     *sql.Conn
	tx       *sql.Tx
	readOnly bool
	failed   error // the first statement error; see the package comment
	open     *Rows // a result not yet closed
	after    []func()
}

// Context returns the context the transaction was opened with.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Dialect returns the engine the transaction runs on.
func (tx *Tx) Dialect() Dialect { return tx.db.dialect }

// Exec runs a statement that returns no rows and returns the number of rows it changed.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	if err := tx.ready(args); err != nil {
		return 0, err
	}
	res, err := tx.tx.ExecContext(tx.ctx, query, args...)
	if err != nil {
		return 0, tx.fail("exec", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, tx.fail("exec", err)
	}
	return n, nil
}

// Query runs a statement that returns rows. The caller closes them, or reads them to the end.
func (tx *Tx) Query(query string, args ...any) (*Rows, error) {
	if err := tx.ready(args); err != nil {
		return nil, err
	}
	rows, err := tx.tx.QueryContext(tx.ctx, query, args...)
	if err != nil {
		return nil, tx.fail("query", err)
	}
	tx.open = &Rows{tx: tx, rows: rows}
	return tx.open, nil
}

// QueryRow runs a statement that returns at most one row of interest; the rest is dropped.
func (tx *Tx) QueryRow(query string, args ...any) *Row {
	rows, err := tx.Query(query, args...)
	return &Row{rows: rows, err: err}
}

// AfterCommit calls fn once the transaction is known to be committed, after DB.Tx is done with it. A process that dies
// in between never calls it, so it is for hints (wake somebody, drop a cache entry), not for work that must happen.
func (tx *Tx) AfterCommit(fn func()) { tx.after = append(tx.after, fn) }

// run calls fn and closes a result that it left open.
func (tx *Tx) run(fn func(*Tx) error) error {
	err := fn(tx)
	if tx.open != nil {
		tx.open.Close()
	}
	return err
}

// ready refuses statements that one of the engines would refuse.
func (tx *Tx) ready(args []any) error {
	if tx.failed != nil {
		return tx.failed
	}
	if tx.open != nil {
		return tx.fail("exec", errOpenRows)
	}
	if err := unfitArgs(args); err != nil {
		return tx.fail("argument", err)
	}
	return nil
}

func unfitArgs(args []any) error {
	for i, a := range args {
		if why := unfit(a); why != "" {
			return &invalidArg{fmt.Sprintf("$%d: %s", i+1, why)}
		}
	}
	return nil
}

var errOpenRows = &Error{Op: "exec", kind: errUnknown, note: "a result is still open: read it to the end or close it first"}

// fail classifies err and makes the first one the transaction's.
func (tx *Tx) fail(op string, err error) error {
	err = tx.db.dialect.classify(tx.ctx, op, err)
	if e, ok := err.(*Error); ok && e.columns != nil {
		e.Constraint = tx.constraintOver(e.table, e.columns)
	}
	if err != nil && tx.failed == nil {
		tx.failed = err
	}
	return err
}

// unfit says why a value can not be stored on both engines, or "".
func unfit(a any) string {
	switch v := a.(type) {
	case nil, int64, int, bool, []byte:
		return ""
	case string:
		return unfitText(v)
	case *invalidArg:
		return v.why
	case time.Time, *time.Time:
		return "a time: store Micros of it"
	case float64:
		if math.IsNaN(v) {
			return "not a number"
		}
		return ""
	case []string:
		for _, s := range v {
			if why := unfitText(s); why != "" {
				return why
			}
		}
		return ""
	}
	v := reflect.ValueOf(a)
	switch v.Kind() {
	case reflect.String:
		return unfitText(v.String())
	case reflect.Uint, reflect.Uint64, reflect.Uintptr:
		if v.Uint() > math.MaxInt64 {
			return "an unsigned integer above the signed range"
		}
	case reflect.Pointer:
		if !v.IsNil() {
			return unfit(v.Elem().Interface())
		}
	}
	return ""
}

func unfitText(s string) string {
	if !utf8.ValidString(s) {
		return "text that is not UTF-8"
	}
	if strings.IndexByte(s, 0) >= 0 {
		return "text with a NUL character"
	}
	return ""
}
