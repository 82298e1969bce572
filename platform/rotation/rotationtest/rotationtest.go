// Package rotationtest proves that a service forgets nothing in a rotation of its keyring.
package rotationtest

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/concord-suite/concord/platform/rotation"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/platform/vault"
)

// Inventory walks the schema and fails for a column of sealed values (sealed, ..._sealed) that the inventory has not got, one
// of hashes (..._mac) likewise, and one in the inventory that is not there. Then it writes, in every sealed column, a value
// under a retired key, and one that belongs to another firm, row or column: the first must be refused by the database, the
// others must not open.
//
// Rows are written with nothing but what their columns must have; with says what else a schema asks for.
func Inventory(t *testing.T, migrations fs.FS, inventory rotation.Inventory, with ...With) {
	t.Helper()
	sqldbtest.Each(t, migrations, func(t *testing.T, db *sqldb.DB) {
		columns := walk(t, db)
		for _, w := range with {
			w.prepare(t, db, columns)
		}
		var sealed, hashed []string
		for _, s := range inventory.Secrets {
			sealed = append(sealed, s.Table+"."+s.Sealed)
		}
		for _, h := range inventory.Hashes {
			if h.Column != "" {
				hashed = append(hashed, h.Table+"."+h.Column)
			}
		}
		compare(t, columns, sealed, func(c string) bool { return c == "sealed" || strings.HasSuffix(c, "_sealed") })
		compare(t, columns, hashed, func(c string) bool { return strings.HasSuffix(c, "_mac") })
		for _, s := range inventory.Secrets {
			t.Run(s.Name(), func(t *testing.T) {
				fenced(t, db, s, columns)
				bound(t, db, s, columns)
			})
		}
	})
}

// With is what a schema asks of rows that are written to try it.
type With struct {
	// Prepare writes the rows that others refer to, by the ids given, and takes away what keeps rows from being deleted.
	Prepare func(tx *sqldb.Tx, ids []string) error
	// Values are those of columns that do not take any text, by "table.column".
	Values map[string]string
}

// ids are those of all rows that are written.
var ids = []string{"a", "b", "own", "firm", "row", "table", "column"}

func (w With) prepare(t *testing.T, db *sqldb.DB, columns []column) {
	t.Helper()
	for i, c := range columns {
		columns[i].value = w.Values[c.table+"."+c.name]
	}
	if w.Prepare == nil {
		return
	}
	if err := db.Tx(t.Context(), func(tx *sqldb.Tx) error { return w.Prepare(tx, ids) }); err != nil {
		t.Fatal(err)
	}
}

// column is a column of the schema.
type column struct {
	table, name, kind string
	required          bool
	value             string // what to write there, when not anything
}

// walk returns the columns of all tables.
func walk(t *testing.T, db *sqldb.DB) []column {
	t.Helper()
	query := `SELECT m.name, c.name, lower(c.type), c."notnull" = 1 AND c.dflt_value IS NULL
		FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'`
	if db.Dialect() == sqldb.Postgres {
		query = `SELECT table_name, column_name, data_type, is_nullable = 'NO' AND column_default IS NULL
			FROM information_schema.columns WHERE table_schema = current_schema()`
	}
	var all []column
	err := db.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
		all, err = sqldb.Collect(tx, func(r *sqldb.Rows) (c column, err error) {
			return c, r.Scan(&c.table, &c.name, &c.kind, &c.required)
		}, query)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func compare(t *testing.T, columns []column, listed []string, counts func(name string) bool) {
	t.Helper()
	var there []string
	for _, c := range columns {
		if counts(c.name) {
			there = append(there, c.table+"."+c.name)
		}
	}
	for _, name := range there {
		if !slices.Contains(listed, name) {
			t.Errorf("%s is not in the inventory: a rotation would lose it", name)
		}
	}
	for _, name := range listed {
		if !slices.Contains(there, name) {
			t.Errorf("%s is in the inventory, and not in the schema under a name that shows it (sealed, ..._sealed, ..._mac)", name)
		}
	}
}

// write inserts a row with nothing but what it needs, and the sealed value.
func write(tx *sqldb.Tx, s rotation.Secret, columns []column, id, firm string, text []byte, key vault.KeyID) error {
	var names, marks []string
	var args []any
	add := func(name string, value any) {
		args = append(args, value)
		names, marks = append(names, name), append(marks, fmt.Sprintf("$%d", len(args)))
	}
	for _, c := range columns {
		switch {
		case c.table != s.Table:
		case c.name == s.ID:
			add(c.name, id)
		case c.name == s.Firm:
			add(c.name, firm)
		case c.name == s.Sealed:
			add(c.name, text)
		case c.name == s.Key:
			add(c.name, string(key))
		case c.value != "":
			add(c.name, c.value)
		case !c.required:
		case strings.Contains(c.kind, "int"):
			add(c.name, 0)
		case c.kind == "blob" || c.kind == "bytea":
			add(c.name, []byte{})
		default:
			add(c.name, id) // whatever is unique
		}
	}
	_, err := tx.Exec(`INSERT INTO `+s.Table+` (`+strings.Join(names, ", ")+`) VALUES (`+strings.Join(marks, ", ")+`)`, args...)
	return err
}

// fenced writes values under a retired key.
func fenced(t *testing.T, db *sqldb.DB, s rotation.Secret, columns []column) {
	t.Helper()
	const retired vault.KeyID = "0badcafe"
	do := func(fn func(tx *sqldb.Tx) error) error { return db.Tx(t.Context(), fn) }
	err := do(func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(`INSERT INTO keys_retired (key_id, retired) VALUES ($1, 0) ON CONFLICT (key_id) DO NOTHING`, string(retired)); err != nil {
			return err
		}
		return write(tx, s, columns, "a", "", []byte("x"), "00000001")
	})
	if err != nil {
		t.Fatal(err)
	}
	if do(func(tx *sqldb.Tx) error { return write(tx, s, columns, "b", "", []byte("x"), retired) }) == nil {
		t.Errorf("%s: a row under a retired key was inserted; its guard is missing", s.Name())
	}
	err = do(func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`UPDATE `+s.Table+` SET `+s.Key+` = $1`, string(retired))
		return err
	})
	if err == nil {
		t.Errorf("%s: a row came under a retired key; its guard is missing", s.Name())
	}
	clear(t, db, s)
}

func clear(t *testing.T, db *sqldb.DB, s rotation.Secret) {
	t.Helper()
	err := db.Tx(t.Context(), func(tx *sqldb.Tx) error { _, err := tx.Exec(`DELETE FROM ` + s.Table); return err })
	if err != nil {
		t.Fatal(err)
	}
}

// bound rotates over values sealed for the row, and for another firm, row and column.
func bound(t *testing.T, db *sqldb.DB, s rotation.Secret, columns []column) {
	t.Helper()
	defer clear(t, db, s)
	file := vault.File{Path: filepath.Join(t.TempDir(), "keyring.json")}
	v, err := file.OpenOrCreate()
	if err != nil {
		t.Fatal(err)
	}
	firm := ""
	if s.Firm != "" {
		firm = "firm"
	}
	places := map[string]vault.Row{
		"own":    {Firm: firm, Table: s.Table, ID: "own", Column: s.As},
		"firm":   {Firm: "another", Table: s.Table, ID: "firm", Column: s.As},
		"row":    {Firm: firm, Table: s.Table, ID: "own", Column: s.As},
		"table":  {Firm: firm, Table: "another", ID: "table", Column: s.As},
		"column": {Firm: firm, Table: s.Table, ID: "column", Column: "another"},
	}
	for id, place := range places {
		text, key, err := v.Seal([]byte("secret"), place)
		if err == nil {
			err = db.Tx(t.Context(), func(tx *sqldb.Tx) error { return write(tx, s, columns, id, firm, text, key) })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Rotate(); err != nil {
		t.Fatal(err)
	}
	if err := v.Reload(); err != nil {
		t.Fatal(err)
	}
	book := rotation.Book{Service: "test", DB: db, Inventory: rotation.Inventory{Secrets: []rotation.Secret{s}}}
	done, err := book.Reseal(t.Context(), v, func(rotation.Secret, rotation.Progress) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if want := (rotation.Progress{Resealed: 1, Unreadable: len(places) - 1}); done != want {
		t.Errorf("%s: %+v, want %+v: only what was sealed for the row opens", s.Name(), done, want)
	}
}
