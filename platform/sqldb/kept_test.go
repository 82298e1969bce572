package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// counted is a connector that counts what reaches the driver: statements compiled, and statements run as text.
type counted struct {
	driver.Connector
	prepared, texts map[string]int
}

type countedConn struct {
	driver.Conn
	c *counted
}

func (c *counted) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	return &countedConn{inner, c}, err
}

func (c *countedConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	c.c.prepared[text]++
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, text)
}

func (c *countedConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	c.c.texts[text]++
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, text, args)
}

func (c *countedConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	c.c.texts[text]++
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, text, args)
}

func (c *countedConn) ResetSession(ctx context.Context) error {
	return c.Conn.(driver.SessionResetter).ResetSession(ctx)
}

func (c *countedConn) IsValid() bool { return c.Conn.(driver.Validator).IsValid() }

// keeping opens a connection that keeps statements, with a table of three items, and counts from now on.
func keeping(t *testing.T) (*sql.Conn, *counted) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kept.db")
	kept, _, err := sqliteConnectors(path)
	require.NoError(t, err)
	below := &counted{Connector: kept.(preparing).Connector, prepared: map[string]int{}, texts: map[string]int{}}
	db := sql.OpenDB(preparing{below})
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	conn, err := db.Conn(context.Background())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	for _, text := range []string{`CREATE TABLE items (id INTEGER, n INTEGER)`, `INSERT INTO items VALUES (1, 1), (2, 2), (3, 3)`} {
		_, err := conn.ExecContext(context.Background(), text)
		require.NoError(t, err)
	}
	clear(below.prepared)
	clear(below.texts)
	return conn, below
}

func TestStatementsAreCompiledOnce(t *testing.T) {
	conn, below := keeping(t)
	ctx := context.Background()
	hot := func(i int) string { return fmt.Sprintf(`SELECT n + %d FROM items WHERE id = $1`, i) }
	run := func() {
		for i := range keptStatements {
			var n int
			require.NoError(t, conn.QueryRowContext(ctx, hot(i), 2).Scan(&n))
			require.Equal(t, 2+i, n)
		}
	}
	for range 3 {
		run()
	}
	require.Len(t, below.prepared, keptStatements)
	// Bulk inserts, each of another number of rows, push none of them out.
	for rows := 1; rows <= 100; rows++ {
		args := make([]any, 2*rows)
		_, err := conn.ExecContext(ctx, insertRows("items", []string{"id", "n"}, rows), args...)
		require.NoError(t, err)
	}
	run()
	require.Len(t, below.prepared, keptStatements)
	for text, times := range below.prepared {
		require.Equal(t, 1, times, text)
	}
	require.Len(t, below.texts, 100, "the bulk inserts, and nothing else, were run as texts")
	// One more, and the one used longest ago goes.
	_, err := conn.ExecContext(ctx, `UPDATE items SET n = n WHERE id = $1`, 1)
	require.NoError(t, err)
	run()
	require.Equal(t, 2, below.prepared[hot(0)])
}

// A statement whose rows are being read is not run a second time: that would end the reading.
func TestStatementThatIsBusyIsRunAsText(t *testing.T) {
	conn, below := keeping(t)
	ctx := context.Background()
	const text = `SELECT n FROM items WHERE id >= $1 ORDER BY id`
	all := func(from int) (out []int) {
		rows, err := conn.QueryContext(ctx, text, from)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() && len(out) < 10 {
			var n int
			require.NoError(t, rows.Scan(&n))
			out = append(out, n)
		}
		require.NoError(t, rows.Err())
		return out
	}
	rows, err := conn.QueryContext(ctx, text, 1)
	require.NoError(t, err)
	var n int
	require.True(t, rows.Next())
	require.Equal(t, []int{2, 3}, all(2), "while another reads")
	require.Equal(t, map[string]int{text: 1}, below.texts)
	require.True(t, rows.Next())
	require.NoError(t, rows.Scan(&n))
	require.Equal(t, 2, n, "whose rows are its own")
	require.NoError(t, rows.Close())
	require.Equal(t, []int{3}, all(3))
	require.Equal(t, map[string]int{text: 1}, below.prepared, "free again, it is the one that was kept")
	require.Equal(t, map[string]int{text: 1}, below.texts)
}
