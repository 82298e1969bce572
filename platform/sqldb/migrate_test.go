package sqldb_test

import (
	"context"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

// files makes a set of migrations that is the same on both engines.
func files(texts map[string]string) fstest.MapFS {
	set := fstest.MapFS{}
	for name, text := range texts {
		for _, engine := range sqldbtest.Engines() {
			set["migrations/"+string(engine)+"/"+name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return set
}

func eachEmpty(t *testing.T, fn func(t *testing.T, db *sqldb.DB)) { sqldbtest.Each(t, nil, fn) }

func TestMigrate(t *testing.T) {
	ctx := context.Background()
	eachEmpty(t, func(t *testing.T, db *sqldb.DB) {
		version := func() int {
			v, err := sqldb.SchemaVersion(ctx, db)
			require.NoError(t, err)
			return v
		}
		require.Zero(t, version())
		texts := map[string]string{"0001_a.sql": "CREATE TABLE a (id TEXT PRIMARY KEY);\nCREATE TABLE b (id TEXT PRIMARY KEY);\n"}
		require.NoError(t, sqldb.Migrate(ctx, db, files(texts)))
		require.NoError(t, sqldb.Migrate(ctx, db, files(texts)))
		require.Equal(t, 1, version())

		later := maps.Clone(texts)
		later["0002_b.sql"] = "INSERT INTO a VALUES ('row');"
		require.NoError(t, sqldb.Migrate(ctx, db, files(later)))
		require.Equal(t, 2, version())
		require.NoError(t, sqldb.Migrate(ctx, db, files(texts)), "an older release on a newer database")

		crlf := map[string]string{"0001_a.sql": strings.ReplaceAll(texts["0001_a.sql"], "\n", "\r\n"), "0002_b.sql": later["0002_b.sql"]}
		require.NoError(t, sqldb.Migrate(ctx, db, files(crlf)), "a checkout with other line ends")

		changed := map[string]string{"0001_a.sql": texts["0001_a.sql"] + " -- changed", "0002_b.sql": later["0002_b.sql"]}
		changed["0003_c.sql"] = "CREATE TABLE c (id TEXT PRIMARY KEY);"
		err := sqldb.Migrate(ctx, db, sqldb.Join(sqldb.Named("other", files(texts)), files(changed)))
		require.EqualError(t, err, "schema: the migration 0001_a.sql ran on this database with another text, so that this release does not fit it: "+
			"run the release that does, or restore a backup that does")
		require.Equal(t, 2, version())
		parts, err := sqldb.Schema(ctx, db, sqldb.Named("other", files(texts)))
		require.NoError(t, err)
		require.Zero(t, parts[0].Have, "nothing else was done to the database, in no part")
	})
}

func TestAMigrationHappensWholeOrNotAtAll(t *testing.T) {
	ctx := context.Background()
	eachEmpty(t, func(t *testing.T, db *sqldb.DB) {
		err := sqldb.Migrate(ctx, db, files(map[string]string{
			"0001_a.sql": "CREATE TABLE a (id TEXT PRIMARY KEY);",
			"0002_b.sql": "CREATE TABLE b (id TEXT PRIMARY KEY); INSERT INTO nonsense VALUES (1);",
		}))
		require.ErrorContains(t, err, "0002_b.sql")
		require.ErrorContains(t, err, "nonsense")
		require.Error(t, exec(db, `DELETE FROM b`), "half of the second")
		require.NoError(t, exec(db, `DELETE FROM a`), "the first stands")
	})
}

func TestReplicasMigrateAtTheSameTime(t *testing.T) {
	sqldbtest.EachURL(t, func(t *testing.T, url string) {
		set := files(map[string]string{
			"0001_a.sql": "CREATE TABLE a (id TEXT PRIMARY KEY);",
			"0002_b.sql": "INSERT INTO a VALUES ('only once');",
		})
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			db := sqldbtest.Open(t, url, nil)
			wg.Go(func() { errs[i] = sqldb.Migrate(context.Background(), db, set) })
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
	})
}

func TestMigrationsOfAPackageCountForThemselves(t *testing.T) {
	ctx := context.Background()
	eachEmpty(t, func(t *testing.T, db *sqldb.DB) {
		events := sqldb.Named("events", files(map[string]string{"0001_out.sql": "CREATE TABLE out (id TEXT PRIMARY KEY);"}))
		own := files(map[string]string{"0001_a.sql": "CREATE TABLE a (id TEXT PRIMARY KEY);", "0002_b.sql": "CREATE TABLE b (id TEXT PRIMARY KEY);"})
		require.NoError(t, sqldb.Migrate(ctx, db, sqldb.Join(events, own)))
		require.NoError(t, sqldb.Migrate(ctx, db, sqldb.Join(events, own)))
		v, err := sqldb.SchemaVersion(ctx, db)
		require.NoError(t, err)
		require.Equal(t, 2, v)
		require.NoError(t, exec(db, `DELETE FROM out`))
	})
}

func TestMigrationsAreNumberedWithoutGaps(t *testing.T) {
	db := sqldbtest.Open(t, sqldbtest.URL(t, sqldb.SQLite), nil)
	for words, texts := range map[string]map[string]string{
		"expected number 0002": {"0001_a.sql": "", "0003_c.sql": ""},
		"expected number 0001": {"0002_a.sql": ""},
		"not named like":       {"1_a.sql": ""},
		"0001_b.sql":           {"0001_a.sql": "", "0001_b.sql": ""},
	} {
		require.ErrorContains(t, sqldb.Migrate(context.Background(), db, files(texts)), words)
	}
	require.ErrorContains(t, sqldb.Migrate(context.Background(), db, fstest.MapFS{}), "no migrations for sqlite")
}

// Rebuilding a table is how SQLite changes a column. With foreign keys on, dropping the old one would fail or delete.
func TestSQLiteRebuildsATableThatOthersReferTo(t *testing.T) {
	db := sqldbtest.Open(t, sqldbtest.URL(t, sqldb.SQLite), schema)
	put(t, db, "a")
	require.NoError(t, exec(db, `INSERT INTO parts (id, item) VALUES (1, 'a')`))
	rebuild := maps.Clone(schema)
	rebuild["sqlite/0002_rebuild.sql"] = &fstest.MapFile{Data: []byte(`
CREATE TABLE items2 (id TEXT NOT NULL PRIMARY KEY, firm TEXT NOT NULL) STRICT;
INSERT INTO items2 SELECT id, firm FROM items;
DROP TABLE items;
ALTER TABLE items2 RENAME TO items;`)}
	require.NoError(t, sqldb.Migrate(context.Background(), db, rebuild))
	require.EqualValues(t, 1, one[int64](t, db, `SELECT count(*) FROM parts JOIN items ON items.id = item`))
	require.ErrorIs(t, exec(db, `DELETE FROM items`), sqldb.ErrConflict, "foreign keys are on again")

	rebuild["sqlite/0003_lose.sql"] = &fstest.MapFile{Data: []byte(`DELETE FROM items;`)}
	require.ErrorContains(t, sqldb.Migrate(context.Background(), db, rebuild), "1 rows that refer to rows which do not exist")
	require.ErrorIs(t, exec(db, `DELETE FROM items`), sqldb.ErrConflict)
}

// A file that holds nothing but comments has nothing to run, and is recorded all the same.
func TestMigrationOfCommentsOnly(t *testing.T) {
	eachEmpty(t, func(t *testing.T, db *sqldb.DB) {
		texts := map[string]string{"0001_a.sql": "-- Nothing yet.\n\n  -- Nor here.\n"}
		require.NoError(t, sqldb.Migrate(t.Context(), db, files(texts)))
		v, err := sqldb.SchemaVersion(t.Context(), db)
		require.NoError(t, err)
		require.Equal(t, 1, v)
	})
}
