package sqldb

import (
	"context"
	"database/sql"
)

// Rows is the result of a query, one row at a time: Next, Scan, ..., then Err.
type Rows struct {
	tx   *Tx
	rows *sql.Rows
	err  error
}

// Next moves to the next row and reports whether there is one. After the last one, or an error, the result is closed.
func (r *Rows) Next() bool {
	if r.err != nil {
		return false
	}
	if r.rows.Next() {
		return true
	}
	r.Close()
	return false
}

// Scan copies the columns of the row into dest, in order. An error is also reported by Err.
func (r *Rows) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	if err := r.rows.Scan(dest...); err != nil {
		r.err = r.tx.fail("scan", err)
		r.Close()
	}
	return r.err
}

// Err returns the error that ended the result early, or nil. A loop over Next that does not ask it takes half a result
// for a whole one.
func (r *Rows) Err() error { return r.err }

// Close ends the result; rows not yet read are dropped. It is called by Next at the end and may be called again.
func (r *Rows) Close() {
	if r.rows == nil {
		return
	}
	err := r.rows.Err()
	if closeErr := r.rows.Close(); err == nil {
		err = closeErr
	}
	r.rows = nil
	if r.tx.open == r {
		r.tx.open = nil
	}
	if err != nil && r.err == nil {
		r.err = r.tx.fail("query", err)
	}
}

// Row is the result of QueryRow.
type Row struct {
	rows *Rows
	err  error

	db     *DB // instead of rows, for a query outside any transaction
	ctx    context.Context
	single *sql.Row
}

// QueryRow reads at most one row by one statement, without a transaction around it: a third of the round trips of
// Read, for lookups made on every request. One statement sees one state anyway. It must not write, which SQLite refuses
// and PostgreSQL does not.
func (db *DB) QueryRow(ctx context.Context, query string, args ...any) *Row {
	if err := unfitArgs(args); err != nil {
		return &Row{err: db.dialect.classify(ctx, "argument", err)}
	}
	return &Row{db: db, ctx: ctx, single: db.read.QueryRowContext(ctx, query, args...)}
}

// Scan copies the columns of the row into dest. Without a row the error matches ErrNotFound, which does not fail the
// transaction.
func (r *Row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	if r.single != nil {
		return r.db.dialect.classify(r.ctx, "query", r.single.Scan(dest...))
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return &Error{Op: "query", kind: ErrNotFound}
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

// Collect reads a whole result into a slice, one element per row, for results known to be small:
//
//	names, err := sqldb.Collect(tx, func(r *sqldb.Rows) (s string, err error) { return s, r.Scan(&s) },
//		`SELECT name FROM firms WHERE id = $1`, id)
func Collect[T any](tx *Tx, scan func(*Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}
