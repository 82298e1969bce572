package load

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

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

// awaitContacts waits until documents knows every contact of sync, whose namespace is given with a dot: what it still has
// to learn of the first run is no part of the next one.
func (s *server) awaitContacts(sync string) {
	s.b.Helper()
	query := `SELECT (SELECT count(*) FROM ` + sync + `contacts) = (SELECT count(*) FROM ` + s.schemaWith("contact_clients") + `.contacts)`
	story.Eventually(s.b, "documents knows every contact", func() (all bool) {
		require.NoError(s.b, s.QueryRow(s.b.Context(), query).Scan(&all))
		return all
	})
}

// others is how many connections the server has beside this one.
func (s *server) others() (n int) {
	s.b.Helper()
	require.NoError(s.b, s.QueryRow(s.b.Context(),
		`SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`).Scan(&n))
	return n
}

// synced are the tables a first run fills, with what it found and what it has to tell.
var synced = []string{"clients", "links", "contacts", "contact_links", "relations", "history", "changes", "events_outbox"}

// copyAndMerge writes the rows a run left behind again, the shortest way there is: COPY into an unlogged table, and from
// there into an empty table with the same indexes, checks and foreign keys, everything in one transaction. It answers the
// rows and the time.
func (s *server) copyAndMerge() (rows int64, took time.Duration) {
	s.b.Helper()
	schema := s.schemaWith("staged_contacts")
	content := map[string]*bytes.Buffer{}
	for _, table := range synced {
		content[table] = new(bytes.Buffer)
		_, err := s.PgConn().CopyTo(s.b.Context(), content[table], "COPY "+schema+"."+table+" TO STDOUT")
		require.NoError(s.b, err)
		s.exec(fmt.Sprintf(`CREATE TABLE bare_%s (LIKE %s.%s INCLUDING ALL)`, table, schema, table))
		s.exec(fmt.Sprintf(`CREATE UNLOGGED TABLE stage_%s (LIKE %s.%s INCLUDING DEFAULTS)`, table, schema, table))
	}
	s.referTo(schema)
	began := time.Now()
	s.exec(`BEGIN`)
	for _, table := range synced {
		_, err := s.PgConn().CopyFrom(s.b.Context(), content[table], "COPY stage_"+table+" FROM STDIN")
		require.NoError(s.b, err)
		rows += s.exec(fmt.Sprintf(`INSERT INTO bare_%[1]s OVERRIDING SYSTEM VALUE SELECT * FROM stage_%[1]s ON CONFLICT DO NOTHING`, table))
	}
	s.exec(`COMMIT`)
	return rows, time.Since(began)
}

// referTo gives the bare tables the foreign keys of the tables of a namespace, which LIKE leaves out.
func (s *server) referTo(schema string) {
	s.b.Helper()
	rows, err := s.Query(s.b.Context(), `SELECT f.relname, t.relname, a.attname, k.attname FROM pg_constraint c
			JOIN pg_class f ON f.oid = c.conrelid JOIN pg_class t ON t.oid = c.confrelid
			JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
			JOIN pg_attribute k ON k.attrelid = c.confrelid AND k.attnum = c.confkey[1]
		WHERE c.contype = 'f' AND cardinality(c.conkey) = 1 AND c.connamespace = $1::regnamespace AND f.relname = ANY($2)`, schema, synced)
	require.NoError(s.b, err)
	var from, to, column, key string
	var add []string
	_, err = pgx.ForEachRow(rows, []any{&from, &to, &column, &key}, func() error {
		add = append(add, fmt.Sprintf(`ALTER TABLE bare_%s ADD FOREIGN KEY (%s) REFERENCES bare_%s (%s)`, from, column, to, key))
		return nil
	})
	require.NoError(s.b, err)
	require.NotEmpty(s.b, add)
	for _, sql := range add {
		s.exec(sql)
	}
}

// cpu is the CPU time that the server's processes of this moment have used; those that ended are not in it.
func (s *server) cpu() (total time.Duration) {
	s.b.Helper()
	var data string
	require.NoError(s.b, s.QueryRow(s.b.Context(), `SHOW data_directory`).Scan(&data))
	dirs, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(s.b, err)
	for _, dir := range dirs {
		if at, err := os.Readlink(dir + "/cwd"); err != nil || at != data {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		require.NoError(s.b, err)
		total += cpu(s.b, pid)
	}
	return total
}
