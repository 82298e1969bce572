package sqldb

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Migrate brings the schema of db to what migrations describe.
//
// The files are <engine>/NNNN_name.sql, or migrations/<engine>/NNNN_name.sql, where engine is sqlite or postgres and
// NNNN counts from 0001 without gaps. Each file runs once, in a transaction of its own, and is recorded with a checksum
// of its text: a file that was changed after it ran is refused in words before any is run, since nobody could say what the
// database looks like; what is to be changed is changed by a new one. Replicas may call Migrate at the same time; they take turns. A database that is ahead of the files, because a
// newer release ran on it, is left as it is: releases keep to changes that the previous one can live with.
//
// On SQLite foreign keys are off while a file runs, so that a table can be rebuilt, and checked before it is committed.
func Migrate(ctx context.Context, db *DB, migrations fs.FS) error {
	switch all, err := Schema(ctx, db, migrations); {
	case err != nil:
		return err
	case all.Changed(): // before anything else is done to a database of another release
		return errors.New("schema: " + all.String())
	}
	for _, s := range schemasOf(migrations) {
		files, err := s.load(db.dialect)
		if err != nil {
			return err
		}
		if err := db.migrating(ctx, createRecord); err != nil {
			return fmt.Errorf("sqldb: preparing the record of migrations: %w", err)
		}
		for _, f := range files {
			if err := db.migrating(ctx, func(tx *Tx) error { return f.apply(tx) }); err != nil {
				return fmt.Errorf("sqldb: migration %s: %w", f.path, err)
			}
		}
	}
	return nil
}

// SchemaVersion returns the number of the last migration that ran on db, 0 when none did. Parts brought in by Named do
// not count.
func SchemaVersion(ctx context.Context, db *DB) (int, error) {
	var version int
	err := db.Read(ctx, func(tx *Tx) error {
		if recorded, err := hasRecord(tx); err != nil || !recorded {
			return err
		}
		return tx.QueryRow(`SELECT coalesce(max(version), 0) FROM schema_migrations WHERE part = ''`).Scan(&version)
	})
	return version, err
}

// Named marks migrations as a part with a numbering of its own, for packages that bring tables into the database of
// every service. The name never changes.
func Named(name string, migrations fs.FS) fs.FS { return part{name: name, FS: migrations} }

// Join puts several sets of migrations together: parts made by Named, and at most one without a name. They run in the
// order given.
func Join(sets ...fs.FS) fs.FS { return joined(sets) }

type part struct {
	fs.FS
	name string
}

type joined []fs.FS

// Open opens name in the first set that has it.
func (j joined) Open(name string) (fs.File, error) {
	for _, s := range j {
		if f, err := s.Open(name); err == nil {
			return f, nil
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func schemasOf(set fs.FS) []part {
	switch s := set.(type) {
	case joined:
		var all []part
		for _, inner := range s {
			all = append(all, schemasOf(inner)...)
		}
		return all
	case part:
		return []part{s}
	}
	return []part{{FS: set}}
}

// migration is one file.
type migration struct {
	part, path, text, sum string
	version               int
}

func (p part) load(d Dialect) ([]migration, error) {
	dir := string(d)
	entries, err := fs.ReadDir(p, dir)
	if errors.Is(err, fs.ErrNotExist) {
		dir = path.Join("migrations", dir)
		entries, err = fs.ReadDir(p, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("sqldb: no migrations for %s: there is no folder %s", d, dir)
	}
	var files []migration
	for _, e := range entries {
		text, err := fs.ReadFile(p, path.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("sqldb: migration %s: %w", e.Name(), err)
		}
		digits, _, _ := strings.Cut(e.Name(), "_")
		version, err := strconv.Atoi(digits)
		if err != nil || len(digits) != 4 || path.Ext(e.Name()) != ".sql" {
			return nil, fmt.Errorf("sqldb: %s/%s is not named like a migration (0001_name.sql)", dir, e.Name())
		}
		// A checkout that turned line ends into CR LF has not changed the migration.
		plain := strings.ReplaceAll(string(text), "\r\n", "\n")
		sum := sha256.Sum256([]byte(plain))
		files = append(files, migration{part: p.name, path: path.Join(p.name, dir, e.Name()), text: plain,
			sum: hex.EncodeToString(sum[:]), version: version})
	}
	slices.SortFunc(files, func(a, b migration) int { return a.version - b.version })
	for i, f := range files {
		if f.version != i+1 {
			return nil, fmt.Errorf("sqldb: %s: expected number %04d; numbers have no gaps and no doubles", f.path, i+1)
		}
	}
	return files, nil
}

func createRecord(tx *Tx) error {
	number, end := "INTEGER", "STRICT"
	if tx.Dialect() == Postgres {
		number, end = "BIGINT", ""
	}
	_, err := tx.Exec(`CREATE TABLE IF NOT EXISTS schema_migrations (
		part TEXT NOT NULL, version ` + number + ` NOT NULL, checksum TEXT NOT NULL,
		applied_at ` + number + ` NOT NULL DEFAULT (` + tx.Dialect().NowMicros() + `),
		PRIMARY KEY (part, version)) ` + end)
	return err
}

// says tells whether the file holds more than comments: there is nothing to run in one that does not, and a driver may
// have no answer to it.
func (m migration) says() bool {
	for line := range strings.Lines(m.text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "--") {
			return true
		}
	}
	return false
}

// apply runs the file unless it is recorded.
func (m migration) apply(tx *Tx) error {
	var sum string
	err := tx.QueryRow(`SELECT checksum FROM schema_migrations WHERE part = $1 AND version = $2`, m.part, m.version).Scan(&sum)
	switch {
	case err == nil && sum == m.sum:
		return nil
	case err == nil:
		return errors.New(changed(path.Base(m.path)))
	case !errors.Is(err, ErrNotFound):
		return err
	}
	if m.says() {
		if _, err := tx.Exec(m.text); err != nil {
			return err
		}
	}
	if tx.Dialect() == SQLite {
		var dangling int
		if err := tx.QueryRow(`SELECT count(*) FROM pragma_foreign_key_check`).Scan(&dangling); err != nil {
			return err
		}
		if dangling > 0 {
			return fmt.Errorf("it leaves %d rows that refer to rows which do not exist", dangling)
		}
	}
	_, err = tx.Exec(`INSERT INTO schema_migrations (part, version, checksum) VALUES ($1, $2, $3)`, m.part, m.version, m.sum)
	return err
}

// migrating runs fn alone among all processes that migrate db.
func (db *DB) migrating(ctx context.Context, fn func(*Tx) error) error {
	if db.dialect == Postgres {
		return db.Tx(ctx, func(tx *Tx) error {
			if err := AdvisoryLock(tx, "concord.migrate"); err != nil {
				return err
			}
			return fn(tx)
		}, ReadCommitted)
	}
	conn, err := db.acquire(ctx, db.write) // the only writing connection of this process
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `PRAGMA foreign_keys = OFF`); err != nil { // has no effect inside a transaction
		return db.dialect.classify(ctx, "migrate", err)
	}
	_, err = db.attempt(ctx, conn, sql.TxOptions{}, fn, nil)
	if _, onErr := conn.ExecContext(context.WithoutCancel(ctx), `PRAGMA foreign_keys = ON`); onErr != nil && err == nil {
		err = db.dialect.classify(ctx, "migrate", onErr)
	}
	return err
}

// Standing is how far the schema of a database has come in one part of its migrations.
type Standing struct {
	// Part is the name that Named gave, empty for the migrations without one.
	Part string
	// Have is the number of the last migration that ran, 0 for none; Need the last that the release brings.
	Have, Need int
	// Missing are the files that did not run; Changed those that ran with another text.
	Missing, Changed []string
}

// Standings are those of every part, in the order of Join.
type Standings []Standing

// Fits tells whether a release with these migrations can work: every one of them ran as it is. A schema that is ahead fits,
// see Migrate.
func (all Standings) Fits() bool {
	return !slices.ContainsFunc(all, func(s Standing) bool { return len(s.Missing)+len(s.Changed) > 0 })
}

// Changed tells whether a migration ran with another text than this release has. Waiting does not change that.
func (all Standings) Changed() bool {
	return slices.ContainsFunc(all, func(s Standing) bool { return len(s.Changed) > 0 })
}

// changed says so of migrations, and what to do.
func changed(names ...string) string {
	what := "the migration "
	if len(names) > 1 {
		what = "the migrations "
	}
	return what + strings.Join(names, ", ") + " ran on this database with another text, so that this release does not fit it: " +
		"run the release that does, or restore a backup that does"
}

// String says in a line what does not fit, or where the schema stands.
func (all Standings) String() string {
	var others, behind, at []string
	for _, s := range all {
		what := "the schema"
		if s.Part != "" {
			what += " of " + s.Part
		}
		others = append(others, s.Changed...)
		switch {
		case len(s.Missing) == 0:
		case s.Have >= s.Need: // only a record somebody wrote by hand has gaps
			behind = append(behind, what+" lacks "+strings.Join(s.Missing, ", "))
		default:
			behind = append(behind, fmt.Sprintf("%s is at %d, this release needs %d", what, s.Have, s.Need))
		}
		switch {
		case s.Part != "":
		case s.Have > s.Need:
			at = append(at, fmt.Sprintf("at %d, this release needs %d", s.Have, s.Need))
		default:
			at = append(at, fmt.Sprintf("at %d", s.Have))
		}
	}
	switch {
	case len(others) > 0: // the rest does not matter then
		return changed(others...)
	case len(behind) > 0:
		return strings.Join(behind, "; ")
	}
	return strings.Join(at, "; ")
}

// Schema says how the schema of db stands to what migrations describe. It changes nothing.
func Schema(ctx context.Context, db *DB, migrations fs.FS) (Standings, error) {
	ran := map[string]map[int]string{}
	err := db.Read(ctx, func(tx *Tx) error {
		if recorded, err := hasRecord(tx); err != nil || !recorded {
			return err
		}
		type row struct {
			part, sum string
			version   int
		}
		rows, err := Collect(tx, func(r *Rows) (one row, err error) {
			return one, r.Scan(&one.part, &one.version, &one.sum)
		}, `SELECT part, version, checksum FROM schema_migrations`)
		for _, one := range rows {
			if ran[one.part] == nil {
				ran[one.part] = map[int]string{}
			}
			ran[one.part][one.version] = one.sum
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var all Standings
	for _, p := range schemasOf(migrations) {
		files, err := p.load(db.dialect)
		if err != nil {
			return nil, err
		}
		all = append(all, standing(p.name, files, ran[p.name]))
	}
	return all, nil
}

func standing(part string, files []migration, ran map[int]string) Standing {
	s := Standing{Part: part, Need: len(files)} // load made sure that numbers have no gaps
	for version := range ran {
		s.Have = max(s.Have, version)
	}
	for _, f := range files {
		switch sum, did := ran[f.version]; {
		case !did:
			s.Missing = append(s.Missing, path.Base(f.path))
		case sum != f.sum:
			s.Changed = append(s.Changed, path.Base(f.path))
		}
	}
	return s
}

// hasRecord tells whether any migration ever ran.
func hasRecord(tx *Tx) (bool, error) {
	exists := `SELECT count(*) FROM sqlite_schema WHERE name = 'schema_migrations'`
	if tx.Dialect() == Postgres {
		exists = `SELECT count(*) FROM pg_tables WHERE tablename = 'schema_migrations' AND schemaname = current_schema()`
	}
	var n int
	err := tx.QueryRow(exists).Scan(&n)
	return n > 0, err
}
