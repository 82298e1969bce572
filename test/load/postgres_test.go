package load

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/test/story"
)

// server is a connection to the PostgreSQL server of a suite, beside its services.
type server struct {
	*pgx.Conn
	b *testing.B
}

func (p *practice) server(b *testing.B) *server {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), p.Postgres.URL(b))
	require.NoError(b, err)
	b.Cleanup(func() { _ = conn.Close(b.Context()) })
	return &server{Conn: conn, b: b}
}

// schemaWith is the namespace of the service that has a table.
func (s *server) schemaWith(table string) (schema string) {
	s.b.Helper()
	require.NoError(s.b, s.QueryRow(s.b.Context(),
		`SELECT table_schema FROM information_schema.tables WHERE table_name = $1`, table).Scan(&schema))
	return schema
}

func (s *server) exec(sql string, args ...any) int64 {
	s.b.Helper()
	tag, err := s.Exec(s.b.Context(), sql, args...)
	require.NoError(s.b, err, sql)
	return tag.RowsAffected()
}

// writes are the rows of a table that were inserted, updated and deleted since the server started.
type writes struct{ inserted, updated, deleted int64 }

func (w writes) minus(o writes) writes {
	return writes{w.inserted - o.inserted, w.updated - o.updated, w.deleted - o.deleted}
}

func (w writes) all() int64 { return w.inserted + w.updated + w.deleted }

// writes reads the server's statistics of every table, by namespace and table. A server process publishes what it did
// when it ends, at the latest: the caller has stopped all services, and this waits until their processes are gone.
func (s *server) writes() map[string]writes {
	s.b.Helper()
	story.Eventually(s.b, "the services' server processes are gone", func() bool { return s.others() == 0 })
	s.exec(`SELECT pg_stat_clear_snapshot()`)
	rows, err := s.Query(s.b.Context(),
		`SELECT schemaname || '.' || relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables`)
	require.NoError(s.b, err)
	out := map[string]writes{}
	var name string
	var w writes
	_, err = pgx.ForEachRow(rows, []any{&name, &w.inserted, &w.updated, &w.deleted}, func() error {
		out[name] = w
		return nil
	})
	require.NoError(s.b, err)
	return out
}

// others is how many connections the server has beside this one.
func (s *server) others() (n int) {
	s.b.Helper()
	require.NoError(s.b, s.QueryRow(s.b.Context(),
		`SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`).Scan(&n))
	return n
}
