package boot_test

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

// put writes a secret as a mounted one changes: the file is there whole, before and after.
func put(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(text+"\n"), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

// filed returns the settings of things, whose database's URL is in a file.
func (m *machine) filed(file string, more ...string) []string {
	environ := m.environ("things", append(more, "DATABASE_URL_FILE="+file)...)
	return slices.DeleteFunc(environ, func(pair string) bool { return strings.HasPrefix(pair, "CONCORD_THINGS_DATABASE_URL=") })
}

func exec(ctx context.Context, db *sqldb.DB, statement string, args ...any) error {
	return db.Tx(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(statement, args...)
		return err
	})
}

func TestAPasswordThatIsRefusedIsWaitedFor(t *testing.T) {
	m := newMachine(t, "things")
	as := sqldbtest.Postgres(t).Role(t, "things", "right")
	file := m.path("uri")
	put(t, file, as("wrong"))
	health := freeAddress(t)
	environ := m.filed(file, "HEALTH_ADDR="+health)
	const line = "database: the server refuses the user or its password: correct them in the database's URL"
	for name, migrate := range map[string]string{"that migrates": "true", "that waits for a migration": "false"} {
		w := launch("things", append(environ, "CONCORD_THINGS_DATABASE_MIGRATE="+migrate), &service{}, withDatabase...)
		defer w.stop()
		eventstest.Until(t, "it says what it waits for", func() bool { return strings.Contains(w.ask(health), line+"\n") })
		require.True(t, strings.HasPrefix(w.ask(health), "503 not ready\n"), name)
		require.Equal(t, "200 ok", w.ask(health, "/livez"))
		put(t, file, as("right"))
		eventstest.Until(t, "it starts", func() bool { return strings.HasPrefix(w.ask(health), "200 ready") })
		require.Equal(t, 1, strings.Count(w.stderr.String(), line), "%s: %s", name, w.stderr)
		require.NotContains(t, w.stderr.String(), "wrong")
		w.stop()
		require.Equal(t, 0, <-w.code)
		put(t, file, as("wrong"))
	}

	// The migrate command waits as well.
	ended := make(chan int, 1)
	go func() {
		code, _, _ := once(environ, builds, withDatabase, "migrate")
		ended <- code
	}()
	put(t, file, as("right"))
	require.Zero(t, <-ended)
}

// Nothing fails when a password is replaced: not the password, nor the connections that the server ends.
func TestAPasswordIsReplacedWhileAProgramRuns(t *testing.T) {
	m := newMachine(t, "things")
	server := sqldbtest.Postgres(t)
	as := server.Role(t, "things", "p0")
	file := m.path("uri")
	put(t, file, as("p0"))
	r := start(t, "things", m.filed(file), &service{}, withDatabase...)
	r.awaitReady(t, 200)
	require.NoError(t, exec(t.Context(), r.rt.DB, `CREATE TABLE written (n BIGINT PRIMARY KEY)`))
	var written atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	worked := make(chan error, 1)
	go func() {
		for n := int64(1); ctx.Err() == nil; n++ {
			err := exec(context.WithoutCancel(ctx), r.rt.DB, `INSERT INTO written VALUES ($1) ON CONFLICT DO NOTHING`, n)
			if errors.Is(err, sqldb.ErrOutcomeUnknown) { // the connection ended in the middle of COMMIT
				n--
				continue
			}
			if err != nil {
				worked <- err
				return
			}
			written.Store(n)
		}
		worked <- nil
	}()
	for _, next := range []string{"p1", "p2"} {
		server.Exec(t, "ALTER ROLE things PASSWORD '"+next+"'")
		put(t, file, as(next))
		server.Exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'things'`)
		after := written.Load()
		eventstest.Until(t, "it writes on", func() bool { return written.Load() > after+3 })
	}
	stop()
	require.NoError(t, <-worked)
	var kept int64
	require.NoError(t, r.rt.DB.QueryRow(t.Context(), `SELECT count(*) FROM written`).Scan(&kept))
	require.Equal(t, written.Load(), kept, "what was acknowledged is there, once")
	r.awaitReady(t, 200)
	require.NotContains(t, r.stderr.String(), "not ready", "nobody was told to go elsewhere")
}

// A migration that ran with another text does not heal: whoever begins ends with a line, and who runs is not ready.
func TestASchemaOfAnotherReleaseIsNotWaitedFor(t *testing.T) {
	const line = "schema: the migration 0001_events.sql ran on this database with another text, so that this release does not fit it: " +
		"run the release that does, or restore a backup that does"
	sqldbtest.EachURL(t, func(t *testing.T, url string) {
		m := newMachine(t, "things")
		environ := m.environ("things", "DATABASE_URL="+url)
		var ahead atomic.Int64
		s := setup(t, "things")
		s.Database.URL = url
		s.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		s.Health = lis
		rt, err := boot.Open(t.Context(), s)
		require.NoError(t, err)
		defer rt.Close()
		readyz := "http://" + lis.Addr().String() + "/readyz"
		eventstest.Until(t, "the schema fits", func() bool { _, body := get(t, readyz); return strings.Contains(body, "schema: ok") })

		require.NoError(t, exec(t.Context(), rt.DB, `UPDATE schema_migrations SET checksum = 'another' WHERE part = 'events' AND version = 1`))
		for _, c := range [][]string{{"DATABASE_MIGRATE=true"}, {"DATABASE_MIGRATE=false"}, {"DATABASE_MIGRATE=false", "migrate"}} {
			code, _, stderr := once(append(environ, "CONCORD_THINGS_"+c[0]), builds, withDatabase, c[1:]...)
			require.Equal(t, 1, code, c)
			require.Contains(t, stderr, "concord-things: "+line+"\n", c)
		}
		ahead.Store(int64(time.Hour)) // what fitted is believed for a while
		eventstest.Until(t, "it is told", func() bool {
			status, body := get(t, readyz)
			return status == 503 && strings.HasSuffix(body, line)
		})
	})
}
