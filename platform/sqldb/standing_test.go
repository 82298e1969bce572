package sqldb_test

import (
	"context"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

// numbered makes migrations that do nothing but have numbers; text makes them differ.
func numbered(n int, text string) fstest.MapFS {
	files := fstest.MapFS{}
	names := []string{"0001_first.sql", "0002_second.sql", "0003_third.sql"}
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, name := range names[:n] {
			files[engine+"/"+name] = &fstest.MapFile{Data: []byte("-- " + text)}
		}
	}
	return files
}

func TestTheSchemaSaysHowItStands(t *testing.T) {
	sqldbtest.EachURL(t, func(t *testing.T, url string) {
		db := sqldbtest.Open(t, url, nil)
		release := func(own, named int, text string) sqldb.Standings {
			all, err := sqldb.Schema(t.Context(), db, sqldb.Join(sqldb.Named("extra", numbered(named, text)), numbered(own, "own")))
			require.NoError(t, err)
			return all
		}
		fresh := release(2, 1, "extra")
		require.False(t, fresh.Fits())
		require.Equal(t, "the schema of extra is at 0, this release needs 1; the schema is at 0, this release needs 2", fresh.String())

		require.NoError(t, sqldb.Migrate(t.Context(), db, sqldb.Join(sqldb.Named("extra", numbered(1, "extra")), numbered(2, "own"))))
		same := release(2, 1, "extra")
		require.True(t, same.Fits())
		require.Equal(t, "at 2", same.String())

		former := release(1, 1, "extra")
		require.True(t, former.Fits(), "the release before goes on while the next one's schema is there")
		require.Equal(t, "at 2, this release needs 1", former.String())

		next := release(2, 2, "extra")
		require.False(t, next.Fits(), "a part with a name counts, too")
		require.Equal(t, "the schema of extra is at 1, this release needs 2", next.String())

		other := release(2, 1, "another text")
		require.False(t, other.Fits())
		require.True(t, other.Changed())
		require.Equal(t, "the migration 0001_first.sql ran on this database with another text, so that this release does not fit it: "+
			"run the release that does, or restore a backup that does", other.String())
		both := release(3, 1, "another text")
		require.Equal(t, other.String(), both.String(), "what is behind as well does not matter then")
	})
}

func TestAnExhaustedPoolIsNoDeadDatabase(t *testing.T) {
	server := sqldbtest.Postgres(t)
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: server.URL(t), MaxConns: 1})
	require.NoError(t, err)
	defer db.Close()
	held, release := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- db.Read(context.Background(), func(*sqldb.Tx) error {
			close(held)
			<-release
			return nil
		})
	}()
	<-held
	require.NoError(t, db.Ping(t.Context()))
	require.Equal(t, sqldb.Stats{InUse: 1, Max: 1}, db.Stats())
	server.Freeze(t)
	began := time.Now()
	require.ErrorIs(t, db.Ping(t.Context()), sqldb.ErrBusy)
	require.Less(t, time.Since(began), 2*time.Second)
	server.Thaw(t)
	require.Eventually(t, func() bool { return db.Ping(t.Context()) == nil }, time.Minute, 50*time.Millisecond)
	close(release)
	require.NoError(t, <-ended)
}
