package sqldb

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"iter"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// CopyIn adds rows to table and returns how many. Rows are pulled one by one, so their number does not matter to
// memory. On PostgreSQL it is one COPY, on SQLite INSERTs of many rows each. Every row holds one value per column.
//
// Values go in as they are: on PostgreSQL COPY converts nothing, so an integer column takes Go integers, a text column
// strings, a bytea column []byte. A row that collides fails the transaction; to merge, copy into a staging table and
// INSERT ... SELECT ... ON CONFLICT from there. rows must not use tx.
func (tx *Tx) CopyIn(table string, columns []string, rows iter.Seq[[]any]) (int64, error) {
	if err := tx.ready(nil); err != nil {
		return 0, err
	}
	if tx.readOnly {
		return 0, tx.fail("copy", &Error{Op: "copy", kind: ErrReadOnly})
	}
	if tx.Dialect() == Postgres {
		return tx.copyPostgres(table, columns, rows)
	}
	return tx.copySQLite(table, columns, rows)
}

// source feeds COPY from an iterator.
type source struct {
	next  func() ([]any, bool)
	row   []any
	width int
	n     int64
	err   error
}

func (s *source) Next() bool {
	row, ok := s.next()
	if !ok || s.err != nil {
		return false
	}
	s.row, s.err = row, unfitRow(row, s.width, s.n)
	s.n++
	return s.err == nil
}

func (s *source) Values() ([]any, error) { return s.row, nil }
func (s *source) Err() error             { return s.err }

func unfitRow(row []any, width int, n int64) error {
	if len(row) != width {
		return &invalidArg{fmt.Sprintf("row %d has %d values for %d columns", n, len(row), width)}
	}
	for i, v := range row {
		if why := unfit(v); why != "" {
			return &invalidArg{fmt.Sprintf("row %d, column %d: %s", n, i, why)}
		}
	}
	return nil
}

func (tx *Tx) copyPostgres(table string, columns []string, rows iter.Seq[[]any]) (n int64, err error) {
	next, stop := iter.Pull(rows)
	defer stop()
	src := &source{next: next, width: len(columns)}
	err = tx.conn.Raw(func(dc any) error {
		for {
			if inner, ok := dc.(interface{ Unwrap() driver.Conn }); ok { // put there by WithConnector
				dc = inner.Unwrap()
				continue
			}
			break
		}
		n, err = dc.(*stdlib.Conn).Conn().CopyFrom(tx.ctx, pgx.Identifier{table}, columns, src)
		return err
	})
	if src.err != nil {
		err = src.err
	}
	if err != nil {
		return 0, tx.fail("copy", err)
	}
	return n, nil
}

// chunkParams bounds the parameters of one INSERT. SQLite takes 32,766; beyond about a thousand nothing gets faster and
// the statement text grows.
const chunkParams = 1000

func (tx *Tx) copySQLite(table string, columns []string, rows iter.Seq[[]any]) (int64, error) {
	perChunk := max(1, chunkParams/max(1, len(columns)))
	full := chunk{tx: tx, text: insertRows(table, columns, perChunk)}
	defer full.close()
	args := make([]any, 0, perChunk*len(columns))
	var n int64
	for row := range rows {
		if err := unfitRow(row, len(columns), n); err != nil {
			return 0, tx.fail("copy", err)
		}
		args = append(args, row...)
		n++
		if len(args) == cap(args) {
			if err := full.insert(args); err != nil {
				return 0, err
			}
			args = args[:0]
		}
	}
	if len(args) > 0 {
		if _, err := tx.Exec(insertRows(table, columns, len(args)/len(columns)), args...); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// chunk is the INSERT of as many rows as go into one. It is compiled once for all chunks of a copy: that takes as long as
// inserting the rows.
type chunk struct {
	tx   *Tx
	text string
	stmt *sql.Stmt
}

func (c *chunk) insert(args []any) (err error) {
	if err := c.tx.ready(args); err != nil {
		return err
	}
	if c.stmt == nil {
		if c.stmt, err = c.tx.tx.PrepareContext(c.tx.ctx, c.text); err != nil {
			return c.tx.fail("exec", err)
		}
	}
	if _, err := c.stmt.ExecContext(c.tx.ctx, args...); err != nil {
		return c.tx.fail("exec", err)
	}
	return nil
}

func (c *chunk) close() {
	if c.stmt != nil {
		_ = c.stmt.Close()
	}
}

// insertRows has bare question marks for parameters: the driver looks up $1 by its name, in time that grows with the square
// of how many there are, so that a row took thirty times as long.
func insertRows(table string, columns []string, rows int) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + quoteName(table) + " (")
	for i, c := range columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quoteName(c))
	}
	b.WriteString(") VALUES ")
	one := "(?" + strings.Repeat(", ?", max(0, len(columns)-1)) + ")"
	b.WriteString(one + strings.Repeat(", "+one, rows-1))
	return b.String()
}
