package sqldb

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

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

// String says in a line what does not fit, or where the schema stands.
func (all Standings) String() string {
	var changed, behind, at []string
	for _, s := range all {
		what := "the schema"
		if s.Part != "" {
			what += " of " + s.Part
		}
		for _, name := range s.Changed {
			changed = append(changed, fmt.Sprintf("the migration %s ran on this database with another text: this release does not fit it", name))
		}
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
	if wrong := append(changed, behind...); len(wrong) > 0 {
		return strings.Join(wrong, "; ")
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
